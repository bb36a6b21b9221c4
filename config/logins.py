"""Signing in: whoever tries too often is kept out for a while, before the password is looked at.

Counted are attempts from an address under a name, under a name from anywhere, and from an address under any name. Each is
counted in one statement before it is judged, so that a hundred at the same moment are not one more chance. Signing in
forgets the first of them.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import connection
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables
from unfold.forms import AuthenticationForm

from config.models import LoginAttempts

log = structlog.get_logger(__name__)

#: How long attempts count, from the first one.
WINDOW: Final = timedelta(minutes=15)
#: Attempts within it. A colleague who knows a name can keep it out by the second; that takes more than the first.
MOST_FROM_ADDRESS_UNDER_NAME: Final = 5
MOST_UNDER_NAME: Final = 50
MOST_FROM_ADDRESS: Final = 100

_COUNT: Final = """
INSERT INTO config_loginattempts AS known (key, attempts, since) VALUES (%(key)s, 1, clock_timestamp())
ON CONFLICT (key) DO UPDATE
SET attempts = CASE WHEN known.since > clock_timestamp() - %(window)s THEN known.attempts + 1 ELSE 1 END,
    since = CASE WHEN known.since > clock_timestamp() - %(window)s THEN known.since ELSE clock_timestamp() END
RETURNING attempts, since + %(window)s
"""
# A few at a time: strangers make up as many names as they like.
_FORGET: Final = """
DELETE FROM config_loginattempts WHERE key IN (
    SELECT key FROM config_loginattempts WHERE since < clock_timestamp() - %(window)s
    ORDER BY since LIMIT 20 FOR UPDATE SKIP LOCKED
)
"""


@dataclass(frozen=True, slots=True)
class _Rule:
    """So many attempts under a key."""

    key: str
    most: int


class LoginForm(AuthenticationForm):
    """Asks for name and password, so many times."""

    @sensitive_variables()
    def clean(self) -> dict[str, Any]:
        """Refuses whoever has tried too often, whether or not the password is right this time."""
        rules = _rules(self.request, self.cleaned_data.get("username") or "")
        locked_until = _count(rules)
        if locked_until is not None:
            log.warning("login_refused_for_now", address=_address(self.request))
            raise ValidationError(
                f"Too many attempts. Try again after {locked_until:%H:%M} UTC.", code="too_many_attempts"
            )
        cleaned: dict[str, Any] = super().clean()
        LoginAttempts.objects.filter(key=rules[-1].key).delete()
        return cleaned


def _count(rules: Sequence[_Rule]) -> datetime | None:
    """Counts an attempt; returns until when it is refused, None where it is not. The first refusal ends the counting."""
    window: Any = WINDOW
    with connection.cursor() as cursor:
        cursor.execute(_FORGET, {"window": window})
        for rule in rules:
            cursor.execute(_COUNT, {"key": rule.key, "window": window})
            attempts, until = cursor.fetchone()
            if attempts > rule.most:
                found: datetime = until
                return found
    return None


def _rules(request: Any, name: str) -> tuple[_Rule, ...]:
    """Returns what is counted, the widest first and the one that success forgets last."""
    address = _address(request)
    return (
        _Rule(_key("address", address), MOST_FROM_ADDRESS),
        _Rule(_key("name", name.casefold()), MOST_UNDER_NAME),
        _Rule(_key("both", address, name.casefold()), MOST_FROM_ADDRESS_UNDER_NAME),
    )


def _key(kind: str, *parts: str) -> str:
    return f"{kind}:{hashlib.sha256(chr(0).join(parts).encode('utf-8', 'replace')).hexdigest()}"


def _address(request: HttpRequest) -> str:
    """Returns who asks: what our own proxy has added to the header, where there is one, and nothing that callers write."""
    forwarded = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
    if forwarded and settings.SECURE_PROXY_SSL_HEADER is not None:
        return forwarded[:100]
    return str(request.META.get("REMOTE_ADDR", ""))
