"""Where Omi has to post. Omi cannot send a header of ours, so the secret is a part of the path."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from orchestra_mcp.store.secretfile import secret_file

ROOM: Final = "omi"
"""First word of the path."""
FILE: Final = "omi-token"
"""In the data directory."""


def omi_token(home: Path) -> str:
    """The secret of the webhook, made on first use and readable by its owner only.

    Raises:
        SettingsError: the file cannot be written, or others can read it.
    """
    return secret_file(home / FILE)


def addresses(base: str, token: str) -> Mapping[str, str]:
    """What is to be entered in the Omi app, by what it is for; each is a secret.

    Args:
        base: where the tunnel begins, such as `https://voice.example.org`.
        token: of `omi_token`.
    """
    return {what: f"{base.rstrip('/')}/{ROOM}/{token}/{path}" for what, path in PATHS.items()}


PATHS: Final = {
    "real-time transcript": "transcript",
    "audio bytes": "audio",
    "chat tools manifest": "tools.json",
}
