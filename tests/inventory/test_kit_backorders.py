"""Kits promised out of what is still to come: whole ones, in order of promise, never the same part twice."""

from collections import Counter
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import time_machine
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from inventory.backorders import (
    BackorderUnits,
    backorder_conflict,
    break_missed,
    cancel_backorders,
    promise,
)
from inventory.bundles import dissolve
from inventory.demands import settle
from inventory.errors import InsufficientInbound, InvalidStockRequest
from inventory.inbound_proof import inbound_divergences
from inventory.ledger import Outcome
from inventory.models import (
    Backorder,
    Conflict,
    KitBackorder,
    PurchaseOrderLine,
    Reservation,
    StockLevel,
    Variant,
)
from inventory.promising import available_to_promise, kits_to_come, promisable
from inventory.references import check_free, strange
from inventory.reservations import ReservedUnits, release
from inventory.routing import Routing
from tests.inventory.bundling import Kitchen, assert_kits_are_whole, held_parts
from tests.inventory.buying import Buying, assert_promises_hold, in_days, terms, waiting
from tests.inventory.cast import assert_ledger_holds, held, owed
from tests.inventory.racing import race
from tests.properties import examples


class Dinner(Kitchen):
    """Sets of two mugs and a spoon, promised out of mugs and spoons that are to come."""

    #: The line by which mugs come.
    line: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.buying = Buying(self)

    def promise(self, reference: str, sets: int, *, days: int = 99, **more: Any) -> Outcome:
        """Promises sets from either place."""
        return promise(self.context(), [self.demand(reference, sets)], terms(days), **more)

    def sell(self, reference: str, sets: int, variant: Variant | None = None, days: int = 99) -> Outcome:
        """Sells sets that a rule allows to be promised."""
        change = self.change(reference, variant or self.set, wanted=sets)
        return settle(self.context(), [change], pre_orders={reference: terms(days)})

    def to_come(self, days: int = 99) -> int:
        """Sets that may be promised."""
        return promisable(self.merchant.pk, [self.set.pk], in_days(days))[self.set.pk].units


@pytest.fixture
def dinner(db: None) -> Dinner:
    """Three spoons in the warehouse, and ten mugs to come there in five days."""
    dinner = Dinner()
    dinner.stock(0, 3)
    dinner.line = dinner.buying.order(10, days=5)
    return dinner


def kits() -> dict[str, tuple[int, int, int, int]]:
    """Returns what became of each demand's promises: open, filled, cancelled, broken."""
    found: dict[str, tuple[int, int, int, int]] = {}
    for row in KitBackorder.objects.order_by("id"):
        before = found.get(row.reference, (0, 0, 0, 0))
        counts = row.open_quantity, row.filled_quantity, row.cancelled_quantity, row.broken_quantity
        found[row.reference] = tuple(a + b for a, b in zip(before, counts, strict=True))  # type: ignore[assignment]
    return found


def assert_all_holds() -> None:
    """Replays the ledger, and looks at what is promised and at all kits."""
    assert_promises_hold()
    assert_kits_are_whole()
    assert_ledger_holds()
    assert inbound_divergences(9) == []


def test_what_is_there_of_a_kit_is_kept_and_the_rest_is_promised_by_lines(dinner: Dinner) -> None:
    outcome = dinner.promise("anna", 2)
    assert kits() == {"anna": (2, 0, 0, 0)}
    promised = KitBackorder.objects.get()
    assert (promised.promised_on, promised.allowed_by) == (in_days(5), "a rule of this test")
    assert held() == {f"kit-backorder:{promised.pk}": 2}
    assert waiting() == {"anna": 4}
    assert [(each.reference, each.quantity) for each in outcome.promised] == [("anna", 4)]
    assert owed() == {}
    assert available_to_promise(dinner.mug, in_days(9)) == 6
    assert available_to_promise(dinner.spoon, in_days(9)) == 1
    assert dinner.to_come() == 1
    assert_all_holds()


def test_no_more_kits_are_promised_than_their_parts_allow(dinner: Dinner) -> None:
    assert dinner.to_come() == 3
    with pytest.raises(InsufficientInbound):
        dinner.promise("anna", 4)
    with pytest.raises(InsufficientInbound):
        dinner.promise("early", 1, days=4)
    assert kits() == {}
    dinner.promise("anna", 4, allow_partial=True)
    assert kits() == {"anna": (3, 0, 0, 0)}
    with pytest.raises(InsufficientInbound):
        dinner.buying.promise("bob", 5)
    dinner.buying.promise("bob", 4)
    assert_all_holds()


