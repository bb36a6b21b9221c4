"""Access tokens that expire: one a channel, shared by all processes, renewed by whoever holds its row.

A token is good for the credentials that it was issued to: once others are entered, the next call asks for a new one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db import OperationalError, connection, transaction
from django.utils import timezone

from channels.connectors.base import IssuedToken
from channels.errors import ConnectorError, TransientError
from channels.models import AccessToken
from config.logs import register_secret

#: A token is renewed this long before it expires; at most a tenth of its life.
EARLIEST_RENEWAL: Final = timedelta(seconds=60)
#: How long to wait for another process that renews the same token.
_PATIENCE: Final = "20s"


@dataclass(frozen=True, slots=True)
class _Token:
    """A token as it is kept."""

    value: str
    renew_at: datetime
    #: Fingerprint of the credentials that it was issued to; None where that was not noted.
    issued_to: str | None

    def is_good(self, issued_to: str, rejected: str) -> bool:
        return (
            self.issued_to in (None, issued_to) and self.value != rejected and timezone.now() < self.renew_at
        )


#: Tokens as this process last read them; one that is rejected is read anew.
_remembered: dict[int, _Token] = {}


def current(
    channel_id: int, issue: Callable[[], IssuedToken], *, rejected: str = "", issued_to: str = ""
) -> tuple[str, datetime]:
    """Returns the channel's token and when to renew it; asks `issue` for a new one where it is due.

    A token equal to `rejected`, or issued to other credentials, is replaced. Processes that ask together cause one
    renewal: the others wait at the row and find the new token. Raises what `issue` raises, and `TransientError` when they
    wait too long.
    """
    token = _remembered.get(channel_id)
    if token is None or not token.is_good(issued_to, rejected):
        token = _remembered[channel_id] = _current(channel_id, issue, issued_to, rejected)
        register_secret(token.value)
    return token.value, token.renew_at


def keep(channel_id: int, issued: IssuedToken, issued_to: str) -> None:
    """Keeps a token that was just issued to credentials in the place of whatever was kept; in the caller's transaction."""
    AccessToken.objects.bulk_create([AccessToken(channel_id=channel_id)], ignore_conflicts=True)
    _store(AccessToken.objects.select_for_update().get(channel_id=channel_id), issued, issued_to)


def forget_tokens() -> None:
    """Has this process read every token anew."""
    _remembered.clear()


def _current(channel_id: int, issue: Callable[[], IssuedToken], issued_to: str, rejected: str) -> _Token:
    kept = _read(AccessToken.objects.filter(channel_id=channel_id).first())
    if kept is not None and kept.is_good(issued_to, rejected):
        return kept
    try:
        renewed = _renew(channel_id, issue, issued_to, rejected)
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", "") != "55P03":
            raise
        raise TransientError("Another process has been renewing the access token for too long.") from error
    if isinstance(renewed, ConnectorError):
        raise renewed
    return renewed


def _renew(
    channel_id: int, issue: Callable[[], IssuedToken], issued_to: str, rejected: str
) -> _Token | ConnectorError:
    """Renews the token under its row's lock; a failure is returned, so that what it spent commits."""
    AccessToken.objects.bulk_create([AccessToken(channel_id=channel_id)], ignore_conflicts=True)
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = '{_PATIENCE}'")
        row = AccessToken.objects.select_for_update().get(channel_id=channel_id)
        kept = _read(row)
        if kept is not None and kept.is_good(issued_to, rejected):
            return kept
        try:
            issued = issue()
        except ConnectorError as error:
            return error
        return _store(row, issued, issued_to)


def _store(row: AccessToken, issued: IssuedToken, issued_to: str) -> _Token:
    lifetime = timedelta(seconds=max(issued.expires_in, 0.0))
    row.expires_at = timezone.now() + lifetime
    token = _Token(issued.value, row.expires_at - min(EARLIEST_RENEWAL, lifetime / 10), issued_to)
    row.token = {"value": token.value, "renew_at": token.renew_at.isoformat(), "issued_to": issued_to}
    row.save(update_fields=["token", "expires_at"])
    return token


def _read(row: AccessToken | None) -> _Token | None:
    if row is None or not row.token:
        return None
    kept = row.token
    return _Token(kept["value"], datetime.fromisoformat(kept["renew_at"]), kept.get("issued_to"))
