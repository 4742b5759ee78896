"""Cannot be imported."""

raise RuntimeError("ACME is closed")
