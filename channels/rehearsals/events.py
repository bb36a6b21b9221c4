"""The recorded events of a period, window by window: operations of the ledger and numbers told, in order of time.

A window holds some thousand events, so that memory does not depend on the length of the period: the busiest minute
bounds it. History is only ever appended to, so that the windows need no common snapshot.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from django.db import connection

#: Events after which a window ends, at the next full step.
WINDOW: Final = 5_000
STEP: Final = timedelta(minutes=1)

_LINE: Final = "order-line:"


class Move(NamedTuple):
    """One movement: the level after it, and what it did to whose units."""

    variant_id: int
    location_id: int
    on_hand: int
    reserved: int
    unavailable: int
    on_hand_delta: int
    reserved_delta: int
    kind: str
    reason: str
    #: The order line that holds the units; None where it is none of a channel.
    line_id: int | None
    #: Units in one kit where the reservation counts for the kit that it is part of; 0: another part of one; None: of none.
    per_kit: int | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the ledger."""

    at: datetime
    occurred_at: datetime
    moves: Sequence[Move]
    #: Units that order lines demanded and that were not there, by line and variant.
    short: dict[tuple[int, int], int]


class Told(NamedTuple):
    """One attempt to tell one shelf its number."""

    push_id: int
    listing_level_id: int
    target: int
    #: What was sent: the target, less sales not yet imported; None: nothing had to be.
    quantity: int | None
    compared_with: int | None
    outcome: str
    at: datetime
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class Window:
    """The events of a span of time, in order."""

    since: datetime
    until: datetime
    events: Sequence[Operation | Told] = field(default=())


_COUNTS: Final = """
SELECT began, sum(events)::bigint FROM (
    SELECT date_bin(%(step)s, recorded_at, %(since)s) AS began, count(*) AS events
    FROM inventory_stockoperation
    WHERE merchant_id = %(merchant)s AND recorded_at >= %(since)s AND recorded_at < %(until)s
    GROUP BY 1
    UNION ALL
    SELECT date_bin(%(step)s, computed_at, %(since)s), count(*)
    FROM channels_push push JOIN channels_channel channel ON channel.id = push.channel_id
    WHERE channel.merchant_id = %(merchant)s AND computed_at >= %(since)s AND computed_at < %(until)s
    GROUP BY 1
) counted GROUP BY began ORDER BY began
"""

_OPERATIONS: Final = """
SELECT id, recorded_at, occurred_at, nullif((outcome -> 'short')::text, '[]') FROM inventory_stockoperation
WHERE merchant_id = %(merchant)s AND recorded_at >= %(since)s AND recorded_at < %(until)s
ORDER BY recorded_at, id
"""

_MOVES: Final = """
SELECT m.operation_id, s.variant_id, s.location_id, m.on_hand_after, m.reserved_after, m.unavailable_after,
       m.on_hand_delta, m.reserved_delta, m.kind, m.reason,
       CASE WHEN r.reference ~ '^order-line:[0-9]+$' THEN substr(r.reference, 12)::bigint END,
       CASE WHEN r.lead_id = r.id THEN r.per_bundle WHEN r.lead_id IS NOT NULL THEN 0 END
FROM inventory_stockmovement m
JOIN inventory_stocklevel s ON s.id = m.level_id
LEFT JOIN inventory_reservation r ON r.id = m.reservation_id
WHERE m.merchant_id = %(merchant)s AND m.recorded_at >= %(since)s AND m.recorded_at < %(until)s
ORDER BY m.id
"""

_TOLD: Final = """
SELECT push.id, push.listing_level_id, push.target, push.quantity, push.compared_with, push.outcome, push.computed_at,
       push.finished_at
FROM channels_push push JOIN channels_channel channel ON channel.id = push.channel_id
WHERE channel.merchant_id = %(merchant)s AND push.computed_at >= %(since)s AND push.computed_at < %(until)s
ORDER BY push.computed_at, push.id
"""


@dataclass(frozen=True, slots=True)
class Period:
    """What is replayed: a merchant's events from an instant to another one, that one left out."""

    merchant_id: int
    since: datetime
    until: datetime

    def spans(self) -> list[tuple[datetime, datetime, int]]:
        """Cuts the period into windows: from, until, and how many events lie within."""
        spans, start, events = [], self.since, 0
        for began, count in self._rows(_COUNTS, self.since, self.until, step=STEP):
            events += count
            if events >= WINDOW:
                end = min(began + STEP, self.until)
                spans.append((start, end, events))
                start, events = end, 0
        if events:
            spans.append((start, self.until, events))
        return spans

    def window(self, since: datetime, until: datetime) -> Window:
        """Reads the events of a window."""
        moves: defaultdict[int, list[Move]] = defaultdict(list)
        for operation_id, *move in self._rows(_MOVES, since, until):
            moves[operation_id].append(Move(*move))
        operations = [
            Operation(at, occurred_at, moves[pk], _short(short, moves[pk]))
            for pk, at, occurred_at, short in self._rows(_OPERATIONS, since, until)
        ]
        told = [Told(*row) for row in self._rows(_TOLD, since, until)]
        # Sorting keeps an operation before a number computed in the same microsecond.
        return Window(since, until, sorted([*operations, *told], key=lambda event: event.at))

    def windows(self) -> Iterator[Window]:
        """Reads window after window."""
        for since, until, _ in self.spans():
            yield self.window(since, until)

    def _rows(self, sql: str, since: datetime, until: datetime, **more: Any) -> list[tuple[Any, ...]]:
        with connection.cursor() as cursor:
            cursor.execute(sql, {"merchant": self.merchant_id, "since": since, "until": until, **more})
            rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


def _short(text: str | None, moves: Sequence[Move]) -> dict[tuple[int, int], int]:
    """Returns what order lines lacked; units that left beyond record, noted as short too, are no demand."""
    if text is None:
        return {}
    beyond: defaultdict[int, int] = defaultdict(int)
    for move in moves:
        if move.reason == "beyond_record" and move.on_hand_delta > 0:
            beyond[move.variant_id] += move.on_hand_delta
    short: dict[tuple[int, int], int] = {}
    for reference, variant_id, units in json.loads(text):
        if not reference.startswith(_LINE) or any(m.reason == "broken" for m in moves):
            continue
        explained = min(beyond[variant_id], units)
        beyond[variant_id] -= explained
        if units > explained:
            short[int(reference.removeprefix(_LINE)), variant_id] = units - explained
    return short
