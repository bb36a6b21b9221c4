"""Any stock, any sequence: as many kits can be held as are said to be there, they stay whole, and no unit is lost."""

from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from inventory.assembly import AssemblyLine, assemble, disassemble
from inventory.bundles import kits_available
from inventory.demands import DemandChange, settle
from inventory.errors import InsufficientStock, InvalidStockRequest
from inventory.models import BundleKind, BundlePart, Conflict, Location, Reservation, StockLevel, Variant
from inventory.reservations import Demand, ReservedUnits, expire, release, reserve
from inventory.stock import AdjustmentLine, adjust
from tests.inventory.bundling import Kitchen, assert_kits_are_whole
from tests.inventory.cast import LONG_AGO, assert_ledger_holds
from tests.properties import examples

_BOUNDED = settings(
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)

_PARTS = st.sampled_from(["mug", "spoon"])
_SOLD = st.sampled_from(["set", "set", "duo", "mug", "spoon", "box"])
_PLACES = st.sampled_from(["warehouse", "store"])
_ROUTES = st.sampled_from([("warehouse",), ("store",), ("warehouse", "store"), ("store", "warehouse")])
_UNITS = st.integers(1, 4)


#: Open debts, and places of theirs at which all that one unit takes is available.
_WAITS_BESIDE_GOODS = """
SELECT debt.reference, debt.variant_id, place FROM inventory_conflict debt, unnest(debt.location_ids) AS place
WHERE debt.open_quantity > 0 AND debt.cause <> 'beyond_record' AND (
    SELECT min(coalesce(level.on_hand - level.reserved - level.unavailable, 0) / takes.quantity)
    FROM (
        SELECT variant_id, quantity FROM inventory_bundlepart
        WHERE bundle_variant_id = debt.variant_id AND is_drawn_on
        UNION ALL
        SELECT debt.variant_id, 1 WHERE NOT EXISTS (
            SELECT FROM inventory_bundlepart WHERE bundle_variant_id = debt.variant_id AND is_drawn_on)
    ) AS takes
    LEFT JOIN inventory_stocklevel level ON level.variant_id = takes.variant_id AND level.location_id = place
) > 0
"""


@pytest.mark.property
@settings(_BOUNDED, max_examples=examples(25))
@given(
    stock=st.dictionaries(st.tuples(_PARTS, _PLACES), st.integers(1, 12)),
    amounts=st.tuples(st.integers(1, 4), st.integers(1, 3)),
    taken=st.lists(st.tuples(st.sampled_from(["set", "mug"]), st.integers(1, 3)), max_size=3),
    inner=st.integers(1, 2),
)
def test_as_many_kits_as_are_said_to_be_there_can_be_held_and_not_one_more(
    db: None,
    stock: dict[tuple[str, str], int],
    amounts: tuple[int, int],
    taken: list[tuple[str, int]],
    inner: int,
) -> None:
    with transaction.atomic():
        kitchen = Kitchen()
        kitchen.make(kitchen.set, {kitchen.mug: amounts[0], kitchen.spoon: amounts[1]})
        hamper = kitchen.new()
        kitchen.make(hamper, {kitchen.set: inner, kitchen.mug: 1})
        for (part, place), units in stock.items():
            kitchen.receive(units, getattr(kitchen, part), getattr(kitchen, place))
        for name, units in taken:
            demand = kitchen.demand(name, units, getattr(kitchen, name))
            reserve(kitchen.context(), [demand], allow_partial=True)
        for kit in (kitchen.set, hamper):
            there = sum(kits_available(kitchen.merchant.pk, [kit.pk])[kit.pk].values())
            assert _can_be_held(kitchen, kit, there + 1) is False
            assert there == 0 or _can_be_held(kitchen, kit, there) is True
        transaction.set_rollback(True)


def _can_be_held(kitchen: Kitchen, kit: Variant, quantity: int) -> bool:
    with transaction.atomic():
        try:
            reserve(kitchen.context(), [kitchen.demand("probe", quantity, kit)])
        except InsufficientStock:
            return False
        assert_kits_are_whole()
        transaction.set_rollback(True)
    return True


