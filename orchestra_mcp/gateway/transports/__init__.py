"""How bytes get to a server and back: one small protocol, an HTTP library behind it."""
