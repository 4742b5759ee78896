"""Sound: codecs, voice activity, microphone and files."""
