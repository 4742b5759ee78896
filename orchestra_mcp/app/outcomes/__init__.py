"""What became of answers: learned without asking (`harvest`), asked once (`followup`), and told as track records (`experts`)."""
