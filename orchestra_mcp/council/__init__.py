"""From a dossier and seats to a verdict; no I/O of its own. Start with `strategies`, then `room` and `verdicts`."""
