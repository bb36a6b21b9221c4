"""Any sequence of operations with transfers, returns, conditions and counts: no unit appears or vanishes unnoticed."""

from collections import defaultdict
from typing import Any
from uuid import uuid4

import pytest
from django.db import transaction
from django.db.models import Sum
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from inventory.conditions import ConditionLine, put_back, scrap, set_aside
from inventory.count_sheets import approve_sheet, enter_counts, print_sheet
from inventory.errors import InsufficientStock, InvalidStockRequest
from inventory.models import (
    Conflict,
    CountSheet,
    CustomerReturn,
    Location,
    StockLevel,
    StockMovement,
    Transfer,
)
from inventory.returns import ReturnUnits, Verdict, announce_return, inspect_return, receive_return
from inventory.stock import ShipmentLine, ship
from inventory.transfer_drafts import TransferPlan, draft_transfer
from inventory.transfers import (
    Arrival,
    close_transfer,
    recall_transfer,
    receive_transfer,
    record_departure,
    send_transfer,
)
from tests.inventory.cast import Cast, assert_ledger_holds, level_of
from tests.properties import examples

_PLACES = st.sampled_from(["warehouse", "store"])
_UNITS = st.integers(1, 5)
_RMAS = st.sampled_from(["RMA-1", "RMA-2"])

