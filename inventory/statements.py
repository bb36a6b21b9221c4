"""The SQL that appends an operation: one statement, composed of the parts that the operation needs.

Numbers travel as array literals, so that one text is one prepared statement whatever their size.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from inventory.arrays import array
from inventory.posting import Posting
from inventory.posting_rows import HeldUnits, OwedUnits

#: The instant of the operation: after everything its levels have recorded, whatever the clock does.
_CLOCK: Final = """
clock AS MATERIALIZED (
    SELECT greatest(clock_timestamp(), %s::timestamptz + interval '1 microsecond') AS now
)"""

_OPERATION: Final = """
operation AS (
    UPDATE inventory_stockoperation SET outcome = %s::jsonb, recorded_at = clock.now
    FROM clock WHERE id = %s::bigint
)"""

_RESERVE: Final = """
reserved AS (
    INSERT INTO inventory_reservation
        (id, merchant_id, operation_id, level_id, variant_id, reference, quantity,
         open_quantity, fulfilled_quantity, released_quantity, expires_at, confirmed_at, created_at,
         bundle_id, per_bundle, lead_id)
    SELECT r.id, %s::bigint, %s::bigint, r.level_id, r.variant_id, r.reference, r.quantity,
           r.quantity - r.fulfilled - r.released, r.fulfilled, r.released, r.expires_at,
           CASE WHEN r.expires_at IS NULL THEN clock.now END, clock.now, r.bundle_id, r.per_bundle, r.lead_id
    FROM clock, unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::text[], %s::bigint[], %s::bigint[],
                       %s::bigint[], %s::timestamptz[], %s::bigint[], %s::bigint[], %s::bigint[])
         AS r(id, level_id, variant_id, reference, quantity, fulfilled, released, expires_at,
              bundle_id, per_bundle, lead_id)
)"""

_CHANGE_RESERVATIONS: Final = """
changed AS (
    UPDATE inventory_reservation r
    SET open_quantity = r.open_quantity - c.fulfilled - c.released,
        fulfilled_quantity = r.fulfilled_quantity + c.fulfilled,
        released_quantity = r.released_quantity + c.released,
        confirmed_at = CASE WHEN c.confirmed = 1 THEN coalesce(r.confirmed_at, clock.now) ELSE r.confirmed_at END,
        expires_at = CASE WHEN c.confirmed = 1 THEN NULL ELSE r.expires_at END
    FROM clock, unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[]) AS c(id, fulfilled, released, confirmed)
    WHERE r.id = c.id
)"""

_OPEN_CONFLICTS: Final = """
opened AS (
    INSERT INTO inventory_conflict
        (merchant_id, operation_id, variant_id, cause, reference, location_ids, quantity, open_quantity, opened_at,
         resolved_at)
    SELECT %s::bigint, %s::bigint, c.variant_id, c.cause, c.reference, c.location_ids::bigint[], c.opened, c.open,
           clock.now, CASE WHEN c.open = 0 THEN clock.now END
    FROM clock, unnest(%s::bigint[], %s::text[], %s::text[], %s::text[], %s::bigint[], %s::bigint[])
         AS c(variant_id, cause, reference, location_ids, opened, open)
    ON CONFLICT (merchant_id, reference, variant_id, cause) WHERE open_quantity > 0
    DO UPDATE SET quantity = inventory_conflict.quantity + excluded.quantity,
                  open_quantity = inventory_conflict.open_quantity + excluded.open_quantity
)"""

_CHANGE_CONFLICTS: Final = """
settled AS (
    UPDATE inventory_conflict k
    SET quantity = k.quantity + c.opened,
        open_quantity = k.open_quantity + c.opened - c.closed,
        location_ids = c.location_ids::bigint[],
        resolved_at = CASE WHEN k.open_quantity + c.opened = c.closed THEN clock.now END
    FROM clock, unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::text[]) AS c(id, opened, closed, location_ids)
    WHERE k.id = c.id
)"""

_MOVE: Final = """
moved AS (
    INSERT INTO inventory_stockmovement
        (merchant_id, operation_id, level_id, version, kind, reason, on_hand_delta, reserved_delta, unavailable_delta,
         on_hand_after, reserved_after, unavailable_after, reservation_id, reverses_id, occurred_at, recorded_at)
    SELECT %s::bigint, %s::bigint, m.level_id, m.version, m.kind, m.reason, m.on_hand, m.reserved, m.unavailable,
           m.on_hand_after, m.reserved_after, m.unavailable_after, m.reservation_id, m.reverses_id,
           coalesce(m.occurred_at, %s::timestamptz, clock.now), clock.now
    FROM clock, unnest(%s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::timestamptz[], %s::bigint[],
                       %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[])
         AS m(level_id, version, kind, reason, occurred_at, on_hand, reserved, unavailable,
              on_hand_after, reserved_after, unavailable_after, reservation_id, reverses_id)
)"""

_UPDATE_LEVELS: Final = """
levelled AS (
    UPDATE inventory_stocklevel s
    SET on_hand = l.on_hand, reserved = l.reserved, unavailable = l.unavailable, version = l.version,
        recorded_at = clock.now
    FROM clock, unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[])
         AS l(id, on_hand, reserved, unavailable, version)
    WHERE s.id = l.id
)"""

Part = tuple[str, list[Any]]


def append_statement(
    posting: Posting, *, operation_id: int, occurred_at: datetime | None, outcome: str
) -> tuple[str, list[Any]]:
    """Returns the statement that writes a posting, and its parameters."""
    known = [level.recorded_at for level in posting.levels.values() if level.recorded_at is not None]
    parts: list[Part] = [
        (_CLOCK, [max(known, default=None)]),
        (_OPERATION, [outcome, operation_id]),
        *_reservation_parts(posting, operation_id),
        *_conflict_parts(posting, operation_id),
        *_movement_parts(posting, operation_id, occurred_at),
    ]
    sql = "WITH" + ",".join(text for text, _ in parts) + "\nSELECT now FROM clock"
    return sql, [parameter for _, parameters in parts for parameter in parameters]


def _reservation_parts(posting: Posting, operation_id: int) -> list[Part]:
    parts: list[Part] = []
    if new := posting.new_reservations:
        parts.append(
            (
                _RESERVE,
                [posting.merchant_id, operation_id, *_new_reservation_columns(new)],
            )
        )
    changed = [
        h for h in posting.loaded_reservations.values() if h.fulfilled or h.released or h.is_confirmed_now
    ]
    if changed:
        columns = ((h.id, h.fulfilled, h.released, int(h.is_confirmed_now)) for h in changed)
        parts.append((_CHANGE_RESERVATIONS, _columns(columns)))
    return parts


def _new_reservation_columns(new: list[HeldUnits]) -> list[Any]:
    ids, levels, variants, quantities, fulfilled, released = _columns(
        (h.id, h.level.id, h.level.variant_id, h.taken, h.fulfilled, h.released) for h in new
    )
    references = [h.reference for h in new]
    ends = _instants(h.expires_at for h in new)
    kits = _columns(
        (
            h.part_of.bundle_id if h.part_of else None,
            h.part_of.quantity if h.part_of else None,
            h.lead.id if h.lead else None,
        )
        for h in new
    )
    return [ids, levels, variants, references, quantities, fulfilled, released, ends, *kits]


def _conflict_parts(posting: Posting, operation_id: int) -> list[Part]:
    owed = posting.conflicts.values()
    parts: list[Part] = []
    if new := [o for o in owed if not o.id and o.opened]:
        parts.append(
            (
                _OPEN_CONFLICTS,
                [posting.merchant_id, operation_id, *_new_conflict_columns(new)],
            )
        )
    if changed := [o for o in owed if o.id and (o.opened or o.closed or o.is_moved)]:
        columns = _columns((o.id, o.opened, o.closed) for o in changed)
        parts.append((_CHANGE_CONFLICTS, [*columns, [array(o.location_ids) for o in changed]]))
    return parts


def _new_conflict_columns(new: list[OwedUnits]) -> list[Any]:
    variants, opened, still_open = _columns((o.variant_id, o.opened, o.open) for o in new)
    causes = [o.cause for o in new]
    references = [o.reference for o in new]
    locations = [array(o.location_ids) for o in new]
    return [variants, causes, references, locations, opened, still_open]


def _movement_parts(posting: Posting, operation_id: int, occurred_at: datetime | None) -> list[Part]:
    if not posting.movements:
        return []
    moves = posting.movements
    level_ids, versions, *numbers = _columns(
        (
            m.level_id,
            m.version,
            m.on_hand,
            m.reserved,
            m.unavailable,
            m.on_hand_after,
            m.reserved_after,
            m.unavailable_after,
            None if m.reservation is None else m.reservation.id,
            m.reverses_id,
        )
        for m in moves
    )
    texts = [[m.kind for m in moves], [m.reason for m in moves], _instants(m.occurred_at for m in moves)]
    moved_ids = {m.level_id for m in moves}
    levels = _columns(
        (level.id, level.on_hand, level.reserved, level.unavailable, level.version)
        for level in posting.levels.values()
        if level.id in moved_ids
    )
    head = [posting.merchant_id, operation_id, occurred_at]
    return [
        (_MOVE, [*head, level_ids, versions, *texts, *numbers]),
        (_UPDATE_LEVELS, levels),
    ]


def _instants(values: Iterable[datetime | None]) -> str:
    """Returns an array literal of instants."""
    return array(None if value is None else f'"{value.isoformat()}"' for value in values)


def _columns(rows: Iterable[tuple[int | None, ...]]) -> list[Any]:
    """Turns rows into one array literal a column."""
    return [array(column) for column in zip(*rows, strict=True)]
