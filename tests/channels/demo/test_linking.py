"""Simulated shops are filled, connected and played in, over HTTP and through the real connectors."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from django.utils import timezone
from pytest_django import Settings

from channels.connectors import CONNECTORS
from channels.demo.figures import Stage, diverged
from channels.demo.linking import link, load_shop, retire_other_shops
from channels.demo.platforms import DEFAULT, PLATFORMS
from channels.demo.replay import Replay
from channels.demo.sales_file import RowKind
from channels.demo.shops import Shop, is_up
from channels.demo.stage import work_left
from channels.demo.stocking import Goods, open_merchant, stock_up
from channels.models import Channel, Listing, ListingLevel
from channels.models.listings import Lane
from channels.pushes import mark_listing_levels
from channels.sandbox import INSTANT, SANDBOXES, SandboxClient, SandboxShop
from inventory.models import Merchant
from tests.channels.demo.files import row

pytestmark = pytest.mark.django_db

GOODS = (
    Goods("MUG-r", "Mug", "Mug, red", {"AMS": 5, "RTM": 2, "BER": 0}, "2000000000008", "Kitchen"),
    Goods("MUG-R", "Mug", "Mug, large red", {"AMS": 1, "RTM": 0, "BER": 0}, "2000000000015", "Kitchen"),
    Goods("JUG", "Jug", "Jug", {"AMS": 4}, "2000000000022", "Kitchen"),
)


@pytest.fixture
def sandboxes(settings: Settings) -> Iterator[dict[str, SandboxShop]]:
    """One shop of each platform, whose webhooks go nowhere."""
    settings.PUBLIC_URL = "http://127.0.0.1:9"
    with ExitStack() as stack:
        opened = {
            kind: stack.enter_context(SANDBOXES[kind](profile=INSTANT, limits="generous", seed=5))
            for kind in DEFAULT
        }
        for shop in opened.values():
            shop.set_faults(webhooks_are_lost=True)
        yield opened


@pytest.fixture
def shops(sandboxes: dict[str, SandboxShop]) -> Iterator[list[Shop]]:
    """The demo's shops, driven over HTTP."""
    with ExitStack() as stack:
        opened = [Shop(kind, PLATFORMS[kind].name, port=1) for kind in DEFAULT]
        for shop in opened:
            shop.client = stack.enter_context(SandboxClient(sandboxes[shop.kind].base_url))
        yield opened


@pytest.fixture
def merchant() -> Merchant:
    opened = open_merchant("Demo", "demo")
    stock_up(opened, GOODS)
    return opened


def set_stage(shops: list[Shop], merchant: Merchant) -> Stage:
    channels = {}
    for shop in shops:
        load_shop(shop, merchant, {})
        channels[shop.kind] = link(shop, merchant)
    return Stage(
        shops, channels, {goods.sku: sum(goods.quantities.values()) for goods in GOODS}, timezone.now()
    )


def books(shops: list[Shop]) -> dict[str, dict[str, object]]:
    return {shop.kind: shop.client.book() for shop in shops}


def test_every_variant_is_listed_in_every_shop_and_place_and_what_is_shown_already_is_not_told(
    shops: list[Shop], merchant: Merchant
) -> None:
    stage = set_stage(shops, merchant)

    for kind, places in (("shopify", 3), ("woocommerce", 1), ("bol", 1)):
        channel = stage.channels[kind]
        mapped = channel.listings.filter(is_active=True, variant__isnull=False)
        assert sorted(mapped.values_list("sku", "variant__sku")) == [
            (sku, sku) for sku in ("JUG", "MUG-R", "MUG-r")
        ], kind
        levels = ListingLevel.objects.filter(channel=channel)
        assert levels.count() == 3 * places, kind
        # Shopify compares: its pushes read the shelves themselves.
        assert [level.is_due for level in levels] == [kind == "shopify"] * levels.count(), kind


def test_a_freshly_filled_shop_shows_what_we_would_tell_it(shops: list[Shop], merchant: Merchant) -> None:
    stage = set_stage(shops, merchant)

    assert diverged(stage, books(shops)) == []


@pytest.mark.parametrize("kind", [kind for kind in PLATFORMS if kind not in DEFAULT])
def test_every_other_platform_is_filled_and_connected_too(
    kind: str, merchant: Merchant, settings: Settings
) -> None:
    settings.PUBLIC_URL = "http://127.0.0.1:9"
    with SANDBOXES[kind](profile=INSTANT, limits="generous", seed=5) as sandbox:
        shop = Shop(kind, PLATFORMS[kind].name, port=1)
        with SandboxClient(sandbox.base_url) as shop.client:
            stage = set_stage([shop], merchant)

            assert diverged(stage, books([shop])) == []
            levels = ListingLevel.objects.filter(listing__variant__isnull=False)
            # A warehouse is told no numbers: it has the say over ours.
            is_told = CONNECTORS[kind].capabilities.push_batch_size > 0
            assert levels.count() == (len(GOODS) if is_told else 0)
            assert Listing.objects.filter(variant__isnull=False).count() == len(GOODS)