def test_kits_are_filled_whole_and_in_order_of_promise(dinner: Dinner) -> None:
    dinner.promise("anna", 2)
    dinner.promise("bob", 1)
    dinner.buying.receive(dinner.line, 3)
    assert kits() == {"anna": (1, 1, 0, 0), "bob": (1, 0, 0, 0)}
    assert held_parts("anna") == {
        (dinner.mug.sku, dinner.warehouse.code): 2,
        (dinner.spoon.sku, dinner.warehouse.code): 1,
    }
    assert_all_holds()
    dinner.receive(9)
    assert kits() == {"anna": (0, 2, 0, 0), "bob": (0, 1, 0, 0)}
    assert waiting() == {}
    dinner.settle("anna", variant=dinner.set, fulfilled=2)
    assert owed() == {}
    assert_all_holds()


def test_a_kit_waits_for_the_part_that_comes_last(dinner: Dinner) -> None:
    late = dinner.buying.order(9, days=8, variant=dinner.spoon)
    dinner.promise("anna", 5)
    assert set(Backorder.objects.values_list("promised_on", flat=True)) == {in_days(8)}
    dinner.buying.slip(dinner.line, 8)
    assert owed() == {}
    dinner.buying.receive(dinner.line, 10)
    assert kits() == {"anna": (2, 3, 0, 0)}
    dinner.buying.receive(late, 2)
    assert kits() == {"anna": (0, 5, 0, 0)}
    assert_all_holds()


@pytest.mark.parametrize("what", ["slip", "cancel", "confirm", "receive"])
def test_kits_whose_part_will_not_come_in_time_are_owed_and_what_was_kept_for_them_is_free(
    dinner: Dinner, what: str
) -> None:
    dinner.promise("anna", 3)
    line = dinner.line
    if what == "slip":
        dinner.buying.slip(line, 6)
    elif what == "cancel":
        dinner.buying.cancel(line, 7)
    elif what == "confirm":
        dinner.buying.confirm(line, 3, 5)
    else:
        dinner.buying.receive(line, 3, is_last=True)
    lost = 3 if what == "slip" else 2
    assert owed() == {("anna", "inbound"): lost}
    assert Conflict.objects.get().variant == dinner.set
    assert available_to_promise(dinner.spoon, in_days(0)) == lost
    assert_all_holds()
    if what == "slip":
        conflict = Conflict.objects.get()
        backorder_conflict(dinner.context(), conflict.pk, terms(), quantity=2)
        assert owed() == {("anna", "inbound"): 1}
        assert kits() == {"anna": (2, 0, 0, 3)}
        days = kits_to_come(dinner.merchant.pk, dinner.set.pk, besides=1)
        assert days == [(in_days(6), 1)]
        assert_all_holds()


def test_a_promise_whose_day_is_over_is_owed(dinner: Dinner) -> None:
    dinner.promise("anna", 1)
    with time_machine.travel(timezone.now() + timedelta(days=6)):
        assert break_missed() == 1
    assert owed() == {("anna", "inbound"): 1}
    assert held() == {}


def test_a_part_that_is_lost_breaks_its_kits_alone(dinner: Dinner) -> None:
    dinner.promise("anna", 2)
    dinner.promise("bob", 1)
    dinner.count(2, dinner.spoon)
    assert owed() == {("bob", "broken"): 1}
    assert kits() == {"anna": (2, 0, 0, 0), "bob": (0, 0, 0, 1)}
    assert waiting() == {"anna": 4}
    assert_all_holds()


def test_a_broken_promise_is_kept_from_another_place_where_the_kit_is_whole(dinner: Dinner) -> None:
    dinner.promise("anna", 1)
    dinner.stock(2, 1, dinner.store)
    dinner.buying.cancel(dinner.line)
    assert owed() == {}
    assert {place for _, place in held_parts("anna")} == {dinner.store.code}
    assert_all_holds()


