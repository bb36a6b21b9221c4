"""Law 8: replaying the movements proves the levels, and names the first movement that does not fit."""

import io
import json
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection

from inventory import proof
from inventory.models import Reservation, StockLevel, StockMovement
from inventory.proof import prove
from tests.factories import LocationFactory
from tests.inventory.cast import Cast, assert_ledger_holds
from tests.inventory.racing import race


def _verify(*arguments: str) -> tuple[int, dict[str, Any]]:
    """Returns the exit code and what `--json` printed."""
    out, code = io.StringIO(), 0
    try:
        call_command("verify_ledger", "--json", *arguments, stdout=out)
    except SystemExit as end:
        code = int(end.code or 0)
    return code, json.loads(out.getvalue())


def _tamper(sql: str, *parameters: int) -> None:
    """Does what only somebody with the keys to the database can: changes history behind its triggers."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE inventory_stockmovement DISABLE TRIGGER movement_is_never_changed")
        cursor.execute(sql, parameters)
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE inventory_stockmovement ENABLE TRIGGER movement_is_never_changed")


@pytest.fixture
def mug_level(cast: Cast) -> StockLevel:
    """A level with a history of eight movements, beside others."""
    cast.receive(10)
    cast.receive(10, cast.shirt)
    cast.hold("a", 3)
    cast.hold("b", 2)
    cast.settle("c", wanted=7)
    cast.settle("c", fulfilled=5)
    cast.count(6)
    return StockLevel.objects.get(variant=cast.mug, location=cast.warehouse)


def _movement(level: StockLevel, version: int) -> StockMovement:
    return level.movements.get(version=version)


def test_an_empty_ledger_holds(db: None) -> None:
    code, summary = _verify()
    assert code == 0
    assert summary["ledger_ok"] is True
    assert summary["levels"] == summary["movements"] == 0


def test_an_honest_ledger_holds_and_is_counted(mug_level: StockLevel) -> None:
    code, summary = _verify()
    assert code == 0
    assert summary["ledger_ok"] is True
    assert summary["first_divergence"] is None
    assert summary["levels"] == StockLevel.objects.count()
    assert summary["movements"] == StockMovement.objects.count()
    assert summary["reservations"] == Reservation.objects.count()


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE inventory_stockmovement SET on_hand_delta = on_hand_delta + 1 WHERE id = %s",
        "UPDATE inventory_stockmovement SET on_hand_after = on_hand_after + 1 WHERE id = %s",
        "UPDATE inventory_stockmovement SET reserved_delta = reserved_delta + 1 WHERE id = %s",
        "UPDATE inventory_stockmovement SET unavailable_after = unavailable_after + 1 WHERE id = %s",
        "UPDATE inventory_stockmovement SET version = version + 1000 WHERE id = %s",
        "UPDATE inventory_stockmovement SET recorded_at = recorded_at - interval '1 day' WHERE id = %s",
    ],
)
def test_the_first_divergent_movement_is_named(cast: Cast, mug_level: StockLevel, sql: str) -> None:
    changed = _movement(mug_level, 3)
    _tamper(sql, changed.pk)
    code, summary = _verify()
    assert code == 1
    assert summary["ledger_ok"] is False
    first = summary["first_divergence"]
    assert (first["sku"], first["location"]) == (cast.mug.sku, cast.warehouse.code)
    moved_away = "version = version" in sql
    assert first["movement_id"] == (_movement(mug_level, 4).pk if moved_away else changed.pk)


def test_a_removed_movement_is_missed(mug_level: StockLevel) -> None:
    _tamper("DELETE FROM inventory_stockmovement WHERE id = %s", _movement(mug_level, 1).pk)
    code, summary = _verify()
    assert code == 1
    assert summary["first_divergence"]["version"] == 2
    assert "missing" in summary["first_divergence"]["problem"]


def test_a_removed_last_movement_is_missed(mug_level: StockLevel) -> None:
    _tamper("DELETE FROM inventory_stockmovement WHERE id = %s", _movement(mug_level, mug_level.version).pk)
    code, summary = _verify()
    assert code == 1
    assert summary["first_divergence"]["version"] == mug_level.version - 1


@pytest.mark.parametrize(
    "change",
    ["on_hand = on_hand + 1", "reserved = 0", "on_hand = 99, unavailable = 1", "version = version + 1"],
)
def test_a_level_changed_past_the_ledger_is_named(cast: Cast, mug_level: StockLevel, change: str) -> None:
    cast.receive(1)
    _tamper(f"UPDATE inventory_stocklevel SET {change} WHERE id = %s", mug_level.pk)
    code, summary = _verify()
    assert code == 1
    assert summary["first_divergence"]["level_id"] == mug_level.pk
    assert summary["first_divergence"]["expected"] != summary["first_divergence"]["found"]


def test_a_levels_time_changed_past_the_ledger_is_named(mug_level: StockLevel) -> None:
    _tamper(
        "UPDATE inventory_stocklevel SET recorded_at = recorded_at + interval '1 day' WHERE id = %s",
        mug_level.pk,
    )
    assert _verify()[0] == 1


def test_a_reservation_that_holds_more_than_its_movements_say_is_named(mug_level: StockLevel) -> None:
    _tamper(
        "UPDATE inventory_reservation SET open_quantity = open_quantity - 1,"
        " released_quantity = released_quantity + 1 WHERE reference = 'a'"
    )
    code, summary = _verify()
    assert code == 1
    assert "(a)" in summary["first_divergence"]["problem"]


def test_nothing_is_healed(mug_level: StockLevel) -> None:
    _tamper("UPDATE inventory_stocklevel SET on_hand = on_hand + 1 WHERE id = %s", mug_level.pk)
    wrong = StockLevel.objects.get(pk=mug_level.pk).on_hand
    for _ in range(2):
        assert _verify()[0] == 1
    assert StockLevel.objects.get(pk=mug_level.pk).on_hand == wrong == mug_level.on_hand + 1


@pytest.mark.parametrize("at_most", ["0", "1"])
def test_a_short_list_is_still_a_failure(cast: Cast, mug_level: StockLevel, at_most: str) -> None:
    _tamper("UPDATE inventory_stocklevel SET on_hand = on_hand + 1 WHERE version > 0")
    code, summary = _verify("--at-most", at_most)
    assert code == 1
    assert len(summary["divergences"]) == 1


def test_ranges_of_levels_are_proven_one_after_the_other(
    mug_level: StockLevel, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        cast.receive(1, place=LocationFactory(merchant=cast.merchant))
    whole = list(prove())[-1]
    monkeypatch.setattr(proof, "BATCH", 2)
    seen = [(p.levels, p.movements, p.reservations) for p in prove()]
    assert len(seen) > 1
    assert seen == sorted(seen)
    assert seen[-1] == (whole.levels, whole.movements, whole.reservations)
    assert_ledger_holds()


def test_people_read_where_and_what(cast: Cast, mug_level: StockLevel) -> None:
    out = io.StringIO()
    call_command("verify_ledger", stdout=out)
    assert "The ledger holds" in out.getvalue()
    _tamper("UPDATE inventory_stocklevel SET on_hand = on_hand + 1 WHERE id = %s", mug_level.pk)
    with pytest.raises(SystemExit) as end:
        call_command("verify_ledger", stdout=out)
    assert end.value.code == 1
    assert f"{cast.mug.sku} at {cast.warehouse.code}" in out.getvalue()


@pytest.mark.django_db(transaction=True)
def test_the_proof_sees_one_instant_while_stock_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    cast = Cast()
    cast.receive(5)
    cast.receive(5, cast.shirt)
    monkeypatch.setattr(proof, "BATCH", 1)
    steps = prove()
    assert next(steps).levels == 1
    race([lambda: cast.receive(3, cast.shirt)])
    last = list(steps)[-1]
    assert last.is_ok
    assert (last.levels, last.movements) == (2, 2)
    assert StockMovement.objects.count() == 3
