"""What the warehouse is to ship is told once, whatever fails, and what becomes of it comes back as states."""

from collections.abc import Iterator
from typing import Any

import pytest

from channels.connectors.base import Connector
from channels.errors import OutcomeUnknown, TransientError
from channels.feeds import KEEPING, ensure_feeds, lease_due_feed
from channels.models import ChannelHealth, ErrorEntry, FulfilmentRequest, Listing, PollFeed, WarehouseOrder
from channels.polling import poll_feed
from channels.warehouses import marks
from inventory.bundles import Component, define
from inventory.ledger import Context
from inventory.models import BundleKind
from tests.channels.shop import NOON
from tests.channels.warehouses.yard import Yard, open_yard
from tests.inventory.cast import assert_ledger_holds

pytestmark = pytest.mark.django_db


@pytest.fixture
def yard() -> Iterator[Yard]:
    with open_yard({"MUG": 10, "JUG": 4}) as yard:
        yard.round()
        yield yard


def again(yard: Yard) -> None:
    """Lets leases and pauses end, and attends to the warehouse."""
    FulfilmentRequest.objects.filter(lease_token__isnull=False).update(leased_until=NOON)
    FulfilmentRequest.objects.update(next_attempt_at=None)
    yard.settle()
    yard.round()


class Failing:
    """Fails once at one call, before it is made or after."""

    def __init__(self, connector: Connector, method: str, error: Exception, *, before: bool = False) -> None:
        genuine = getattr(connector, method)

        def call(*args: Any, **kwargs: Any) -> Any:
            setattr(connector, method, genuine)
            if before:
                raise error
            genuine(*args, **kwargs)
            raise error

        setattr(connector, method, call)


class Death(BaseException):
    """The process dies."""


def test_a_routed_order_is_one_order_at_the_warehouse(yard: Yard) -> None:
    yard.sell("MUG", 3)
    yard.round()
    assert yard.orders() == [("processing", {"MUG": 3})]
    request = yard.request()
    assert (request.state, request.is_due, request.external_id) == ("accepted", False, "1")
    assert request.lines.get().told == 3
    yard.round()
    assert (yard.request().state, len(yard.orders())) == ("accepted", 1)


def test_what_is_known_of_the_customer_is_the_number_of_the_order(yard: Yard) -> None:
    yard.sell("MUG", 3)
    yard.round()
    order = yard.sandbox.order_document(yard.sandbox.records.orders[1])
    assert (order["deliveryname"], order["deliverycountry"]) == ("Order #1001", "NL")
    assert order["reference"] == f"OC-{yard.request().key.hex[:12]}-1"


@pytest.mark.parametrize("method", ["place_request", "confirm_request"])
@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("error", [Death(), OutcomeUnknown("No answer.")], ids=["death", "no answer"])
def test_whatever_is_interrupted_there_is_one_order_in_the_end(
    yard: Yard, method: str, before: bool, error: BaseException
) -> None:
    yard.sell("MUG", 3)
    connector = yard.connector
    Failing(connector, method, error, before=before)  # type: ignore[arg-type]
    with pytest.raises(type(error)):
        yard.round(connector=connector)
    assert yard.request().state == "new"
    again(yard)
    assert [status for status, _ in yard.orders()] == ["processing"]
    assert (yard.request().state, yard.sandbox.number("MUG")) == ("accepted", 7)
    again(yard)
    assert (yard.level("MUG"), yard.available("MUG")) == ((10, 3), 7)
    assert_ledger_holds()


