"""Access tokens that expire: one a channel, shared by all processes, renewed by whoever holds its row."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from django.db import OperationalError, connection, transaction
from django.utils import timezone

from channels.connectors.base import IssuedToken
from channels.errors import ConnectorError, TransientError
from channels.models import AccessToken

#: A token is renewed this long before it expires; at most a tenth of its life.
EARLIEST_RENEWAL: Final = timedelta(seconds=60)
#: How long to wait for another process that renews the same token.
_PATIENCE: Final = "20s"

#: Tokens as this process last read them, with the instant of renewal; one that is rejected is read anew.
_remembered: dict[int, tuple[str, datetime]] = {}


def current(channel_id: int, issue: Callable[[], IssuedToken], *, rejected: str = "") -> tuple[str, datetime]:
    """Returns the channel's token and when to renew it; asks `issue` for a new one where it is due.

    A token equal to `rejected` is replaced. Processes that ask together cause one renewal: the others wait at
    the row and find the new token. Raises what `issue` raises, and `TransientError` when they wait too long.
    """
    remembered = _remembered.get(channel_id)
    if remembered and remembered[0] != rejected and timezone.now() < remembered[1]:
        return remembered
    _remembered[channel_id] = value = _current(channel_id, issue, rejected)
    return value


def forget_tokens() -> None:
    """Has this process read every token anew."""
    _remembered.clear()


def _current(channel_id: int, issue: Callable[[], IssuedToken], rejected: str) -> tuple[str, datetime]:
    kept = AccessToken.objects.filter(channel_id=channel_id).first()
    if kept is not None and _is_good(kept, rejected):
        return _value(kept)
    try:
        renewed = _renew(channel_id, issue, rejected)
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", "") != "55P03":
            raise
        raise TransientError("Another process has been renewing the access token for too long.") from error
    if isinstance(renewed, ConnectorError):
        raise renewed
    return _value(renewed)


def _renew(channel_id: int, issue: Callable[[], IssuedToken], rejected: str) -> AccessToken | ConnectorError:
    """Renews the token under its row's lock; a failure is returned, so that what it spent commits."""
    AccessToken.objects.bulk_create([AccessToken(channel_id=channel_id)], ignore_conflicts=True)
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = '{_PATIENCE}'")
        kept = AccessToken.objects.select_for_update().get(channel_id=channel_id)
        if _is_good(kept, rejected):
            return kept
        try:
            issued = issue()
        except ConnectorError as error:
            return error
        _store(kept, issued)
        return kept


def _store(kept: AccessToken, issued: IssuedToken) -> None:
    lifetime = timedelta(seconds=max(issued.expires_in, 0.0))
    expires_at = timezone.now() + lifetime
    renew_at = expires_at - min(EARLIEST_RENEWAL, lifetime / 10)
    kept.token = {"value": issued.value, "renew_at": renew_at.isoformat()}
    kept.expires_at = expires_at
    kept.save(update_fields=["token", "expires_at"])


def _is_good(kept: AccessToken, rejected: str) -> bool:
    if not kept.token:
        return False
    value, renew_at = _value(kept)
    return value != rejected and timezone.now() < renew_at


def _value(kept: AccessToken) -> tuple[str, datetime]:
    value: str = kept.token["value"]
    return value, datetime.fromisoformat(kept.token["renew_at"])
