"""From where a channel's orders are served: the rule of places, strategies, capacity, and moves by hand."""

from collections import Counter
from collections.abc import Callable
from functools import partial

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from channels.exposure import targets
from channels.models import (
    Channel,
    ChannelLocationSource,
    ChannelOrder,
    ChannelOrderLine,
    FulfilmentLine,
    FulfilmentRequest,
)
from channels.models.fulfilment import RequestState
from channels.orders import apply_state
from channels.sourcing import resource_line, serving_ids
from inventory.errors import InsufficientStock, InvalidStockRequest
from inventory.ledger import Context
from inventory.models import Location, Reservation
from inventory.stock import AdjustmentLine, StockLine, adjust, receive
from tests.channels.shop import NOON, Shop, line, open_shop, order
from tests.inventory.cast import assert_ledger_holds
from tests.inventory.racing import race

pytestmark = pytest.mark.django_db


def shop_with(stock: dict[str, tuple[int, int]], **routing: object) -> Shop:
    """Opens a shop with the locations `main` and `north` behind its one place; stock is given for both."""
    shop = open_shop()
    shop.add_location("north", place="")
    for sku, (main, north) in stock.items():
        shop.add_variant(sku, {"main": main, "north": north})
    Channel.objects.filter(pk=shop.channel.pk).update(**routing)
    shop.channel.refresh_from_db()
    return shop


def apply(shop: Shop, *lines: object, at: int = 0, id: str = "1001") -> ChannelOrder:
    apply_state(shop.channel, order(*lines, at=at, id=id), arrived_at=NOON)  # type: ignore[arg-type]
    return ChannelOrder.objects.get(channel=shop.channel, external_id=id)


def reserved(shop: Shop, sku: str) -> tuple[int, int]:
    return shop.level(sku, "main")[1], shop.level(sku, "north")[1]


def request_of(shop: Shop, code: str) -> FulfilmentRequest:
    return FulfilmentRequest.objects.filter(location__code=code, channel=shop.channel).latest("id")


# -- strategies and settings


def test_the_channel_says_how_its_orders_are_routed() -> None:
    shop = shop_with({"MUG": (9, 2), "CUP": (0, 1)}, routing="keep_together")
    apply(shop, line("MUG", 2), line("CUP", 1))
    assert (reserved(shop, "MUG"), reserved(shop, "CUP")) == ((0, 2), (0, 1))


def test_the_nearest_location_by_country_is_drawn_on_first() -> None:
    shop = shop_with({"MUG": (9, 9)}, routing="nearest")
    Location.objects.filter(pk=shop.locations["main"].pk).update(country="US")
    Location.objects.filter(pk=shop.locations["north"].pk).update(country="NL")
    apply(shop, line("MUG", 2))
    assert reserved(shop, "MUG") == (0, 2)


def test_an_order_that_grows_is_planned_anew_until_a_location_was_told() -> None:
    shop = shop_with({"MUG": (9, 2), "CUP": (0, 1)}, routing="keep_together")
    apply(shop, line("MUG", 2))
    assert reserved(shop, "MUG") == (2, 0)
    apply(shop, line("MUG", 2), line("CUP", 1), at=1)
    assert reserved(shop, "MUG") == (0, 2)


def test_a_location_that_was_told_keeps_its_units() -> None:
    shop = shop_with({"MUG": (9, 2), "CUP": (0, 1)}, routing="keep_together")
    apply(shop, line("MUG", 2))
    FulfilmentRequest.objects.update(state=RequestState.ACCEPTED)
    apply(shop, line("MUG", 2), line("CUP", 1), at=1)
    assert (reserved(shop, "MUG"), reserved(shop, "CUP")) == ((2, 0), (0, 1))


def test_a_channel_that_does_not_split_is_offered_what_one_location_has_and_can_sell_all_of_it() -> None:
    shop = shop_with({"MUG": (3, 5)}, may_split=False)
    level = shop.shelf(shop.list_variant("MUG"))
    assert targets([level.pk]) == {level.pk: 5}
    apply(shop, line("MUG", 5))
    assert (reserved(shop, "MUG"), shop.owed("MUG")) == ((0, 5), 0)


# -- which location serves which channel


def test_a_location_switched_off_for_a_channel_is_neither_offered_nor_drawn_on() -> None:
    shop = shop_with({"MUG": (3, 5)})
    level = shop.shelf(shop.list_variant("MUG"))
    ChannelLocationSource.objects.filter(location=shop.locations["main"]).update(is_active=False)
    assert targets([level.pk]) == {level.pk: 5}
    apply(shop, line("MUG", 6))
    assert (reserved(shop, "MUG"), shop.owed("MUG")) == ((0, 5), 1)


@pytest.mark.parametrize("routing", ["priority", "nearest", "fewest_parcels", "keep_together"])
@pytest.mark.parametrize("may_split", [True, False])
def test_every_number_that_is_published_can_be_reserved(routing: str, may_split: bool) -> None:
    shop = shop_with({"MUG": (3, 5)}, routing=routing, may_split=may_split)
    level = shop.shelf(shop.list_variant("MUG"))
    for number in range(6):
        if told := targets([level.pk])[level.pk]:
            apply(shop, line("MUG", told), id=str(number))
    assert (targets([level.pk])[level.pk], shop.owed("MUG")) == (0, 0)
    assert sum(reserved(shop, "MUG")) == 8