def test_what_is_released_or_cancelled_of_a_part_takes_whole_kits_along(dinner: Dinner) -> None:
    dinner.promise("anna", 2)
    row = Backorder.objects.get()
    cancel_backorders(dinner.context(), [BackorderUnits(row.pk, 1)])
    assert kits() == {"anna": (1, 0, 1, 0)}
    assert (waiting(), owed()) == ({"anna": 2}, {})
    kept = Reservation.objects.get(open_quantity__gt=0)
    release(dinner.context(), [ReservedUnits(kept.pk)])
    assert kits() == {"anna": (0, 0, 1, 1)}
    assert (waiting(), owed()) == ({}, {("anna", "broken"): 1})
    assert_all_holds()


def test_a_sale_that_a_rule_allows_is_promised_and_only_the_rest_is_a_conflict(dinner: Dinner) -> None:
    dinner.stock(2, 0)
    outcome = dinner.sell("order", 5)
    assert kits() == {"order": (2, 0, 0, 0)}
    assert owed() == {("order", "shortage"): 2}
    assert sum(each.quantity for each in outcome.short) == 2
    assert_all_holds()
    dinner.settle("order", variant=dinner.set, cancelled=3)
    assert (kits(), owed()) == ({"order": (1, 0, 1, 0)}, {})
    dinner.settle("order", variant=dinner.set, fulfilled=2)
    assert kits() == {"order": (0, 0, 2, 0)}
    assert waiting() == {}
    assert_all_holds()


def test_without_a_rule_kits_that_are_to_come_are_a_conflict(dinner: Dinner) -> None:
    dinner.settle("order", variant=dinner.set, wanted=1)
    assert (kits(), owed()) == ({}, {("order", "shortage"): 1})


def test_parts_that_the_same_order_takes_are_not_kept_for_its_kits(dinner: Dinner) -> None:
    changes = [
        dinner.change("kits", dinner.set, wanted=3),
        dinner.change("spoons", dinner.spoon, wanted=2),
    ]
    settle(dinner.context(), changes, pre_orders={"kits": terms()})
    assert held_parts("spoons") == {(dinner.spoon.sku, dinner.warehouse.code): 2}
    assert kits() == {"kits": (1, 0, 0, 0)}
    assert owed() == {("kits", "shortage"): 2}
    assert_all_holds()


def test_what_was_promised_stays_what_it_was_made_of(dinner: Dinner) -> None:
    dinner.promise("anna", 1)
    with pytest.raises(InvalidStockRequest, match="promised"):
        dissolve(dinner.context(), dinner.set.pk)
    dinner.make(dinner.set, {dinner.mug: 1})
    dinner.buying.receive(dinner.line, 2)
    assert len(held_parts("anna")) == 2
    dinner.promise("bob", 1)
    dinner.settle("bob", variant=dinner.set, cancelled=1)
    assert_all_holds()


def test_nobody_from_outside_speaks_for_a_promise(dinner: Dinner) -> None:
    with pytest.raises(InvalidStockRequest):
        check_free(["kit-backorder:1"])
    assert strange(dinner.merchant.pk, ["kit-backorder:1", "cart-1"]) == {"kit-backorder:1"}


def test_an_order_of_many_kits_is_promised_in_as_many_statements_as_one_of_two(dinner: Dinner) -> None:
    def cost(count: int) -> int:
        parts = [dinner.new() for _ in range(count)]
        made = [dinner.new() for _ in range(count)]
        for part, kit in zip(parts, made, strict=True):
            dinner.make(kit, {part: 1, dinner.spoon: 1})
            dinner.buying.order(1, days=3, variant=part)
        dinner.receive(count, dinner.spoon)
        changes = [dinner.change(f"{count}:{n}", kit, wanted=1) for n, kit in enumerate(made)]
        with CaptureQueriesContext(connection) as captured:
            settle(dinner.context(), changes, pre_orders={c.reference: terms() for c in changes})
        assert KitBackorder.objects.filter(reference__startswith=f"{count}:").count() == count
        return len(captured)

    assert cost(2) == cost(12)


def test_the_proof_names_a_promise_that_lacks_a_part(dinner: Dinner) -> None:
    dinner.promise("anna", 1)
    KitBackorder.objects.update(open_quantity=2, quantity=2)
    assert {each.problem for each in inbound_divergences(9)} == {
        "kits that are promised do not have all their parts"
    }


