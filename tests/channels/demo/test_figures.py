"""The summary of a demo is read from the shops' books and the engine's rows, and hides nothing that is unfinished."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from channels.connectors import CONNECTORS
from channels.demo.figures import Stage, summary
from channels.demo.options import is_well
from channels.demo.oversell import StockEvent
from channels.feeds import ask_for_poll
from channels.models import (
    Channel,
    ChannelOrder,
    ListingLevel,
    PollFeed,
    Push,
    WebhookDelivery,
)
from channels.models.outbound import PushOutcome
from channels.orders import apply_state, hint
from inventory.models import StockLevel
from tests.channels.shop import NOON, Shop, line, open_shop, order

pytestmark = pytest.mark.django_db

BEGAN = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass
class Scene:
    """A merchant with two channels that list the same mug, and what their shops' books say."""

    shop: Shop
    here: Channel
    there: Channel
    level_here: ListingLevel
    level_there: ListingLevel
    books: dict[str, dict[str, Any]] = field(default_factory=dict)

    def sell(self, external_id: str, at: datetime, units: int = 1) -> None:
        """Notes a sale in the book of the shop here."""
        book = self.books["woocommerce"]
        lines = [{"sku": "mug", "quantity": units}]
        book["orders"].append({"id": external_id, "committed_at": at.timestamp(), "lines": lines})
        book["movements"].append([at.timestamp(), "mug", -units])

    def figures(self, adjusted: Sequence[StockEvent] = ()) -> dict[str, Any]:
        channels = {"woocommerce": self.here, "shopify": self.there}
        return summary(Stage([], channels, {"mug": 10}, BEGAN), self.books, adjusted)

    def latency(self) -> Mapping[str, Any]:
        """The latency of the channel here, and how many are unfinished."""
        figures = self.figures()
        return {**figures["latency_by_channel"]["woocommerce"], "unfinished": figures["latency_unfinished"]}

    def push(
        self, level: ListingLevel, at: datetime, *, wanted: int, outcome: PushOutcome = PushOutcome.CONFIRMED
    ) -> None:
        """Notes a push that ended at an instant."""
        Push.objects.create(
            channel=level.channel,
            listing_level=level,
            call_id=uuid4(),
            wanted=wanted,
            target=1,
            quantity=1,
            outcome=outcome,
            computed_at=at,
            finished_at=at,
        )


@pytest.fixture
def scene() -> Scene:
    shop = open_shop({"mug": 10})
    there = shop.add_channel("Other shop", kind="shopify")
    listed = [shop.list_variant("mug", channel=channel) for channel in (shop.channel, there)]
    levels = [listing.levels.get() for listing in listed]
    empty: dict[str, dict[str, Any]] = {
        kind: {"orders": [], "movements": [], "stored": {"mug": {"": 10}}}
        for kind in ("woocommerce", "shopify")
    }
    return Scene(shop, shop.channel, there, levels[0], levels[1], empty)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def arrive(
    scene: Scene, external_id: str, seconds: float, *, units: int = 1, cancelled: int = 0
) -> ChannelOrder:
    """Has an order of the shop here arrive and be applied."""
    apply_state(
        scene.here,
        order(line("mug", units, cancelled=cancelled), id=external_id),
        arrived_at=at(seconds),
    )
    return ChannelOrder.objects.get(channel=scene.here, external_id=external_id)


# -- latency


def test_latency_runs_from_the_sale_to_the_other_shelf_s_confirmation(scene: Scene) -> None:
    scene.sell("1", at(0))
    known = arrive(scene, "1", 0.2)
    scene.push(scene.level_there, at(0.7), wanted=known.marks[str(scene.level_there.pk)])

    figures = scene.figures()

    assert figures["latency_ms"]["max"] == 700.0
    assert figures["latency_from_arrival_ms"]["max"] == 500.0
    assert figures["latency_by_channel"]["woocommerce"]["max"] == 700.0
    assert figures["latency_by_channel"]["shopify"]["samples"] == 0
    assert figures["latency_unfinished"] == 0


def test_only_the_other_channels_shelves_count(scene: Scene) -> None:
    scene.sell("1", at(0))
    known = arrive(scene, "1", 0.2)
    scene.push(scene.level_there, at(0.7), wanted=known.marks[str(scene.level_there.pk)])
    scene.push(scene.level_here, at(9), wanted=99)

    assert str(scene.level_here.pk) not in known.marks
    assert scene.latency()["max"] == 700.0


def test_a_number_computed_before_the_order_was_applied_does_not_count(scene: Scene) -> None:
    scene.sell("1", at(0))
    mark = arrive(scene, "1", 0.2).marks[str(scene.level_there.pk)]
    scene.push(scene.level_there, at(0.4), wanted=mark - 1)

    assert scene.latency()["unfinished"] == 1

    scene.push(scene.level_there, at(1.5), wanted=mark + 3)

    assert scene.latency()["max"] == 1500.0


