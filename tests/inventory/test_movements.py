"""Laws 3 and 10: operation, movements and levels go together, numbered without a gap, in time."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from inventory.errors import UnknownStock
from inventory.models import StockLevel, StockMovement, StockOperation
from inventory.stock import AdjustmentLine, StockLine, adjust, receive
from tests.inventory.cast import Cast, assert_ledger_holds, ledger_size, story


def _busy_level(cast: Cast) -> StockLevel:
    cast.settle("order 1", wanted=4)
    cast.receive(10)
    cast.hold("cart", 3)
    cast.settle("order 1", fulfilled=4)
    cast.count(1)
    return StockLevel.objects.get(variant=cast.mug, location=cast.warehouse)


def test_versions_count_a_levels_movements_without_a_gap(cast: Cast) -> None:
    level = _busy_level(cast)
    versions = list(level.movements.order_by("id").values_list("version", flat=True))
    assert versions == list(range(1, len(versions) + 1))
    assert level.version == len(versions) > 5
    assert_ledger_holds()


def test_a_version_is_used_once(cast: Cast) -> None:
    cast.receive(5)
    with pytest.raises(IntegrityError, match="movement_version_is_unique_per_level"):
        _copy_the_only_movement()


def _copy_the_only_movement() -> None:
    columns = ", ".join(f.column for f in StockMovement._meta.fields if f.column and not f.primary_key)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO inventory_stockmovement ({columns}) SELECT {columns} FROM inventory_stockmovement"
        )


def test_every_movement_carries_the_level_after_it(cast: Cast) -> None:
    level = _busy_level(cast)
    last = level.movements.order_by("-version")[0]
    assert (last.on_hand_after, last.reserved_after, last.unavailable_after) == (
        level.on_hand,
        level.reserved,
        level.unavailable,
    )


def test_an_operation_heads_its_movements_with_who_why_and_when(cast: Cast) -> None:
    reported = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    context = cast.context("delivery 7", actor="ann", source="api", document="PO-7", occurred_at=reported)
    lines = [StockLine(v.pk, cast.warehouse.pk, 2) for v in (cast.mug, cast.shirt)]
    outcome = receive(context, lines)
    operation = StockOperation.objects.get(pk=outcome.operation_id)
    assert (operation.key, operation.actor, operation.source, operation.document) == (
        "delivery 7",
        "ann",
        "api",
        "PO-7",
    )
    assert operation.occurred_at == reported < operation.recorded_at
    assert {m.occurred_at for m in operation.movements.all()} == {reported}
    assert {m.recorded_at for m in operation.movements.all()} == {operation.recorded_at}
    assert operation.movements.count() == 2


def test_a_refused_operation_leaves_no_row_of_any_kind(cast: Cast, stranger: Cast) -> None:
    before = ledger_size(), StockLevel.objects.count()
    lines = [
        StockLine(cast.mug.pk, cast.warehouse.pk, 2),
        StockLine(stranger.mug.pk, cast.warehouse.pk, 2),
    ]
    with pytest.raises(UnknownStock):
        receive(cast.context(), lines)
    assert (ledger_size(), StockLevel.objects.count()) == before


def test_recorded_time_rises_with_the_version_even_when_the_clock_went_backwards(cast: Cast) -> None:
    cast.receive(5)
    future = datetime.now(UTC) + timedelta(days=2)
    StockLevel.objects.update(recorded_at=future)
    cast.receive(1)
    level = StockLevel.objects.get()
    assert level.recorded_at == future + timedelta(microseconds=1)
    outcome = cast.receive(1)
    level.refresh_from_db()
    assert level.recorded_at == future + timedelta(microseconds=2)
    operation = StockOperation.objects.get(pk=outcome.operation_id)
    assert operation.recorded_at == operation.movements.get().recorded_at == level.recorded_at


def test_one_level_ahead_of_the_clock_pulls_the_whole_operation_along(cast: Cast) -> None:
    cast.receive(5)
    cast.receive(5, cast.shirt)
    future = datetime.now(UTC) + timedelta(days=2)
    StockLevel.objects.filter(variant=cast.mug).update(recorded_at=future)
    receive(cast.context(), [StockLine(v.pk, cast.warehouse.pk, 2) for v in (cast.shirt, cast.mug)])
    assert set(StockLevel.objects.values_list("recorded_at", flat=True)) == {
        future + timedelta(microseconds=1)
    }


def test_two_operations_on_one_level_never_share_an_instant(cast: Cast) -> None:
    for _ in range(20):
        cast.receive(1)
    instants = list(StockMovement.objects.order_by("version").values_list("recorded_at", flat=True))
    assert instants == sorted(set(instants))


def test_a_reversal_names_a_movement_of_the_same_level(cast: Cast, stranger: Cast) -> None:
    stranger.receive(5)
    cast.receive(5)
    cast.receive(5, cast.shirt)
    for foreign in StockMovement.objects.exclude(level__variant=cast.mug).values_list("pk", flat=True):
        line = AdjustmentLine(cast.mug.pk, cast.warehouse.pk, -5, reverses_id=foreign)
        with pytest.raises(UnknownStock):
            adjust(cast.context(), [line])
    line = AdjustmentLine(cast.mug.pk, cast.warehouse.pk, -5, reverses_id=2**40)
    with pytest.raises(UnknownStock):
        adjust(cast.context(), [line])
    assert story(cast.mug, cast.warehouse) == [("receipt", "purchase", 5, 0, 0)]


@pytest.mark.parametrize(
    ("column", "value", "constraint"),
    [
        ("on_hand", -1, "on_hand_is_not_negative|available_is_not_negative"),
        ("on_hand", 2, "available_is_not_negative"),
        ("reserved", -1, "reserved_is_not_negative"),
        ("reserved", 6, "available_is_not_negative"),
        ("unavailable", -1, "unavailable_is_not_negative"),
        ("unavailable", 3, "available_is_not_negative"),
        ("safety_stock", -1, "safety_stock_is_not_negative"),
    ],
)
def test_the_database_refuses_a_level_that_must_not_be(
    cast: Cast, column: str, value: int, constraint: str
) -> None:
    cast.receive(5)
    cast.hold("cart", 3)
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE inventory_stocklevel SET {column} = %s", [value])


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE inventory_reservation SET open_quantity = -1, released_quantity = quantity + 1",
        "UPDATE inventory_reservation SET open_quantity = open_quantity - 1",
        "UPDATE inventory_reservation SET quantity = 0, open_quantity = 0",
        "UPDATE inventory_conflict SET open_quantity = -1",
        "UPDATE inventory_conflict SET open_quantity = quantity + 1",
    ],
)
def test_the_database_refuses_a_hold_or_conflict_that_does_not_add_up(cast: Cast, sql: str) -> None:
    cast.receive(3)
    cast.settle("order", wanted=5)
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql)