# -- capacity


def test_a_location_whose_day_is_used_up_is_passed_over_while_another_can_serve() -> None:
    shop = shop_with({"MUG": (9, 2)})
    Location.objects.filter(pk=shop.locations["main"].pk).update(daily_orders=1)
    for number in range(4):
        apply(shop, line("MUG", 1), id=str(number))
    assert reserved(shop, "MUG") == (2, 2)
    apply(shop, line("MUG", 3, cancelled=3), id="0", at=1)
    apply(shop, line("MUG", 1, cancelled=1), id="3", at=1)
    assert not FulfilmentRequest.objects.filter(location=shop.locations["main"], state="new").exists()
    apply(shop, line("MUG", 1), id="5")
    assert reserved(shop, "MUG") == (1, 2)


def test_what_an_order_takes_itself_does_not_count_against_it() -> None:
    shop = shop_with({"MUG": (9, 9)})
    Location.objects.filter(pk=shop.locations["main"].pk).update(daily_units=2)
    apply(shop, line("MUG", 2))
    apply(shop, line("MUG", 3), at=1)
    assert reserved(shop, "MUG") == (3, 0)


# -- by hand


def test_a_line_is_served_from_elsewhere_and_stays_there() -> None:
    shop = shop_with({"MUG": (9, 9)})
    apply(shop, line("MUG", 2))
    sold = ChannelOrderLine.objects.get()
    main, north = shop.locations["main"].pk, shop.locations["north"].pk
    move = partial(resource_line, sold, to_location_id=north, from_location_id=main, key="k", actor="anna")
    assert not move().is_repeat
    assert reserved(shop, "MUG") == (0, 2)
    assert move().is_repeat
    apply(shop, line("MUG", 4), at=1)
    assert reserved(shop, "MUG") == (2, 2)
    assert_ledger_holds()


def test_a_shortage_is_filled_at_another_location_and_refused_where_nothing_is() -> None:
    shop = shop_with({"MUG": (0, 1)}, may_split=False)
    apply(shop, line("MUG", 2))
    sold = ChannelOrderLine.objects.get()
    main = shop.locations["main"].pk
    with pytest.raises(InsufficientStock):
        resource_line(sold, to_location_id=main, key="none")
    receive(Context(shop.merchant.pk, "in"), [StockLine(shop.variants["MUG"].pk, main, 1)])
    assert shop.owed("MUG") == 1
    resource_line(sold, to_location_id=main, key="one")
    assert (reserved(shop, "MUG"), shop.owed("MUG")) == ((1, 1), 0)


def test_a_location_that_does_not_serve_the_channel_is_refused_by_name() -> None:
    shop = shop_with({"MUG": (9, 9)})
    elsewhere = shop.add_location("attic")
    apply(shop, line("MUG", 2))
    with pytest.raises(InvalidStockRequest) as refusal:
        resource_line(ChannelOrderLine.objects.get(), to_location_id=elsewhere.pk, key="k")
    assert refusal.value.field == "to_location_id"
    assert elsewhere.pk not in serving_ids(shop.channel)


# -- what locations are asked


def lines_of(request: FulfilmentRequest) -> dict[str, tuple[int, int]]:
    return {each.variant.sku: (each.quantity, each.shipped) for each in request.lines.all()}


def test_a_routed_order_is_one_request_a_location() -> None:
    shop = shop_with({"MUG": (2, 9), "CUP": (1, 0)})
    placed = apply(shop, line("MUG", 3), line("CUP", 1))
    assert FulfilmentRequest.objects.filter(order=placed).count() == 2
    main, north = request_of(shop, "main"), request_of(shop, "north")
    assert (lines_of(main), lines_of(north)) == ({"MUG": (2, 0), "CUP": (1, 0)}, {"MUG": (1, 0)})
    assert (main.state, main.units, main.is_due) == ("new", 3, True)


def test_a_request_follows_cancellations_shipments_and_what_arrives_for_it() -> None:
    shop = shop_with({"MUG": (2, 0), "CUP": (5, 0)})
    apply(shop, line("MUG", 3), line("CUP", 2))
    main = request_of(shop, "main")
    assert lines_of(main) == {"MUG": (2, 0), "CUP": (2, 0)}
    variant, place = shop.variants["MUG"].pk, shop.locations["main"].pk
    receive(Context(shop.merchant.pk, "in"), [StockLine(variant, place, 1)])
    assert lines_of(main)["MUG"] == (3, 0)
    apply(shop, line("MUG", 3, fulfilled=1), line("CUP", 2, cancelled=2), at=1)
    assert lines_of(main) == {"MUG": (3, 1), "CUP": (0, 0)}
    apply(shop, line("MUG", 3, fulfilled=3), line("CUP", 2, cancelled=2), at=2)
    main.refresh_from_db()
    assert (main.state, main.units, main.shipped_units, main.is_due) == ("shipped", 3, 3, False)
    assert main.closed_at is not None