def test_a_foreign_edit_of_one_place_is_found_with_both_numbers(
    shops: list[Shop], sandboxes: dict[str, SandboxShop], merchant: Merchant
) -> None:
    stage = set_stage(shops, merchant)
    shops[0].client.edit_stock("MUG-r", 77, "RTM")
    shops[1].client.edit_stock("JUG", 0)

    assert diverged(stage, books(shops)) == [
        {"channel": "shopify", "sku": "MUG-r", "place": "RTM", "shop": 77, "target": 2},
        {"channel": "woocommerce", "sku": "JUG", "place": "", "shop": 0, "target": 4},
    ]


def test_a_shop_is_linked_again_after_a_restart_without_a_second_channel(
    shops: list[Shop], merchant: Merchant
) -> None:
    first = set_stage(shops, merchant)
    Channel.objects.filter(pk=first.channels["bol"].pk).update(is_active=False, is_paused=True)

    again = set_stage(shops, merchant)

    assert again.channel_ids == first.channel_ids
    channel = Channel.objects.get(pk=first.channels["bol"].pk)
    assert (channel.is_active, channel.is_paused) == (True, False)
    assert diverged(again, books(shops)) == []


def test_shops_of_earlier_runs_are_retired_and_real_ones_are_not(
    shops: list[Shop], merchant: Merchant
) -> None:
    stage = set_stage(shops[:1], merchant)
    earlier = open_merchant("Replay", "replay")
    simulated = Channel.objects.create(
        merchant=earlier, name="Old", kind="woocommerce", settings={"base_url": "http://127.0.0.1:8102"}
    )
    real = Channel.objects.create(
        merchant=earlier, name="Real", kind="woocommerce", settings={"base_url": "https://shop.example"}
    )

    assert retire_other_shops(list(stage.channels.values())) == 1

    simulated.refresh_from_db()
    real.refresh_from_db()
    assert (simulated.is_active, real.is_active) == (False, True)
    assert Channel.objects.get(pk=stage.channel_ids[0]).is_active


def test_shelves_to_be_told_are_work_that_is_left(shops: list[Shop], merchant: Merchant) -> None:
    stage = set_stage(shops[:1], merchant)
    ids = list(ListingLevel.objects.values_list("id", flat=True))
    mark_listing_levels(ids, lane=Lane.INCREASE)

    assert work_left(stage.channel_ids) == {"pushes": 9}

    ListingLevel.objects.update(done=100, wanted=100)

    assert work_left(stage.channel_ids) == {}
    assert work_left(stage.channel_ids, polled_after=timezone.now()).keys() <= {"polls"}


def test_a_history_is_played_in_the_shops_and_stands_in_their_books(
    shops: list[Shop], merchant: Merchant
) -> None:
    set_stage(shops, merchant)
    rows = [
        row(2, "1", "MUG-r", 2),
        row(3, "1", "JUG", 1),
        row(4, "2", "MUG-r", 3),
        row(5, "3", "MUG-R", 9),
        row(6, "C1", "MUG-r", 4, RowKind.RETURN),
        row(7, "C2", "MUG-R", 1, RowKind.RETURN),
    ]
    replay = Replay(shops, merchant_id=merchant.pk, location_id=0, variant_ids={})

    replay.play(rows, rate=None, should_stop=lambda: False, report=lambda line: None)

    played = replay.played
    assert (played.sold_rows, played.refused_rows, played.refused_units) == (3, 1, 9)
    assert (played.cancelled_units, played.returned_units, played.unmatched_units) == (4, 0, 1)
    lines = [line for book in books(shops).values() for o in book["orders"] for line in o["lines"]]  # type: ignore[attr-defined]
    assert sorted((line["sku"], line["quantity"], line["cancelled"]) for line in lines) == [
        ("JUG", 1, 0),
        ("MUG-r", 2, 1),
        ("MUG-r", 3, 3),
    ]


def test_a_shop_that_does_not_answer_is_not_up(shops: list[Shop], sandboxes: dict[str, SandboxShop]) -> None:
    assert is_up(shops[0].client)

    sandboxes["shopify"].stop()

    assert not is_up(shops[0].client)