@pytest.mark.parametrize("outcome", set(PushOutcome) - {PushOutcome.CONFIRMED, PushOutcome.UNCHANGED})
def test_a_push_that_was_not_confirmed_does_not_count(scene: Scene, outcome: PushOutcome) -> None:
    scene.sell("1", at(0))
    mark = arrive(scene, "1", 0.2).marks[str(scene.level_there.pk)]
    scene.push(scene.level_there, at(0.5), wanted=mark, outcome=outcome)

    assert scene.latency()["unfinished"] == 1


def test_a_shelf_that_needed_no_change_counts_as_told(scene: Scene) -> None:
    scene.sell("1", at(0))
    mark = arrive(scene, "1", 0.2).marks[str(scene.level_there.pk)]
    scene.push(scene.level_there, at(0.5), wanted=mark, outcome=PushOutcome.UNCHANGED)

    assert scene.latency()["max"] == 500.0


def test_the_slowest_shelf_decides(scene: Scene) -> None:
    third = scene.shop.add_channel("Third shop", kind="bol")
    slow = scene.shop.list_variant("mug", channel=third).levels.get()
    scene.sell("1", at(0))
    marks = arrive(scene, "1", 0.2).marks
    scene.push(scene.level_there, at(0.5), wanted=marks[str(scene.level_there.pk)])

    assert scene.latency()["unfinished"] == 1

    scene.push(slow, at(4), wanted=marks[str(slow.pk)])

    assert scene.latency()["max"] == 4000.0


def test_a_later_push_does_not_make_an_order_later(scene: Scene) -> None:
    scene.sell("1", at(0))
    mark = arrive(scene, "1", 0.2).marks[str(scene.level_there.pk)]
    scene.push(scene.level_there, at(0.5), wanted=mark)
    scene.push(scene.level_there, at(60), wanted=mark + 1)

    assert scene.latency()["max"] == 500.0


def test_an_order_that_never_arrived_is_unfinished(scene: Scene) -> None:
    scene.sell("1", at(0))

    assert scene.latency() == {
        "p50": None,
        "p95": None,
        "p99": None,
        "max": None,
        "samples": 1,
        "confirms_at_once": True,
        "told": {"p50": None, "p95": None, "p99": None, "max": None, "samples": 0},
        "unfinished": 1,
    }


def test_an_order_of_which_only_a_hint_arrived_is_unfinished(scene: Scene) -> None:
    scene.sell("1", at(0))
    hint(scene.here, "1", arrived_at=at(0.1))

    assert scene.latency()["unfinished"] == 1


def test_an_order_whose_sku_is_unknown_is_unfinished(scene: Scene) -> None:
    scene.sell("1", at(0))
    apply_state(scene.here, order(line("unknown"), id="1"), arrived_at=at(0.1))

    assert scene.latency()["unfinished"] == 1


def test_an_order_that_was_cancelled_before_it_arrived_is_no_sample(scene: Scene) -> None:
    scene.sell("1", at(0))
    arrive(scene, "1", 0.2, units=2, cancelled=2)

    assert (scene.latency()["samples"], scene.latency()["unfinished"]) == (0, 0)


def test_an_order_that_nobody_else_lists_is_no_sample(scene: Scene) -> None:
    scene.level_there.delete()
    scene.sell("1", at(0))
    arrive(scene, "1", 0.2)

    assert (scene.latency()["samples"], scene.latency()["unfinished"]) == (0, 0)


