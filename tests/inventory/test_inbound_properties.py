"""Any sequence of buying, promising and selling: no inbound is promised twice, and no demand gets lost."""

from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from inventory.backorders import BackorderUnits, backorder_conflict, cancel_backorders, promise
from inventory.demands import DemandChange, settle
from inventory.errors import InsufficientInbound
from inventory.holds import OWED_CAUSES
from inventory.models import Backorder, Conflict, PurchaseOrderLine, Reservation, StockMovement
from inventory.promising import open_inbound, promisable
from inventory.reservations import Demand
from tests.inventory.buying import Buying, assert_promises_hold, in_days, terms
from tests.inventory.cast import Cast, assert_ledger_holds
from tests.properties import examples

_PLACES = st.sampled_from(["warehouse", "store"])
_ROUTES = st.sampled_from([("warehouse",), ("store",), ("warehouse", "store"), ("store", "warehouse")])
_REFERENCES = st.sampled_from(["a", "b", "c"])
_UNITS = st.integers(1, 5)
_DAYS = st.integers(0, 6)

_BOUNDED = settings(
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
    max_examples=examples(16),
    stateful_step_count=45,
)


class InboundMachine(RuleBasedStateMachine):
    """Buys, promises, sells and loses mugs; remembers only what each demand is still waiting for or holds."""

    def __init__(self) -> None:
        super().__init__()
        self.transaction = transaction.atomic()
        self.transaction.__enter__()
        self.cast = Cast()
        self.buying = Buying(self.cast)
        self.outstanding: dict[str, int] = {}
        self.received = 0

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.transaction.__exit__(None, None, None)

    def place(self, name: str) -> Any:
        return getattr(self.cast, name)

    def ids(self, places: tuple[str, ...]) -> tuple[int, ...]:
        return tuple(self.place(name).pk for name in places)

    def some_line(self, data: Any) -> PurchaseOrderLine | None:
        open_lines = [line for line in PurchaseOrderLine.objects.order_by("id") if line.outstanding]
        return data.draw(st.sampled_from(open_lines)) if open_lines else None

    def demand(self, reference: str, units: int) -> None:
        self.outstanding[reference] = self.outstanding.get(reference, 0) + units

    # What suppliers and goods do.

    @rule(units=st.integers(1, 9), place=_PLACES, days=st.none() | _DAYS)
    def order(self, units: int, place: str, days: int | None) -> None:
        self.buying.order(units, days=days, place_at=self.place(place))

    @rule(data=st.data(), days=_DAYS)
    def confirm(self, data: Any, days: int) -> None:
        line = self.some_line(data)
        if line is not None:
            self.buying.confirm(line.pk, data.draw(st.integers(0, line.outstanding)), days)

    @rule(data=st.data(), days=_DAYS)
    def slip(self, data: Any, days: int) -> None:
        line = self.some_line(data)
        if line is not None:
            self.buying.slip(line.pk, days)

    @rule(data=st.data())
    def cancel(self, data: Any) -> None:
        line = self.some_line(data)
        if line is not None:
            self.buying.cancel(line.pk, data.draw(st.integers(1, line.outstanding)))

    @rule(data=st.data(), units=st.integers(1, 9), is_last=st.booleans())
    def receive_line(self, data: Any, units: int, is_last: bool) -> None:
        line = self.some_line(data)
        if line is not None:
            self.buying.receive(line.pk, units, is_last=is_last)
            self.received += units

    @rule(units=_UNITS, place=_PLACES)
    def receive(self, units: int, place: str) -> None:
        self.cast.receive(units, place=self.place(place))
        self.received += units

    @rule(counted=st.integers(0, 6), place=_PLACES)
    def count(self, counted: int, place: str) -> None:
        self.cast.count(counted, place=self.place(place))

    # What customers do.

    @rule(reference=_REFERENCES, units=st.integers(1, 8), places=_ROUTES, days=_DAYS)
    def promise(self, reference: str, units: int, places: tuple[str, ...], days: int) -> None:
        """A promise is made exactly if it is within what was available to promise."""
        mug, where = self.cast.mug.pk, self.ids(places)
        before = promisable(self.cast.merchant.pk, [mug], in_days(days), location_ids=where)[mug].units
        demands = [Demand(reference, mug, units, where)]
        try:
            promise(self.cast.context(), demands, terms(days))
        except InsufficientInbound:
            assert units > before
            return
        assert units <= before
        self.demand(reference, units)
        after = promisable(self.cast.merchant.pk, [mug], in_days(days), location_ids=where)[mug].units
        assert after == before - units

    @rule(reference=_REFERENCES, units=_UNITS, places=_ROUTES, days=st.none() | _DAYS)
    def sell(self, reference: str, units: int, places: tuple[str, ...], days: int | None) -> None:
        change = DemandChange(reference, self.cast.mug.pk, self.ids(places), wanted=units)
        allowed = {} if days is None else {reference: terms(days)}
        settle(self.cast.context(), [change], pre_orders=allowed)
        self.demand(reference, units)

    @rule(data=st.data(), reference=_REFERENCES, verb=st.sampled_from(["cancelled", "fulfilled"]))
    def cancel_or_ship(self, data: Any, reference: str, verb: str) -> None:
        most = self.outstanding.get(reference, 0)
        if most:
            units = data.draw(st.integers(1, most))
            self.cast.settle(reference, **{verb: units})
            self.demand(reference, -units)

    @rule(data=st.data())
    def cancel_promise(self, data: Any) -> None:
        rows = list(Backorder.objects.filter(open_quantity__gt=0).order_by("id"))
        if rows:
            row = data.draw(st.sampled_from(rows))
            units = data.draw(st.integers(1, row.open_quantity))
            cancel_backorders(self.cast.context(), [BackorderUnits(row.pk, units)])
            self.demand(row.reference, -units)

    @rule(data=st.data(), days=_DAYS)
    def promise_what_is_owed(self, data: Any, days: int) -> None:
        rows = list(Conflict.objects.filter(open_quantity__gt=0, cause__in=OWED_CAUSES).order_by("id"))
        if rows:
            row = data.draw(st.sampled_from(rows))
            units = data.draw(st.integers(1, row.open_quantity))
            try:
                backorder_conflict(self.cast.context(), row.pk, terms(days), quantity=units)
            except InsufficientInbound:
                assert Conflict.objects.get(pk=row.pk).open_quantity == row.open_quantity

    # What always holds.

    @invariant()
    def no_inbound_is_promised_twice(self) -> None:
        assert_promises_hold()

    @invariant()
    def what_may_be_promised_is_confirmed(self) -> None:
        mug = self.cast.mug.pk
        for days in (0, 3, 6):
            lines = PurchaseOrderLine.objects.filter(confirmed_on__lte=in_days(days))
            units = open_inbound(self.cast.merchant.pk, [mug], in_days(days)).get(mug, 0)
            assert 0 <= units <= sum(line.confirmed_quantity - line.promised_quantity for line in lines)

    @invariant()
    def every_demand_is_held_promised_or_owed(self) -> None:
        units: dict[str, int] = {}
        rows = (
            Reservation.objects.filter(open_quantity__gt=0),
            Backorder.objects.filter(open_quantity__gt=0),
            Conflict.objects.filter(open_quantity__gt=0, cause__in=OWED_CAUSES),
        )
        for row in [row for each in rows for row in each]:
            units[row.reference] = units.get(row.reference, 0) + row.open_quantity
        assert units == {name: count for name, count in self.outstanding.items() if count}

    @invariant()
    def every_receipt_is_a_movement(self) -> None:
        moved = StockMovement.objects.filter(kind="receipt", level__variant=self.cast.mug)
        assert sum(moved.values_list("on_hand_delta", flat=True)) == self.received

    @invariant()
    def replay_equals_live(self) -> None:
        assert_ledger_holds()


@pytest.mark.property
def test_any_sequence_of_buying_and_promising_keeps_its_promises(db: None) -> None:
    run_state_machine_as_test(InboundMachine, settings=_BOUNDED)
