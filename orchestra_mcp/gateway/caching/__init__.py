"""Answers that need not be asked for again: identical ones, those in flight, and similar ones."""
