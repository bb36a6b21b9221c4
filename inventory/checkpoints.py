"""Writes checkpoints: the ledger's state at chosen instants, each from the one before and the movements between.

    every midnight (UTC) of the last two weeks · every Monday's of the last 14 weeks · the first of each month before

What is missing of these is written, oldest first; what is no longer among them is deleted. So a whole location as of
any instant costs its levels and at most a day's movements, a week's or a month's the longer it is ago, and the table does
not grow with time as the ledger does. Missed runs, twins and a process that dies halfway do no harm.

A checkpoint may only be taken of an instant that is settled: a movement's time is set before its transaction commits, so
that a movement of a moment ago may still be unseen.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any, Final

from django.db import connection, transaction

from inventory.models import (
    CheckpointLevel,
    CheckpointReservation,
    Merchant,
    StockCheckpoint,
    StockLevel,
    StockOperation,
)

#: Days for which there is a checkpoint of each midnight, and of each Monday's.
DAILY: Final = 14
WEEKLY: Final = 98

#: Seconds that an instant must have passed in any case: clocks may be set back a little.
MARGIN: Final = 300.0

#: Whatever is not committed now was recorded after its own transaction began.
_SETTLED: Final = """
SELECT least(clock_timestamp() - make_interval(secs => %s), min(xact_start) - interval '1 microsecond')
FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
"""

_BEGIN: Final = """
INSERT INTO inventory_stockcheckpoint (merchant_id, at, written_at)
VALUES (%(merchant)s, %(at)s, clock_timestamp())
ON CONFLICT (merchant_id, at) DO NOTHING
RETURNING id
"""

_LEVELS: Final = """
WITH latest AS (
    SELECT DISTINCT ON (m.level_id) m.level_id, m.version, m.on_hand_after AS on_hand,
           m.reserved_after AS reserved, m.unavailable_after AS unavailable
    FROM inventory_stockmovement m
    WHERE m.merchant_id = %(merchant)s AND m.recorded_at > %(since)s AND m.recorded_at <= %(at)s
    ORDER BY m.level_id, m.version DESC
), kept AS (
    SELECT level_id, version, on_hand, reserved, unavailable FROM inventory_checkpointlevel
    WHERE merchant_id = %(merchant)s AND checkpoint_id = %(before)s
)
INSERT INTO inventory_checkpointlevel
    (merchant_id, checkpoint_id, location_id, level_id, version, on_hand, reserved, unavailable)
SELECT %(merchant)s, %(checkpoint)s, s.location_id, s.id, coalesce(latest.version, kept.version),
       coalesce(latest.on_hand, kept.on_hand), coalesce(latest.reserved, kept.reserved),
       coalesce(latest.unavailable, kept.unavailable)
FROM kept FULL JOIN latest ON latest.level_id = kept.level_id
JOIN inventory_stocklevel s ON s.id = coalesce(latest.level_id, kept.level_id)
ORDER BY s.location_id, s.id
"""

_RESERVATIONS: Final = """
WITH change AS (
    SELECT reservation_id, quantity FROM inventory_checkpointreservation
    WHERE merchant_id = %(merchant)s AND checkpoint_id = %(before)s
    UNION ALL
    SELECT m.reservation_id, m.reserved_delta FROM inventory_stockmovement m
    WHERE m.merchant_id = %(merchant)s AND m.recorded_at > %(since)s AND m.recorded_at <= %(at)s
      AND m.reservation_id IS NOT NULL
), held AS (
    SELECT reservation_id, sum(quantity) AS quantity FROM change GROUP BY reservation_id HAVING sum(quantity) <> 0
)
INSERT INTO inventory_checkpointreservation
    (merchant_id, checkpoint_id, location_id, level_id, reservation_id, quantity)
