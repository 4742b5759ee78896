"""The way through the Omi phone app: transcripts or sound come as webhooks, answers go back as Omi notifications.

A device holds one connection, so whoever uses the phone app cannot also connect it here. `segments` reads what Omi posts,
`phrase` finds the wake phrase in words, `dictation` takes the question down, `intake` confirms and asks, `hearing` does the
same from sound, `notifying` tells the answer, `tool` is for Omi's own chat. See docs/omi-app.md.
"""
