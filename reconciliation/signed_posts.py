"""Posts a signed message to an address of somebody's: the one sender of alerts and of events.

Secrets are kept as a list of `{"secret", "valid_until"}`, the newest first; an older one signs along until its end, so that
a receiver may change over in peace.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.utils import timezone

from channels.errors import ChannelError
from channels.standard_webhooks import new_secret, signed_headers
from channels.transport import post_to

#: Seconds that one message may take.
CALL_SECONDS: Final = 10.0
#: How long a replaced secret signs along, unless somebody says otherwise.
OVERLAP: Final = timedelta(hours=24)
#: Replaced secrets that sign along at the same time, at most.
_MOST_ALONG: Final = 3
#: The answer of an address at which nobody wants to be told any more.
_GONE: Final = 410

KeptSecrets = list[dict[str, Any]]


class NotSent(Exception):
    """The message did not arrive."""

    def __init__(self, message: str, *, status: int = 0, is_gone: bool = False) -> None:
        #: What the receiver answered; 0 where it did not.
        self.status = status
        #: The receiver wants no more messages at all.
        self.is_gone = is_gone
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Letter:
    """What is posted, where, and how it is signed."""

    url: str
    #: The same in every attempt.
    message_id: str
    body: bytes
    secrets: Sequence[str]


def post(letter: Letter) -> int:
    """Posts a message, signed anew for this attempt, and returns the status of success. Raises `NotSent`."""
    signed = signed_headers(letter.secrets, letter.message_id, timezone.now(), letter.body)
    headers = {"Content-Type": "application/json", **signed}
    try:
        answer = post_to(letter.url, letter.body, headers, seconds=CALL_SECONDS)
    except ChannelError as error:
        raise NotSent(str(error)) from error
    status = answer.status
    if status == _GONE:
        raise NotSent(
            "The receiver answered 410 and was switched off: it wants no more.", status=status, is_gone=True
        )
    if not 200 <= status < 300:
        raise NotSent(f"The receiver answered {status}.", status=status)
    return status


def live_secrets(kept: KeptSecrets, now: datetime) -> list[str]:
    """Returns the secrets that messages are signed with, the newest first."""
    return [
        each["secret"]
        for each in kept
        if not each["valid_until"] or datetime.fromisoformat(each["valid_until"]) > now
    ]


def renewed(kept: KeptSecrets, *, overlap: timedelta = OVERLAP) -> tuple[str, KeptSecrets]:
    """Returns a new secret, and what is to be kept: it, and those before it for as long as they sign along."""
    now = timezone.now()
    secret, until = new_secret(), (now + overlap).isoformat()
    live = set(live_secrets(kept, now))
    ending = [
        {**each, "valid_until": min(each["valid_until"] or until, until)}
        for each in kept
        if each["secret"] in live
    ]
    return secret, [{"secret": secret, "valid_until": None}, *ending[:_MOST_ALONG]]
