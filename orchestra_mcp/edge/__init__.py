"""The voice: a question that is spoken reaches the council, and its answer is heard.

One question: a `Source` (`omi/` over Bluetooth, `audio/` microphone or file, `omiapp/` what the phone app posts) → `ear.py`
(voice, wake phrase, utterance) → `words/` (text, as sure as it is) → `conversation.py` (which project, is it meant, ask) →
`speaking/` (two sentences, cues, notification). `listening.py` ties them together for `orchestra listen`; the nouns and
protocols between them are in `nouns.py`. Nothing here is imported by the MCP server.
"""
