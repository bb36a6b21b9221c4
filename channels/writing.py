"""What may be written to a platform whose channel is in shadow: nothing, but where its webhooks go, with consent.

The transport asks here before each call, whoever makes it, by what the statement said that took the call's tokens: so a
channel that went into shadow a moment ago is not written to by code that knew it otherwise. A call is a write unless its
connector says that it changes nothing at the platform (a search by POST, a token, a report that is asked for); what puts,
patches or deletes is one whatever it says.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from channels.errors import InShadow
from channels.models import Channel, ShadowRun

_ALWAYS_WRITE: Final = frozenset({"PUT", "PATCH", "DELETE"})
_is_subscribing: ContextVar[bool] = ContextVar("is_subscribing", default=False)


def refuse(method: str, *, is_write: bool) -> None:
    """Refuses a call of a channel in shadow that may change something. Raises `InShadow`."""
    if (is_write or method in _ALWAYS_WRITE) and not _is_subscribing.get():
        raise InShadow


def may_subscribe(channel: Channel) -> bool:
    """Tells whether we may say at the platform where its webhooks go: always but in shadow, there with consent."""
    runs = ShadowRun.objects.filter(channel=channel.pk, ended_at__isnull=True)
    consents = list(runs.values_list("may_subscribe", flat=True))
    return not consents or consents[0]


@contextmanager
def subscribing(channel: Channel) -> Iterator[None]:
    """Lets calls inside write where webhooks go. Raises `InShadow` where nobody consented to that."""
    if not may_subscribe(channel):
        raise InShadow("The channel is in shadow mode, in which nobody allowed subscribing to its webhooks.")
    token = _is_subscribing.set(True)
    try:
        yield
    finally:
        _is_subscribing.reset(token)
