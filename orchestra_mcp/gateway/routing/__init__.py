"""Which models a request goes to, and in which order."""