_BOUNDED = settings(
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


class DocumentMachine(RuleBasedStateMachine):
    """Moves mugs about, and keeps its own book of what came in, what went out and what is on the way."""

    def __init__(self) -> None:
        super().__init__()
        self.transaction = transaction.atomic()
        self.transaction.__enter__()
        self.cast = Cast()
        #: What came in less what went out, as far as anybody was told.
        self.balance = 0
        self.on_the_way: dict[int, int] = {}
        self.missing: defaultdict[int, int] = defaultdict(int)
        self.to_inspect: defaultdict[tuple[str, str], int] = defaultdict(int)
        #: With what differed when it was counted, and the units that had left beyond record by then.
        self.sheets: dict[str, tuple[CountSheet, tuple[int, int] | None]] = {}

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.transaction.__exit__(None, None, None)

    def place(self, name: str) -> Location:
        found: Location = getattr(self.cast, name)
        return found

    def level(self, name: str) -> tuple[int, int, int]:
        return level_of(self.cast.mug, self.place(name))

    def found(self, name: str) -> int:
        """Returns the units that left a place although its record did not have them."""
        moves = StockMovement.objects.filter(reason="beyond_record", level__location=self.place(name))
        units: int | None = moves.aggregate(units=Sum("on_hand_delta"))["units"]
        return units or 0

    def line(self, place: str, units: int) -> list[ConditionLine]:
        return [ConditionLine(self.cast.mug.pk, self.place(place).pk, units)]

    @rule(place=_PLACES, units=_UNITS)
    def receive(self, place: str, units: int) -> None:
        self.cast.receive(units, place=self.place(place))
        self.balance += units

    @rule(place=_PLACES, units=_UNITS, reference=st.sampled_from(["a", "b"]))
    def sell(self, place: str, units: int, reference: str) -> None:
        self.cast.settle(reference, wanted=units, places=[self.place(place).pk])

    @rule(place=_PLACES, units=_UNITS)
    def ship(self, place: str, units: int) -> None:
        ship(self.cast.context(), [ShipmentLine(self.cast.mug.pk, self.place(place).pk, units)])
        self.balance -= units

    @rule(origin=_PLACES, units=_UNITS, has_left=st.booleans())
    def send(self, origin: str, units: int, has_left: bool) -> None:
        goal = {"warehouse": "store", "store": "warehouse"}[origin]
        plan = TransferPlan(self.place(origin).pk, self.place(goal).pk, {self.cast.mug.pk: units})
        transfer = draft_transfer(self.cast.merchant.pk, plan, key=uuid4())
        on_hand, reserved, unavailable = self.level(origin)
        try:
            (record_departure if has_left else send_transfer)(self.cast.context(), transfer.pk)
        except InsufficientStock:
            assert not has_left
            assert units > on_hand - reserved - unavailable
            return
        self.on_the_way[transfer.pk] = units

    @rule(data=st.data(), units=_UNITS)
    def arrive(self, data: Any, units: int) -> None:
        if not self.on_the_way:
            return
        identity = data.draw(st.sampled_from(sorted(self.on_the_way)))
        broken = data.draw(st.integers(0, units))
        receive_transfer(self.cast.context(), identity, [Arrival(self.cast.mug.pk, units, broken)])
        expected = min(units, self.on_the_way[identity])
        self.on_the_way[identity] -= expected
        self.balance += units - expected
        self.missing[identity] -= min(self.missing[identity], units - expected)

    @rule(data=st.data(), is_lost=st.booleans())
    def end(self, data: Any, is_lost: bool) -> None:
        moving = sorted(identity for identity, units in self.on_the_way.items() if units)
        if not moving:
            return
        identity = data.draw(st.sampled_from(moving))
        (close_transfer if is_lost else recall_transfer)(self.cast.context(), identity)
        if is_lost:
            self.balance -= self.on_the_way[identity]
            self.missing[identity] += self.on_the_way[identity]
        self.on_the_way[identity] = 0

    @rule(rma=_RMAS, place=_PLACES, units=st.integers(0, 4), is_announced=st.booleans())
    def return_goods(self, rma: str, place: str, units: int, is_announced: bool) -> None:
        line = ReturnUnits(self.cast.mug.pk, self.place(place).pk, units)
        if is_announced or not units:
            announce_return(self.cast.context(), rma, [line])
            return
        receive_return(self.cast.context(), rma, [line])
        self.balance += units
        self.to_inspect[rma, place] += units

    @rule(rma=_RMAS, place=_PLACES, released=st.integers(0, 3), written_off=st.integers(0, 3))
    def inspect(self, rma: str, place: str, released: int, written_off: int) -> None:
        document = CustomerReturn.objects.filter(reference=rma).first()
        units = released + written_off
        if document is None or not units or not self.to_inspect[rma, place]:
            return
        may = units <= min(self.to_inspect[rma, place], self.level(place)[2])
        verdict = Verdict(self.cast.mug.pk, self.place(place).pk, released, written_off)
        try:
            inspect_return(self.cast.context(), document.pk, [verdict])
        except InvalidStockRequest:
            assert not may
            return
        assert may
        self.to_inspect[rma, place] -= units
        self.balance -= written_off

    @rule(place=_PLACES, units=_UNITS)
    def set_aside(self, place: str, units: int) -> None:
        set_aside(self.cast.context(), self.line(place, units))

    @rule(place=_PLACES, units=_UNITS, is_fit=st.booleans())
    def decide(self, place: str, units: int, is_fit: bool) -> None:
        may = units <= self.level(place)[2]
        try:
            (put_back if is_fit else scrap)(self.cast.context(), self.line(place, units))
        except InvalidStockRequest:
            assert not may
            return
        assert may
        self.balance -= 0 if is_fit else units

    @rule(place=_PLACES)
    def print_sheet(self, place: str) -> None:
        sheet = print_sheet(
            self.cast.merchant.pk, self.place(place).pk, [self.cast.mug.pk], key=uuid4(), is_blind=True
        )
        self.sheets[place] = sheet, None

    @rule(place=_PLACES, counted=st.integers(0, 8))
    def enter(self, place: str, counted: int) -> None:
        if place in self.sheets:
            sheet, _ = self.sheets[place]
            enter_counts(self.cast.merchant.pk, sheet.pk, {self.cast.mug.pk: counted})
            self.sheets[place] = sheet, (counted - self.level(place)[0], self.found(place))

    @rule(place=_PLACES)
    def approve(self, place: str) -> None:
        """What was counted too much and left beyond record since then is in the record already."""
        sheet, counted = self.sheets.get(place, (None, None))
        if sheet is not None and counted is not None:
            variance, found_before = counted
            found = self.found(place) - found_before
            approve_sheet(self.cast.context(), sheet.pk)
            self.balance += variance - min(max(variance, 0), found)
            del self.sheets[place]

    @rule(place=_PLACES, counted=st.integers(0, 3), units=_UNITS)
    def ship_between_count_and_approval(self, place: str, counted: int, units: int) -> None:
        self.print_sheet(place=place)
        self.enter(place=place, counted=counted)
        self.ship(place=place, units=units)
        self.approve(place=place)

    @rule(place=_PLACES, units=st.integers(1, 3))
    def sell_what_comes_back(self, place: str, units: int) -> None:
        self.sell(place=place, units=4, reference="waiting")
        self.return_goods(rma="RMA-1", place=place, units=units, is_announced=False)
        self.inspect(rma="RMA-1", place=place, released=units, written_off=0)

    @invariant()
    def every_unit_is_somewhere(self) -> None:
        beyond = StockMovement.objects.filter(reason="beyond_record").aggregate(units=Sum("on_hand_delta"))
        on_hand = StockLevel.objects.aggregate(units=Sum("on_hand"))["units"] or 0
        assert on_hand == self.balance + (beyond["units"] or 0)

    @invariant()
    def what_is_on_the_way_is_in_transit(self) -> None:
        levels = StockLevel.objects.filter(location__kind="in_transit")
        units = sum(self.on_the_way.values())
        assert sum(level.on_hand for level in levels) == sum(level.unavailable for level in levels) == units
        for transfer in Transfer.objects.exclude(state="draft").prefetch_related("lines"):
            assert sum(line.in_transit for line in transfer.lines.all()) == self.on_the_way[transfer.pk]
            assert (transfer.state == "closed") == (not self.on_the_way[transfer.pk])

    @invariant()
    def replay_equals_live(self) -> None:
        assert_ledger_holds()

    @invariant()
    def nobody_waits_beside_goods(self) -> None:
        for conflict in Conflict.objects.filter(open_quantity__gt=0).exclude(cause="beyond_record"):
            levels = StockLevel.objects.filter(
                variant=conflict.variant_id, location__in=conflict.location_ids
            )
            assert all(level.available == 0 for level in levels)


@pytest.mark.property
def test_no_unit_appears_or_vanishes_unnoticed(db: None) -> None:
    run_state_machine_as_test(
        DocumentMachine, settings=settings(_BOUNDED, max_examples=examples(12), stateful_step_count=35)
    )
