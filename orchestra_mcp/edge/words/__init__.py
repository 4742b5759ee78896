"""Engines that turn sound into words, and what a project adds to them."""
