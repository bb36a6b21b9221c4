"""A line of an unknown SKU waits, is shown with its reason, and applies itself once it is mapped."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from channels.mapping import (
    UnfitVariant,
    apply_waiting_lines,
    map_by_sku,
    map_listing,
    waiting_lines,
    waiting_reason,
)
from channels.models import Channel, ChannelLocationSource, ChannelOrder, ChannelOrderLine, Listing
from channels.orders import apply_state
from channels.tasks import apply_mapped
from tests.channels.shop import NOON, Shop, line, open_shop, order

pytestmark = pytest.mark.django_db


def unmapped_listing(
    shop: Shop, sku: str, *, channel: Channel | None = None, external_id: str = ""
) -> Listing:
    return Listing.objects.create(
        channel=channel or shop.channel, sku=sku, external_id=external_id or f"listing-{sku}"
    )


def test_an_unknown_sku_does_not_lose_the_order_and_the_known_line_is_applied() -> None:
    shop = open_shop({"MUG": 5})
    apply_state(shop.channel, order(line("MUG", 1), line("POT", 2)), arrived_at=NOON)
    waiting = ChannelOrderLine.objects.get(sku="POT")
    assert shop.level("MUG") == (5, 1)
    assert list(waiting_lines()) == [waiting]
    assert "POT is not known" in waiting_reason(waiting)
    assert waiting_reason(ChannelOrderLine.objects.get(sku="MUG")) == ""


def test_a_waiting_line_applies_itself_when_its_variant_appears() -> None:
    shop = open_shop()
    apply_state(shop.channel, order(line("POT", 2)), arrived_at=NOON)
    shop.add_variant("POT", {"main": 5})
    assert apply_mapped(shop.merchant.pk) == 1
    assert shop.level("POT") == (5, 2)
    assert ChannelOrder.objects.get().applied_at is not None
    assert apply_mapped() == 0


def test_mapping_a_listing_applies_the_lines_of_that_listing_and_has_its_number_pushed() -> None:
    shop = open_shop({"MUG": 5})
    apply_state(shop.channel, order(line("Mug blue", 2)), arrived_at=NOON)
    listing = unmapped_listing(shop, "Mug blue")
    map_listing(listing, shop.variants["MUG"])
    apply_waiting_lines(shop.merchant.pk)
    assert shop.level("MUG") == (5, 2)
    assert shop.shelf(listing).is_due


def test_a_state_that_came_while_the_line_waited_is_what_is_applied() -> None:
    shop = open_shop()
    apply_state(shop.channel, order(line("POT", 4)), arrived_at=NOON)
    apply_state(shop.channel, order(line("POT", 4, cancelled=1, fulfilled=2), at=9), arrived_at=NOON)
    shop.add_variant("POT", {"main": 5})
    apply_mapped(shop.merchant.pk)
    assert shop.level("POT") == (3, 1)


def test_a_listing_of_exactly_the_same_sku_is_mapped_by_itself() -> None:
    shop = open_shop({"MUG": 5})
    same, other_case = unmapped_listing(shop, "MUG"), unmapped_listing(shop, "mug")
    assert map_by_sku(shop.merchant.pk) == 1
    same.refresh_from_db()
    other_case.refresh_from_db()
    assert (same.variant, other_case.variant) == (shop.variants["MUG"], None)
    assert shop.shelf(same).is_due


def test_two_listings_of_one_sku_are_left_to_a_person() -> None:
    shop = open_shop({"MUG": 5})
    unmapped_listing(shop, "MUG", external_id="1")
    unmapped_listing(shop, "MUG", external_id="2")
    assert map_by_sku(shop.merchant.pk) == 0


def test_another_merchants_variant_of_the_same_sku_is_never_taken() -> None:
    shop, other = open_shop({"MUG": 5}), open_shop({"POT": 5})
    listing = unmapped_listing(shop, "POT")
    apply_state(shop.channel, order(line("POT", 1)), arrived_at=NOON)
    assert map_by_sku(shop.merchant.pk) == 0
    assert apply_mapped() == 0
    with pytest.raises(UnfitVariant):
        map_listing(listing, other.variants["POT"])
    assert other.level("POT") == (5, 0)


def test_a_line_keeps_the_variant_that_its_units_were_taken_of() -> None:
    shop = open_shop({"MUG": 5, "CUP": 5})
    listing = shop.list_variant("MUG")
    apply_state(shop.channel, order(line("MUG", 2)), arrived_at=NOON)
    map_listing(listing, shop.variants["CUP"])
    apply_state(shop.channel, order(line("MUG", 2, fulfilled=2), at=1), arrived_at=NOON)
    assert (shop.level("MUG"), shop.level("CUP")) == ((3, 0), (5, 0))


def test_a_channel_without_a_mapped_place_lets_its_lines_wait_and_says_so() -> None:
    shop = open_shop({"MUG": 5})
    ChannelLocationSource.objects.all().delete()
    apply_state(shop.channel, order(line("MUG", 2)), arrived_at=NOON)
    waiting = ChannelOrderLine.objects.get()
    assert shop.level("MUG") == (5, 0)
    assert "no place with a location of yours" in waiting_reason(waiting)
    shop.add_source(shop.locations["main"], "")
    apply_mapped()
    assert shop.level("MUG") == (5, 2)


def test_a_line_of_an_unmapped_place_says_which_one() -> None:
    shop = open_shop({"MUG": 5})
    apply_state(shop.channel, order(line("MUG", 2, place="gid-9")), arrived_at=NOON)
    waiting = ChannelOrderLine.objects.get()
    assert "gid-9" in waiting_reason(waiting)
    shop.add_source(shop.locations["main"], "gid-9")
    assert waiting_reason(waiting) == "Waiting to be applied."
    apply_mapped()
    assert shop.level("MUG") == (5, 2)


def test_cancelled_test_and_deleted_lines_do_not_wait() -> None:
    shop = open_shop()
    apply_state(shop.channel, order(line("POT", 2, cancelled=2), id="1"), arrived_at=NOON)
    apply_state(shop.channel, order(line("POT", 2), id="2", is_test=True), arrived_at=NOON)
    assert not waiting_lines().exists()


def test_mapping_by_sku_takes_the_same_number_of_statements_for_any_number_of_listings() -> None:
    counts = []
    for size in (1, 30):
        shop = open_shop({f"SKU-{number}": 1 for number in range(size)})
        for sku in shop.variants:
            unmapped_listing(shop, sku)
        with CaptureQueriesContext(connection) as queries:
            assert map_by_sku(shop.merchant.pk) == size
        counts.append(len(queries))
    assert counts[0] == counts[1]
