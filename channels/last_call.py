"""Which call this thread made last, so that what a connector makes of its answer can be traced to it."""

import threading
from dataclasses import dataclass, replace
from typing import Final

_local: Final = threading.local()


@dataclass(frozen=True, slots=True)
class LastCall:
    """One call to a platform, without its query and content."""

    channel_id: int = 0
    #: Method, host and path; empty where no call was made.
    text: str = ""
    #: What the platform answered; None where it did not.
    status: int | None = None


def begin(channel_id: int, text: str) -> None:
    """Notes that a call begins."""
    _local.call = LastCall(channel_id, text)


def answered(status: int) -> None:
    """Notes the status of the answer."""
    _local.call = replace(_made(), status=status)


def forget() -> None:
    """Notes that another piece of work begins, which has called nobody yet."""
    _local.call = LastCall()


def last_call(channel_id: int) -> LastCall:
    """Returns the channel's last call of this thread, an empty one where there was none."""
    made = _made()
    return made if made.channel_id == channel_id else LastCall()


def _made() -> LastCall:
    call: LastCall = getattr(_local, "call", LastCall())
    return call
