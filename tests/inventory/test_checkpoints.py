"""Checkpoints are written of settled instants only, once, from one another, thinned, and proven like the ledger."""

from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from inventory import checkpoints
from inventory.checkpoints import instants, is_kept, missing_instants, settled_until, thin, write, write_due
from inventory.divergences import Divergence
from inventory.models import (
    CheckpointLevel,
    CheckpointReservation,
    StockCheckpoint,
    StockMovement,
    StockOperation,
)
from inventory.proof import prove
from tests.inventory.cast import Cast, assert_ledger_holds
from tests.inventory.racing import meanwhile, race

pytestmark = pytest.mark.django_db

SUNDAY_NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def _now() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        at: datetime = cursor.fetchone()[0]
    return at


def _kept(checkpoint: StockCheckpoint | None) -> list[tuple[int, int, int, int]]:
    rows = CheckpointLevel.objects.filter(checkpoint=checkpoint).order_by("level_id")
    return list(rows.values_list("level_id", "version", "on_hand", "reserved"))


def _held(checkpoint: StockCheckpoint | None) -> dict[str, int]:
    rows = CheckpointReservation.objects.filter(checkpoint=checkpoint)
    return dict(rows.values_list("reservation__reference", "quantity"))


def _divergences() -> list[Divergence]:
    return list(prove())[-1].divergences


#: Those that keep the past as it was.
_TRIGGERS = (("stockmovement", "movement_is_never_changed"), ("stockoperation", "operation_is_written_once"))


