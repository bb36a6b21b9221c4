"""What the warehouse has free drives the ledger, netted of our orders that it has not seen."""

from collections.abc import Iterator
from typing import Any

import pytest

from channels.models import Authority, Channel, FulfilmentRequest, Listing, StatedLevel, WarehouseOrder
from channels.warehouses import marks, reading
from inventory.bundles import Component, define
from inventory.ledger import Context
from inventory.models import BundleKind, StockMovement
from inventory.stock import AdjustmentLine, CountLine, adjust, count
from tests.channels.shop import NOON
from tests.channels.warehouses.yard import Yard, open_yard
from tests.inventory.cast import assert_ledger_holds

pytestmark = pytest.mark.django_db


@pytest.fixture
def yard() -> Iterator[Yard]:
    with open_yard({"MUG": 10, "JUG": 4}, ledger={"MUG": 3, "JUG": 4}) as yard:
        yard.round()
        yield yard


def test_the_first_reading_counts_everything_and_a_second_one_moves_nothing(yard: Yard) -> None:
    assert (yard.level("MUG"), yard.level("JUG")) == ((10, 0), (4, 0))
    moved = StockMovement.objects.filter(kind="count")
    assert [(each.on_hand_delta, each.operation.source) for each in moved] == [(7, "picqer")]
    before = StockMovement.objects.count()
    marks.read_all(yard.channel.pk)
    yard.round()
    assert StockMovement.objects.count() == before
    assert_ledger_holds()


def test_an_order_that_the_warehouse_has_not_seen_comes_off_what_it_says_is_free(yard: Yard) -> None:
    Channel.objects.filter(pk=yard.channel.pk).update(is_paused=True)
    yard.sell("MUG", 3)
    yard.sandbox.edit_stock("MUG", 8)
    yard.round()
    assert (yard.level("MUG"), yard.available("MUG")) == ((8, 3), 5)


def test_the_echo_of_our_own_reservation_is_no_loss(yard: Yard) -> None:
    yard.sell("MUG", 3)
    yard.round()
    assert yard.sandbox.number("MUG") == 7
    yard.settle()
    marks.read_all(yard.channel.pk)
    yard.round()
    assert (yard.level("MUG"), yard.available("MUG"), yard.shop.owed("MUG")) == ((10, 3), 7, 0)


def test_every_step_of_an_order_leaves_what_is_free_there_available_here(yard: Yard) -> None:
    """Sold, told, picked, shipped, seen: whenever it is read, what we offer is what both know of."""

    def check(units: int) -> None:
        yard.settle()
        marks.read_all(yard.channel.pk)
        yard.round()
        assert (yard.available("MUG"), yard.sandbox.number("MUG"), yard.shop.owed("MUG")) == (units, units, 0)

    check(10)
    yard.sell("MUG", 3)
    check(7)
    yard.sandbox.pick(yard.number())
    check(7)
    yard.sandbox.ship(yard.number())
    check(7)
    assert (yard.level("MUG"), yard.sandbox.stock_of("MUG")) == ((7, 0), 7)
    yard.sell("MUG", 2, id="1002")
    yard.sell("MUG", 2, id="1002", cancelled=2, at=5)
    check(7)
    yard.sell("MUG", 4, id="1003")
    check(3)
    yard.sell("MUG", 4, id="1003", cancelled=4, at=5)
    check(7)
    assert_ledger_holds()


def test_what_the_warehouse_keeps_for_others_is_not_ours_to_sell(yard: Yard) -> None:
    yard.sandbox.place_order([("MUG", 4)])
    yard.round()
    assert (yard.level("MUG"), yard.sandbox.stock_of("MUG")) == ((6, 0), 10)


def test_what_is_not_there_breaks_the_newest_promise_into_a_conflict(yard: Yard) -> None:
    yard.sell("MUG", 6)
    yard.round()
    yard.settle()
    yard.sandbox.place_order([("MUG", 7)], force=True)
    assert yard.sandbox.number("MUG") == -3
    yard.round()
    assert (yard.level("MUG"), yard.shop.owed("MUG")) == ((3, 3), 3)
    assert_ledger_holds()


def test_goods_of_a_request_of_which_nothing_is_known_are_left_alone(yard: Yard) -> None:
    yard.sell("MUG", 3)
    FulfilmentRequest.objects.update(lease_token="0" * 32, leased_until="2999-01-01T00:00:00Z", asked_at=NOON)
    yard.sandbox.edit_stock("MUG", 2)
    yard.sandbox.edit_stock("JUG", 1)
    yard.round()
    assert (yard.level("MUG"), yard.level("JUG")) == ((10, 3), (1, 0))
    assert StatedLevel.objects.get(listing__sku="MUG").next_read_at is not None


def test_a_rise_waits_while_the_free_stock_may_follow_late(yard: Yard) -> None:
    yard.sandbox.set_faults(reservation_lag_seconds=60.0)
    yard.sell("MUG", 3)
    yard.round()
    assert yard.sandbox.number("MUG") == 7
    assert (yard.level("MUG"), yard.available("MUG")) == ((10, 3), 7)
    yard.sandbox.clear_faults()
    yard.sandbox._stale.clear()
    yard.settle()
    yard.round()
    assert (yard.level("MUG"), yard.available("MUG")) == ((10, 3), 7)


