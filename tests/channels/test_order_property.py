"""Any messages of an order, in any sequence and repeated any number of times, leave the same ledger."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from channels.events import OrderLineState, OrderState
from channels.order_states import state_key
from channels.orders import apply_deleted, apply_state, hint
from inventory.routing import STRATEGIES
from tests.channels.shop import NOON, Shop, ledger_of, line, open_shop, order
from tests.properties import examples

pytestmark = pytest.mark.django_db

SKUS = ("CUP", "MUG")
#: Line → SKU.
LINES = {"line-1": "MUG", "line-2": "CUP"}
#: Two lines for the same goods, as shops allow.
TWINS = {"line-1": "MUG", "line-2": "CUP", "line-3": "MUG"}
PLACES = ("", "gid-1", "gid-2")
PLENTY, SHORT = 50, 2


@dataclass(frozen=True)
class Deleted:
    """The message that the order is gone."""


@dataclass(frozen=True)
class Hint:
    """The message that something changed."""


Message = OrderState | Deleted | Hint


@st.composite
def lines(draw: st.DrawFn, id: str) -> OrderLineState:
    quantity = draw(st.integers(0, 6))
    fulfilled = draw(st.integers(0, quantity))
    return line(
        LINES[id],
        quantity,
        id=id,
        cancelled=draw(st.integers(0, quantity)),
        fulfilled=fulfilled,
        returned=draw(st.integers(0, fulfilled)),
        place=draw(st.sampled_from(PLACES)),
    )


@st.composite
def states(draw: st.DrawFn) -> OrderState:
    """Any state: few instants, so that many share one, and lines that may contradict the state before."""
    drawn = [draw(lines(id)) for id in draw(st.lists(st.sampled_from(sorted(LINES)), unique=True))]
    return order(
        *drawn, at=draw(st.integers(0, 3)), is_test=draw(st.sampled_from([False, False, False, True]))
    )


@st.composite
def histories(
    draw: st.DrawFn, named: Mapping[str, str] = LINES, places: Sequence[str] = PLACES
) -> list[OrderState]:
    """An order as shops tell it: its counts only grow, and several changes may carry the same time stamp."""
    ids = draw(st.lists(st.sampled_from(sorted(named)), min_size=1, unique=True))
    now = [line(named[id], draw(st.integers(1, 6)), id=id, place=draw(st.sampled_from(places))) for id in ids]
    told, at = [order(*now)], 0
    for _ in range(draw(st.integers(0, 4))):
        at += draw(st.integers(0, 1))
        now = [draw(later(each)) for each in now]
        told.append(order(*now, at=at))
    return told


@st.composite
def later(draw: st.DrawFn, before: OrderLineState) -> OrderLineState:
    """The same line after some more of it was cancelled, shipped or returned."""
    cancelled = before.cancelled + draw(st.integers(0, before.quantity - before.cancelled - before.fulfilled))
    fulfilled = before.fulfilled + draw(st.integers(0, before.quantity - cancelled - before.fulfilled))
    returned = before.returned + draw(st.integers(0, fulfilled - before.returned))
    return replace(before, cancelled=cancelled, fulfilled=fulfilled, returned=returned)


def deliver(shop: Shop, messages: Sequence[Message]) -> dict[str, Any]:
    """Applies the messages in this sequence, reads the ledger, and undoes everything."""
    with transaction.atomic():
        for message in messages:
            if isinstance(message, Deleted):
                apply_deleted(shop.channel, "1001", arrived_at=NOON)
            elif isinstance(message, Hint):
                hint(shop.channel, "1001", arrived_at=NOON)
            else:
                apply_state(shop.channel, message, arrived_at=NOON)
        found = ledger_of(shop.merchant)
        transaction.set_rollback(True)
    return found


@pytest.fixture
def plenty(db: None) -> Shop:
    return stocked(PLENTY)


@pytest.fixture
def short(db: None) -> Shop:
    return stocked(SHORT)


def stocked(units: int) -> Shop:
    """A shop with two places of its own beside the nameless one, all with the same stock."""
    shop = open_shop()
    shop.add_location("north", place="gid-1")
    shop.add_location("south", place="gid-2")
    for sku in SKUS:
        shop.add_variant(sku, {"main": units, "north": units, "south": units})
    return shop


def any_sequence(data: st.DataObject, messages: Sequence[Message]) -> list[Message]:
    """Draws a sequence in which each message comes once or several times."""
    repeats = data.draw(st.lists(st.sampled_from(messages), max_size=len(messages)))
    return data.draw(st.permutations([*messages, *repeats]))


RULES = settings(
    max_examples=examples(50), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.property
@RULES
@given(data=st.data())
def test_any_states_in_any_sequence_leave_the_same_ledger_with_enough_stock(
    plenty: Shop, data: st.DataObject
) -> None:
    told: list[Message] = list(data.draw(st.lists(states(), min_size=1, max_size=5)))
    messages = told + data.draw(st.sampled_from([[], [Hint()], [Deleted()], [Deleted(), Hint()]]))
    assert deliver(plenty, messages) == deliver(plenty, any_sequence(data, messages))


@pytest.mark.property
@RULES
@given(data=st.data())
def test_a_history_in_any_sequence_leaves_the_same_ledger_with_short_stock(
    short: Shop, data: st.DataObject
) -> None:
    messages: list[Message] = list(data.draw(histories()))
    messages += data.draw(st.sampled_from([[], [Hint()], [Deleted()]]))
    assert deliver(short, messages) == deliver(short, any_sequence(data, messages))


@pytest.mark.property
@RULES
@given(data=st.data())
def test_lines_for_the_same_goods_are_told_apart_in_any_sequence(plenty: Shop, data: st.DataObject) -> None:
    messages: list[Message] = list(data.draw(histories(named=TWINS, places=("gid-1",))))
    assert deliver(plenty, messages) == deliver(plenty, any_sequence(data, messages))


@pytest.mark.property
@RULES
@given(data=st.data())
def test_lines_for_the_same_goods_are_told_apart_also_where_stock_is_short(
    short: Shop, data: st.DataObject
) -> None:
    """What one of them ships is taken from what the other holds, before anything is said to be beyond record."""
    messages: list[Message] = list(data.draw(histories(named=TWINS, places=("gid-1",))))
    assert deliver(short, messages) == deliver(short, any_sequence(data, messages))


#: Stock that tempts strategies to choose otherwise for fewer units: (main, north, south) of each SKU.
UNEVEN = {"MUG": (2, 6, 3), "CUP": (0, 2, 9)}


WAYS = [(name, may_split) for name in STRATEGIES for may_split in (True, False)]


@pytest.fixture
def uneven(db: None) -> Shop:
    """A shop with one place and three locations behind it, in three countries."""
    shop = open_shop()
    for code, country in (("north", "DE"), ("south", "NL")):
        location = shop.add_location(code, place="")
        location.country = country
        location.save()
    for sku, units in UNEVEN.items():
        shop.add_variant(sku, dict(zip(("main", "north", "south"), units, strict=True)))
    return shop


def routed(shop: Shop, data: st.DataObject) -> Shop:
    """Draws a way in which the shop's orders are routed."""
    shop.channel.routing, shop.channel.may_split = data.draw(st.sampled_from(WAYS))
    return shop


