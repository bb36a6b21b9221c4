"""The rules of `@idempotent`: one key, one write, for a day.

Source: shopify.dev "Idempotent requests"; changelog "making idempotency mandatory" (2025-12-12).
"""

import hashlib
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from channels.sandbox.shopify.definitions import Call, GraphQLFault, fault

_REMEMBERED_SECONDS: Final = 24 * 3600


@dataclass(frozen=True, slots=True)
class UserError:
    """A business failure: which input, what, and a code where the payload has codes."""

    message: str
    field: list[str]
    code: str = ""


@dataclass(frozen=True, slots=True)
class Written:
    """The answer of a write: a group or a level, or errors."""

    result: Any
    errors: list[UserError]


@dataclass(slots=True)
class _Attempt:
    digest: str
    at: float
    #: None while it runs.
    outcome: Written | None = None


class IdempotencyKeys:
    """The keys of the last 24 hours and what came of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._attempts: dict[str, _Attempt] = {}

    def once(self, call: Call, name: str, write: Callable[[], Written]) -> Written:
        """Runs a write under its key: at most once, and only ever with the same arguments."""
        key = _key(call, name)
        digest = hashlib.sha256(json.dumps([name, call.arguments], sort_keys=True).encode()).hexdigest()
        with self._lock:
            self._forget()
            known = self._attempts.get(key)
            if known is None:
                known = self._attempts[key] = _Attempt(digest, time.time())
                is_first = True
            else:
                is_first = False
        if not is_first:
            return _replay(known, digest)
        try:
            known.outcome = write()
        except GraphQLFault:
            self._attempts.pop(key, None)
            raise
        return known.outcome

    def _forget(self) -> None:
        """Drops what is older than the window; keys are in the order of their first use."""
        limit = time.time() - _REMEMBERED_SECONDS
        while self._attempts:
            oldest = next(iter(self._attempts))
            if self._attempts[oldest].at >= limit:
                return
            del self._attempts[oldest]


def _key(call: Call, name: str) -> str:
    directive = call.directives.get("idempotent")
    if directive is None:
        message = "The @idempotent directive is required for this mutation but was not provided."
        raise GraphQLFault({**fault(message, "BAD_REQUEST"), "path": [name]})
    key = directive.get("key")
    if not isinstance(key, str) or not key.strip():
        raise GraphQLFault({**fault("The idempotency key must not be blank.", "BAD_REQUEST"), "path": [name]})
    return key


def _replay(known: _Attempt, digest: str) -> Written:
    if known.digest != digest:
        code, message = (
            "IDEMPOTENCY_KEY_PARAMETER_MISMATCH",
            "The same key was used with different parameters.",
        )
    elif known.outcome is None:
        code, message = "IDEMPOTENCY_CONCURRENT_REQUEST", "A request with the same key is being processed."
    elif known.outcome.errors:
        code, message = "IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED", "The previous attempt with this key failed."
    else:
        return known.outcome
    return Written(None, [UserError(message, [], code)])
