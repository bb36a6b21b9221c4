"""`verify_ledger` covers kits: they are held whole, and have no stock of their own."""

import pytest

from inventory.divergences import Divergence
from inventory.models import Bundle, BundleKind, Reservation, StockLevel, StockOperation
from inventory.proof import prove
from inventory.reservations import reserve
from tests.inventory.bundling import Kitchen
from tests.inventory.cast import LONG_AGO


@pytest.fixture
def kitchen(db: None) -> Kitchen:
    """Three sets are held at one place, another one at the other."""
    kitchen = Kitchen()
    kitchen.stock(6, 3)
    kitchen.stock(2, 1, kitchen.store)
    reserve(kitchen.context(), [kitchen.demand("order", 4)])
    return kitchen


def found() -> list[Divergence]:
    return list(prove())[-1].divergences


def test_honest_kits_hold(kitchen: Kitchen) -> None:
    kitchen.make(kitchen.set, {kitchen.spoon: 5})
    assert found() == []


def test_a_part_for_another_number_of_kits_is_named(kitchen: Kitchen) -> None:
    Reservation.objects.filter(variant=kitchen.mug, level__location=kitchen.warehouse).update(per_bundle=3)
    (divergence,) = found()
    assert (divergence.sku, divergence.location) == (kitchen.set.sku, kitchen.warehouse.code)
    assert "kits held for order are not whole" in divergence.problem
    assert (divergence.expected, divergence.found) == ({"parts": 2, "kits": 3}, {"parts": 2, "kits": 2})


def test_a_part_whose_time_is_over_is_no_defect_until_somebody_tidies(kitchen: Kitchen) -> None:
    Reservation.objects.update(expires_at=LONG_AGO, confirmed_at=None)
    assert found() == []


def test_a_kit_with_stock_of_its_own_is_named(kitchen: Kitchen) -> None:
    plain = kitchen.new()
    kitchen.receive(5, plain)
    operation = StockOperation.objects.latest("id")
    Bundle.objects.create(
        merchant=kitchen.merchant,
        variant=plain,
        version=1,
        kind=BundleKind.KIT,
        operation=operation,
        part_count=1,
        created_at=LONG_AGO,
    )
    (divergence,) = found()
    assert divergence.level_id == StockLevel.objects.get(variant=plain, on_hand=5).pk
    assert (divergence.sku, divergence.found) == (plain.sku, {"on_hand": 5})
