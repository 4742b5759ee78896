"""Secrets and personal data taken out of every text. Pure."""
