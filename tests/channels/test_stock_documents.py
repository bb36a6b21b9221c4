"""Shelves hear of what documents and conditions do to the stock behind them."""

from uuid import uuid4

import pytest

from channels.exposure import exposures
from channels.models import Listing
from channels.models.listings import Lane
from inventory.conditions import ConditionLine, put_back, set_aside
from inventory.ledger import Context
from inventory.safety_stock import set_safety_stock
from inventory.transfer_drafts import TransferPlan, draft_transfer
from inventory.transfers import Arrival, receive_transfer, send_transfer
from tests.channels.shop import Shop, open_shop

pytestmark = pytest.mark.django_db


def told(listing: Listing) -> tuple[int, Lane | None]:
    """Returns the number that the shelf shall show, and the lane it is due in; forgets that it is due."""
    level = listing.levels.get()
    lane = Lane(level.lane) if level.is_due else None
    listing.levels.update(done=level.wanted, due_since=None)
    exposure = exposures([level.pk])[level.pk]
    return exposure.quantity, lane


def context(shop: Shop) -> Context:
    return Context(shop.merchant.pk, str(uuid4()))


def test_safety_stock_is_withheld_and_told_at_once() -> None:
    shop = open_shop({"MUG": 9})
    listing = shop.list_variant("MUG")
    place = shop.variants["MUG"].pk, shop.locations["main"].pk
    assert told(listing)[0] == 9
    set_safety_stock(shop.merchant.pk, {place: 4})
    assert told(listing) == (5, Lane.DECREASE)
    set_safety_stock(shop.merchant.pk, {place: 1})
    assert told(listing) == (8, Lane.INCREASE)


def test_units_set_aside_leave_the_shelf_and_come_back_to_it() -> None:
    shop = open_shop({"MUG": 9})
    listing = shop.list_variant("MUG")
    told(listing)
    lines = [ConditionLine(shop.variants["MUG"].pk, shop.locations["main"].pk, 9)]
    set_aside(context(shop), lines)
    assert told(listing) == (0, Lane.TO_ZERO)
    put_back(context(shop), lines)
    assert told(listing) == (9, Lane.INCREASE)


def test_units_on_the_way_are_on_no_shelf() -> None:
    shop = open_shop({"MUG": 9})
    shop.add_location("attic")
    listing = shop.list_variant("MUG")
    told(listing)
    mug = shop.variants["MUG"].pk
    plan = TransferPlan(shop.locations["attic"].pk, shop.locations["main"].pk, {mug: 3})
    back = TransferPlan(shop.locations["main"].pk, shop.locations["attic"].pk, {mug: 4})
    out = draft_transfer(shop.merchant.pk, back, key=uuid4())
    send_transfer(context(shop), out.pk)
    assert told(listing) == (5, Lane.DECREASE)
    receive_transfer(context(shop), out.pk, [Arrival(mug, 4)])
    assert told(listing) == (5, None)
    transfer = draft_transfer(shop.merchant.pk, plan, key=uuid4())
    send_transfer(context(shop), transfer.pk)
    assert told(listing) == (5, None)
    receive_transfer(context(shop), transfer.pk, [Arrival(mug, 3, unavailable=1)])
    assert told(listing) == (7, Lane.INCREASE)
