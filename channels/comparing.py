"""Compare-and-set: what to send, and which number it should replace.

Each listing level keeps `expected`: last confirmed, less the channel's own orders applied since. Where the
shop shows less, something was sold there that has not been imported: that drop is left out of what is sent.
Importing those orders then lowers `expected` and the target alike, and nothing has to be pushed for them.
Where the shop shows more, nobody knows why, and the rise is not passed on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.db import connection

from channels.leases import Lease


@dataclass(frozen=True, slots=True)
class Decision:
    """What a shop is told; `quantity` None: nothing, it shows the right number."""

    quantity: int | None
    #: None: replace whatever is there.
    compare_with: int | None
    #: What the shop was just read to show.
    shown: int | None = None
    #: Units that are missing in the shop and that no order explains yet.
    drop: int = 0


def decide(target: int, *, expected: int | None, shown: int | None) -> Decision:
    """Decides from what the shop should show, and from what it was just read to show, where it was read."""
    if shown is None:
        return Decision(None if expected == target else target, expected)
    drop = 0 if expected is None else max(expected - shown, 0)
    quantity = max(target - drop, 0)
    return Decision(None if quantity == shown else quantity, shown, shown, drop)


# A call whose outcome is unknown either has arrived or not, so that the shop was last told one of two numbers.
# It is the one from which fewer sales lead to what the shop shows.
_ADOPT: Final = """
WITH shelf AS (
    SELECT level.id, read.shown, level.expected AS before,
        CASE WHEN level.is_outcome_unknown THEN coalesce(
            level.expected + push.quantity - push.compared_with, push.quantity, level.sent_quantity
        ) END AS arrived
    FROM unnest(%s::bigint[], %s::bigint[]) AS read (id, shown)
    JOIN channels_listinglevel level ON level.id = read.id
    LEFT JOIN LATERAL (
        SELECT quantity, compared_with, outcome FROM channels_push
        WHERE listing_level_id = level.id AND finished_at >= level.sent_at AND outcome = 'unknown'
        ORDER BY id DESC LIMIT 1
    ) push ON true
    WHERE level.lease_token = %s
    ORDER BY level.id
    FOR NO KEY UPDATE OF level
)
UPDATE channels_listinglevel level
SET is_outcome_unknown = false,
    expected = level.expected - shelf.before + CASE
        WHEN shelf.arrived >= shelf.shown AND (shelf.before < shelf.shown OR shelf.arrived < shelf.before)
        THEN shelf.arrived ELSE shelf.before
    END
FROM shelf
WHERE level.id = shelf.id AND level.expected IS NOT NULL
"""

_ADOPT_FIRST: Final = """
UPDATE channels_listinglevel level
SET expected = read.shown, is_outcome_unknown = false
FROM unnest(%s::bigint[], %s::bigint[]) AS read (id, shown)
WHERE level.id = read.id AND level.lease_token = %s AND level.expected IS NULL
"""


def adopt(lease: Lease, shown: Mapping[int, int]) -> None:
    """Settles by what shops show what they should show: first contacts, and calls of unknown outcome.

    Own orders that are applied from then on lower it, so that the numbers to send have to be computed after.
    """
    parameters: list[Any] = [list(shown), list(shown.values()), lease.token]
    with connection.cursor() as cursor:
        cursor.execute(_ADOPT, parameters)
        cursor.execute(_ADOPT_FIRST, parameters)
