"""The faults of `demo --faults drift`: what is done to the shops, and how the summary tells of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast

import pytest
from django.utils import timezone

from channels.demo.figures import Stage
from channels.demo.oversell import StockEvent
from channels.demo.shops import Shop as DemoShop
from channels.models import Channel, ChannelOrder, ChannelOrderLine
from reconciliation import drift
from reconciliation.drift import Drift, Watched
from reconciliation.models import Discrepancy, ReconciliationSchedule
from tests.reconciliation.market import Market, open_market

pytestmark = pytest.mark.django_db


@dataclass
class Client:
    """Drives the market as a simulated shop is driven."""

    market: Market
    faults: list[dict[str, object]] = field(default_factory=list)

    def edit_stock(self, sku: str, quantity: int, location_code: str | None = None) -> None:
        self.market.edit(sku, quantity)

    def set_faults(self, **faults: object) -> None:
        self.faults.append(faults)

    def clear_faults(self) -> None:
        self.faults.append({})


@dataclass
class Nobody:
    """Customers who buy nothing."""

    events: Sequence[StockEvent] = ()

    def run(self, stage: Stage, should_stop: Callable[[], bool]) -> None:
        return None

    def figures(self) -> dict[str, Any]:
        return {"bought": 0}


@pytest.fixture
def market(monkeypatch: pytest.MonkeyPatch) -> Market:
    return open_market(monkeypatch, {f"SKU-{n}": 20 for n in range(12)})


@pytest.fixture
def stage(market: Market) -> Stage:
    shop = DemoShop("telling", "Shop", 1)
    shop.client = cast(Any, Client(market))
    return Stage([shop], {"telling": market.shop.channel}, {}, timezone.now() - timedelta(seconds=1))


def faults_of(stage: Stage) -> list[dict[str, object]]:
    return cast(Client, stage.shops[0].client).faults


def test_every_scene_of_the_play_is_listed_with_its_times(stage: Stage, market: Market) -> None:
    play = Drift(Nobody(), seconds=0.0001)
    play._play_faults(stage)
    kinds = [fault["fault"] for fault in play.figures()["faults"]]
    assert kinds.count("edit") == 2 * len(drift.EDITS) + 2
    assert (kinds.count("webhooks lost"), kinds.count("down")) == (1, 1)
    assert all("ended_at" in fault for fault in play.figures()["faults"] if fault["fault"] != "edit")
    assert faults_of(stage) == [
        {"webhooks_are_lost": True},
        {"webhooks_are_lost": False},
        {"is_down": True},
        {"is_down": False},
    ]


def test_a_shop_is_down_for_a_minute_at_most(stage: Stage) -> None:
    for seconds, lasts in ((180.0, 60.0), (90.0, 30.0), (600.0, 60.0)):
        shares = [share for share, _ in Drift(Nobody(), seconds).scenes(stage)]
        assert (shares[6] - shares[4]) * seconds == pytest.approx(lasts)
        assert max(shares) <= 0.9


def test_goods_that_sell_are_left_alone_and_no_shelf_is_edited_twice(stage: Stage, market: Market) -> None:
    now = timezone.now()
    sold = ChannelOrder.objects.create(channel=market.shop.channel, external_id="1", arrived_at=now)
    ChannelOrderLine.objects.create(order=sold, external_id="1", variant=market.shop.variants["SKU-11"])
    play = Drift(Nobody(), 1.0)
    for _ in range(3):
        play._edit(stage, stage.shops[0], 3)
    assert [fault.sku for fault in play.faults] == ["SKU-10", "SKU-9", "SKU-8"]
    assert [market.number(fault.sku) for fault in play.faults] == [23, 23, 23]


def test_an_edit_is_told_with_the_discrepancy_that_found_it(
    stage: Stage, market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    play = Drift(Nobody(), seconds=1.0)
    play._edit(stage, stage.shops[0], 3)

    def compare(*_: object) -> None:
        market.compare()
        market.settle()

    monkeypatch.setattr(drift, "compare_all", compare)
    play._settle(stage, lambda: False)
    (fault,) = play.figures()["faults"]
    assert fault["discrepancy"] == Discrepancy.objects.get().pk
    assert market.number(fault["sku"]) == 20


def test_an_edit_that_a_push_wrote_over_unseen_is_made_again(
    stage: Stage, market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    play = Drift(Nobody(), seconds=1.0)
    play._edit(stage, stage.shops[0], 3)
    market.edit(play.faults[0].sku, 20)

    def compare(*_: object) -> None:
        market.compare()
        market.settle()

    monkeypatch.setattr(drift, "compare_all", compare)
    play._settle(stage, lambda: False)
    (fault,) = play.faults
    assert (fault.sku, fault.discrepancy_id is not None) == ("SKU-10", True)


def test_the_demos_channels_are_compared_every_minute(stage: Stage, market: Market) -> None:
    drift.hasten(stage)
    drift.hasten(stage)
    schedule = ReconciliationSchedule.objects.get()
    assert (schedule.channel, schedule.every_minutes) == (market.shop.channel, 1)


def test_the_summary_lists_discrepancies_as_found_and_has_room_for_alerts(
    stage: Stage, market: Market
) -> None:
    watched = Watched(Nobody())
    watched.run(stage, lambda: False)
    market.edit("SKU-3", 17)
    market.compare()
    market.settle()
    figures = watched.figures()
    assert (figures["bought"], figures["alerts"]) == (0, [])
    (found,) = figures["discrepancies"]
    assert (found["sku"], found["shown"], found["expected"]) == ("SKU-3", 17, 20)
    assert (found["cause"], found["state"], found["value"]) == ("foreign_edit", "corrected", None)


def test_the_place_of_an_edit_is_named_as_the_shop_knows_it(market: Market) -> None:
    level = market.level("SKU-1")
    assert drift.place_code(level) is None
    level.channel_location.external_id = "77"
    level.channel_location.name = market.shop.locations["main"].name
    assert drift.place_code(level) == "main"


def test_a_play_of_three_shops_silences_one_and_takes_down_another(stage: Stage) -> None:
    shops = [DemoShop(kind, kind, 1) for kind in ("shopify", "woocommerce", "bol")]
    for shop in shops:
        shop.client = stage.shops[0].client
    three = Stage(shops, {}, {}, timezone.now())
    play = Drift(Nobody(), 180.0)
    scenes = play.scenes(three)
    for number in (1, 4):
        scenes[number][1](three)
    assert [(fault.kind, fault.shop) for fault in play.faults] == [
        ("webhooks lost", "woocommerce"),
        ("down", "bol"),
    ]
    assert not Channel.objects.filter(kind="bol").exists()
