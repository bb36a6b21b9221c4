"""Kits beside routing, requests and purchases: held place by place, refused whole, shipped part by part."""

import pytest

from channels import fulfilment_requests as outbox
from channels.models import ChannelOrderLine, FulfilmentRequest
from channels.models.fulfilment import RequestState
from channels.sourcing import resource_line
from inventory.errors import InvalidStockRequest
from inventory.ledger import Context
from inventory.models import Conflict
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


@pytest.mark.parametrize("routing", ["priority", "fewest_parcels"])
def test_a_kit_is_held_place_by_place_whatever_the_strategy(routing: str) -> None:
    shop = tea_shop(routing=routing)
    apply(shop, line("SET", 3), line("SPOON", 1))
    assert (reserved(shop, "MUG"), shop.owed("SET")) == ((4, 2), 0)
    assert lines_of(request_of(shop, "north"))["MUG"] == (2, 0)
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


def test_kits_are_not_moved_by_hand() -> None:
    shop = tea_shop()
    apply(shop, line("SET", 1))
    sold, north = ChannelOrderLine.objects.get(), shop.locations["north"].pk
    with pytest.raises(InvalidStockRequest, match="SET: units of a kit are not moved by hand"):
        resource_line(sold, to_location_id=north, from_location_id=shop.locations["main"].pk, key="k")
    assert reserved(shop, "MUG") == (2, 0)


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
