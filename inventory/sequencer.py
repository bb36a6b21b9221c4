"""Gives every committed change its position: one process, after the commit, so that no late commit is ever passed over.

Where each change comes from:

- What the ledger did stands in its operations and movements. An operation is *open* while it has no changes; the sequencer
  looks at all operations above a mark and takes those that are open. The ids of operations are no order of commits: one
  that began earlier may commit later. It is then found below others that were told before, because the mark has stayed.
- The mark rises to an id once nobody can still commit an operation up to it. Whoever has drawn an id holds the lock that
  writing to the table takes, from before the drawing until the commit. So: look at the largest id and, then, at who holds
  that lock; once all of these have let go, whatever is not there by then will never be.
- Changes of the catalogue lie in notes, which are taken away as they are told.

Within one look, changes follow the instants that the ledger recorded; these rise with the versions of each level, because
both are taken under its lock. Between looks, what was committed earlier was seen earlier.

An advisory lock, held for each look alone, keeps all processes but one away. A look is one transaction: where it dies,
nothing was told and the next one tells it. Should two ever meet, the keys of the tables refuse the second.
"""

import threading
import time
from dataclasses import dataclass
from typing import Any, Final

import structlog
from django.db import DatabaseError, InterfaceError, connection, transaction

from config.database import PLAN_ONCE

log = structlog.get_logger(__name__)

#: Seconds between two looks; without anything new a look is one short statement.
TICK: Final = 0.25
#: A look that took long is followed by a pause of so many times its length.
_EASE: Final = 3.0
#: Seconds until another try where the database cannot be reached.
_RETRY: Final = 1.0
#: Operations told by one statement, at least and at most; within that as many as bring about this many changes.
_FEWEST: Final = 50
_MOST: Final = 20_000
_AIM: Final = 10_000
#: Notes of the catalogue told by one statement.
_NOTES: Final = 10_000

#: Name of the advisory lock, unlike any other of the program.
_LOCK: Final = 7_301_416

# Who may still commit an operation that has its id already. Prepared transactions stand there as well.
_WRITERS: Final = """
ARRAY(SELECT virtualtransaction FROM pg_locks
      WHERE locktype = 'relation' AND mode = 'RowExclusiveLock' AND relation = 'inventory_stockoperation'::regclass
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
"""

_IS_ANYTHING_NEW: Final = """
SELECT EXISTS (SELECT FROM inventory_stockoperation WHERE id > %s) OR EXISTS (SELECT FROM inventory_cataloguenote)
"""

# What is new is a handful of rows beside millions; statistics lag behind and would have these read every time. So
# everything is looked up by key, whatever the planner thinks.
_TURN: Final = f"""
SELECT pg_try_advisory_xact_lock(%s), {_WRITERS},
       coalesce((SELECT value FROM inventory_feedmark WHERE name = 'operations'), 0),
       {PLAN_ONCE}, set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
       set_config('enable_seqscan', 'off', true)
"""  # noqa: S608  # constants only

# The writers are read after the largest id: the snapshot, which decides about that, is older than anything the statement does.
_LOOK: Final = f"SELECT coalesce(max(id), 0), {_WRITERS} FROM inventory_stockoperation"  # noqa: S608  # constants only

_IS_OPEN: Final = """
o.id > %(above)s
AND NOT EXISTS (SELECT FROM inventory_change c WHERE c.operation_id = o.id AND c.operation_id > %(above)s)
AND coalesce((SELECT true FROM inventory_stockmovement m WHERE m.operation_id = o.id LIMIT 1),
             o.outcome ?| ARRAY['confirmed', 'extended'])
"""

_STATE_OF_RESERVATION: Final = """
jsonb_build_object(
    'reservation_id', r.id, 'reference', r.reference, 'quantity', r.quantity, 'open', r.open_quantity,
    'fulfilled', r.fulfilled_quantity, 'released', r.released_quantity, 'expires_at', r.expires_at,
    'confirmed_at', r.confirmed_at)
"""

