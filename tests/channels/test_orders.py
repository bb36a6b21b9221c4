"""An order's messages move the ledger to what the order is now."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from channels.errors import BadMessage
from channels.models import ChannelLocation, ChannelOrder, ChannelOrderLine, ListingLevel
from channels.orders import apply_deleted, apply_state, hint
from inventory.models import CustomerReturn, Location, ReturnLine, StockOperation
from inventory.models.catalogue import LocationKind
from tests.channels.shop import NOON, Shop, line, open_shop, order
from tests.channels.test_bundles import bundle

pytestmark = pytest.mark.django_db


def apply(shop: Shop, *lines: object, at: int = 0, **more: object) -> ChannelOrder:
    state = order(*lines, at=at, **more)  # type: ignore[arg-type]
    apply_state(shop.channel, state, arrived_at=NOON)
    return ChannelOrder.objects.get(channel=shop.channel, external_id=state.external_id)


def test_an_order_reserves_its_units() -> None:
    shop = open_shop({"MUG": 5})
    kept = apply(shop, line("MUG", 2))
    assert shop.level("MUG") == (5, 2)
    assert (kept.number, kept.country, kept.currency, kept.arrived_at) == ("#1001", "NL", "EUR", NOON)
    assert kept.applied_at is not None


def test_the_same_state_again_changes_nothing() -> None:
    shop = open_shop({"MUG": 5})
    apply(shop, line("MUG", 2))
    operations = StockOperation.objects.count()
    apply(shop, line("MUG", 2))
    assert shop.level("MUG") == (5, 2)
    assert StockOperation.objects.count() == operations


def test_an_older_state_changes_nothing() -> None:
    shop = open_shop({"MUG": 5})
    apply(shop, line("MUG", 2, cancelled=2), at=10)
    apply(shop, line("MUG", 2), at=5)
    assert shop.level("MUG") == (5, 0)


def test_a_shipment_takes_the_units_off_hand() -> None:
    shop = open_shop({"MUG": 5})
    apply(shop, line("MUG", 3))
    apply(shop, line("MUG", 3, fulfilled=2), at=1)
    assert shop.level("MUG") == (3, 1)


def test_a_shipment_taken_back_is_held_again() -> None:
    shop = open_shop({"MUG": 5})
    apply(shop, line("MUG", 3, fulfilled=2))
    apply(shop, line("MUG", 3), at=1)
    assert shop.level("MUG") == (5, 3)


def test_a_return_is_announced_and_moves_no_stock_yet() -> None:
    shop = open_shop({"MUG": 5})
    apply(shop, line("MUG", 3, fulfilled=3))
    for at, returned in ((1, 1), (1, 1), (2, 3), (3, 2)):
        apply(shop, line("MUG", 3, fulfilled=3, returned=returned), at=at)
    assert shop.level("MUG") == (2, 0)
    assert ChannelOrderLine.objects.get().returned == 2
    announced = CustomerReturn.objects.get(reference=ChannelOrder.objects.get().reference)
    goods = announced.lines.values_list("variant", "location", "announced_quantity")
    assert list(goods) == [(shop.variants["MUG"].pk, shop.locations["main"].pk, 2)]
    assert (announced.state, announced.operations.count()) == ("announced", 3)


def test_kits_are_sent_back_as_their_parts() -> None:
    shop = open_shop({"MUG": 4, "SPOON": 4, "SET": 0})
    bundle(shop, "SET", {"MUG": 2, "SPOON": 1})
    apply(shop, line("SET", 2, fulfilled=2))
    apply(shop, line("SET", 2, fulfilled=2, returned=2), at=1)
    lines = CustomerReturn.objects.get().lines.values_list("variant", "announced_quantity")
    assert dict(lines) == {shop.variants["MUG"].pk: 4, shop.variants["SPOON"].pk: 2}


def test_what_is_sent_back_is_expected_where_the_platform_says_that_it_goes() -> None:
    shop = open_shop({"MUG": 5, "CUP": 5})
    shop.add_location("returns desk", place="R")
    sold = [line("MUG", 2, fulfilled=2), line("CUP", 1, fulfilled=1)]
    apply(shop, *sold)
    mug, cup = (replace(each, returned=1) for each in sold)
    apply(shop, replace(mug, returned_to_external_id="R"), replace(cup, returned_to_external_id="?"), at=1)
    expected = ReturnLine.objects.values_list("variant__sku", "location__code", "announced_quantity")
    assert sorted(expected) == [("CUP", "main", 1), ("MUG", "returns desk", 1)]


def test_what_a_platforms_own_warehouse_takes_back_is_announced_to_nobody() -> None:
    shop = open_shop({"MUG": 5})
    Location.objects.filter(pk=shop.locations["main"].pk).update(kind=LocationKind.CHANNEL_OWNED)
    apply(shop, line("MUG", 3, fulfilled=3, returned=1))
    assert not CustomerReturn.objects.exists()


def statements_of_a_return(lines: int) -> int:
    """Returns the statements of a message that says that a unit of each of so many lines is sent back."""
    shop = open_shop({f"S{number}": 5 for number in range(lines)})
    sold = [line(f"S{number}", 1, fulfilled=1) for number in range(lines)]
    apply(shop, *sold)
    with CaptureQueriesContext(connection) as queries:
        apply(shop, *(replace(each, returned=1) for each in sold), at=1)
    assert CustomerReturn.objects.get(merchant=shop.merchant).lines.count() == lines
    return len(queries)


def test_returns_of_an_order_take_the_same_statements_whatever_its_lines() -> None:
    assert statements_of_a_return(1) == statements_of_a_return(6)


def test_more_than_there_is_becomes_a_conflict_and_the_cancellation_takes_that_first() -> None:
    shop = open_shop({"MUG": 2})
    apply(shop, line("MUG", 5))
    assert (shop.level("MUG"), shop.owed("MUG")) == ((2, 2), 3)
    apply(shop, line("MUG", 5, cancelled=2), at=1)
    assert (shop.level("MUG"), shop.owed("MUG")) == ((2, 2), 1)


def test_a_line_that_vanished_counts_as_cancelled() -> None:
    shop = open_shop({"MUG": 5, "CUP": 5})
    apply(shop, line("MUG", 2), line("CUP", 3))
    apply(shop, line("MUG", 2), at=1)
    assert (shop.level("MUG"), shop.level("CUP")) == ((5, 2), (5, 0))
    assert ChannelOrderLine.objects.get(sku="CUP").cancelled == 3


def test_a_line_that_came_back_is_demanded_again() -> None:
    shop = open_shop({"MUG": 5})
    apply(shop, line("MUG", 2))
    apply(shop, at=1)
    apply(shop, line("MUG", 2), at=2)
    assert shop.level("MUG") == (5, 2)


def test_a_deleted_order_gives_up_its_open_units_and_no_later_state_revives_it() -> None:
    shop = open_shop({"MUG": 5})
    apply(shop, line("MUG", 3, fulfilled=1))
    apply_deleted(shop.channel, "1001", arrived_at=NOON)
    assert shop.level("MUG") == (4, 0)
    kept = apply(shop, line("MUG", 3, fulfilled=1), at=60)
    assert shop.level("MUG") == (4, 0)
    assert kept.is_deleted


def test_a_deletion_that_comes_first_leaves_a_tombstone() -> None:
    shop = open_shop({"MUG": 5})
    apply_deleted(shop.channel, "1001", arrived_at=NOON)
    apply(shop, line("MUG", 3))
    assert shop.level("MUG") == (5, 0)


def test_a_cancellation_that_comes_before_the_creation_wins() -> None:
    shop = open_shop({"MUG": 5})
    kept = apply(shop, line("MUG", 3, cancelled=3), at=5)
    assert kept.applied_at is None
    apply(shop, line("MUG", 3), at=0)
    assert shop.level("MUG") == (5, 0)


def test_other_content_of_the_same_second_is_fetched_once_more() -> None:
    shop = open_shop({"MUG": 5})
    apply(shop, line("MUG", 3))
    kept = apply(shop, line("MUG", 3, cancelled=1))
    assert shop.level("MUG") == (5, 2)
    assert kept.fetch_wanted == kept.fetched + 1
    assert kept.next_fetch_at is not None


def test_hints_that_come_together_are_one_fetch_and_a_back_off_is_respected() -> None:
    shop = open_shop()
    hint(shop.channel, "7", arrived_at=NOON)
    later = NOON + timedelta(days=900)
    ChannelOrder.objects.update(next_fetch_at=later)
    hint(shop.channel, "7", arrived_at=NOON + timedelta(seconds=1))
    kept = ChannelOrder.objects.get()
    assert (kept.fetch_wanted, kept.next_fetch_at, kept.arrived_at) == (2, later, NOON)


def test_a_deleted_order_is_not_fetched_again() -> None:
    shop = open_shop()
    hint(shop.channel, "7")
    apply_deleted(shop.channel, "7", arrived_at=NOON)
    hint(shop.channel, "7")
    kept = ChannelOrder.objects.get()
    assert kept.fetch_wanted == kept.fetched


def test_a_test_order_is_kept_and_moves_no_goods_but_its_shop_is_told_again() -> None:
    shop = open_shop({"MUG": 5})
    listing = shop.list_variant("MUG")
    ListingLevel.objects.update(expected=5, published_quantity=5)
    kept = apply(shop, line("MUG", 2), is_test=True)
    assert kept.is_test
    assert shop.level("MUG") == (5, 0)
    shelf = shop.shelf(listing)
    assert (shelf.expected, shelf.is_due) == (3, True)


def test_the_shop_is_expected_to_show_less_by_what_it_sold_and_more_by_what_it_put_back() -> None:
    shop = open_shop({"MUG": 5})
    listing = shop.list_variant("MUG")
    ListingLevel.objects.update(expected=5)
    apply(shop, line("MUG", 3))
    assert shop.shelf(listing).expected == 2
    apply(shop, line("MUG", 3, cancelled=2, restocked=1), at=1)
    assert shop.shelf(listing).expected == 3


def test_a_sale_whose_place_is_told_later_is_then_taken_off_that_shelf() -> None:
    shop = open_shop()
    shop.add_location("north", place="gid-1")
    shop.add_location("south", place="gid-2")
    shop.add_variant("MUG", {"north": 5, "south": 5})
    listing = shop.list_variant("MUG")
    listing.levels.update(expected=5)

    def expected() -> list[int | None]:
        return list(
            listing.levels.order_by("channel_location__external_id").values_list("expected", flat=True)
        )

    apply(shop, line("MUG", 2))
    assert expected() == [5, 5, 5]
    apply(shop, line("MUG", 2, place="gid-1"))
    assert expected() == [5, 3, 5]
    apply(shop, line("MUG", 2, place="gid-2"), at=1)
    assert expected() == [5, 5, 3]
    assert (shop.level("MUG", "north"), shop.level("MUG", "south")) == ((5, 0), (5, 2))


def test_a_sale_without_the_listings_id_is_known_by_its_sku() -> None:
    shop = open_shop({"MUG": 5})
    listing = shop.list_variant("MUG")
    ListingLevel.objects.update(expected=5)
    bare = replace(line("MUG", 2), listing_external_id="")
    apply(shop, bare)
    assert shop.shelf(listing).expected == 3
    apply(shop, line("MUG", 2))
    assert shop.shelf(listing).expected == 3


def test_nothing_is_expected_of_a_shop_that_subtracts_its_open_orders_itself() -> None:
    shop = open_shop({"MUG": 5}, kind="bol")
    listing = shop.list_variant("MUG")
    ListingLevel.objects.update(expected=5)
    apply(shop, line("MUG", 3))
    assert shop.shelf(listing).expected == 5


def test_the_place_that_the_platform_names_is_the_one_drawn_on() -> None:
    shop = open_shop()
    shop.add_location("north", place="gid-1")
    shop.add_location("south", place="gid-2")
    shop.add_variant("MUG", {"main": 5, "north": 5, "south": 5})
    listing = shop.list_variant("MUG")
    listing.levels.update(expected=5)
    apply(shop, line("MUG", 2, place="gid-2"))
    assert [shop.level("MUG", code) for code in ("main", "north", "south")] == [(5, 0), (5, 0), (5, 2)]
    assert listing.levels.get(channel_location__external_id="gid-2").expected == 3
    assert listing.levels.get(channel_location__external_id="gid-1").expected == 5


def test_a_line_that_moved_to_another_place_moves_its_reservation() -> None:
    shop = open_shop()
    shop.add_location("north", place="gid-1")
    shop.add_location("south", place="gid-2")
    shop.add_variant("MUG", {"north": 5, "south": 5})
    apply(shop, line("MUG", 2, place="gid-1"))
    apply(shop, line("MUG", 2, place="gid-2"), at=1)
    assert (shop.level("MUG", "north"), shop.level("MUG", "south")) == ((5, 0), (5, 2))


def test_a_place_nobody_mapped_is_shown_and_its_line_waits() -> None:
    shop = open_shop({"MUG": 5})
    apply(shop, line("MUG", 2, place="gid-9"))
    assert shop.level("MUG") == (5, 0)
    assert ChannelLocation.objects.get(external_id="gid-9").sources.count() == 0


def test_an_order_marks_what_the_other_channels_have_yet_to_be_told() -> None:
    shop = open_shop({"MUG": 5})
    own = shop.list_variant("MUG")
    other = shop.add_channel("Other shop")
    listing = shop.list_variant("MUG", channel=other)
    kept = apply(shop, line("MUG", 1))
    shelf = shop.shelf(listing)
    assert shelf.is_due
    assert kept.marks == {str(shelf.pk): shelf.wanted}
    assert kept.propagated_at is None
    assert shop.shelf(own).is_due


def test_an_order_that_concerns_no_other_channel_is_propagated_at_once() -> None:
    shop = open_shop({"MUG": 5})
    kept = apply(shop, line("MUG", 1))
    assert kept.propagated_at == kept.applied_at


def test_counts_that_cannot_be_are_refused() -> None:
    shop = open_shop({"MUG": 5})
    for wrong in (line("MUG", -1), line("MUG", 2**63), line("MUG", 1, id="x" * 201)):
        with pytest.raises(BadMessage):
            apply(shop, wrong)
    assert not ChannelOrder.objects.exists()


@pytest.mark.parametrize("is_new", [True, False])
def test_the_number_of_statements_does_not_depend_on_the_number_of_lines(is_new: bool) -> None:
    shop = open_shop({f"SKU-{number}": 5 for number in range(20)})
    for sku in shop.variants:
        shop.list_variant(sku)
    apply(shop, line("SKU-0", 1), id="first")  # what a process remembers for a moment is read
    counts = []
    for size in (1, 20):
        if not is_new:
            apply(shop, *[line(f"SKU-{n}", 1) for n in range(size)], id=str(size))
        with CaptureQueriesContext(connection) as queries:
            apply(shop, *[line(f"SKU-{n}", 2) for n in range(size)], id=str(size), at=1)
        counts.append(len(queries))
    assert counts[0] == counts[1]
    assert counts[0] <= (25 if is_new else 29)
