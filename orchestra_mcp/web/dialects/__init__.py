"""The three ways in which clients speak to the door: chat completions, Responses, Messages."""