class KitchenMachine(RuleBasedStateMachine):
    """Does everything to kits, their parts and composites, and keeps count of what each demand should have."""

    def __init__(self) -> None:
        super().__init__()
        self.transaction = transaction.atomic()
        self.transaction.__enter__()
        self.cast = Kitchen()
        self.cast.duo, self.cast.box = self.cast.new(), self.cast.new()  # type: ignore[attr-defined]
        self.cast.make(self.variant("duo"), {self.cast.mug: 2})
        self.cast.make(self.variant("box"), {self.cast.set: 1, self.cast.shirt: 1}, BundleKind.COMPOSITE)
        for place in (self.cast.warehouse, self.cast.store):
            self.cast.receive(3, self.cast.shirt, place)
        #: Units that each demand wants and has not got yet, and those that it got.
        self.open: dict[tuple[str, str], int] = {}
        self.shipped: dict[tuple[str, str], int] = {}

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.transaction.__exit__(None, None, None)

    def variant(self, name: str) -> Variant:
        found: Variant = getattr(self.cast, name)
        return found

    def place(self, name: str) -> Location:
        found: Location = getattr(self.cast, name)
        return found

    @rule(part=_PARTS, place=_PLACES, units=st.integers(1, 8))
    def receive(self, part: str, place: str, units: int) -> None:
        self.cast.receive(units, self.variant(part), self.place(place))

    @rule(part=_PARTS, place=_PLACES, units=_UNITS)
    def lose(self, part: str, place: str, units: int) -> None:
        line = AdjustmentLine(self.variant(part).pk, self.place(place).pk, -units)
        adjust(self.cast.context(), [line])

    @rule(part=_PARTS, place=_PLACES, counted=st.integers(0, 8))
    def count(self, part: str, place: str, counted: int) -> None:
        self.cast.count(counted, self.variant(part), self.place(place))

    @rule(
        wanted=st.lists(st.tuples(_SOLD, _UNITS), min_size=1, max_size=3), places=_ROUTES, ended=st.booleans()
    )
    def reserve(self, wanted: list[tuple[str, int]], places: tuple[str, ...], ended: bool) -> None:
        ids = tuple(self.place(name).pk for name in places)
        demands = [Demand("cart", self.variant(name).pk, units, ids) for name, units in wanted]
        reserve(self.cast.context(), demands, expires_at=LONG_AGO if ended else None, allow_partial=True)

    @rule(
        reference=st.sampled_from(["a", "b"]),
        name=_SOLD,
        places=_ROUTES,
        verb=st.sampled_from(["wanted", "wanted", "cancelled", "fulfilled", "unfulfilled"]),
        units=_UNITS,
    )
    def settle(self, reference: str, name: str, places: tuple[str, ...], verb: str, units: int) -> None:
        key = reference, name
        most = {"wanted": units, "unfulfilled": self.shipped.get(key, 0)}.get(verb, self.open.get(key, 0))
        units = min(units, most)
        if not units:
            return
        ids = tuple(self.place(each).pk for each in places)
        counts: dict[str, Any] = {verb: units}
        change = DemandChange(reference, self.variant(name).pk, ids, **counts)
        settle(self.cast.context(), [change])
        grows = verb in {"wanted", "unfulfilled"}
        self.open[key] = self.open.get(key, 0) + (units if grows else -units)
        if verb in {"fulfilled", "unfulfilled"}:
            self.shipped[key] = self.shipped.get(key, 0) + (units if verb == "fulfilled" else -units)

    @rule(data=st.data())
    def release_a_cart(self, data: Any) -> None:
        ids = list(
            Reservation.objects.filter(reference="cart", open_quantity__gt=0, expires_at__isnull=True)
            .order_by("id")
            .values_list("id", flat=True)
        )
        if ids:
            release(self.cast.context(), [ReservedUnits(data.draw(st.sampled_from(ids)))])

    @rule()
    def expire(self) -> None:
        expire()

    @rule(place=_PLACES, units=st.integers(1, 2), is_made=st.booleans())
    def assemble(self, place: str, units: int, is_made: bool) -> None:
        before = self._content(place)
        line = AssemblyLine(self.variant("box").pk, self.place(place).pk, units)
        try:
            (assemble if is_made else disassemble)(self.cast.context(), [line])
        except InsufficientStock:
            return
        assert self._content(place) == before

    def _content(self, place: str) -> dict[int, int]:
        """What lies at a place, boxes taken apart."""
        on_hand = dict(
            StockLevel.objects.filter(location=self.place(place)).values_list("variant_id", "on_hand")
        )
        boxes = on_hand.pop(self.variant("box").pk, 0)
        parts = BundlePart.objects.filter(bundle__variant=self.variant("box"), bundle__is_current=True)
        for variant_id, per_box in parts.values_list("variant_id", "quantity"):
            on_hand[variant_id] = on_hand.get(variant_id, 0) + boxes * per_box
        return on_hand

    @rule(mugs=st.integers(0, 3), spoons=st.integers(0, 2))
    def redefine(self, mugs: int, spoons: int) -> None:
        components: dict[Variant, int] = {self.cast.mug: mugs, self.cast.spoon: spoons}
        try:
            self.cast.make(self.cast.set, {v: n for v, n in components.items() if n})
        except InvalidStockRequest:
            assert not mugs
            assert not spoons

    @invariant()
    def replay_equals_live(self) -> None:
        assert_ledger_holds()

    @invariant()
    def kits_are_whole(self) -> None:
        assert_kits_are_whole()

    @invariant()
    def every_demand_holds_or_is_owed_what_it_wants(self) -> None:
        has: dict[tuple[int, str], int] = {}
        for row in Reservation.objects.filter(reference__in=["a", "b"], open_quantity__gt=0).select_related(
            "bundle"
        ):
            if row.bundle is None:
                key, units = (row.variant_id, row.reference), row.open_quantity
            elif row.lead_id == row.pk:
                key, units = (
                    (row.bundle.variant_id, row.reference),
                    row.open_quantity // (row.per_bundle or 1),
                )
            else:
                continue
            has[key] = has.get(key, 0) + units
        for debt in Conflict.objects.filter(open_quantity__gt=0).exclude(cause="beyond_record"):
            if debt.reference != "cart":
                key = debt.variant_id, debt.reference
                has[key] = has.get(key, 0) + debt.open_quantity
        wanted = {(self.variant(name).pk, reference): n for (reference, name), n in self.open.items() if n}
        assert has == wanted

    @invariant()
    def nobody_waits_beside_goods(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(_WAITS_BESIDE_GOODS)
            assert cursor.fetchall() == []


@pytest.mark.property
def test_any_sequence_leaves_kits_whole_and_every_demand_with_what_it_wants(db: None) -> None:
    run_state_machine_as_test(
        KitchenMachine, settings=settings(_BOUNDED, max_examples=examples(8), stateful_step_count=30)
    )
