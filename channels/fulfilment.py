"""What locations are asked to ship follows what the ledger holds for orders, inside the ledger's transaction.

Each change of a hold of an order line changes the request of its order and location, whatever the cause: the order was
routed, cancelled, moved, shipped, or its shortage filled by a receipt. A request is made with the first unit held at a
location, and closes with the last one that leaves or is given up. A platform's own warehouse is asked nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Final

from django.db import connection

from channels.models.fulfilment import RequestState
from channels.models.orders import ChannelOrderLine
from channels.request_states import check_move
from inventory.announcements import HoldChange
from inventory.arrays import array
from inventory.errors import StockBusy

#: Somebody else may close a request while units are added to it; another one is made then.
_ROUNDS: Final = 5

# Each row is looked up by itself (OFFSET 0), and requests by their order alone (+ 0, || ''): a plan that was made while there
# were no orders yet, and is kept by a process that serves channels, would else walk all orders of the merchant for each sale.
_DELTA: Final = """delta AS (
    SELECT line.order_id, placed.channel_id, change.line_id, change.variant_id, change.location_id,
           change.held, change.shipped
    FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[])
        AS change (line_id, variant_id, location_id, held, shipped)
    CROSS JOIN LATERAL (SELECT order_id FROM channels_channelorderline WHERE id = change.line_id OFFSET 0) line
    CROSS JOIN LATERAL (SELECT channel_id FROM channels_channelorder WHERE id = line.order_id OFFSET 0) placed
    JOIN channels_channel channel ON channel.id = placed.channel_id AND channel.merchant_id = %s
    JOIN inventory_location location ON location.id = change.location_id AND location.kind <> 'channel_owned'
)"""
_IS_OPEN: Final = "request.state IN ('new', 'sent', 'accepted', 'picked')"

# A fresh sale: nearly always one statement. Made in one sequence, so that two who make several cannot wait for each other in
# a circle; where somebody else was first nothing is made, and the change goes the long way.
_MAKE_WHOLE: Final = """
WITH {delta}, needed AS (
    SELECT order_id, location_id, channel_id, sum(held)::bigint AS units FROM delta GROUP BY 1, 2, 3
), made AS (
    INSERT INTO channels_fulfilmentrequest
        (order_id, location_id, channel_id, number, key, external_id, state, reason, units, shipped_units,
         wanted, done, attempts, last_error, created_at, due_since)
    SELECT needed.order_id, needed.location_id, needed.channel_id, 1 + (
               SELECT count(*) FROM channels_fulfilmentrequest former
               WHERE former.order_id = needed.order_id AND former.location_id + 0 = needed.location_id
           ), gen_random_uuid(), '', 'new', '', needed.units, 0, 1, 0, 0, '', clock_timestamp(), clock_timestamp()
    FROM needed
    WHERE NOT EXISTS (
        SELECT FROM channels_fulfilmentrequest request
        WHERE request.order_id = needed.order_id AND request.location_id + 0 = needed.location_id AND {is_open}
        OFFSET 0
    )
    ORDER BY needed.order_id, needed.location_id
    ON CONFLICT DO NOTHING
    RETURNING id, order_id, location_id
), added AS (
    INSERT INTO channels_fulfilmentline (request_id, order_line_id, variant_id, quantity, shipped, reported)
    SELECT made.id, delta.line_id, delta.variant_id, sum(delta.held)::bigint, 0, 0
    FROM made JOIN delta USING (order_id, location_id)
    GROUP BY 1, 2, 3
    ORDER BY 2, 3
)
SELECT delta.line_id, delta.variant_id, delta.location_id FROM delta JOIN made USING (order_id, location_id)
"""
_MAKE: Final = _MAKE_WHOLE.format(delta=_DELTA, is_open=_IS_OPEN)

# In the same sequence.
_CREATE_WHERE_MISSING: Final = """
WITH {delta}
INSERT INTO channels_fulfilmentrequest
    (order_id, location_id, channel_id, number, key, external_id, state, reason, units, shipped_units,
     wanted, done, attempts, last_error, created_at)