def _grow_old(days: float) -> None:
    """Moves everything recorded into the past, behind the triggers' back."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table, trigger in _TRIGGERS:
            cursor.execute(f"ALTER TABLE inventory_{table} DISABLE TRIGGER {trigger}")
        for table in ("stockmovement", "stockoperation", "stocklevel"):
            cursor.execute(
                f"UPDATE inventory_{table} SET recorded_at = recorded_at - %s * interval '1 day'", [days]
            )
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table, trigger in _TRIGGERS:
            cursor.execute(f"ALTER TABLE inventory_{table} ENABLE TRIGGER {trigger}")


def test_a_checkpoint_holds_what_had_been_recorded_and_nothing_later(cast: Cast) -> None:
    cast.receive(5)
    cast.hold("a", 2)
    first = write(cast.merchant.pk, _now())
    cast.hold("b", 1)
    cast.receive(4, cast.shirt)
    second = write(cast.merchant.pk, _now())
    mug = StockMovement.objects.order_by("id")[0].level_id
    assert _kept(first) == [(mug, 2, 5, 2)]
    assert _held(first) == {"a": 2}
    assert [row[1:] for row in _kept(second)] == [(3, 5, 3), (1, 4, 0)]
    assert _held(second) == {"a": 2, "b": 1}
    assert _divergences() == []


def test_one_may_be_added_between_two_others(cast: Cast) -> None:
    cast.receive(5)
    write(cast.merchant.pk, _now())
    cast.hold("a", 2)
    between = _now()
    cast.hold("b", 1)
    write(cast.merchant.pk, _now())
    assert _held(write(cast.merchant.pk, between)) == {"a": 2}
    assert _divergences() == []


def test_the_same_instant_is_written_once(cast: Cast) -> None:
    cast.receive(5)
    at = _now()
    assert write(cast.merchant.pk, at) is not None
    assert write(cast.merchant.pk, at) is None
    assert CheckpointLevel.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_twins_write_one(monkeypatch: pytest.MonkeyPatch) -> None:
    cast = Cast()
    cast.receive(5)
    at = _now()
    written = race([lambda: write(cast.merchant.pk, at)] * 4)
    assert sum(each is not None for each in written) == 1
    assert CheckpointLevel.objects.count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("waits", [True, False])
def test_what_is_not_committed_yet_is_not_settled(waits: bool) -> None:
    """Without the wait, which the second case leaves out, a checkpoint lacks what was recorded before it."""
    cast = Cast()
    cast.receive(1)
    is_recorded, may_commit = Event(), Event()

    def receive_slowly() -> None:
        with transaction.atomic():
            cast.receive(5)
            is_recorded.set()
            may_commit.wait(20)

    with meanwhile(receive_slowly):
        assert is_recorded.wait(20)
        now = _now()
        settled = settled_until(margin=0.0)
        write(cast.merchant.pk, settled if waits else now)
        may_commit.set()
    late = StockMovement.objects.latest("id").recorded_at
    assert settled < late < now
    found = _divergences()
    if waits:
        assert found == []
    else:
        assert "lacks a movement recorded before" in found[0].problem


def test_an_instant_is_settled_minutes_later_at_the_earliest() -> None:
    assert settled_until() <= _now() - timedelta(seconds=checkpoints.MARGIN)


def test_days_weeks_and_months_are_kept_the_longer_ago_the_fewer() -> None:
    first = SUNDAY_NOON - timedelta(days=800)
    kept = list(instants(first, SUNDAY_NOON))
    assert kept == sorted(set(kept))
    assert kept[-1] == datetime(2026, 11, 22, tzinfo=UTC)
    ages = [(SUNDAY_NOON - at).days for at in kept]
    assert sum(age <= 14 for age in ages) == 15
    assert all(at.weekday() == 0 for at in kept if 14 < (SUNDAY_NOON - at).days <= 98)
    assert all(at.day == 1 for at in kept if (SUNDAY_NOON - at).days > 98)
    assert len(kept) == 15 + 12 + 23


def test_an_instant_between_days_is_not_kept() -> None:
    assert not is_kept(SUNDAY_NOON - timedelta(hours=1), SUNDAY_NOON)


def test_what_is_missing_is_written_oldest_first_and_once(cast: Cast) -> None:
    cast.receive(5)
    cast.hold("a", 2)
    _grow_old(3.5)
    cast.receive(1)
    assert write_due() in (3, 4)
    assert [len(_kept(each)) for each in StockCheckpoint.objects.all()] == [
        1
    ] * StockCheckpoint.objects.count()
    assert write_due() == 0
    assert missing_instants(cast.merchant.pk, settled_until()) == []
    assert_ledger_holds()


def test_a_run_that_is_cut_short_is_continued_by_the_next(cast: Cast) -> None:
    cast.receive(5)
    _grow_old(3.5)
    assert write_due(seconds=-1.0) == 0
    assert write_due() >= 3


def test_a_ledger_without_movements_has_none(cast: Cast) -> None:
    assert write_due() == 0
    assert StockOperation.objects.count() == 0


def test_old_ones_are_thinned_with_all_their_rows(cast: Cast) -> None:
    cast.receive(5)
    cast.hold("a", 2)
    _grow_old(100)
    now = timezone.now()
    monday = (now - timedelta(days=50)).replace(hour=0, minute=0, second=0, microsecond=0)
    monday -= timedelta(days=monday.weekday())
    for at in (monday, monday + timedelta(days=1)):
        write(cast.merchant.pk, at)
    assert thin(cast.merchant.pk, now) == 1
    assert StockCheckpoint.objects.get().at == monday
    assert CheckpointLevel.objects.count() == CheckpointReservation.objects.count() == 1
    assert _divergences() == []


@pytest.mark.parametrize(
    ("table", "change", "problem"),
    [
        ("level", "on_hand = on_hand + 1", "differs from the movement"),
        ("level", "reserved = 0", "differs from the movement"),
        ("level", "version = version - 1", "lacks a movement recorded before"),
        ("level", "version = version + 1", "holds a movement that was recorded later"),
        ("level", "version = version + 9", "names a movement that does not exist"),
        ("reservation", "quantity = quantity + 1", "is not held in it as its movements say"),
    ],
)
def test_a_wrong_checkpoint_is_named(cast: Cast, table: str, change: str, problem: str) -> None:
    cast.receive(5)
    cast.hold("a", 2)
    write(cast.merchant.pk, _now())
    cast.receive(1)
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE inventory_checkpoint{table} SET {change}")
    found = _divergences()
    assert problem in found[0].problem
    assert "the checkpoint of" in found[0].problem
    assert (found[0].sku, found[0].location) == (cast.mug.sku, cast.warehouse.code)


@pytest.mark.parametrize("model", [CheckpointLevel, CheckpointReservation])
def test_what_is_missing_from_a_checkpoint_is_named(cast: Cast, model: Any) -> None:
    cast.receive(5)
    cast.hold("a", 2)
    write(cast.merchant.pk, _now())
    model.objects.all().delete()
    found = _divergences()
    assert found
    assert found[0].sku == cast.mug.sku


def test_a_reservation_that_ended_and_is_kept_all_the_same_is_named(cast: Cast) -> None:
    cast.receive(5)
    cast.hold("a", 2)
    write(cast.merchant.pk, _now())
    cast.count(0)
    second = write(cast.merchant.pk, _now())
    assert second is not None
    held = CheckpointReservation.objects.get()
    held.pk, held.checkpoint = None, second
    held.save()
    (found,) = _divergences()
    assert found.expected == {"quantity": 0}
    assert found.found == {"quantity": 2}
