"""Kits beside routing, requests and purchases: routed by their parts, refused whole, shipped part by part."""

from typing import Any

import pytest

from channels import fulfilment_requests as outbox
from channels.models import ChannelOrderLine, FulfilmentRequest
from channels.models.fulfilment import RequestState
from channels.sourcing import resource_line
from inventory.errors import InsufficientStock
from inventory.ledger import Context
from inventory.models import Conflict, Location
from inventory.stock import StockLine, receive
from tests.channels.shop import Shop, line
from tests.channels.test_bundles import bundle
from tests.channels.test_sourcing import apply, lines_of, request_of, reserved, shop_with
from tests.inventory.bundling import assert_kits_are_whole
from tests.inventory.cast import assert_ledger_holds

pytestmark = pytest.mark.django_db


def tea_shop(mugs: tuple[int, int] = (4, 9), spoons: tuple[int, int] = (9, 9), **routing: object) -> Shop:
    """Opens a shop with two locations and a set of two mugs and a spoon."""
    shop = shop_with({"MUG": mugs, "SPOON": spoons}, **routing)
    bundle(shop, "SET", {"MUG": 2, "SPOON": 1})
    return shop


def assert_all_holds() -> None:
    assert_ledger_holds()
    assert_kits_are_whole()


@pytest.mark.parametrize(
    ("routing", "mugs", "spoons"),
    [
        ({"routing": "priority"}, (4, 2), (3, 1)),
        ({"routing": "nearest"}, (0, 6), (0, 4)),
        ({"routing": "fewest_parcels"}, (0, 6), (0, 4)),
        ({"routing": "keep_together"}, (0, 6), (0, 4)),
        ({"routing": "priority", "may_split": False}, (0, 6), (0, 4)),
    ],
)
def test_a_kit_is_routed_by_the_stock_of_its_parts(
    routing: dict[str, Any], mugs: tuple[int, int], spoons: tuple[int, int]
) -> None:
    shop = tea_shop(**routing)
    Location.objects.filter(pk=shop.locations["main"].pk).update(country="US")
    Location.objects.filter(pk=shop.locations["north"].pk).update(country="NL")
    apply(shop, line("SET", 3), line("SPOON", 1))
    assert (reserved(shop, "MUG"), reserved(shop, "SPOON"), shop.owed("SET")) == (mugs, spoons, 0)
    assert lines_of(request_of(shop, "north"))["MUG"] == (mugs[1], 0)
    assert_all_holds()


def test_kits_and_their_parts_on_other_lines_are_planned_together() -> None:
    shop = tea_shop((5, 4), (9, 9), routing="keep_together")
    apply(shop, line("SET", 2), line("MUG", 1))
    assert (reserved(shop, "MUG"), reserved(shop, "SPOON")) == ((5, 0), (2, 0))
    assert_all_holds()


def test_an_order_of_kits_that_grows_is_planned_anew_with_what_it_holds() -> None:
    shop = tea_shop((2, 9), (9, 9), routing="keep_together")
    apply(shop, line("SET", 1))
    assert reserved(shop, "MUG") == (2, 0)
    apply(shop, line("SET", 3), at=1)
    assert (reserved(shop, "MUG"), reserved(shop, "SPOON"), shop.owed("SET")) == ((0, 6), (0, 3), 0)
    assert_all_holds()


def test_kits_that_left_are_planned_as_if_they_still_lay_there() -> None:
    shop = tea_shop((4, 9), (9, 9), routing="keep_together")
    apply(shop, line("SET", 2))
    outbox.answer(request_of(shop, "main").pk, RequestState.SHIPPED)
    apply(shop, line("SET", 2, fulfilled=2), line("SPOON", 2), at=1)
    assert (reserved(shop, "SPOON"), shop.level("MUG", "main")) == ((2, 0), (0, 0))
    assert_all_holds()


def test_kits_of_an_older_version_stay_until_their_place_refuses_them() -> None:
    shop = tea_shop((4, 9))
    apply(shop, line("SET", 1))
    bundle(shop, "SET", {"MUG": 1, "SPOON": 1})
    apply(shop, line("SET", 2), at=1)
    assert (reserved(shop, "MUG"), reserved(shop, "SPOON")) == ((3, 0), (2, 0))
    outbox.answer(request_of(shop, "main").pk, RequestState.REFUSED)
    assert (reserved(shop, "MUG"), reserved(shop, "SPOON")) == ((0, 2), (0, 2))
    assert_all_holds()