def test_a_fall_is_counted_although_an_order_was_told_a_moment_ago(yard: Yard) -> None:
    yard.sell("MUG", 3)
    yard.round()
    yard.sandbox.edit_stock("MUG", 2)
    yard.round()
    assert (yard.level("MUG"), yard.available("MUG")) == ((5, 3), 2)


def test_what_has_no_number_of_its_own_is_never_counted(yard: Yard) -> None:
    yard.sandbox.set_type("MUG", "unlimited_stock")
    yard.sandbox.set_type("JUG", "virtual_composition")
    yard.sandbox.edit_stock("MUG", 999)
    yard.sandbox.edit_stock("JUG", 999)
    yard.round()
    assert (yard.level("MUG"), yard.level("JUG")) == ((10, 0), (4, 0))
    assert all(each.free is None and each.remark for each in StatedLevel.objects.all())


def test_a_kit_of_ours_is_counted_by_its_parts_alone(yard: Yard) -> None:
    kit = yard.shop.add_variant("SET")
    define(
        Context(yard.shop.merchant.pk, "kit"),
        kit.pk,
        BundleKind.KIT,
        [Component(yard.shop.variants["MUG"].pk, 2)],
    )
    Listing.objects.filter(sku="JUG").update(variant=kit, sku="SET")
    marks.read_all(yard.channel.pk)
    yard.round()
    assert yard.level("SET") == (0, 0)


@pytest.mark.parametrize("by_hand", ["count", "adjust"])
def test_what_people_count_or_adjust_stands_until_the_warehouse_is_read_again(
    yard: Yard, by_hand: str
) -> None:
    variant, location = yard.shop.variants["MUG"].pk, yard.shop.locations["main"].pk
    context = Context(yard.shop.merchant.pk, f"hand:{by_hand}")
    if by_hand == "count":
        count(context, [CountLine(variant, location, 25)])
    else:
        adjust(context, [AdjustmentLine(variant, location, 15)])
    assert yard.level("MUG") == (25, 0)
    assert reading.differing(yard.channel, yard.kept) == {variant: (25, 10)}
    yard.round()
    assert yard.level("MUG") == (10, 0)
    assert not reading.differing(yard.channel, yard.kept)
    assert_ledger_holds()


def test_once_the_say_is_taken_away_the_ledger_keeps_what_it_holds(yard: Yard) -> None:
    yard.sell("MUG", 3)
    Authority.objects.all().delete()
    yard.sandbox.edit_stock("MUG", 1)
    yard.round()
    assert yard.level("MUG") == (10, 3)
    assert (yard.orders(), yard.request().is_due) == ([], True)


def test_a_movement_whose_message_was_lost_is_found_in_the_history(yard: Yard) -> None:
    yard.sandbox.edit_stock("MUG", 6)
    yard.round(lists=False)
    assert yard.level("MUG") == (10, 0)
    yard.round()
    assert yard.level("MUG") == (6, 0)


def test_goods_are_read_a_hundred_at_a_time() -> None:
    goods = {f"SKU-{number}": number for number in range(250)}
    with open_yard(goods) as yard:
        yard.round()
        calls = [target for _, target, _, _ in yard.sandbox.requests_log if "idproducts=" in target]
        assert len(calls) == 3
        assert yard.level("SKU-249") == (249, 0)


def test_a_mark_that_comes_while_goods_are_read_is_not_forgotten(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    connector = yard.connector
    genuine = connector.fetch_stock

    def fetch(goods: Any) -> Any:
        answer = genuine(goods)
        yard.sandbox.edit_stock("MUG", 1)
        marks.mark_goods(yard.channel.pk, {answer[0].external_id, answer[-1].external_id})
        monkeypatch.setattr(connector, "fetch_stock", genuine)
        return answer

    monkeypatch.setattr(connector, "fetch_stock", fetch)
    marks.read_all(yard.channel.pk)
    yard.round(connector=connector)
    assert yard.level("MUG") == (1, 0)


def test_an_order_that_comes_between_reading_and_counting_is_netted(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    connector = yard.connector
    genuine = connector.fetch_stock

    def fetch(goods: Any) -> Any:
        answer = genuine(goods)
        monkeypatch.setattr(connector, "fetch_stock", genuine)
        yard.sell("MUG", 3)
        return answer

    yard.sandbox.edit_stock("MUG", 8)
    monkeypatch.setattr(connector, "fetch_stock", fetch)
    Channel.objects.filter(pk=yard.channel.pk).update(is_paused=True)
    yard.round(connector=connector)
    assert (yard.level("MUG"), yard.available("MUG")) == ((8, 3), 5)


def test_two_orders_at_the_warehouse_for_one_request_are_added_up(yard: Yard) -> None:
    yard.sell("MUG", 3)
    yard.round()
    first = WarehouseOrder.objects.get()
    assert first.goods == {Listing.objects.get(sku="MUG", channel=yard.channel).external_id: 3}
    yard.sandbox.pick(yard.number())
    yard.sell("MUG", 5, at=9)
    yard.round()
    assert [status for status, _ in yard.orders()] == ["processing", "processing"]
    yard.settle()
    marks.read_all(yard.channel.pk)
    yard.round()
    assert (yard.level("MUG"), yard.available("MUG")) == ((10, 5), 5)