_TELL: Final = f"""
WITH open AS MATERIALIZED (
    SELECT o.id, o.merchant_id, o.recorded_at, o.outcome FROM inventory_stockoperation o
    WHERE {_IS_OPEN}
    ORDER BY o.recorded_at, o.id LIMIT %(most)s
), moved AS MATERIALIZED (
    SELECT o.merchant_id, o.id AS operation_id, o.recorded_at, l.variant_id, l.location_id, m.level_id, m.version, m.kind,
           m.reason, m.on_hand_delta, m.reserved_delta, m.unavailable_delta, m.on_hand_after, m.reserved_after,
           m.unavailable_after, m.reservation_id
    FROM open o
    JOIN inventory_stockmovement m ON m.operation_id = o.id
    JOIN inventory_stocklevel l ON l.id = m.level_id
), taken AS (
    DELETE FROM inventory_cataloguenote
    WHERE id IN (SELECT id FROM inventory_cataloguenote ORDER BY id LIMIT %(notes)s)
    RETURNING *
), told AS MATERIALIZED (
    SELECT merchant_id, operation_id, recorded_at, level_id, version AS step, 0 AS part, 'stock.changed' AS kind, variant_id,
           location_id, version,
           jsonb_build_object(
               'level_id', level_id, 'on_hand', on_hand_after, 'reserved', reserved_after, 'unavailable', unavailable_after,
               'available', on_hand_after - reserved_after - unavailable_after, 'on_hand_delta', on_hand_delta,
               'reserved_delta', reserved_delta, 'unavailable_delta', unavailable_delta, 'movement_kind', kind,
               'reason', reason) AS payload
    FROM moved
    UNION ALL
    SELECT moved.merchant_id, moved.operation_id, recorded_at, moved.level_id, version, 1,
           CASE WHEN reserved_delta > 0 THEN 'reservation.created' WHEN on_hand_delta < 0 THEN 'reservation.fulfilled'
                WHEN reason = 'expiry' THEN 'reservation.expired' ELSE 'reservation.released' END,
           moved.variant_id, location_id, NULL,
           {_STATE_OF_RESERVATION} || jsonb_build_object('units', abs(reserved_delta), 'reason', reason)
    FROM moved JOIN inventory_reservation r ON r.id = moved.reservation_id
    WHERE reserved_delta <> 0
    UNION ALL
    SELECT o.merchant_id, o.id, o.recorded_at, r.level_id, r.id, 2, 'reservation.' || named.what, r.variant_id,
           l.location_id, NULL,
           {_STATE_OF_RESERVATION} || jsonb_build_object('units', r.open_quantity, 'reason', '')
    FROM open o
    CROSS JOIN unnest(ARRAY['confirmed', 'extended']) AS named(what)
    CROSS JOIN jsonb_array_elements_text(coalesce(o.outcome -> named.what, '[]')) AS each(id)
    JOIN inventory_reservation r ON r.id = each.id::bigint
    JOIN inventory_stocklevel l ON l.id = r.level_id
    UNION ALL
    SELECT merchant_id, NULL, noted_at, NULL, id, 3, kind, variant_id, location_id, NULL, payload FROM taken
), ordered AS (
    SELECT told.*, row_number() OVER (ORDER BY recorded_at, operation_id, level_id, step, part) AS nth,
           row_number() OVER (PARTITION BY operation_id ORDER BY level_id, step, part) AS number
    FROM told
), given AS (
    INSERT INTO inventory_feedmark AS mark (name, value)
    SELECT 'position', count(*) FROM told HAVING count(*) > 0
    ON CONFLICT (name) DO UPDATE SET value = mark.value + excluded.value
    RETURNING value - (SELECT count(*) FROM told) AS last
), placed AS (
    INSERT INTO inventory_change
        (position, merchant_id, kind, operation_id, number, variant_id, location_id, version, payload, happened_at)
    SELECT given.last + nth, merchant_id, kind, operation_id, CASE WHEN operation_id IS NOT NULL THEN number END,
           variant_id, location_id, version, payload, recorded_at
    FROM ordered CROSS JOIN given ORDER BY nth
)
SELECT (SELECT count(*) FROM open), (SELECT count(*) FROM taken), (SELECT count(*) FROM told)
"""  # noqa: S608  # constants only