def test_requests_name_the_parts_of_kits_at_each_location() -> None:
    shop = tea_shop()
    apply(shop, line("SET", 3))
    main, north = request_of(shop, "main"), request_of(shop, "north")
    assert (lines_of(main), lines_of(north)) == (
        {"MUG": (4, 0), "SPOON": (2, 0)},
        {"MUG": (2, 0), "SPOON": (1, 0)},
    )
    apply(shop, line("SET", 3, fulfilled=3), at=1)
    assert {request_of(shop, code).state for code in ("main", "north")} == {"shipped"}
    assert_all_holds()


def test_a_warehouse_that_shipped_the_parts_has_shipped_the_kits() -> None:
    shop = tea_shop()
    apply(shop, line("SET", 3))
    assert outbox.answer(request_of(shop, "north").pk, RequestState.SHIPPED).state == "shipped"
    assert (shop.level("MUG", "main"), shop.level("MUG", "north")) == ((4, 4), (7, 0))
    apply(shop, line("SET", 3, fulfilled=1), at=1)
    assert (shop.level("MUG", "main"), shop.level("MUG", "north")) == ((4, 4), (7, 0))
    assert outbox.answer(request_of(shop, "main").pk, RequestState.SHIPPED).state == "shipped"
    assert (shop.level("MUG", "main"), shop.level("SPOON", "main")) == ((0, 0), (7, 0))
    assert_all_holds()


def test_a_location_that_refuses_kits_serves_them_no_more() -> None:
    shop = tea_shop((4, 2))
    apply(shop, line("SET", 2))
    outbox.answer(request_of(shop, "main").pk, RequestState.REFUSED)
    assert (reserved(shop, "MUG"), reserved(shop, "SPOON"), shop.owed("SET")) == ((0, 2), (0, 1), 1)
    assert Conflict.objects.get().location_ids == [shop.locations["north"].pk]
    outbox.answer(request_of(shop, "north").pk, RequestState.REFUSED)
    assert (reserved(shop, "MUG"), shop.owed("SET")) == ((0, 0), 2)
    assert_all_holds()


def test_kits_are_moved_by_hand_whole_and_stay_there() -> None:
    shop = tea_shop((4, 3))
    apply(shop, line("SET", 2))
    sold, north = ChannelOrderLine.objects.get(), shop.locations["north"].pk
    main = shop.locations["main"].pk
    with pytest.raises(InsufficientStock):
        resource_line(sold, to_location_id=north, from_location_id=main, quantity=2, key="both")
    resource_line(sold, to_location_id=north, from_location_id=main, key="k")
    assert (reserved(shop, "MUG"), reserved(shop, "SPOON")) == ((2, 2), (1, 1))
    apply(shop, line("SET", 3), at=1)
    assert (reserved(shop, "MUG"), shop.owed("SET")) == ((4, 2), 0)
    assert_all_holds()


def test_owed_kits_are_served_by_hand_from_a_location_that_routing_would_not_choose() -> None:
    shop = tea_shop((4, 0), may_split=False)
    apply(shop, line("SET", 3))
    assert shop.owed("SET") == 1
    stock = [StockLine(shop.variants["MUG"].pk, shop.locations["north"].pk, 3)]
    receive(Context(shop.merchant.pk, "mugs"), stock)
    sold, north = ChannelOrderLine.objects.get(), shop.locations["north"].pk
    resource_line(sold, to_location_id=north, key="owed")
    assert (reserved(shop, "MUG"), shop.owed("SET")) == ((4, 2), 0)
    assert_all_holds()


def test_a_kit_and_its_part_in_one_order_share_no_unit() -> None:
    shop = tea_shop((3, 0))
    apply(shop, line("MUG", 2), line("SET", 1), line("SET", 1, id="again"))
    assert reserved(shop, "MUG") == (3, 0)
    assert (shop.owed("SET"), shop.owed("MUG")) == (1, 1)
    assert FulfilmentRequest.objects.get().units == 2 + 1 + 1
    assert_all_holds()


def test_what_arrives_completes_owed_kits_and_their_requests() -> None:
    shop = tea_shop((0, 0))
    placed = apply(shop, line("SET", 1))
    assert (shop.owed("SET"), FulfilmentRequest.objects.count()) == (1, 0)
    stock = [StockLine(shop.variants["MUG"].pk, shop.locations["north"].pk, 2)]
    receive(Context(shop.merchant.pk, "mugs"), stock)
    assert shop.owed("SET") == 0
    assert FulfilmentRequest.objects.get(order=placed).units == 2 + 1
    assert_all_holds()
