"""The answer: two sentences, cues, the computer's voice, notifications."""
