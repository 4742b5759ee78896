"""What went wrong, as HTTP: one table from `errors.py` to statuses and codes, and the bodies that each client's SDK reads.

The rule: 4xx is what the caller can mend, 5xx what it cannot.

| what | status | code |
|---|---|---|
| the request is wrong, or the vendor did not accept it | 400 | `invalid_request` |
| the prompt is longer than the model's window | 400 | `context_length_exceeded` |
| the model's or vendor's content policy, or a rule of the route | 400 | `content_policy` |
| no or a wrong key of ours | 401 | `invalid_api_key` |
| a budget would be overdrawn; with `retry-after` where its window ends | 402 | `budget_exceeded` |
| the key may not do this, consent is missing | 403 | `not_allowed` |
| no such model, route or page | 404 | `model_not_found`, `not_found` |
| too large | 413 | `too_large` |
| a limit of ours or of the vendor, also where it rests after one; with `retry-after` | 429 | `rate_limit_exceeded` |
| the vendor refused *our* key, or the account is empty | 502 | `provider_auth` |
| the vendor's reply is no reply | 502 | `bad_reply` |
| the vendor, or all that were tried, cannot be reached, failed, or rest after failures | 503 | `provider_unavailable` |
| the same, for lack of time | 504 | `timeout` |
| a setting is wrong | 500 | `settings` |
| anything else | 500 | `internal` |

Where asking again cannot help, `x-should-retry: false` says so to the SDKs. Anthropic's clients hear of an overload
(`overloaded_error`) only where the vendor said so, or rests; other failures of vendors are `api_error`.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from datetime import UTC, datetime

from orchestra_mcp.errors import (
    BadReply,
    BudgetExceeded,
    ConsentNeeded,
    NotFound,
    OrchestraError,
    ProviderError,
    RateLimited,
    Refused,
    Resting,
    SettingsError,
    StoreError,
    Unavailable,
    UserError,
)
from orchestra_mcp.gateway.money.budgets import WindowSpent
from orchestra_mcp.types import JsonObject

log = logging.getLogger(__name__)

OPENAI_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    404: "invalid_request_error",
    405: "invalid_request_error",
    413: "invalid_request_error",
    429: "rate_limit_error",
}
"""https://platform.openai.com/docs/guides/error-codes; others are `server_error`."""
ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
}
"""https://docs.anthropic.com/en/api/errors; others are `api_error`, and an overload is `overloaded_error`."""
OVERLOADED = re.compile(r"\bstatus (?:503|529)\b|\boverloaded\b", re.IGNORECASE)
"""How the gateway tells that a vendor has too much to do."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that went wrong, as a client is told of it."""

    status: int
    code: str
    """A stable word; see the table above."""
    message: str
    param: str = ""
    """The field of the request that is meant."""
    retry_after: float | None = None
    """Seconds."""
    hopeless: bool = False
    """Asking again cannot help, though the status looks as if it could."""
    overloaded: bool = False
    """The vendor has too much to do."""

    @property
    def openai(self) -> JsonObject:
        """The body for chat completions, Responses and everything else of OpenAI's API."""
        kind = OPENAI_TYPES.get(self.status, "server_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param or None, "code": self.code}}

    @property
    def anthropic(self) -> JsonObject:
        """The body for Messages."""
        kind = "overloaded_error" if self.overloaded else ANTHROPIC_TYPES.get(self.status, "api_error")
        return {"type": "error", "error": {"type": kind, "message": self.message, "code": self.code}}


class Declined(OrchestraError):
    """The door itself turns a request away."""

    def __init__(self, status: int, code: str, message: str, param: str = "") -> None:
        super().__init__(message)
        self.trouble = Trouble(status, code, message, param)


def trouble(error: BaseException) -> Trouble:
    """What a client is told of an error. Of errors that nobody foresaw it learns nothing; they are logged."""
    match error:
        case Declined():
            return error.trouble
        case UserError():
            return _of_user(error)
        case WindowSpent(resets=datetime() as resets):
            wait = max(0.0, (resets - datetime.now(UTC)).total_seconds())
            return Trouble(402, "budget_exceeded", str(error), retry_after=wait)
        case BudgetExceeded():
            return Trouble(402, "budget_exceeded", str(error))
        case ProviderError():
            return _of_provider(error)
        case RecursionError():
            return Trouble(400, "invalid_request", "The request is nested too deeply.")
        case TimeoutError():
            return Trouble(504, "timeout", "There was no complete reply within the time that a call may take.")
        case StoreError():
            return Trouble(503, "store", str(error))
        case OrchestraError():
            return Trouble(500, "internal", str(error))
    log.error("a request failed in a way that nobody foresaw", exc_info=error)
    return Trouble(500, "internal", f"Something went wrong here ({type(error).__name__}); the log says more.")


def _of_user(error: UserError) -> Trouble:
    message = str(error)
    match error:
        case NotFound():
            return Trouble(404, "model_not_found", message, "model")
        case SettingsError():
            return Trouble(500, "settings", message, hopeless=True)
        case ConsentNeeded():
            return Trouble(403, "not_allowed", message)
    return Trouble(400, "invalid_request", message, getattr(error, "param", ""))


def _of_provider(error: ProviderError) -> Trouble:
    message = str(error)
    match error:
        case RateLimited():
            return Trouble(429, "rate_limit_exceeded", message, retry_after=error.retry_after)
        case Refused(kind="auth"):
            return Trouble(502, "provider_auth", message, hopeless=True)
        case Refused(kind="model"):
            return Trouble(404, "model_not_found", message, "model")
        case Refused(kind="window"):
            return Trouble(400, "context_length_exceeded", message)
        case Refused(kind="policy"):
            return Trouble(400, "content_policy", message)
        case Refused():
            return Trouble(400, "invalid_request", message)
        case BadReply():
            return Trouble(502, "bad_reply", message)
        case Unavailable(kind="timeout"):
            return Trouble(504, "timeout", message)
        case Resting():
            if error.limited:
                return Trouble(429, "rate_limit_exceeded", message, retry_after=error.retry_after)
            return Trouble(503, "provider_unavailable", message, retry_after=error.retry_after, overloaded=True)
    overloaded = error.kind == "server" and OVERLOADED.search(message) is not None
    return Trouble(503, "provider_unavailable", message, overloaded=overloaded)
