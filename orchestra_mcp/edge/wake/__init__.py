"""The wake phrase, spotted offline."""
