"""Secrets that platforms sign with: one that is replaced stays valid for an overlap, so that no message is lost.

They stand in the encrypted credentials: the present one under the name that the connector declares (`signed_with`), those
before it as a list of `{"secret", "valid_until"}`, the newest first.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.views.decorators.debug import sensitive_variables

#: How long messages signed with a replaced secret are still accepted, unless somebody says otherwise.
OVERLAP: Final = timedelta(hours=24)
LONGEST_OVERLAP: Final = timedelta(days=30)
#: Replaced secrets that are accepted at the same time, at most: each message is checked against all of them.
MOST_ALONG: Final = 3
#: The usual name of the present secret.
USUAL: Final = "webhook_secret"
_PREVIOUS: Final = "previous_webhook_secrets"


def live_secrets(credentials: Mapping[str, Any], signed_with: str, now: datetime) -> tuple[str, ...]:
    """Returns the secrets that may have signed a message: the present one, then those in their overlap."""
    replaced = [each["secret"] for each in _in_overlap(credentials, now)]
    return tuple(secret for secret in (credentials.get(signed_with), *replaced) if secret)


@sensitive_variables()
def with_new(
    credentials: Mapping[str, Any],
    entered: Mapping[str, str],
    *,
    now: datetime,
    signed_with: str = USUAL,
    overlap: timedelta = OVERLAP,
) -> dict[str, Any]:
    """Returns credentials that hold the entered ones; a replaced signing secret stays valid for the overlap.

    Those that were replaced before it end no later than it does.
    """
    made: dict[str, Any] = {**credentials, **entered}
    old, new = credentials.get(signed_with), entered.get(signed_with)
    previous = _in_overlap(credentials, now)
    if old and new and new != old:
        until = (now + overlap).astimezone(UTC)
        ending = [{"secret": old, "valid_until": until.isoformat()}, *previous]
        previous = [
            {**each, "valid_until": min(_until(each), until).isoformat()}
            for each in ending
            if each["secret"] != new and until > now
        ]
    if previous or _PREVIOUS in credentials:
        made[_PREVIOUS] = previous[:MOST_ALONG]
    return made


def overlap_ends_at(credentials: Mapping[str, Any], now: datetime) -> datetime | None:
    """Returns when the last replaced secret ceases to be accepted; None where none is."""
    return max(map(_until, _in_overlap(credentials, now)), default=None)


def without_replaced(credentials: Mapping[str, Any]) -> dict[str, Any]:
    """Returns credentials under which replaced secrets are no longer accepted."""
    return {name: value for name, value in credentials.items() if name != _PREVIOUS}


def _in_overlap(credentials: Mapping[str, Any], now: datetime) -> list[dict[str, str]]:
    return [kept for kept in credentials.get(_PREVIOUS, ()) if _until(kept) > now]


def _until(kept: Mapping[str, str]) -> datetime:
    return datetime.fromisoformat(kept["valid_until"])