SELECT needed.order_id, needed.location_id, needed.channel_id, 1 + (
           SELECT count(*) FROM channels_fulfilmentrequest former
           WHERE former.order_id = needed.order_id AND former.location_id + 0 = needed.location_id
       ), gen_random_uuid(), '', 'new', '', 0, 0, 0, 0, 0, '', clock_timestamp()
FROM (SELECT DISTINCT order_id, location_id, channel_id FROM delta WHERE held > 0) needed
WHERE NOT EXISTS (
    SELECT FROM channels_fulfilmentrequest request
    WHERE request.order_id = needed.order_id AND request.location_id + 0 = needed.location_id AND {is_open}
    OFFSET 0
)
ORDER BY needed.order_id, needed.location_id
ON CONFLICT DO NOTHING
"""
_CREATE: Final = _CREATE_WHERE_MISSING.format(delta=_DELTA, is_open=_IS_OPEN)

# A line is changed only under the lock of its stock level, so that it cannot change between snapshot and lock. What was
# held before requests were kept is in none of them: no count goes below nothing.
_CHANGE_OPEN: Final = """
WITH {delta}, locked AS (
    SELECT request.id, request.order_id, request.location_id
    FROM channels_fulfilmentrequest request
    WHERE request.state || '' IN ('new', 'sent', 'accepted', 'picked') AND request.id = ANY(ARRAY(
        SELECT open.id FROM delta CROSS JOIN LATERAL (
            SELECT request.id FROM channels_fulfilmentrequest request
            WHERE request.order_id = delta.order_id AND request.location_id + 0 = delta.location_id AND {is_open}
            OFFSET 0
        ) open
    ))
    ORDER BY request.id
    FOR NO KEY UPDATE
), touched AS (
    SELECT locked.id AS request_id, delta.* FROM delta
    JOIN locked ON locked.order_id = delta.order_id AND locked.location_id = delta.location_id
), known AS (
    UPDATE channels_fulfilmentline line
    SET shipped = greatest(line.shipped + touched.shipped, 0),
        quantity = greatest(line.quantity - line.shipped + touched.held, 0)
                 + greatest(line.shipped + touched.shipped, 0)
    FROM touched
    WHERE line.request_id = touched.request_id AND line.order_line_id = touched.line_id
      AND line.variant_id = touched.variant_id
), added AS (
    INSERT INTO channels_fulfilmentline (request_id, order_line_id, variant_id, quantity, shipped, reported)
    SELECT request_id, line_id, variant_id, greatest(held, 0) + greatest(shipped, 0), greatest(shipped, 0), 0
    FROM touched
    WHERE (held > 0 OR shipped > 0) AND NOT EXISTS (
        SELECT FROM channels_fulfilmentline line
        WHERE line.request_id = touched.request_id AND line.order_line_id = touched.line_id
          AND line.variant_id = touched.variant_id
    )
    ORDER BY line_id, variant_id
)
SELECT delta.line_id, delta.variant_id, delta.location_id, locked.id, delta.held + delta.shipped <> 0
FROM delta LEFT JOIN locked ON locked.order_id = delta.order_id AND locked.location_id = delta.location_id
"""
_CHANGE: Final = _CHANGE_OPEN.format(delta=_DELTA, is_open=_IS_OPEN)

_SUM_UP: Final = """
UPDATE channels_fulfilmentrequest request
SET units = sums.units,
    shipped_units = sums.shipped,
    wanted = request.wanted + change.is_different::int,
    due_since = CASE WHEN change.is_different THEN coalesce(request.due_since, clock_timestamp())
                     ELSE request.due_since END
