"""Each capability that a connector declares is shown by what it does; what it does not declare, it refuses."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Final

import pytest

from channels.connectors import CONNECTORS
from channels.connectors.base import AcceptedPush, Capabilities, Connector, Convention, ItemOutcome, PushItem
from channels.errors import Unsupported
from channels.events import LevelObserved, ListingChanged, OrderHint, OrderState, UnknownEvent
from channels.feeds import poll_interval
from channels.models import Channel, ChannelLocation
from channels.pusher import Pusher
from channels.sandbox import CatalogueItem
from inventory.models import Variant
from tests.channels.contract.adapters import KINDS, OF_THEIR_OWN
from tests.channels.contract.stand import Stand, stand_of

ADDRESS: Final = "https://stock.example.com/webhooks/x/"
TAKEN: Final = {ItemOutcome.CONFIRMED, ItemOutcome.ACCEPTED}
#: What a channel that is connected sells beside mugs and cups.
SHIPPED_BY_THEM: Final = CatalogueItem("JUG", "Jug", quantities={"main": 30}, is_fulfilled_by_channel=True)


def pushed(stand: Stand, items: list[PushItem]) -> set[ItemOutcome]:
    """Tells numbers, as a channel that is live does; returns what became of them."""
    stand.subscribe()
    return {result.outcome for result in stand.connector().push(items, call_id="1")}


def shows_push_batch_size(stand: Stand) -> None:
    """So many numbers go together."""
    skus = [f"SORT-{number}" for number in range(stand.able.push_batch_size)]
    stand.sandbox.load_catalogue([CatalogueItem(sku, sku, quantities={"main": 1}) for sku in skus])
    merchant, product = stand.shop.merchant, stand.shop.product
    Variant.objects.bulk_create([Variant(merchant=merchant, product=product, sku=sku) for sku in skus])
    stand.read_listings()
    assert pushed(stand, [stand.item(sku, 2) for sku in skus]) <= TAKEN
    stand.until_shown(skus[-1], 2)


def shows_poll_interval(stand: Stand) -> None:
    """Its orders are read that often, unless the channel says otherwise."""
    assert poll_interval(stand.channel) == stand.able.poll_interval


def shows_convention(stand: Stand) -> None:
    """The number that we gave drops by a sale by itself, or stays."""
    stand.sandbox.place_order([("MUG", 2)])
    stays = stand.able.convention is Convention.INCLUDES_OPEN_ORDERS
    assert stand.sandbox.stored_number("MUG") == (10 if stays else 8)
    assert stand.sandbox.number("MUG") == 8


def shows_compare_and_set(stand: Stand) -> None:
    """A number is written only in the place of the one that was expected there."""
    assert pushed(stand, [dataclasses.replace(stand.item("MUG", 4), compare_with=7)]) == {ItemOutcome.STALE}
    assert stand.sandbox.number("MUG") == 10
    assert pushed(stand, [dataclasses.replace(stand.item("MUG", 4), compare_with=10)]) == {
        ItemOutcome.CONFIRMED
    }
    assert stand.sandbox.number("MUG") == 4


def shows_parents_in_push(stand: Stand) -> None:
    """Forms of several products go together."""
    forms = [
        CatalogueItem(f"F-{n}", f"Form {n}", quantities={"main": 1}, parent=f"Product {n // 2}")
        for n in range(4)
    ]
    stand.sandbox.load_catalogue(forms)
    for form in forms:
        stand.shop.add_variant(form.sku)
    stand.read_listings()
    items = [stand.item(form.sku, 3) for form in forms]
    assert len({item.address.parent_external_id for item in items}) == 2
    assert pushed(stand, items) == {ItemOutcome.CONFIRMED}
    assert {stand.sandbox.number(form.sku) for form in forms} == {3}


def shows_own_locations(stand: Stand) -> None:
    """It names its places."""
    assert any(place.external_id for place in stand.connector().fetch_locations())


def shows_order_webhooks(stand: Stand) -> None:
    """A sale is announced."""
    stand.subscribe()
    stand.sandbox.place_order([("MUG", 1)])
    stand.messages(until=lambda found: tells(stand, found, (OrderState, OrderHint)))


def shows_inventory_webhooks(stand: Stand) -> None:
    """A number that somebody else changed is announced."""
    stand.subscribe()
    stand.sandbox.edit_stock("MUG", 3)
    stand.messages(until=lambda found: tells(stand, found, (LevelObserved, ListingChanged)))


def tells(stand: Stand, messages: list[Any], kinds: tuple[type, ...]) -> bool:
    """Whether any of the messages says anything of these kinds, and none something that we do not know."""
    connector = stand.connector()
    received = [connector.receive(message) for message in messages]
    events = [event for each in received for event in connector.parse(each.topic, each.payload)]
    assert not [event for event in events if isinstance(event, UnknownEvent)]
    return any(isinstance(event, kinds) for event in events)


def shows_manages_subscriptions(stand: Stand) -> None:
    """What is missing is found, made, and then not found any more."""
    address = stand.inbox.url
    assert stand.connector().audit_webhooks(address)
    stand.subscribe()
    assert stand.connector().audit_webhooks(f"{stand.inbox.root}/webhooks/{stand.channel.public_id}/") == []


def shows_cancels_lines(stand: Stand) -> None:
    """A line is cancelled at the platform."""
    order = stand.sandbox.place_order([("MUG", 2), ("CUP", 1)])
    state = stand.connector().fetch_order(order.id)
    assert state is not None
    (line,) = [each for each in state.lines if each.sku == "MUG"]
    done = stand.connector().cancel_line(order.id, line.external_id, 2, call_id="1")
    assert done.cancelled == 2
    (kept,) = [each for each in stand.sandbox.find_order(order.id).lines if each.sku == "MUG"]
    assert kept.open_units == 0


def shows_asynchronous_push(stand: Stand) -> None:
    """What is only accepted is followed to its end."""
    item = stand.item("MUG", 4)
    (result,) = stand.connector().push([item], call_id="1")
    assert result.outcome is ItemOutcome.ACCEPTED
    follow_to_its_end(stand, item, result.tracking_id)


def follow_to_its_end(stand: Stand, item: PushItem, tracking_id: str) -> None:
    stand.until_shown("MUG", item.quantity)
    assert item.as_of is not None
    accepted = AcceptedPush(tracking_id, item.address, item.quantity, item.as_of)
    for _ in range(200):
        if (end := stand.connector().follow_push([accepted])[tracking_id]) is not None:
            break
    assert end is not None
    assert end.outcome is ItemOutcome.CONFIRMED


def shows_message_queue(stand: Stand) -> None:
    """Messages wait until they are acknowledged, and not longer."""
    stand.subscribe()
    stand.sandbox.place_order([("MUG", 1)])
    assert stand.messages()
    assert stand.connector().take_messages(seconds=0) == []


def shows_own_warehouse(stand: Stand) -> None:
    """It says what it keeps of ours."""
    stand.sandbox.load_catalogue([SHIPPED_BY_THEM])
    (count,) = stand.connector().fetch_warehouse(None)
    assert (count.sku, count.quantity) == ("JUG", 30)


def shows_bulk_increases(stand: Stand) -> None:
    """Many larger numbers go in one call, and are followed to their end."""
    item = stand.item("MUG", 40)
    (result,) = stand.connector().push_increases([item], call_id="1")
    assert result.outcome is ItemOutcome.ACCEPTED
    follow_to_its_end(stand, item, result.tracking_id)


def shows_largest_quantity(stand: Stand) -> None:
    """The largest number is taken."""
    largest = stand.able.largest_quantity
    assert largest is not None
    assert pushed(stand, [stand.item("MUG", largest)]) <= TAKEN
    stand.until_shown("MUG", largest)


def shows_concurrency(stand: Stand) -> None:
    """The resident process makes so many calls at the same time, and not more."""
    Channel.objects.exclude(pk=stand.channel.pk).update(is_active=False)
    pusher = Pusher(threads=24)
    pusher._queues.follow = lambda channel_ids: None  # type: ignore[method-assign]
    pusher._is_tidying = True
    pusher._sweep()
    pusher._crew.close(seconds=0)
    assert pusher._desks[stand.channel.pk].limit == stand.able.concurrency


SHOWN: Final[Mapping[str, Callable[[Stand], None]]] = {
    name.removeprefix("shows_"): each for name, each in list(globals().items()) if name.startswith("shows_")
}
#: Capability → who shows it, beyond this contract.
SHOWN_ELSEWHERE: Final = {
    "acknowledges_orders": "amazon_vendor",
    "keeps_stock": "picqer",
    "takes_requests": "picqer",
}
#: Capability → a call that only those can make who declare it.
REFUSED: Final[Mapping[str, Callable[[Connector], object]]] = {
    "cancels_lines": lambda connector: connector.cancel_line("1", "1", 1, call_id="call"),
    "asynchronous_push": lambda connector: connector.follow_push([]),
    "message_queue": lambda connector: connector.take_messages(seconds=0),
    "own_warehouse": lambda connector: connector.fetch_warehouse(None),
    "bulk_increases": lambda connector: connector.push_increases([], call_id="call"),
    "acknowledges_orders": lambda connector: connector.acknowledge_order("1", []),
    "keeps_stock": lambda connector: connector.fetch_stock(["1"]),
    "takes_requests": lambda connector: connector.cancel_request("1"),
    "manages_subscriptions": lambda connector: connector.register_webhooks(ADDRESS),
}


def test_there_is_a_way_to_show_every_capability() -> None:
    unshown = (
        {field.name for field in dataclasses.fields(Capabilities)} - SHOWN.keys() - SHOWN_ELSEWHERE.keys()
    )
    assert not unshown, f"Write shows_<capability> in this module for {', '.join(sorted(unshown))}."
    for name, kind in SHOWN_ELSEWHERE.items():
        assert getattr(CONNECTORS[kind].capabilities, name), name
        assert kind in OF_THEIR_OWN
        assert not [each for each in KINDS if getattr(CONNECTORS[each].capabilities, name)], name


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("kind", "capability"),
    [(kind, name) for kind in KINDS for name in SHOWN if getattr(CONNECTORS[kind].capabilities, name)],
)
def test_what_a_connector_declares_it_does(kind: str, capability: str) -> None:
    with stand_of(kind) as stand:
        SHOWN[capability](stand)


def test_what_a_connector_does_not_declare_it_refuses(stand: Stand) -> None:
    for capability, call in REFUSED.items():
        if not getattr(stand.able, capability):
            with pytest.raises(Unsupported):
                call(stand.connector())
    if not stand.able.own_locations:
        assert [place.external_id for place in stand.connector().fetch_locations()] == [""]
        assert ChannelLocation.objects.filter(channel=stand.channel).count() == 1