SELECT %(merchant)s, %(checkpoint)s, s.location_id, s.id, r.id, held.quantity
FROM held
JOIN inventory_reservation r ON r.id = held.reservation_id
JOIN inventory_stocklevel s ON s.id = r.level_id
ORDER BY s.location_id, s.id, r.id
"""


def write_due(*, seconds: float | None = None) -> int:
    """Writes what is missing and deletes what is no longer kept, of all merchants; returns how many were written.

    Stops after `seconds`, between two checkpoints; the next run goes on from there.
    """
    until = None if seconds is None else monotonic() + seconds
    settled, written = settled_until(), 0
    for merchant_id, at in _due(settled):
        if until is not None and monotonic() > until:
            break
        written += write(merchant_id, at) is not None
    if written:
        _analyze()
    for merchant_id in _merchant_ids():
        thin(merchant_id, settled)
    return written


def _merchant_ids() -> list[int]:
    return list(Merchant.objects.order_by("id").values_list("id", flat=True))


def _due(settled: datetime) -> Iterator[tuple[int, datetime]]:
    for merchant_id in _merchant_ids():
        for at in missing_instants(merchant_id, settled):
            yield merchant_id, at


def _analyze() -> None:
    """Has the planner know of the new rows at once: it would take them for a handful until the next autovacuum."""
    with connection.cursor() as cursor:
        cursor.execute(
            "ANALYZE inventory_stockcheckpoint, inventory_checkpointlevel, inventory_checkpointreservation"
        )


def settled_until(*, margin: float = MARGIN) -> datetime:
    """Returns an instant up to which no movement can appear any more, `margin` seconds ago at the latest."""
    with connection.cursor() as cursor:
        cursor.execute(_SETTLED, [margin])
        instant: datetime = cursor.fetchone()[0]
    return instant


def missing_instants(merchant_id: int, until: datetime) -> list[datetime]:
    """Returns the instants up to `until` of which the merchant should have a checkpoint and has none, oldest first."""
    known = set(StockCheckpoint.objects.filter(merchant_id=merchant_id).values_list("at", flat=True))
    first = min(known) - timedelta(days=1) if known else _first_recorded_at(merchant_id)
    return [] if first is None else [at for at in instants(first, until) if at not in known]


def _first_recorded_at(merchant_id: int) -> datetime | None:
    """Returns when the merchant's ledger began; by id, because times have no index that is in order."""
    if not StockLevel.objects.filter(merchant_id=merchant_id, version__gt=0).exists():
        return None
    operations = StockOperation.objects.filter(merchant_id=merchant_id).order_by("id")
    return operations.values_list("recorded_at", flat=True).first()


def instants(first: datetime, until: datetime) -> Iterator[datetime]:
    """Returns the instants after `first` and up to `until` that have a checkpoint, oldest first."""
    midnight = first.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    while midnight <= until:
        if is_kept(midnight, until):
            yield midnight
        midnight += timedelta(days=1)


def is_kept(at: datetime, now: datetime) -> bool:
    """Tells whether a checkpoint of this instant is worth its room by now."""
    midnight = at.astimezone(UTC)
    if midnight.time() != datetime.min.time():
        return False
    age = (now - midnight).days
    if age <= DAILY:
        return True
    return midnight.weekday() == 0 if age <= WEEKLY else midnight.day == 1


def write(merchant_id: int, at: datetime) -> StockCheckpoint | None:
    """Writes the checkpoint of a settled instant; None where there is one already."""
    with transaction.atomic(), connection.cursor() as cursor:
        before = _before(merchant_id, at)
        parameters: dict[str, Any] = {
            "merchant": merchant_id,
            "at": at,
            "before": before.pk if before else None,
        }
        cursor.execute(_BEGIN, parameters)
        begun = cursor.fetchone()
        if begun is None:
            return None
        parameters["checkpoint"] = begun[0]
        parameters["since"] = before.at if before else datetime.min.replace(tzinfo=UTC)
        cursor.execute(_LEVELS, parameters)
        cursor.execute(_RESERVATIONS, parameters)
        return StockCheckpoint.objects.get(pk=begun[0])


def _before(merchant_id: int, at: datetime) -> StockCheckpoint | None:
    """Returns the checkpoint to start from, held so that nobody deletes it meanwhile."""
    earlier = StockCheckpoint.objects.select_for_update(no_key=True).filter(
        merchant_id=merchant_id, at__lt=at
    )
    return earlier.order_by("-at").first()


def thin(merchant_id: int, now: datetime) -> int:
    """Deletes checkpoints that are no longer kept; returns how many."""
    with transaction.atomic():
        held = StockCheckpoint.objects.select_for_update().filter(merchant_id=merchant_id).order_by("at")
        old = [each.pk for each in held if not is_kept(each.at, now)]
        CheckpointReservation.objects.filter(merchant_id=merchant_id, checkpoint_id__in=old).delete()
        CheckpointLevel.objects.filter(merchant_id=merchant_id, checkpoint_id__in=old).delete()
        StockCheckpoint.objects.filter(pk__in=old).delete()
    return len(old)