def test_without_the_look_for_what_was_made_there_would_be_two(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: an order whose making got no answer is made again where nobody looks for it."""
    monkeypatch.setattr("channels.warehouses.telling._find", lambda *_: None)
    yard.sell("MUG", 3)
    connector = yard.connector
    Failing(connector, "place_request", OutcomeUnknown("No answer."))
    with pytest.raises(OutcomeUnknown):
        yard.round(connector=connector)
    again(yard)
    assert len(yard.orders()) == 2


def test_an_order_whose_content_changed_while_nobody_knew_is_replaced(yard: Yard) -> None:
    yard.sell("MUG", 3)
    connector = yard.connector
    Failing(connector, "place_request", Death())  # type: ignore[arg-type]
    with pytest.raises(Death):
        yard.round(connector=connector)
    yard.sell("MUG", 2, at=5)
    again(yard)
    assert yard.orders() == [("cancelled", {"MUG": 0}), ("processing", {"MUG": 2})]


def test_a_change_takes_the_place_of_what_was_told(yard: Yard) -> None:
    yard.sell("MUG", 3)
    yard.round()
    yard.sell("MUG", 5, at=5)
    yard.round()
    assert yard.orders() == [("cancelled", {"MUG": 0}), ("processing", {"MUG": 5})]
    assert yard.sandbox.number("MUG") == 5


def test_a_cancellation_takes_the_order_back(yard: Yard) -> None:
    yard.sell("MUG", 3)
    yard.round()
    yard.sell("MUG", 3, cancelled=3, at=5)
    yard.round()
    assert [status for status, _ in yard.orders()] == ["cancelled"]
    assert (yard.request().state, yard.request().is_due, yard.sandbox.number("MUG")) == (
        "cancelled",
        False,
        10,
    )


def test_a_cancellation_after_picking_is_too_late_and_what_left_is_shipped(yard: Yard) -> None:
    yard.sell("MUG", 3)
    yard.round()
    yard.sandbox.pick(yard.number())
    yard.sell("MUG", 3, cancelled=3, at=5)
    yard.round()
    request = yard.request()
    assert (request.state, request.is_due, "Too late" in request.last_error) == ("cancelled", False, True)
    yard.settle()
    marks.read_all(yard.channel.pk)
    yard.round()
    assert (yard.level("MUG"), yard.available("MUG")) == ((7, 0), 7)
    yard.sandbox.ship(yard.number())
    WarehouseOrder.objects.update(looked_at=None)
    yard.round()
    assert (yard.request().state, yard.level("MUG"), yard.shop.owed("MUG")) == ("shipped", (7, 0), 0)
    assert_ledger_holds()


def test_picked_and_shipped_come_back_as_states(yard: Yard) -> None:
    yard.sell("MUG", 3)
    states = []
    for step in (None, yard.sandbox.pick, yard.sandbox.ship):
        if step:
            step(yard.number())
        WarehouseOrder.objects.update(looked_at=None)
        yard.round()
        states.append(yard.request().state)
    assert states == ["accepted", "picked", "shipped"]
    assert (yard.level("MUG"), WarehouseOrder.objects.get().ended_at is not None) == ((7, 0), True)


def test_a_part_that_left_is_taken_out_of_the_ledger_and_the_rest_stays(yard: Yard) -> None:
    yard.sell("MUG", 3)
    yard.round()
    yard.sandbox.fulfil(yard.number(), "MUG", 1)
    WarehouseOrder.objects.update(looked_at=None)
    yard.round()
    assert (yard.request().state, yard.request().shipped_units, yard.level("MUG")) == ("picked", 1, (9, 2))
    yard.sandbox.ship(yard.number())
    WarehouseOrder.objects.update(looked_at=None)
    yard.round()
    assert (yard.request().state, yard.level("MUG")) == ("shipped", (7, 0))
    assert_ledger_holds()


@pytest.mark.parametrize("is_picked", [False, True], ids=["accepted", "picked"])
def test_an_order_that_the_warehouse_cancels_is_refused(yard: Yard, is_picked: bool) -> None:
    yard.sell("MUG", 3)
    yard.round()
    if is_picked:
        yard.sandbox.pick(yard.number())
        WarehouseOrder.objects.update(looked_at=None)
        yard.round()
    yard.sandbox.cancel(yard.number(), "MUG", 3)
    WarehouseOrder.objects.update(looked_at=None)
    yard.settle()
    yard.round()
    request = yard.request()
    assert (request.state, "cancelled" in request.reason) == ("refused", True)
    assert (yard.shop.owed("MUG"), yard.level("MUG"), yard.available("MUG")) == (3, (10, 0), 10)
    assert_ledger_holds()


def test_what_the_warehouse_gave_up_after_a_part_left_is_served_by_others(yard: Yard) -> None:
    yard.shop.add_location("north", place="")
    yard.shop.variants["MUG"].refresh_from_db()
    yard.sell("MUG", 3)
    yard.round()
    yard.sandbox.fulfil(yard.number(), "MUG", 1)
    yard.sandbox.cancel(yard.number(), "MUG", 2)
    yard.settle()
    yard.round()
    assert (yard.request().state, yard.level("MUG"), yard.shop.owed("MUG")) == ("refused", (9, 0), 2)
    assert_ledger_holds()


def test_goods_that_the_warehouse_does_not_know_are_refused_at_once(yard: Yard) -> None:
    Listing.objects.filter(channel=yard.channel, sku="MUG").update(variant=None)
    yard.sell("MUG", 2)
    yard.round()
    assert (yard.request().state, yard.orders()) == ("refused", [])
    assert "MUG" in yard.request().reason


def test_what_the_warehouse_refuses_to_write_down_waits_for_a_person(yard: Yard) -> None:
    yard.sell("MUG", 2)
    del yard.sandbox.records.items_by_number[yard.sandbox.item("MUG").number]
    yard.round()
    request = yard.request()
    assert (request.state, request.attempts, "does not exist" in request.last_error) == ("new", 1, True)
    assert ErrorEntry.objects.filter(code="rejected").exists()


def test_parts_of_kits_are_asked_for_and_whole_kits_are_shipped(yard: Yard) -> None:
    kit = yard.shop.add_variant("SET")
    parts = [Component(yard.shop.variants["MUG"].pk, 2), Component(yard.shop.variants["JUG"].pk, 1)]
    define(Context(yard.shop.merchant.pk, "kit"), kit.pk, BundleKind.KIT, parts)
    yard.sell("SET", 2)
    yard.round()
    assert yard.orders() == [("processing", {"MUG": 4, "JUG": 2})]
    yard.sandbox.fulfil(yard.number(), "MUG", 4)
    WarehouseOrder.objects.update(looked_at=None)
    yard.round()
    assert yard.level("MUG") == (10, 4)
    yard.sandbox.fulfil(yard.number(), "JUG", 2)
    WarehouseOrder.objects.update(looked_at=None)
    yard.round()
    assert (yard.request().state, yard.level("MUG"), yard.level("JUG")) == ("shipped", (6, 0), (2, 0))
    assert_ledger_holds()


def test_a_warehouse_that_is_down_for_a_day_gives_nothing_up(yard: Yard) -> None:
    ensure_feeds()
    yard.sandbox.set_faults(is_down=True)
    yard.sell("MUG", 3)
    for _ in range(12):
        PollFeed.objects.update(next_poll_at=NOON)
        FulfilmentRequest.objects.update(next_attempt_at=None)
        feed = lease_due_feed(yard.channel.pk, KEEPING)
        if feed is None:  # the breaker is open
            ChannelHealth.objects.update(breaker_open_until=None)
            continue
        poll_feed(feed, yard.connector)
    request = yard.request()
    assert (request.dead_at, request.state, request.attempts) == (None, "new", 0)
    assert PollFeed.objects.get(name=KEEPING).last_error
    yard.sandbox.clear_faults()
    again(yard)
    assert (yard.request().state, yard.level("MUG"), len(yard.orders())) == ("accepted", (10, 3), 1)


def test_a_failure_leaves_the_request_to_be_told(yard: Yard) -> None:
    yard.sell("MUG", 3)
    connector = yard.connector
    Failing(connector, "place_request", TransientError("Busy."), before=True)
    with pytest.raises(TransientError):
        yard.round(connector=connector)
    request = yard.request()
    assert (request.lease_token, request.is_due, request.last_error) == (None, True, "Busy.")


def test_the_warehouse_is_woken_for_what_is_due_and_only_then(yard: Yard) -> None:
    ensure_feeds()
    PollFeed.objects.update(next_poll_at="2999-01-01T00:00:00Z")
    assert not marks.wake_for_due()
    yard.sell("MUG", 3)
    assert marks.wake_for_due()
    feed = lease_due_feed(yard.channel.pk, KEEPING)
    assert feed is not None
    poll_feed(feed, yard.connector)
    assert len(yard.orders()) == 1
    type(yard.channel).objects.filter(pk=yard.channel.pk).update(is_paused=True)
    yard.sell("JUG", 1, id="1002")
    PollFeed.objects.update(next_poll_at="2999-01-01T00:00:00Z")
    assert not marks.wake_for_due()
