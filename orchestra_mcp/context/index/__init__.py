"""Which files and functions a question is about: the index of a project, and the ranking over it."""
