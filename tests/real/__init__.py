"""Programs that nobody here wrote, for tests against real peers."""