_FIRST_OPEN: Final = f"""
SELECT o.id FROM inventory_stockoperation o WHERE {_IS_OPEN} AND o.id <= %(ended)s ORDER BY o.id LIMIT 1
"""  # noqa: S608  # constants only

_RAISE: Final = """
INSERT INTO inventory_feedmark AS mark (name, value) VALUES ('operations', %s)
ON CONFLICT (name) DO UPDATE SET value = greatest(mark.value, excluded.value)
"""


@dataclass(frozen=True, slots=True)
class _Glance:
    """Up to which id operations had begun, and who was writing then."""

    highest: int
    writers: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Told:
    """What one statement told."""

    changes: int
    #: Whether it took as much as one statement takes, so that more may wait.
    is_full: bool


class Sequencer:
    """Gives positions until it is told to stop. What it remembers only saves work: every look begins with the tables."""

    def __init__(self) -> None:
        #: The mark, as far as it is known here; it never falls.
        self._above = 0
        self._glance: _Glance | None = None
        self._most = _FEWEST

    def run(self, stopping: threading.Event) -> None:
        """Looks several times a second until the event is set; faults of the database are waited out."""
        while not stopping.is_set():
            began = time.monotonic()
            try:
                self.catch_up()
                pause = max(TICK, (time.monotonic() - began) * _EASE)
            except (DatabaseError, InterfaceError) as error:
                log.warning("changes_wait_for_the_database", reason=str(error))
                connection.close()
                pause = _RETRY
            stopping.wait(pause)
        connection.close()

    def catch_up(self) -> int:
        """Tells everything that is committed by now; returns how many changes. 0 where another process is at it."""
        if not self._is_anything_new():
            return 0
        count = 0
        while True:
            told = self._look()
            if told is None:
                return count
            count += told.changes
            if not told.is_full:
                return count

    def _is_anything_new(self) -> bool:
        with connection.cursor() as cursor:
            cursor.execute(_IS_ANYTHING_NEW, [self._above])
            return bool(cursor.fetchone()[0])

    def _look(self) -> _Told | None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_TURN, [_LOCK])
            is_mine, writers, mark, *_ = cursor.fetchone()
            if not is_mine:
                return None
            self._above = max(self._above, mark)
            ended = self._ended(frozenset(writers))
            told = self._tell(cursor)
            raised = self._raise_mark(cursor, ended, told)
            if self._glance is None or ended:
                cursor.execute(_LOOK)
                highest, writers = cursor.fetchone()
                glance = _Glance(highest, frozenset(writers))
            else:
                glance = self._glance
        # Only what is committed is remembered.
        self._above, self._glance = max(self._above, raised), glance
        return told

    def _ended(self, writers: frozenset[str]) -> int:
        """Returns up to which id every operation has ended; 0 where that is not known yet."""
        glance = self._glance
        return glance.highest if glance is not None and not glance.writers & writers else 0

    def _tell(self, cursor: Any) -> _Told:
        cursor.execute(_TELL, {"above": self._above, "most": self._most, "notes": _NOTES})
        operations, notes, changes = cursor.fetchone()
        told = _Told(changes, operations == self._most or notes == _NOTES)
        if operations:
            fitting = self._most * _AIM // max(changes, 1)
            self._most = min(max(_FEWEST, fitting), self._most * 2, _MOST)
        return told

    def _raise_mark(self, cursor: Any, ended: int, told: _Told) -> int:
        """Raises the mark to what has ended and is told; returns where it is."""
        if ended <= self._above:
            return self._above
        if told.is_full:
            cursor.execute(_FIRST_OPEN, {"above": self._above, "ended": ended})
            row = cursor.fetchone()
            ended = row[0] - 1 if row else ended
        if ended > self._above:
            cursor.execute(_RAISE, [ended])
        return ended


def sequence() -> int:
    """Tells everything that is committed by now, once; returns how many changes."""
    return Sequencer().catch_up()
