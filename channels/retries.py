"""When a listing that could not be told is tried again, and when a person has to look at it."""

import random
from typing import Any, Final

from django.conf import settings

from channels import limits
from channels.connectors.base import Capabilities
from channels.errors import ConnectorError, TransientError
from channels.leases import Leased
from channels.models.outbound import PushOutcome

#: Seconds after which a call is given up.
CALL_SECONDS: Final = 10.0
#: Refusals of one listing in a row that are enough: the platform would refuse it for ever.
REFUSALS: Final = 3
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 300.0
#: After a failure of the whole call: the breaker, not the listing, decides how long to stay away.
_LONGEST_PAUSE_AFTER_CALL: Final = 15.0


def after_item(level: Leased, outcome: PushOutcome, capabilities: Capabilities) -> dict[str, Any]:
    """Returns what a failure of one listing leads to: a pause that doubles, in the end the dead letters."""
    limit = settings.PUSH_ATTEMPTS
    if outcome is PushOutcome.REJECTED:
        limit = min(limit, REFUSALS)
    pause = max(_doubled(_FIRST_PAUSE, level, _LONGEST_PAUSE), _time_to_arrive(outcome, capabilities))
    return {"is_failure": True, "limit": limit, "pause": pause}


def after_call(
    level: Leased, outcome: PushOutcome, error: ConnectorError, capabilities: Capabilities, *, may_park: bool
) -> dict[str, Any]:
    """Returns what a failure of a whole call leads to for one of its listings."""
    asked = within_reason(error) if isinstance(error, TransientError) and error.retry_after else 0.0
    pause = max(
        asked,
        _doubled(0.5, level, _LONGEST_PAUSE_AFTER_CALL),
        _time_to_arrive(outcome, capabilities),
    )
    details = after_item(level, outcome, capabilities) | {"pause": pause}
    return details if may_park else details | {"limit": None}


def within_reason(error: TransientError) -> float:
    """Returns the seconds that a platform asked us to wait, 1 where it named none, not more than is reasonable."""
    asked = 1.0 if error.retry_after is None else error.retry_after
    return min(max(asked, 0.05), limits.LONGEST_BLOCK)


def jittered(seconds: float) -> float:
    """Returns about as many seconds, so that those who failed together do not come back together."""
    return seconds * random.uniform(0.75, 1.25)  # noqa: S311


def _doubled(first: float, level: Leased, longest: float) -> float:
    return jittered(min(first * 2.0 ** min(level.attempts, 20), longest))


def _time_to_arrive(outcome: PushOutcome, capabilities: Capabilities) -> float:
    """Returns the seconds in which a call of unknown outcome may still arrive and undo the next one.

    With compare-and-set it can not: whichever comes second finds another number.
    """
    is_safe = outcome is not PushOutcome.UNKNOWN or capabilities.compare_and_set
    return 0.0 if is_safe else CALL_SECONDS
