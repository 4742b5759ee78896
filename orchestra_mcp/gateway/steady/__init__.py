"""What keeps a call going when a model fails: retries, breakers, several keys, other targets, hedging."""
