"""Sound to features, sounds and words: what the wake phrase and the embedded transcriber share.

`moonshine.py` runs a small speech model that was trained on recordings of people, `tokens.py` is its vocabulary, `sounds.py` tells from
its features which sounds of English were said, `matching.py` finds a phrase in these, `pronunciation.py` says how words sound.
"""
