"""Everything that can go wrong, split by what the caller does next.

OrchestraError
├── UserError            the question or its arguments are wrong: say how to mend them
│   ├── ProjectError         no project, or a path that leaves it
│   ├── SettingsError        orchestra.toml, a variable or a key is wrong
│   ├── VoiceError           no radio, no device, no engine: what the voice needs is missing
│   ├── ConsentNeeded        code would leave the machine and nobody has allowed it yet
│   └── NotFound             no such consultation, seat or model
├── BudgetExceeded       the call would cost more than what is left: stop
├── StoreError           the database cannot be read or written: answer anyway, say so
└── ProviderError        a model did not give a usable reply; `kind` says how
    ├── Refused              asking again cannot help (key dead, model gone, bad request, policy)
    ├── Unavailable          another try or another model may help (5xx, network, overloaded, time-out)
    │   ├── RateLimited          the same, after `retry_after` seconds
    │   └── Resting              nobody was asked: it failed too often lately, and is tried again in `retry_after` seconds
    └── BadReply             the wire worked, but the reply is empty, truncated or not what the API promises

Every message names what was given and the next step, and carries no key, no path outside the project and no traceback.
"""

from __future__ import annotations


class OrchestraError(Exception):
    """Root of all errors that Orchestra raises on purpose; `str(error)` is fit for a person or a model to read."""


class UserError(OrchestraError):
    """The request cannot be carried out as given; the message says how to mend it."""


class ProjectError(UserError):
    """No project directory was found, or a path leaves it."""


class SettingsError(UserError):
    """A configuration file, an environment variable or a key is missing or wrong."""


class VoiceError(UserError):
    """The voice cannot work as it is: no radio, no device, a codec or an engine that is missing."""


class ConsentNeeded(UserError):
    """Project code would go to a provider that nobody has allowed yet.

    Args:
        message: what would be sent and which settings line allows it.
        providers: the provider names that still need consent.
    """

    def __init__(self, message: str, providers: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.providers = providers


class NotFound(UserError):
    """A consultation, seat or model of that name does not exist."""


class BudgetExceeded(OrchestraError):
    """The worst case of a call costs more than the budget still holds, so it was not made."""


class StoreError(OrchestraError):
    """The consultation store cannot be opened, read or written."""


class ProviderError(OrchestraError):
    """A model gave no usable reply.

    Args:
        message: one sentence for people, without keys or reply bodies.
        kind: a stable word for tables and reports (`auth`, `model`, `request`, `policy`, `server`, `network`,
            `timeout`, `rate_limit`, `own_limit`, `resting`, `window`, `empty`, `truncated`, `garbage`, `too_long`, `refusal`).
    """

    default_kind = "server"

    def __init__(self, message: str, kind: str = "") -> None:
        super().__init__(message)
        self.kind = kind or self.default_kind


class Refused(ProviderError):
    """Asking the same model again cannot help."""

    default_kind = "request"


class Unavailable(ProviderError):
    """Another try, or another model, may help."""

    default_kind = "server"


class RateLimited(Unavailable):
    """The provider asked for patience.

    Args:
        retry_after: seconds that the provider asked to wait, or None when it did not say.
    """

    default_kind = "rate_limit"

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Resting(Unavailable):
    """The model was not asked, since it failed too often lately.

    Args:
        retry_after: seconds until it is tried again.
        limited: it rests since its vendor asked for patience.
    """

    default_kind = "resting"

    def __init__(self, message: str, retry_after: float, limited: bool = False) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.limited = limited


class BadReply(ProviderError):
    """The exchange succeeded but the reply is empty, cut off, too long or not of the promised shape."""

    default_kind = "garbage"