@pytest.mark.django_db(transaction=True)
def test_customers_of_kits_and_of_their_parts_share_what_is_coming() -> None:
    dinner = Dinner()
    dinner.stock(0, 3)
    line = dinner.buying.order(8, days=5)
    buyers = [
        partial(dinner.promise, f"{name} {n}", 1) if name == "set" else partial(dinner.buying.promise, f"{name} {n}", 1)
        for n in range(5)
        for name in ("set", "mug")
    ]  # fmt: skip
    results = race(buyers)
    assert Counter(type(result) for result in results).keys() <= {Outcome, InsufficientInbound}
    assert PurchaseOrderLine.objects.get().promised_quantity == sum(waiting().values()) <= 8
    assert StockLevel.objects.get(variant=dinner.spoon, location=dinner.warehouse).available == 3 - len(
        kits()
    )
    assert_all_holds()
    some = [partial(dinner.settle, reference, variant=dinner.set, cancelled=1) for reference in kits()]
    results = race([partial(dinner.buying.receive, line, 5), *some])
    assert {type(result) for result in results} == {Outcome}
    assert_all_holds()


# -- any sequence

_BOUNDED = settings(
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
    max_examples=examples(12),
    stateful_step_count=30,
)
_PARTS = st.sampled_from(["mug", "spoon"])
_GOODS = st.sampled_from(["set", "set", "set", "mug", "spoon"])
_PLACES = st.sampled_from(["warehouse", "store"])
_ROUTES = st.sampled_from([("warehouse",), ("store",), ("warehouse", "store"), ("store", "warehouse")])
_UNITS = st.integers(1, 4)
_DAYS = st.integers(0, 6)


