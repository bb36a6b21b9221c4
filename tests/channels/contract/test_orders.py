"""What a platform's orders leave in the ledger, whichever way they come: by messages, by polls, or by both."""

import random

import pytest

from channels.models import ChannelOrder, ChannelOrderLine
from channels.sandbox import CatalogueItem
from inventory.models import StockLevel
from tests.channels.contract.stand import Stand


@pytest.fixture
def stand(stand: Stand) -> Stand:
    if not stand.able.push_batch_size:
        pytest.skip(f"{stand.kind} sells nothing.")
    stand.subscribe()
    return stand


def test_repeats_another_sequence_and_loss_leave_the_same_ledger(stand: Stand) -> None:
    part, whole = (stand.sandbox.place_order([("MUG", units), ("CUP", 1)]) for units in (3, 2))
    stand.sandbox.cancel(part.id, "CUP", 1)
    messages = stand.messages() if stand.able.order_webhooks else []
    stand.sandbox.ship(whole.id)
    messages += stand.messages() if stand.able.order_webhooks else []
    thrice = messages * 3
    random.Random(7).shuffle(thrice)
    ledgers = [stand.ledger_after(way) for way in (messages, messages[::-1], thrice, messages[-1:], [])]
    assert ledgers[0]["levels"] == {("MUG", "main"): (8, 3, 0), ("CUP", "main"): (9, 0, 0)}
    assert ledgers == [ledgers[0]] * 5


def test_an_unknown_sku_becomes_mappable_and_applies_itself(stand: Stand) -> None:
    stand.sandbox.load_catalogue([CatalogueItem("POT", "Pot", quantities={"main": 5})])
    stand.sandbox.place_order([("POT", 2), ("MUG", 1)])
    stand.bring()
    assert stand.shop.level("MUG") == (10, 1)
    assert ChannelOrderLine.objects.get(variant__isnull=True).quantity == 2
    stand.shop.add_variant("POT", {"main": 5})
    stand.read_listings()
    assert stand.shop.level("POT") == (5, 2)
    assert not ChannelOrderLine.objects.filter(variant__isnull=True).exists()


def test_what_the_channel_ships_itself_leaves_own_stock_alone(stand: Stand) -> None:
    if not stand.adapter.ships_itself:
        pytest.skip(f"{stand.kind} sells nothing from a warehouse of its own.")
    jug = CatalogueItem("JUG", "Jug", quantities={"main": 30}, is_fulfilled_by_channel=True)
    stand.sandbox.load_catalogue([jug])
    stand.shop.add_variant("JUG", {"main": 5})
    stand.read_listings()
    order = stand.sandbox.place_order([("JUG", 2)])
    stand.sandbox.fulfil(order.id, "JUG", 2)
    stand.bring()
    stand.poll()
    assert ChannelOrder.objects.filter(external_id=order.id).exists()
    own = StockLevel.objects.get(variant=stand.shop.variants["JUG"], location=stand.shop.locations["main"])
    assert (own.on_hand, own.reserved) == (5, 0)
