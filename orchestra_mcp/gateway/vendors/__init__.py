"""What is known of vendors and models: rows of data, what is found on this machine, plugins, coding CLIs."""
