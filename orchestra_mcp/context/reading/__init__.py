"""What a question says: its words, names and the files that it means. Pure."""
