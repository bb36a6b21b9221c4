"""When everybody else had been told of an order."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from channels.connectors.base import PushItem
from channels.models import Channel, ChannelOrder, ListingLevel, Push
from channels.orders import apply_state
from channels.propagation import Propagation
from tests.channels.shop import Shop, line, open_shop, order
from tests.channels.telling import Shelves, tell, use_platform

pytestmark = pytest.mark.django_db


def two_shops(monkeypatch: pytest.MonkeyPatch) -> tuple[Shop, Channel, Shelves]:
    shelves = use_platform(monkeypatch)
    shop = open_shop({"MUG": 50}, kind="telling")
    other = shop.add_channel("other", kind="telling")
    shop.list_variant("MUG")
    shop.list_variant("MUG", channel=other, external_id="theirs")
    return shop, other, shelves


def sell(shop: Shop, id: str = "1001") -> ChannelOrder:
    apply_state(shop.channel, order(line("MUG"), id=id), arrived_at=timezone.now())
    return ChannelOrder.objects.get(external_id=id)


def propagated_at(placed: ChannelOrder) -> datetime | None:
    placed.refresh_from_db()
    return placed.propagated_at


def test_an_order_is_complete_when_the_other_shelf_confirmed_not_when_its_own_did(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shop, other, _ = two_shops(monkeypatch)
    placed = sell(shop)
    tell(shop)
    assert Propagation().note() == 0
    tell(shop, other)
    assert Propagation().note() == 1
    assert propagated_at(placed) == Push.objects.get(channel=other).finished_at


def test_a_push_leased_before_the_order_does_not_count_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    shop, other, shelves = two_shops(monkeypatch)
    first = sell(shop, "1")
    placed: list[ChannelOrder] = []

    def customer_buys(items: Sequence[PushItem]) -> None:
        if not placed:
            placed.append(sell(shop, "2"))

    shelves.before_call = customer_buys
    tell(shop, other)
    Propagation().note()
    assert propagated_at(first) is not None
    assert propagated_at(placed[0]) is None
    tell(shop, other)
    Propagation().note()
    assert propagated_at(placed[0]) == Push.objects.filter(channel=other).latest("id").finished_at


def test_the_instant_is_that_of_the_first_push_that_told_it(monkeypatch: pytest.MonkeyPatch) -> None:
    shop, other, _ = two_shops(monkeypatch)
    first = sell(shop, "1")
    tell(shop, other)
    sell(shop, "2")
    tell(shop, other)
    Propagation().note()
    assert propagated_at(first) == Push.objects.filter(channel=other).earliest("id").finished_at


def test_an_order_that_cannot_be_told_stays_unfinished_and_holds_up_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shop, other, _ = two_shops(monkeypatch)
    stuck = [sell(shop, str(number)) for number in range(5)]
    theirs = ListingLevel.objects.get(channel=other)
    ChannelOrder.objects.update(marks={str(theirs.pk): theirs.wanted + 100})
    tell(shop, other)
    later = sell(shop, "later")
    tell(shop, other)
    propagation = Propagation()
    runs = [propagation.note(window=2) for _ in range(6)]
    assert sum(runs) == 1
    assert propagated_at(later) is not None
    assert [propagated_at(each) for each in stuck] == [None] * 5


def test_a_mark_of_a_listing_that_is_gone_is_never_met(monkeypatch: pytest.MonkeyPatch) -> None:
    shop, _, _ = two_shops(monkeypatch)
    placed = sell(shop)
    ListingLevel.objects.exclude(channel=shop.channel).delete()
    assert Propagation().note() == 0
    assert propagated_at(placed) is None


def test_nobody_else_to_tell_is_told_at_once() -> None:
    shop = open_shop({"MUG": 5})
    shop.list_variant("MUG")
    placed = sell(shop)
    assert placed.propagated_at == placed.applied_at
    assert placed.propagated_at is not None
    assert timezone.now() - placed.propagated_at < timedelta(minutes=1)