def confirming_later(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Has the platform only take numbers in at first."""
    able = replace(CONNECTORS[kind].capabilities, asynchronous_push=True)
    monkeypatch.setattr(CONNECTORS[kind], "capabilities", able)


def test_platforms_that_confirm_later_are_told_apart(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    confirming_later(monkeypatch, "bol")
    slow_channel = scene.shop.add_channel("Slow shop", kind="bol")
    slow = scene.shop.list_variant("mug", channel=slow_channel).levels.get()
    scene.books["bol"] = {"orders": [], "movements": [], "stored": {"mug": {"": 10}}}
    scene.sell("1", at(0))
    marks = arrive(scene, "1", 0.2).marks
    scene.push(scene.level_there, at(0.7), wanted=marks[str(scene.level_there.pk)])
    channels = {"woocommerce": scene.here, "shopify": scene.there, "bol": slow_channel}

    def figures() -> dict[str, Any]:
        return summary(Stage([], channels, {"mug": 10}, BEGAN), scene.books, [])

    waiting = figures()
    scene.push(slow, at(180), wanted=marks[str(slow.pk)])
    done = figures()

    assert (waiting["latency_ms"]["max"], waiting["latency_unfinished"]) == (700.0, 1)
    assert waiting["latency_until_all_confirmed_ms"]["max"] is None
    assert (done["latency_ms"]["max"], done["latency_until_all_confirmed_ms"]["max"]) == (700.0, 180_000.0)
    by_channel = done["latency_by_channel"]
    assert {kind: by_channel[kind]["confirms_at_once"] for kind in by_channel} == {
        "woocommerce": True,
        "shopify": True,
        "bol": False,
    }
    assert (by_channel["woocommerce"]["max"], by_channel["woocommerce"]["told"]["samples"]) == (700.0, 0)
    assert (by_channel["shopify"]["told"]["max"], by_channel["bol"]["told"]["max"]) == (700.0, 180_000.0)
    assert done["latency_unfinished"] == 0


def test_a_sale_that_concerns_slow_platforms_alone_is_no_sample_of_the_quick_ones(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    confirming_later(monkeypatch, "shopify")
    scene.sell("1", at(0))
    known = arrive(scene, "1", 0.2)
    scene.push(scene.level_there, at(90), wanted=known.marks[str(scene.level_there.pk)])

    figures = scene.figures()

    assert figures["latency_ms"]["samples"] == 0
    assert figures["latency_until_all_confirmed_ms"]["max"] == 90_000.0


# -- counts


def test_sales_are_counted_from_the_shops_books(scene: Scene) -> None:
    scene.sell("1", at(0), units=2)
    scene.sell("2", at(1), units=3)

    figures = scene.figures()

    assert (figures["orders"], figures["lines"], figures["units"]) == (2, 2, 5)


def test_oversold_units_are_counted_from_the_shops_books_and_the_corrections(scene: Scene) -> None:
    scene.sell("1", at(0), units=4)
    scene.sell("2", at(5), units=3)
    lost = StockEvent(at(2).timestamp(), "mug", -6, is_sale=False)

    figures = scene.figures([lost])

    assert (figures["oversold_units"], figures["physics_units"]) == (3, 0)
    assert scene.figures()["oversold_units"] == 0


def test_conflicts_are_counted(scene: Scene) -> None:
    assert scene.figures()["conflicts"] == 0

    arrive(scene, "1", 0.1, units=12)

    assert scene.figures()["conflicts"] == 1


def test_repeated_webhooks_are_received_and_ignored(scene: Scene) -> None:
    for key, repeats in (("a", 0), ("b", 2)):
        WebhookDelivery.objects.create(
            channel=scene.here, dedupe_key=key, topic="orders", received_at=at(1), repeats=repeats
        )

    figures = scene.figures()

    assert (figures["webhooks_received"], figures["duplicates_ignored"]) == (4, 2)


def test_polls_of_all_channels_are_summed(scene: Scene) -> None:
    for channel, polls in ((scene.here, 3), (scene.there, 4)):
        ask_for_poll(channel.pk)
        PollFeed.objects.filter(channel=channel).update(polls=polls)

    assert scene.figures()["polls"] == sum(PollFeed.objects.values_list("polls", flat=True))


def test_a_call_with_several_numbers_is_one_call(scene: Scene) -> None:
    scene.push(scene.level_there, at(1), wanted=1)
    scene.push(scene.level_there, at(2), wanted=2)
    scene.push(scene.level_there, at(3), wanted=3, outcome=PushOutcome.UNCHANGED)
    first, second, _ = Push.objects.order_by("id")
    Push.objects.filter(pk=second.pk).update(call_id=first.call_id)

    figures = scene.figures()

    assert (figures["pushes"], figures["push_calls"]) == (2, 1)


def test_what_was_before_the_beginning_is_not_counted(scene: Scene) -> None:
    before = BEGAN - timedelta(seconds=1)
    scene.push(scene.level_there, before, wanted=1)
    WebhookDelivery.objects.create(channel=scene.here, dedupe_key="a", topic="orders", received_at=before)

    figures = scene.figures()

    assert (figures["pushes"], figures["webhooks_received"]) == (0, 0)


# -- whether all is well


def test_a_shop_that_shows_our_number_has_not_diverged(scene: Scene) -> None:
    figures = scene.figures()

    assert figures["diverged_listings"] == 0
    assert figures["ledger_ok"] is True
    assert is_well(figures)


@pytest.mark.parametrize("shown", [{"mug": {"": 9}}, {"mug": {}}, {}])
def test_a_shop_that_shows_another_number_or_none_has_diverged(
    scene: Scene, shown: dict[str, dict[str, int]]
) -> None:
    scene.books["shopify"]["stored"] = shown

    figures = scene.figures()

    assert figures["diverged_listings"] == 1
    assert not is_well(figures)


def test_a_ledger_that_does_not_replay_is_not_well(scene: Scene) -> None:
    StockLevel.objects.update(on_hand=11)

    figures = scene.figures()

    assert figures["ledger_ok"] is False
    assert not is_well(figures)


def test_an_unfinished_order_is_not_well(scene: Scene) -> None:
    scene.sell("1", at(0))

    assert not is_well(scene.figures())
