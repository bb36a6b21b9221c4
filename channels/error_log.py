"""The error log: one row a failure, across all channels, with the call, its code and what to do about it.

Written where failures are noted already, and only then. What merely waits for its turn is no failure: a used-up
limit of ours sends nothing.
"""

import time
from collections.abc import Sequence
from typing import Final

from django.db import DatabaseError, InterfaceError, transaction
from django.db.models import Model
from django.utils import timezone

from channels.errors import (
    BadMessage,
    BadSignature,
    ChannelError,
    ConnectorError,
    InShadow,
    Misconfigured,
    OutcomeUnknown,
    Rejected,
    Throttled,
    TransientError,
    Unauthorised,
    Unsupported,
)
from channels.last_call import last_call
from channels.models import ErrorEntry, WebhookDelivery
from channels.models.error_log import ErrorJob
from channels.models.outbound import PushOutcome
from channels.outcomes import Told
from config.logs import redact_text
from inventory.errors import StockError

#: Kind of failure → its code. The first that fits counts, so that the special ones come first.
_CODES: Final[tuple[tuple[type[Exception], str], ...]] = (
    (Throttled, "throttled"),
    (OutcomeUnknown, "unknown_outcome"),
    (TransientError, "unavailable"),
    (Unauthorised, "unauthorised"),
    (Misconfigured, "misconfigured"),
    (Unsupported, "unsupported"),
    (Rejected, "rejected"),
    (InShadow, "in_shadow"),
    (ConnectorError, "failed"),
    (BadSignature, "bad_signature"),
    (BadMessage, "bad_message"),
    (ChannelError, "failed"),
    (StockError, "stock"),
)

#: What became of one listing → its code.
_ITEM_CODES: Final = {
    PushOutcome.REJECTED: "rejected",
    PushOutcome.UNKNOWN: "unknown_outcome",
    PushOutcome.FAILED: "unavailable",
}

#: Code → what to do about it.
REMEDIES: Final = {
    "throttled": "Nothing: calls go on by themselves. Where it happens often, have other tools call this account less.",
    "unknown_outcome": "Nothing: the shelf is read or told again until its number is certain.",
    "unavailable": "Nothing: it is tried again. Where it lasts, look at the platform's status page.",
    "unauthorised": "Enter new credentials on the channel's page, then press Test connection.",
    "misconfigured": "Put right on the channel's page what the message names, then press Test connection.",
    "unsupported": "The platform cannot do this; do it there by hand.",
    "rejected": "Put the listing or order right at the platform as the message says; dead pushes are then replayed.",
    "in_shadow": "Nothing: what would have been written was not. The channel's onboarding page leads to going live.",
    "bad_signature": "Compare the webhook secret on the channel's page with the platform's; Register webhooks makes one.",
    "bad_message": "Look at what was kept of the message; the next poll brings what it said.",
    "stock": "Look at the order named here; it is tried again by itself.",
    "failed": "Replay it. If it fails again it is a defect: report it with this text.",
}

#: Seconds in which a process notes no second refused webhook of a channel: strangers must not fill the log.
_REFUSALS_PAUSE: Final = 60.0
_refused_at: dict[int, float] = {}


def code_of(error: Exception) -> str:
    """Returns the code of a failure."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), "failed")


def note(channel_id: int, error: Exception, *, job: str, about: Model | None = None) -> None:
    """Appends a failure of the channel; `about` is the row that it concerns."""
    call = last_call(channel_id)
    if isinstance(error, Throttled) and call.status is None:
        return
    _append(
        [
            _entry(
                channel_id, code_of(error), str(error) or type(error).__name__, job=job, about=_name_of(about)
            )
        ]
    )


def note_items(channel_id: int, told: Sequence[Told]) -> None:
    """Appends the listings of a push that the platform did not take, in one statement."""
    _append(
        [
            _entry(
                channel_id,
                _ITEM_CODES.get(each.outcome, "failed"),
                each.error or each.outcome.label,
                job=ErrorJob.PUSH,
                about=("channels.listinglevel", each.level.id),
            )
            for each in told
        ]
    )


def note_delivery(delivery: WebhookDelivery, error: Exception) -> None:
    """Appends a message that could not be processed."""
    reason = str(error) or type(error).__name__
    about = _name_of(delivery)
    _append([_entry(delivery.channel_id, code_of(error), reason, job=ErrorJob.DELIVERY, about=about)])


def note_refused_webhook(channel_id: int, error: Exception) -> None:
    """Appends that a message was refused, once a minute at most. Never fails: the answer does not depend on it."""
    now = time.monotonic()
    if now - _refused_at.get(channel_id, -_REFUSALS_PAUSE) < _REFUSALS_PAUSE:
        return
    _refused_at[channel_id] = now
    try:
        with transaction.atomic():
            _append([_entry(channel_id, code_of(error), str(error), job=ErrorJob.WEBHOOK, about=None)])
    except (DatabaseError, InterfaceError):
        _refused_at.pop(channel_id, None)


def forget_refusals() -> None:
    """Has the next refused webhook of every channel written down."""
    _refused_at.clear()


def _entry(
    channel_id: int, code: str, message: str, *, job: str, about: tuple[str, int] | None
) -> ErrorEntry:
    call = last_call(channel_id)
    label, identity = about or ("", None)
    return ErrorEntry(
        channel_id=channel_id,
        at=timezone.now(),
        job=job,
        call=call.text[:500],
        status=call.status,
        code=code,
        message=redact_text(message)[:2000],
        remedy=REMEDIES[code],
        object_label=label,
        object_id=identity,
    )


def _name_of(row: Model | None) -> tuple[str, int] | None:
    return None if row is None else (row._meta.label_lower, row.pk)


def _append(entries: list[ErrorEntry]) -> None:
    if entries:
        ErrorEntry.objects.bulk_create(entries)
