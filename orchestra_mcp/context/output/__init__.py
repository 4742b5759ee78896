"""What programs printed: stack traces, test output, logs and profiles, and the files that they point at. Pure."""
