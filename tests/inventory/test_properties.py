"""Any sequence of operations: the ledger agrees with a simple model, replays exactly, and loses no unit."""

from itertools import pairwise
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from inventory.conflict_remedies import serve_conflict, take_over
from inventory.demands import DemandChange, settle
from inventory.errors import InsufficientStock, InvalidStockRequest
from inventory.models import Conflict, Location, Reservation, StockLevel, StockMovement, Variant
from inventory.reservations import Demand, ReservedUnits, expire, fulfil, release, reserve
from inventory.resourcing import Resourcing, resource
from inventory.stock import AdjustmentLine, ShipmentLine, adjust, ship
from tests.inventory.cast import LONG_AGO, Cast, assert_ledger_holds, held, level_of, owed
from tests.inventory.model import Model
from tests.properties import examples

# Few names and small numbers, so that operations meet.
_VARIANTS = st.sampled_from(["mug", "mug", "mug", "shirt"])
_PLACES = st.sampled_from(["warehouse", "store"])
_ROUTES = st.sampled_from([("warehouse",), ("store",), ("warehouse", "store"), ("store", "warehouse")])
_REFERENCES = st.sampled_from(["a", "b"])
_UNITS = st.integers(1, 4)


#: Nothing is remembered between runs; a failure shows its steps as found, for shrinking them takes minutes.
_BOUNDED = settings(
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


class LedgerMachine(RuleBasedStateMachine):
    """Does everything to a real ledger and to the model, and compares them after each step."""

    def __init__(self) -> None:
        super().__init__()
        self.transaction = transaction.atomic()
        self.transaction.__enter__()
        self.cast = Cast()
        self.model = Model()

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.transaction.__exit__(None, None, None)

    def variant(self, name: str) -> Variant:
        found: Variant = getattr(self.cast, name)
        return found

    def place(self, name: str) -> Location:
        found: Location = getattr(self.cast, name)
        return found

    def ids(self, places: tuple[str, ...]) -> tuple[int, ...]:
        return tuple(self.place(name).pk for name in places)

    @rule(variant=_VARIANTS, place=_PLACES, units=_UNITS)
    def receive(self, variant: str, place: str, units: int) -> None:
        self.cast.receive(units, self.variant(variant), self.place(place))
        self.model.receive((variant, place), units)

    @rule(variant=_VARIANTS, place=_PLACES, units=_UNITS, reference=_REFERENCES)
    def ship(self, variant: str, place: str, units: int, reference: str) -> None:
        line = ShipmentLine(self.variant(variant).pk, self.place(place).pk, units, reference)
        ship(self.cast.context(), [line])
        self.model.ship((variant, place), units, reference)

    @rule(variant=_VARIANTS, place=_PLACES, units=_UNITS)
    def lose(self, variant: str, place: str, units: int) -> None:
        context = self.cast.context()
        adjust(context, [AdjustmentLine(self.variant(variant).pk, self.place(place).pk, -units)])
        self.model.lose((variant, place), units, context.key)

    @rule(variant=_VARIANTS, place=_PLACES, counted=st.integers(0, 8))
    def count(self, variant: str, place: str, counted: int) -> None:
        self.cast.count(counted, self.variant(variant), self.place(place))
        self.model.count((variant, place), counted)

    @rule(
        reference=_REFERENCES,
        wanted=st.lists(st.tuples(_VARIANTS, _UNITS), min_size=1, max_size=3),
        places=_ROUTES,
        has_ended=st.booleans(),
    )
    def reserve(
        self, reference: str, wanted: list[tuple[str, int]], places: tuple[str, ...], has_ended: bool
    ) -> None:
        demands = [Demand(reference, self.variant(v).pk, units, self.ids(places)) for v, units in wanted]
        try:
            reserve(self.cast.context(), demands, expires_at=LONG_AGO if has_ended else None)
            was_held = True
        except InsufficientStock:
            was_held = False
        assert self.model.reserve(reference, wanted, places, has_ended=has_ended) == was_held

    @rule(
        reference=_REFERENCES,
        variant=_VARIANTS,
        places=_ROUTES,
        counts=st.dictionaries(
            st.sampled_from(["wanted", "cancelled", "fulfilled", "unfulfilled"]), _UNITS, min_size=1
        ),
    )
    def settle(self, reference: str, variant: str, places: tuple[str, ...], counts: dict[str, Any]) -> None:
        change = DemandChange(reference, self.variant(variant).pk, self.ids(places), **counts)
        settle(self.cast.context(), [change])
        self.model.settle(reference, variant, places, counts)

    @rule(
        reference=_REFERENCES,
        variant=_VARIANTS,
        places=st.sampled_from([("warehouse", "store"), ("store", "warehouse"), (None, "store")]),
    )
    def resource(self, reference: str, variant: str, places: tuple[str | None, str]) -> None:
        source, target = places
        source_id = self.place(source).pk if source else None
        move = Resourcing(reference, self.variant(variant).pk, self.place(target).pk, source_id)
        try:
            resource(self.cast.context(), [move])
            was_moved = True
        except (InsufficientStock, InvalidStockRequest):
            was_moved = False
        assert self.model.resource(reference, variant, source, target) == was_moved

    def owed_numbers(self) -> list[int]:
        return [n for n, d in enumerate(self.model.debts) if d.open and d.cause != "beyond_record"]

    def conflict(self, number: int) -> int:
        debt = self.model.debts[number]
        open_now = Conflict.objects.filter(open_quantity__gt=0, reference=debt.reference, cause=debt.cause)
        return open_now.get(variant=self.variant(debt.variant)).pk

    @rule(data=st.data(), place=_PLACES)
    def serve_conflict(self, data: Any, place: str) -> None:
        numbers = self.owed_numbers()
        if not numbers:
            return
        number = data.draw(st.sampled_from(numbers))
        try:
            serve_conflict(self.cast.context(), self.conflict(number), self.place(place).pk)
            was_served = True
        except (InsufficientStock, InvalidStockRequest):
            was_served = False
        assert self.model.serve(number, place) == was_served

    @rule(data=st.data(), places=_ROUTES)
    def take_over(self, data: Any, places: tuple[str, ...]) -> None:
        numbers, givers = self.owed_numbers(), [n for n, h in enumerate(self.model.holds) if h.open]
        if not numbers or not givers:
            return
        number, giver = data.draw(st.sampled_from(numbers)), data.draw(st.sampled_from(givers))
        reservation = Reservation.objects.order_by("id")[giver]
        conflict_id = self.conflict(number)
        context, at = self.cast.context(), self.ids(places)
        try:
            take_over(context, conflict_id, reservation.pk, giver_location_ids=at)
            was_taken = True
        except (InsufficientStock, InvalidStockRequest):
            was_taken = False
        assert self.model.take_over(number, giver, places) == was_taken

    @rule(data=st.data(), units=_UNITS)
    def fulfil_or_release_some(self, data: Any, units: int) -> None:
        """A hold that has not ended gives up at most what it has."""
        numbers = [n for n, h in enumerate(self.model.holds) if h.open and not h.has_ended]
        if not numbers:
            return
        number = data.draw(st.sampled_from(numbers))
        mine = self.model.holds[number]
        units = min(units, mine.open)
        reservation = Reservation.objects.order_by("id")[number]
        if data.draw(st.booleans()):
            fulfil(self.cast.context(), [ReservedUnits(reservation.pk, units)])
            self.model.ship_own([mine], units)
            return
        release(self.cast.context(), [ReservedUnits(reservation.pk, units)])
        mine.open -= units
        self.model.fill()

    @rule()
    def expire(self) -> None:
        expire()
        ended = {h.place for h in self.model.holds if h.has_ended and h.open}
        for variant, place in ended:
            self.model.touch({variant}, {place})
        self.model.fill()

    @invariant()
    def agrees_with_the_model(self) -> None:
        names = {self.variant(name).pk: name for name in ("mug", "shirt")}
        places = {self.place(name).pk: name for name in ("warehouse", "store")}
        levels = {
            (names[level.variant_id], places[level.location_id]): (level.on_hand, level.reserved)
            for level in StockLevel.objects.all()
        }
        assert {p: n for p, n in levels.items() if any(n)} == {
            p: n for p, n in self.model.levels().items() if any(n)
        }
        owed_units = {
            (c.reference, names[c.variant_id], c.cause): c.open_quantity
            for c in Conflict.objects.filter(open_quantity__gt=0)
        }
        assert owed_units == self.model.owed()
        holds: dict[Any, int] = {}
        for r in Reservation.objects.filter(open_quantity__gt=0).select_related("level"):
            key = r.reference, (names[r.variant_id], places[r.level.location_id])
            holds[key] = holds.get(key, 0) + r.open_quantity
        assert holds == self.model.held()

    @invariant()
    def replay_equals_live(self) -> None:
        assert_ledger_holds()

    @invariant()
    def nobody_waits_beside_goods(self) -> None:
        for conflict in Conflict.objects.filter(open_quantity__gt=0).exclude(cause="beyond_record"):
            for level in StockLevel.objects.filter(
                variant=conflict.variant_id, location__in=conflict.location_ids
            ):
                assert level.available == 0

    @invariant()
    def every_unit_is_accounted_for(self) -> None:
        for level in StockLevel.objects.all():
            deltas = StockMovement.objects.filter(level=level).values_list("on_hand_delta", flat=True)
            assert sum(deltas) == level.on_hand


@pytest.mark.property
def test_any_sequence_of_operations_agrees_with_a_simple_model(db: None) -> None:
    run_state_machine_as_test(
        LedgerMachine, settings=settings(_BOUNDED, max_examples=examples(16), stateful_step_count=45)
    )


@st.composite
def _messages(draw: st.DrawFn) -> list[list[dict[str, int]]]:
    """Draws, for each of three order lines, the changes that its messages bring, in their order."""
    lines = []
    for _ in range(3):
        changes = []
        held_units = shipped = 0
        for verb in draw(
            st.lists(st.sampled_from(["wanted", "cancelled", "fulfilled", "unfulfilled"]), max_size=5)
        ):
            most = {"wanted": 5, "cancelled": held_units, "fulfilled": held_units, "unfulfilled": shipped}[
                verb
            ]
            if not most:
                continue
            units = draw(st.integers(1, most))
            held_units += units if verb in {"wanted", "unfulfilled"} else -units
            shipped += {"fulfilled": units, "unfulfilled": -units}.get(verb, 0)
            changes.append({verb: units})
        lines.append(changes)
    return lines


def _merged(lines: list[list[dict[str, int]]], order: list[int]) -> list[tuple[int, dict[str, int]]]:
    """Returns the lines' changes in one sequence, each line's own in their order."""
    waiting = [list(changes) for changes in lines]
    sequence = []
    for number in order:
        if waiting[number]:
            sequence.append((number, waiting[number].pop(0)))
    return sequence + [(n, change) for n, changes in enumerate(waiting) for change in changes]


def _change(cast: Cast, line: int, counts: dict[str, Any]) -> DemandChange:
    return DemandChange(f"line {line}", cast.mug.pk, cast.places, **counts)


def _result(
    sequence: list[tuple[int, dict[str, int]]], cuts: list[int]
) -> tuple[dict[str, int], tuple[int, int, int], dict[tuple[str, str], int]]:
    """Settles the sequence, cut into operations, on enough stock; returns what is held, on hand and owed."""
    with transaction.atomic():
        cast = Cast()
        cast.receive(100)
        ends = sorted({min(cut, len(sequence)) for cut in cuts} | {0, len(sequence)})
        for start, end in pairwise(ends):
            batch = sequence[start:end]
            settle(cast.context(), [_change(cast, n, counts) for n, counts in batch])
        result = held(), level_of(cast.mug, cast.warehouse), owed()
        assert_ledger_holds()
        transaction.set_rollback(True)
    return result


@pytest.mark.property
@settings(_BOUNDED, max_examples=examples(25))
@given(
    lines=_messages(),
    order=st.lists(st.integers(0, 2), max_size=15),
    cuts=st.lists(st.integers(1, 14), max_size=6),
)
def test_messages_in_any_batches_leave_the_same_ledger_when_stock_suffices(
    db: None, lines: list[list[dict[str, int]]], order: list[int], cuts: list[int]
) -> None:
    one_by_one = _merged(lines, [])
    expected = _result(one_by_one, list(range(len(one_by_one))))
    assert _result(_merged(lines, order), cuts) == expected
    assert expected[2] == {}


@pytest.mark.property
@settings(_BOUNDED, max_examples=examples(25))
@given(lines=_messages(), order=st.lists(st.integers(0, 2), max_size=15))
def test_what_is_held_and_shipped_is_what_was_asked_for(
    db: None, lines: list[list[dict[str, int]]], order: list[int]
) -> None:
    sequence = _merged(lines, order)
    total: dict[str, int] = {}
    for _, counts in sequence:
        for verb, units in counts.items():
            total[verb] = total.get(verb, 0) + units
    shipped = total.get("fulfilled", 0) - total.get("unfulfilled", 0)
    holds, level, _ = _result(sequence, [])
    assert level[0] == 100 - shipped
    assert sum(holds.values()) == level[1] == total.get("wanted", 0) - total.get("cancelled", 0) - shipped
