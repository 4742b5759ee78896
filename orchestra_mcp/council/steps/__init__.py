"""What a strategy does in a room: hear, compare, try, review, rule."""
