"""Alerts: the rules (`rules`), and who watches them and tells people (`alarms`)."""
