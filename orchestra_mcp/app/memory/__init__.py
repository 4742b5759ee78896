"""What past consultations are for: shown to later councils (`recall`), searched, exported and forgotten (`keeping`)."""