class DinnerMachine(RuleBasedStateMachine):
    """Buys, promises, sells and loses sets and their parts; remembers only what each demand waits for or holds."""

    def __init__(self) -> None:
        super().__init__()
        self.transaction = transaction.atomic()
        self.transaction.__enter__()
        self.dinner = Dinner()
        self.outstanding: Counter[tuple[str, int]] = Counter()

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.transaction.__exit__(None, None, None)

    def named(self, name: str) -> Any:
        return getattr(self.dinner, name)

    def ids(self, places: tuple[str, ...]) -> tuple[int, ...]:
        return tuple(self.named(name).pk for name in places)

    def some_line(self, data: Any) -> PurchaseOrderLine | None:
        lines = [line for line in PurchaseOrderLine.objects.order_by("id") if line.outstanding]
        return data.draw(st.sampled_from(lines)) if lines else None

    @rule(units=st.integers(1, 9), part=_PARTS, place=_PLACES, days=_DAYS)
    def order(self, units: int, part: str, place: str, days: int) -> None:
        self.dinner.buying.order(units, days=days, variant=self.named(part), place_at=self.named(place))

    @rule(data=st.data(), days=_DAYS, verb=st.sampled_from(["confirm", "slip", "cancel", "receive", "last"]))
    def change_line(self, data: Any, days: int, verb: str) -> None:
        line, buying = self.some_line(data), self.dinner.buying
        if line is None:
            return
        if verb == "confirm":
            buying.confirm(line.pk, data.draw(st.integers(0, line.outstanding)), days)
        elif verb == "slip":
            buying.slip(line.pk, days)
        elif verb == "cancel":
            buying.cancel(line.pk, data.draw(st.integers(1, line.outstanding)))
        else:
            buying.receive(line.pk, data.draw(st.integers(1, 9)), is_last=verb == "last")

    @rule(units=_UNITS, part=_PARTS, place=_PLACES)
    def receive(self, units: int, part: str, place: str) -> None:
        self.dinner.receive(units, self.named(part), self.named(place))

    @rule(counted=st.integers(0, 5), part=_PARTS, place=_PLACES)
    def count(self, counted: int, part: str, place: str) -> None:
        self.dinner.count(counted, self.named(part), self.named(place))

    @rule(name=st.sampled_from("abc"), what=_GOODS, units=_UNITS, places=_ROUTES, days=_DAYS)
    def promise(self, name: str, what: str, units: int, places: tuple[str, ...], days: int) -> None:
        """A promise is made exactly if it is within what was available to promise."""
        variant, where, merchant = self.named(what), self.ids(places), self.dinner.merchant.pk
        reference = f"{name}:{what}"
        before = promisable(merchant, [variant.pk], in_days(days), location_ids=where)[variant.pk].units
        demand = self.dinner.demand(reference, units, variant)
        demand = type(demand)(demand.reference, demand.variant_id, demand.quantity, where)
        try:
            promise(self.dinner.context(), [demand], terms(days))
        except InsufficientInbound:
            assert units > before
            return
        assert units <= before
        self.outstanding[reference, variant.pk] += units

    @rule(
        name=st.sampled_from("abc"), what=_GOODS, units=_UNITS, places=_ROUTES, days=st.none() | _DAYS,
        may_split=st.booleans(),
    )  # fmt: skip
    def sell(
        self, name: str, what: str, units: int, places: tuple[str, ...], days: int | None, may_split: bool
    ) -> None:
        reference, variant = f"{name}:{what}", self.named(what)
        change = self.dinner.change(reference, variant, wanted=units, places=self.ids(places))
        allowed = {} if days is None else {reference: terms(days)}
        settle(self.dinner.context(), [change], pre_orders=allowed, routing=Routing(may_split=may_split))
        self.outstanding[reference, variant.pk] += units

    @rule(data=st.data(), verb=st.sampled_from(["cancelled", "fulfilled"]))
    def cancel_or_ship(self, data: Any, verb: str) -> None:
        some = sorted((+self.outstanding).elements())
        if some:
            reference, variant_id = data.draw(st.sampled_from(some))
            units = data.draw(st.integers(1, self.outstanding[reference, variant_id]))
            variant = Variant.objects.get(pk=variant_id)
            self.dinner.settle(reference, variant=variant, **{verb: units})
            self.outstanding[reference, variant_id] -= units

    @rule(data=st.data())
    def cancel_promise(self, data: Any) -> None:
        rows = list(Backorder.objects.filter(open_quantity__gt=0).order_by("id"))
        if rows:
            row = data.draw(st.sampled_from(rows))
            units = data.draw(st.integers(1, row.open_quantity))
            before = row.kit.open_quantity if row.kit else 0
            cancel_backorders(self.dinner.context(), [BackorderUnits(row.pk, units)])
            if row.kit is None:
                self.outstanding[row.reference, row.variant_id] -= units
            else:
                row.kit.refresh_from_db()
                self.outstanding[row.reference, row.kit.variant_id] -= before - row.kit.open_quantity

    @rule(data=st.data(), days=_DAYS)
    def promise_what_is_owed(self, data: Any, days: int) -> None:
        rows = Conflict.objects.filter(open_quantity__gt=0).exclude(cause="beyond_record").order_by("id")
        if rows:
            row = data.draw(st.sampled_from(list(rows)))
            units = data.draw(st.integers(1, row.open_quantity))
            try:
                backorder_conflict(self.dinner.context(), row.pk, terms(days), quantity=units)
            except InsufficientInbound:
                assert Conflict.objects.get(pk=row.pk).open_quantity == row.open_quantity

    @invariant()
    def every_demand_is_held_promised_or_owed(self) -> None:
        units: Counter[tuple[str, int]] = Counter()
        rows = Reservation.objects.filter(open_quantity__gt=0).exclude(reference__startswith="kit-backorder:")
        for held_units in rows.select_related("bundle"):
            if held_units.bundle is None:
                units[held_units.reference, held_units.variant_id] += held_units.open_quantity
            elif held_units.lead_id == held_units.pk:
                kits = held_units.open_quantity // (held_units.per_bundle or 1)
                units[held_units.reference, held_units.bundle.variant_id] += kits
        waits: list[Backorder | KitBackorder | Conflict] = [*Backorder.objects.filter(kit__isnull=True)]
        waits += [*KitBackorder.objects.all(), *Conflict.objects.exclude(cause="beyond_record")]
        for row in waits:
            units[row.reference, row.variant_id] += row.open_quantity
        assert +units == +self.outstanding

    @invariant()
    def all_holds(self) -> None:
        for line in PurchaseOrderLine.objects.all():
            rows = Backorder.objects.filter(line=line, open_quantity__gt=0)
            promised = sum(rows.values_list("open_quantity", flat=True))
            assert line.promised_quantity == promised <= line.confirmed_quantity
        assert_kits_are_whole()
        assert_ledger_holds()
        assert inbound_divergences(9) == []

    @invariant()
    def no_promise_waits_for_parts_that_are_there(self) -> None:
        for row in Backorder.objects.filter(open_quantity__gt=0):
            levels = StockLevel.objects.filter(variant=row.variant_id, location__in=row.location_ids)
            assert all(level.available == 0 for level in levels)


@pytest.mark.property
def test_any_sequence_of_buying_promising_and_selling_kits_keeps_its_promises(db: None) -> None:
    run_state_machine_as_test(DinnerMachine, settings=_BOUNDED)
