"""Lags are measured from orders on record, what sells within them from the ledger; the budget holds increases only."""

from datetime import timedelta

import pytest
from django.utils import timezone

from channels.exposure import targets
from channels.models import Channel, ChannelLag, ChannelOrder, LagDemand, ListingLevel, Push
from channels.rules import budgets, velocity
from channels.tasks import measure_rules
from inventory.ledger import Context
from inventory.models import StockMovement
from inventory.reservations import Demand, reserve
from inventory.stock import AdjustmentLine, StockLine, adjust, receive
from tests.channels.rules.drawing import due, in_force, sell_on, settle_marks
from tests.channels.shop import Shop, open_shop
from tests.channels.telling import fresh, tell, tell_all, use_platform

pytestmark = pytest.mark.django_db


def arrived(channel: Channel, level: ListingLevel, seconds: float, number: int) -> None:
    """Puts an order of a channel on record that reached another shelf after so many seconds."""
    sold_at = timezone.now() - timedelta(hours=1)
    ChannelOrder.objects.create(
        channel=channel,
        external_id=f"o{number}",
        ordered_at=sold_at,
        arrived_at=sold_at + timedelta(milliseconds=10),
        applied_at=sold_at + timedelta(milliseconds=20),
        marks={str(level.pk): number},
        propagated_at=sold_at + timedelta(seconds=seconds),
    )
    Push.objects.create(
        channel=level.channel,
        listing_level=level,
        wanted=number,
        target=1,
        outcome="confirmed",
        computed_at=sold_at + timedelta(milliseconds=30),
        finished_at=sold_at + timedelta(seconds=seconds),
    )


def test_a_channels_lag_is_what_95_of_100_sales_elsewhere_took_to_reach_its_shelves() -> None:
    shop = open_shop({"MUG": 9})
    other, (theirs,) = sell_on(shop, "other", "MUG")
    level = theirs.levels.get()
    for number in range(1, 41):
        arrived(shop.channel, level, 0.5 if number <= 36 else 8.0, number)
    velocity.measure_lags(shop.merchant.pk)
    lag = ChannelLag.objects.get(channel=other)
    assert (lag.samples, 0.5 < lag.seconds <= 8.0) == (40, True)


def test_a_channel_without_enough_samples_counts_with_its_poll_interval() -> None:
    shop = open_shop()
    velocity.measure_lags(shop.merchant.pk)
    lag = ChannelLag.objects.get(channel=shop.channel)
    assert (lag.samples, lag.seconds) == (0, 300.0)


def sell_every(shop: Shop, minutes: float, times: int, units: int = 1) -> None:
    """Sells so many units every so many minutes until now."""
    now, place = timezone.now(), shop.locations["main"].pk
    for number in range(times):
        at = now - timedelta(minutes=minutes * number)
        context = Context(shop.merchant.pk, f"sale:{number}", occurred_at=at)
        reserve(context, [Demand(f"sale-{number}", shop.variants["MUG"].pk, units, (place,))])
    assert StockMovement.objects.filter(reason="sale").count() == times


def test_what_sells_within_the_lag_is_withheld_and_a_change_of_it_marks_the_shelves() -> None:
    shop = open_shop({"MUG": 500, "CUP": 500})
    mug, cup = shop.list_variant("MUG"), shop.list_variant("CUP")
    ChannelLag.objects.create(channel=shop.channel, seconds=300, samples=50, measured_at=timezone.now())
    in_force(shop.merchant, {"velocity_quantile": 95, "velocity_most": 9})
    sell_every(shop, minutes=2.5, times=60, units=2)
    settle_marks()
    assert velocity.measure_demands(shop.merchant.pk) == 1
    assert due(mug, cup) == [True, False]
    demand = LagDemand.objects.get()
    assert demand.q90 <= demand.q95 <= demand.q99
    assert demand.q95 == 4
    shelf = shop.shelf(mug).pk
    assert targets([shelf]) == {shelf: 500 - 120 - 4}
    settle_marks()
    assert velocity.measure_demands(shop.merchant.pk) == 0
    assert due(mug) == [False]


def test_what_hardly_ever_sells_needs_no_buffer_but_the_least() -> None:
    shop = open_shop({"MUG": 500})
    level = shop.shelf(shop.list_variant("MUG"))
    ChannelLag.objects.create(channel=shop.channel, seconds=1, samples=50, measured_at=timezone.now())
    in_force(shop.merchant, {"velocity_quantile": 95, "velocity_least": 1})
    sell_every(shop, minutes=60, times=3)
    velocity.measure_demands(shop.merchant.pk)
    assert not LagDemand.objects.exists()
    assert targets([level.pk]) == {level.pk: 500 - 3 - 1}


def test_old_sales_that_are_recorded_today_need_no_buffer() -> None:
    shop = open_shop({"MUG": 500})
    shop.list_variant("MUG")
    ChannelLag.objects.create(channel=shop.channel, seconds=86400, samples=50, measured_at=timezone.now())
    in_force(shop.merchant, {"velocity_quantile": 95})
    long_ago = Context(shop.merchant.pk, "old", occurred_at=timezone.now() - timedelta(days=60))
    reserve(long_ago, [Demand("old", shop.variants["MUG"].pk, 400, (shop.locations["main"].pk,))])
    velocity.measure_demands(shop.merchant.pk)
    assert not LagDemand.objects.exists()


def test_nothing_is_measured_for_rules_that_do_not_ask() -> None:
    shop = open_shop({"MUG": 500})
    shop.list_variant("MUG")
    sell_every(shop, minutes=1, times=3)
    assert measure_rules() == 0
    assert not LagDemand.objects.exists()


# -- the change budget


def restock(shop: Shop, units: int, key: str) -> None:
    receive(
        Context(shop.merchant.pk, key), [StockLine(shop.variants["MUG"].pk, shop.locations["main"].pk, units)]
    )


def lose(shop: Shop, units: int, key: str) -> None:
    adjust(
        Context(shop.merchant.pk, key),
        [AdjustmentLine(shop.variants["MUG"].pk, shop.locations["main"].pk, -units)],
    )


def test_the_budget_holds_increases_alone_and_lets_them_go_on_the_next_day(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shelves = use_platform(monkeypatch)
    shop = open_shop({"MUG": 5}, kind="telling")
    listing = shop.list_variant("MUG")
    level = shop.shelf(listing)
    in_force(shop.merchant, {"daily_increases": 1})
    tell(shop)
    shown: list[int | None] = []
    for change in (restock, restock, lose, restock):
        change(shop, 2, f"{change.__name__}-{len(shown)}")
        tell_all(shop)
        shown.append(shelves.number(listing))
    assert shown == [7, 7, 7, 7]
    lose(shop, 9, "gone")
    tell_all(shop)
    assert (shelves.number(listing), fresh(level).raises) == (0, 1)
    restock(shop, 4, "back")
    tell_all(shop)
    assert shelves.number(listing) == 0
    assert budgets.release_yesterday() == 0
    ListingLevel.objects.update(raised_on=timezone.now().date() - timedelta(days=1))
    assert budgets.release_yesterday() == 1
    tell_all(shop)
    assert shelves.number(listing) == 4