def test_a_request_that_nobody_knew_of_is_cancelled_without_a_word_and_one_that_was_told_is_told() -> None:
    shop = shop_with({"MUG": (9, 9)})
    for number, is_told in (("1", False), ("2", True)):
        apply(shop, line("MUG", 2), id=number)
        if is_told:
            FulfilmentRequest.objects.filter(order__external_id=number).update(
                asked_at=NOON, state="sent", done=1
            )
        apply(shop, line("MUG", 2, cancelled=2), id=number, at=1)
        request = FulfilmentRequest.objects.get(order__external_id=number)
        assert (request.state, request.is_due) == ("cancelled", is_told)


def test_an_order_that_arrives_shipped_asks_nobody() -> None:
    shop = shop_with({"MUG": (9, 9)})
    apply(shop, line("MUG", 2, fulfilled=2))
    assert not FulfilmentRequest.objects.exists()


def test_a_shipment_taken_back_is_asked_for_again() -> None:
    shop = shop_with({"MUG": (9, 9)})
    apply(shop, line("MUG", 2, fulfilled=1))
    apply(shop, line("MUG", 2, fulfilled=2), at=1)
    apply(shop, line("MUG", 2, fulfilled=1), at=2)
    again = request_of(shop, "main")
    assert (again.number, again.state, lines_of(again)) == (2, "new", {"MUG": (1, 0)})


def test_a_platforms_own_warehouse_is_asked_nothing() -> None:
    shop = shop_with({"MUG": (9, 9)})
    Location.objects.filter(pk=shop.locations["main"].pk).update(kind="channel_owned")
    apply(shop, line("MUG", 2))
    assert (reserved(shop, "MUG"), FulfilmentRequest.objects.count()) == ((2, 0), 0)


def test_goods_that_go_missing_are_asked_for_no_more() -> None:
    shop = shop_with({"MUG": (2, 0)})
    apply(shop, line("MUG", 2))
    variant, place = shop.variants["MUG"].pk, shop.locations["main"].pk
    adjust(Context(shop.merchant.pk, "loss"), [AdjustmentLine(variant, place, -1)])
    assert lines_of(request_of(shop, "main")) == {"MUG": (1, 0)}


def test_requests_hold_what_the_ledger_holds_for_orders() -> None:
    """Whatever came before: a sequence that splits, moves, cancels, loses and ships."""
    shop = shop_with({"MUG": (3, 4), "CUP": (2, 2)}, routing="fewest_parcels")
    apply(shop, line("MUG", 5), line("CUP", 3))
    apply(shop, line("MUG", 5, cancelled=1), line("CUP", 4), at=1)
    adjust(
        Context(shop.merchant.pk, "loss"),
        [AdjustmentLine(shop.variants["MUG"].pk, shop.locations["north"].pk, -2)],
    )
    apply(shop, line("MUG", 5, cancelled=1, fulfilled=2), line("CUP", 4, fulfilled=1), at=2)
    held: Counter[tuple[str, int]] = Counter()
    for each in Reservation.objects.filter(open_quantity__gt=0).select_related("level"):
        held[each.reference, each.level.location_id] += each.open_quantity
    asked = {
        (asked.order_line.reference, asked.request.location_id): asked.quantity - asked.shipped
        for asked in FulfilmentLine.objects.select_related("order_line", "request")
        if asked.request.is_open and asked.quantity > asked.shipped
    }
    assert asked == held


@pytest.mark.parametrize("size", [1, 20])
def test_following_takes_as_many_statements_for_one_line_as_for_twenty(size: int) -> None:
    shop = shop_with({f"SKU-{n}": (2, 3) for n in range(20)})
    sale = [line(f"SKU-{n}", 3) for n in range(size)]
    assert len(_about_fulfilment(lambda: apply(shop, *sale))) == 1
    more = [line(f"SKU-{n}", 4) for n in range(size)]
    # What locations were asked already is read, then no request has to be made, and three statements change those there are.
    assert len(_about_fulfilment(lambda: apply(shop, *more, at=1))) == 5


def _about_fulfilment(work: Callable[[], object]) -> list[str]:
    with CaptureQueriesContext(connection) as queries:
        work()
    return [q["sql"] for q in queries if "fulfilment" in q["sql"]]


@pytest.mark.django_db(transaction=True)
def test_two_receipts_that_fill_two_lines_of_one_order_make_one_request() -> None:
    shop = shop_with({"MUG": (0, 0), "CUP": (0, 0)})
    apply(shop, line("MUG", 1), line("CUP", 1))
    place = shop.locations["main"].pk

    def arrive(sku: str) -> object:
        context = Context(shop.merchant.pk, f"in:{sku}")
        return receive(context, [StockLine(shop.variants[sku].pk, place, 1)])

    for result in race([partial(arrive, "MUG"), partial(arrive, "CUP")]):
        assert not isinstance(result, Exception), result
    request = FulfilmentRequest.objects.get()
    assert (request.units, lines_of(request)) == (2, {"MUG": (1, 0), "CUP": (1, 0)})
