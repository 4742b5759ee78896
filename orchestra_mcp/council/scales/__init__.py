"""The arithmetic of a council: who weighs how much, who says the same, how sure that makes us. Pure."""
