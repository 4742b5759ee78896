"""What an answer says: read from a reply, made comparable, its citations checked against the code."""