FROM unnest(%s::bigint[], %s::boolean[]) AS change (id, is_different)
CROSS JOIN LATERAL (
    SELECT sum(line.quantity)::bigint AS units, sum(line.shipped)::bigint AS shipped
    FROM channels_fulfilmentline line WHERE line.request_id = change.id
) sums
WHERE request.id = change.id
RETURNING request.id, request.state, sums.units, sums.shipped
"""

# Nobody has to be told of a shipment, nor that what was never asked is not wanted any more.
_CLOSE: Final = """
UPDATE channels_fulfilmentrequest request
SET state = closed.state,
    closed_at = clock_timestamp(),
    done = CASE WHEN closed.state = 'shipped' OR request.asked_at IS NULL THEN request.wanted ELSE request.done END
FROM unnest(%s::bigint[], %s::text[]) AS closed (id, state)
WHERE request.id = closed.id
"""


@dataclass(frozen=True, slots=True)
class _LineChange:
    """A change of a hold, by the id of the order line."""

    line_id: int
    variant_id: int
    location_id: int
    held: int
    shipped: int


def follow(merchant_id: int, changes: Sequence[HoldChange]) -> None:
    """Brings the requests to what these changes of holds make of them; a constant number of statements.

    Listens to `inventory.announcements`: it runs inside the ledger's transaction, after the locks of the levels.
    """
    ours = [each for change in changes if (each := _of_line(change)) is not None]
    if ours and all(change.held > 0 and not change.shipped for change in ours):
        ours = _make(merchant_id, ours)
    for _ in range(_ROUNDS):
        if not ours:
            return
        ours = _follow(merchant_id, ours)
    raise StockBusy


def _of_line(change: HoldChange) -> _LineChange | None:
    line_id = ChannelOrderLine.id_of(change.reference)
    if line_id is None:
        return None
    return _LineChange(
        line_id, change.variant_id, change.location_id, change.held_delta, change.shipped_delta
    )


def _make(merchant_id: int, changes: Sequence[_LineChange]) -> list[_LineChange]:
    """Makes requests for fresh holds with all their lines; returns the changes of those that are there already."""
    with connection.cursor() as cursor:
        cursor.execute(_MAKE, [*_columns(changes), merchant_id])
        made = set(cursor.fetchall())
    return [c for c in changes if (c.line_id, c.variant_id, c.location_id) not in made]


def _columns(changes: Sequence[_LineChange]) -> list[str]:
    return [array(column) for column in zip(*map(astuple, changes), strict=True)]


def _follow(merchant_id: int, changes: Sequence[_LineChange]) -> list[_LineChange]:
    """Changes the open requests; returns the changes that found none although units are held, for another round."""
    parameters = _columns(changes)
    with connection.cursor() as cursor:
        if any(change.held > 0 for change in changes):
            cursor.execute(_CREATE, [*parameters, merchant_id])
        cursor.execute(_CHANGE, [*parameters, merchant_id])
        rows = cursor.fetchall()
    is_different: dict[int, bool] = {}
    for *_, request_id, differs in rows:
        if request_id is not None:
            is_different[request_id] = is_different.get(request_id, False) or differs
    if is_different:
        _sum_up(is_different)
    missed = {tuple(key) for *key, request_id, _ in rows if request_id is None}
    return [c for c in changes if c.held > 0 and (c.line_id, c.variant_id, c.location_id) in missed]


def _sum_up(is_different: Mapping[int, bool]) -> None:
    """Adds up the lines of requests, and closes those of which nothing is left to ship."""
    with connection.cursor() as cursor:
        cursor.execute(_SUM_UP, [list(is_different), list(is_different.values())])
        closed = {
            request_id: (RequestState(state), RequestState.SHIPPED if shipped else RequestState.CANCELLED)
            for request_id, state, units, shipped in cursor.fetchall()
            if units == shipped
        }
        if closed:
            for was, to in closed.values():
                check_move(was, to)
            cursor.execute(_CLOSE, [list(closed), [to.value for _, to in closed.values()]])