@pytest.mark.property
@RULES
@given(data=st.data())
def test_a_history_in_any_sequence_leaves_the_same_ledger_however_it_is_routed(
    uneven: Shop, data: st.DataObject
) -> None:
    """Also when the first message that comes tells of cancelled or shipped units already."""
    shop = routed(uneven, data)
    messages: list[Message] = list(data.draw(histories(places=("",))))
    messages += data.draw(st.sampled_from([[], [Hint()], [Deleted()]]))
    assert deliver(shop, messages) == deliver(shop, any_sequence(data, messages))


@pytest.mark.property
@RULES
@given(data=st.data())
def test_any_states_without_shipments_leave_the_same_ledger_however_they_are_routed(
    uneven: Shop, data: st.DataObject
) -> None:
    """What is ordered may grow, shrink, vanish and come back: until a location was told, the plan is made anew."""
    shop = routed(uneven, data)
    drawn = data.draw(st.lists(states(), min_size=1, max_size=5))
    messages: list[Message] = [
        replace(
            state,
            lines=tuple(
                replace(each, fulfilled=0, returned=0, location_external_id="") for each in state.lines
            ),
        )
        for state in drawn
    ]
    assert deliver(shop, messages) == deliver(shop, any_sequence(data, messages))


@pytest.mark.property
@RULES
@given(data=st.data())
def test_the_ledger_ends_where_the_largest_state_alone_would_have_brought_it(
    short: Shop, data: st.DataObject
) -> None:
    told = data.draw(histories())
    assert deliver(short, list(told)) == deliver(short, [max(told, key=state_key)])
