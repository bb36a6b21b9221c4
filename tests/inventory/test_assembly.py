"""Composites: what goes in and what comes out is one operation, and nothing is lost on the way."""

import pytest

from inventory.assembly import AssemblyLine, assemble, disassemble
from inventory.demands import settle
from inventory.errors import InsufficientStock, InvalidStockRequest, Shortage, UnknownStock
from inventory.models import BundleKind, StockOperation, Variant
from tests.inventory.bundling import Kitchen
from tests.inventory.cast import Cast, assert_ledger_holds, held, ledger_size, level_of, story


class Bakery(Kitchen):
    """Bread of 250 g of flour (the mug) and a tin (the shirt) of which one makes one."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.flour, self.tin, self.bread = self.mug, self.shirt, self.new("BREAD")
        self.make(self.bread, {self.flour: 250, self.tin: 1}, BundleKind.COMPOSITE)

    def line(self, quantity: int, variant: Variant | None = None) -> AssemblyLine:
        return AssemblyLine((variant or self.bread).pk, self.warehouse.pk, quantity)

    def on_hand(self, variant: Variant) -> int:
        return level_of(variant, self.warehouse)[0]


@pytest.fixture
def bakery(db: None) -> Bakery:
    return Bakery()


@pytest.fixture(autouse=True)
def _the_ledger_holds_after_each(bakery: Bakery) -> object:
    yield
    assert_ledger_holds()


def test_assembling_takes_the_raw_materials_and_adds_what_is_made(bakery: Bakery) -> None:
    bakery.receive(1_000, bakery.flour)
    bakery.receive(3, bakery.tin)
    assemble(bakery.context(), [bakery.line(3)])
    assert [bakery.on_hand(v) for v in (bakery.flour, bakery.tin, bakery.bread)] == [250, 0, 3]
    assert StockOperation.objects.latest("id").verb == "assemble"
    assert story(bakery.bread, bakery.warehouse) == [("adjustment", "assembly", 3, 0, 0)]


def test_taking_apart_gives_the_components_back(bakery: Bakery) -> None:
    bakery.receive(500, bakery.flour)
    bakery.receive(2, bakery.tin)
    assemble(bakery.context(), [bakery.line(2)])
    disassemble(bakery.context(), [bakery.line(1)])
    assert [bakery.on_hand(v) for v in (bakery.flour, bakery.tin, bakery.bread)] == [250, 1, 1]


def test_nothing_that_is_held_goes_into_an_assembly(bakery: Bakery) -> None:
    bakery.receive(1_000, bakery.flour)
    bakery.receive(3, bakery.tin)
    bakery.hold("order", 400, bakery.flour)
    before = ledger_size()
    with pytest.raises(InsufficientStock) as refusal:
        assemble(bakery.context(), [bakery.line(3)])
    assert refusal.value.shortages == (Shortage(bakery.flour.sku, bakery.flour.pk, 750, 600),)
    assert ledger_size() == before


def test_what_is_held_is_not_taken_apart(bakery: Bakery) -> None:
    bakery.receive(2, bakery.bread)
    bakery.hold("order", 1, bakery.bread)
    with pytest.raises(InsufficientStock):
        disassemble(bakery.context(), [bakery.line(2)])


def test_what_is_made_goes_first_to_who_waits_for_it(bakery: Bakery) -> None:
    bakery.receive(250, bakery.flour)
    bakery.receive(1, bakery.tin)
    settle(bakery.context(), [bakery.change("order", bakery.bread, wanted=1)])
    assemble(bakery.context(), [bakery.line(1)])
    assert held() == {"order": 1}


def test_a_composite_of_composites_may_be_made_in_one_operation(bakery: Bakery) -> None:
    basket = bakery.new()
    bakery.make(basket, {bakery.bread: 2}, BundleKind.COMPOSITE)
    bakery.receive(500, bakery.flour)
    bakery.receive(2, bakery.tin)
    assemble(bakery.context(), [bakery.line(1, basket), bakery.line(2)])
    assert [bakery.on_hand(v) for v in (bakery.flour, bakery.tin, bakery.bread, basket)] == [0, 0, 0, 1]


def test_kits_within_a_composite_are_taken_from_the_shelf(bakery: Bakery) -> None:
    basket = bakery.new()
    bakery.make(basket, {bakery.set: 1}, BundleKind.COMPOSITE)
    bakery.stock(2, 1)
    assemble(bakery.context(), [bakery.line(1, basket)])
    assert [bakery.on_hand(v) for v in (bakery.mug, bakery.spoon, basket)] == [0, 0, 1]


def test_neither_kits_nor_plain_variants_are_assembled(bakery: Bakery) -> None:
    for variant in (bakery.set, bakery.tin):
        with pytest.raises(InvalidStockRequest, match=f"variant_id: {variant.sku} is not a composite"):
            assemble(bakery.context(), [bakery.line(1, variant)])


def test_bad_figures_and_strangers_are_refused(bakery: Bakery) -> None:
    with pytest.raises(InvalidStockRequest, match="quantity"):
        assemble(bakery.context(), [bakery.line(0)])
    with pytest.raises(UnknownStock):
        assemble(bakery.context(), [bakery.line(1, Cast().mug)])
    with pytest.raises(UnknownStock):
        assemble(bakery.context(), [AssemblyLine(bakery.bread.pk, Cast().warehouse.pk, 1)])


def test_a_repeat_makes_nothing_again(bakery: Bakery) -> None:
    bakery.receive(1_000, bakery.flour)
    bakery.receive(4, bakery.tin)
    for _ in range(2):
        assemble(bakery.context("key"), [bakery.line(2)])
    assert bakery.on_hand(bakery.bread) == 2
