"""What customers send back: announced, received as unavailable, inspected, sold again or written off."""

import pytest

from inventory.conditions import ConditionLine, scrap
from inventory.errors import InvalidStockRequest, UnknownStock
from inventory.models import CustomerReturn, Location, StockMovement, Variant
from inventory.models.returns import ReturnLine
from inventory.returns import (
    ReturnUnits,
    Verdict,
    announce_return,
    close_return,
    inspect_return,
    receive_return,
)
from inventory.transit import place_in_transit
from tests.inventory.cast import Cast, assert_ledger_holds, held, level_of, owed, story

RMA = "RMA-1"


def units(
    cast: Cast, quantity: int, variant: Variant | None = None, place: Location | None = None
) -> ReturnUnits:
    return ReturnUnits((variant or cast.mug).pk, (place or cast.warehouse).pk, quantity)


def announce(cast: Cast, *lines: ReturnUnits) -> CustomerReturn:
    announce_return(cast.context(), RMA, lines)
    return CustomerReturn.objects.get(reference=RMA)


def come(cast: Cast, *lines: ReturnUnits) -> CustomerReturn:
    receive_return(cast.context(), RMA, lines)
    return CustomerReturn.objects.get(reference=RMA)


def judge(cast: Cast, document: CustomerReturn, released: int, written_off: int) -> str:
    verdict = Verdict(cast.mug.pk, cast.warehouse.pk, released, written_off)
    inspect_return(cast.context(), document.pk, [verdict])
    document.refresh_from_db()
    return document.state


def counts(line: ReturnLine) -> tuple[int, int, int, int]:
    return (
        line.announced_quantity,
        line.received_quantity,
        line.released_quantity,
        line.written_off_quantity,
    )


def test_an_announcement_moves_nothing(cast: Cast) -> None:
    document = announce(cast, units(cast, 3))
    assert document.state == "announced"
    assert StockMovement.objects.count() == 0
    assert document.operations.get().document == RMA


def test_a_refund_without_goods_moves_nothing(cast: Cast) -> None:
    document = announce(cast, units(cast, 0))
    assert document.state == "closed"
    document = announce(cast, units(cast, 2))
    close_return(cast.context(), document.pk)
    document.refresh_from_db()
    assert document.state == "closed"
    assert StockMovement.objects.count() == 0


def test_what_comes_back_is_on_hand_and_cannot_be_sold(cast: Cast) -> None:
    announce(cast, units(cast, 3))
    document = come(cast, units(cast, 3))
    assert document.state == "received"
    assert level_of(cast.mug, cast.warehouse) == (3, 0, 3)
    assert story(cast.mug, cast.warehouse) == [("return", "customer_return", 3, 0, 3)]


def test_an_inspection_releases_and_writes_off(cast: Cast) -> None:
    announce(cast, units(cast, 3))
    document = come(cast, units(cast, 3))
    assert judge(cast, document, 1, 0) == "received"
    assert judge(cast, document, 1, 1) == "closed"
    assert level_of(cast.mug, cast.warehouse) == (2, 0, 0)
    assert counts(document.lines.get()) == (3, 3, 2, 1)
    assert story(cast.mug, cast.warehouse)[1:] == [
        ("condition", "inspection", 0, 0, -1),
        ("condition", "inspection", 0, 0, -1),
        ("adjustment", "write_off", -1, 0, -1),
    ]
    assert_ledger_holds()


def test_goods_come_in_parts_and_the_rest_is_still_expected(cast: Cast) -> None:
    announce(cast, units(cast, 3))
    document = come(cast, units(cast, 1))
    assert judge(cast, document, 1, 0) == "announced"
    document = come(cast, units(cast, 2))
    assert judge(cast, document, 2, 0) == "closed"


def test_more_and_other_goods_than_announced_are_recorded(cast: Cast) -> None:
    announce(cast, units(cast, 1))
    document = come(cast, units(cast, 2), units(cast, 1, cast.shirt), units(cast, 1, place=cast.store))
    assert {(line.variant_id, line.location_id): counts(line) for line in document.lines.all()} == {
        (cast.mug.pk, cast.warehouse.pk): (1, 2, 0, 0),
        (cast.shirt.pk, cast.warehouse.pk): (0, 1, 0, 0),
        (cast.mug.pk, cast.store.pk): (0, 1, 0, 0),
    }
    assert_ledger_holds()


def test_goods_that_arrive_at_another_place_are_those_that_were_announced(cast: Cast) -> None:
    announce(cast, units(cast, 1))
    document = come(cast, units(cast, 1, place=cast.store))
    inspect_return(cast.context(), document.pk, [Verdict(cast.mug.pk, cast.store.pk, released=1)])
    document.refresh_from_db()
    assert document.state == "closed"


def test_a_parcel_that_nobody_announced_is_recorded(cast: Cast) -> None:
    document = come(cast, units(cast, 1))
    assert judge(cast, document, 0, 1) == "closed"
    assert level_of(cast.mug, cast.warehouse) == (0, 0, 0)


def test_goods_that_come_after_the_return_was_closed_wait_for_inspection(cast: Cast) -> None:
    document = announce(cast, units(cast, 3))
    close_return(cast.context(), document.pk)
    document = come(cast, units(cast, 1))
    assert document.state == "received"
    assert judge(cast, document, 1, 0) == "closed"


def test_announcing_again_replaces_the_total_of_a_line(cast: Cast) -> None:
    announce(cast, units(cast, 1))
    announce(cast, units(cast, 2), units(cast, 1, cast.shirt))
    document = announce(cast, units(cast, 0, cast.shirt))
    announced = {line.variant_id: line.announced_quantity for line in document.lines.all()}
    assert announced == {cast.mug.pk: 2, cast.shirt.pk: 0}


def test_repeating_an_arrival_records_it_once(cast: Cast) -> None:
    for _ in range(2):
        receive_return(cast.context("parcel"), RMA, [units(cast, 2)])
    assert level_of(cast.mug, cast.warehouse) == (2, 0, 2)


def test_released_goods_go_to_who_waits_first(cast: Cast) -> None:
    cast.settle("order", wanted=1)
    document = come(cast, units(cast, 2))
    assert owed() == {("order", "shortage"): 1}
    judge(cast, document, 2, 0)
    assert (owed(), held()) == ({}, {"order": 1})


def test_no_more_is_judged_than_waits(cast: Cast) -> None:
    document = come(cast, units(cast, 2))
    with pytest.raises(InvalidStockRequest, match=r"3 of .* are judged, 2 wait"):
        judge(cast, document, 2, 1)
    with pytest.raises(UnknownStock):
        inspect_return(cast.context(), document.pk, [Verdict(cast.shirt.pk, cast.warehouse.pk, 1)])
    with pytest.raises(InvalidStockRequest, match="at least one unit"):
        judge(cast, document, 0, 0)
    twice = [Verdict(cast.mug.pk, cast.warehouse.pk, 2), Verdict(cast.mug.pk, cast.warehouse.pk, 0, 1)]
    with pytest.raises(InvalidStockRequest, match="verdicts"):
        inspect_return(cast.context(), document.pk, twice)
    assert level_of(cast.mug, cast.warehouse) == (2, 0, 2)


def test_goods_that_were_scrapped_meanwhile_are_not_judged(cast: Cast) -> None:
    document = come(cast, units(cast, 2))
    scrap(cast.context(), [ConditionLine(cast.mug.pk, cast.warehouse.pk, 2)])
    with pytest.raises(InvalidStockRequest, match="0 unavailable there"):
        judge(cast, document, 1, 0)


def test_a_return_with_goods_to_inspect_is_not_closed(cast: Cast) -> None:
    document = come(cast, units(cast, 2))
    with pytest.raises(InvalidStockRequest, match="wait for inspection"):
        close_return(cast.context(), document.pk)


def test_a_return_is_closed_whose_goods_were_judged_elsewhere(cast: Cast) -> None:
    document = come(cast, units(cast, 2))
    scrap(cast.context(), [ConditionLine(cast.mug.pk, cast.warehouse.pk, 1)])
    with pytest.raises(InvalidStockRequest, match="wait for inspection"):
        close_return(cast.context(), document.pk)
    judge(cast, document, 1, 0)
    close_return(cast.context(), document.pk)
    document.refresh_from_db()
    line = document.lines.get()
    assert (document.state, line.elsewhere_quantity, line.to_inspect) == ("closed", 1, 0)
    assert level_of(cast.mug, cast.warehouse) == (1, 0, 0)


def test_what_makes_no_sense_is_refused(cast: Cast, stranger: Cast) -> None:
    with pytest.raises(InvalidStockRequest, match="reference"):
        announce_return(cast.context(), "", [units(cast, 1)])
    with pytest.raises(InvalidStockRequest, match="at least one line"):
        announce_return(cast.context(), RMA, [])
    with pytest.raises(InvalidStockRequest, match="quantity"):
        receive_return(cast.context(), RMA, [units(cast, 0)])
    with pytest.raises(UnknownStock):
        announce_return(cast.context(), RMA, [units(stranger, 1)])
    place = Location.objects.get(pk=place_in_transit(cast.merchant.pk))
    with pytest.raises(InvalidStockRequest, match="location"):
        receive_return(cast.context(), RMA, [units(cast, 1, place=place)])


def test_the_returns_of_two_merchants_keep_apart(cast: Cast, stranger: Cast) -> None:
    announce_return(cast.context(), RMA, [units(cast, 1)])
    announce_return(stranger.context(), RMA, [units(stranger, 2)])
    assert CustomerReturn.objects.filter(reference=RMA).count() == 2
    other = CustomerReturn.objects.get(merchant=stranger.merchant)
    with pytest.raises(UnknownStock, match="no such customer return"):
        close_return(cast.context(), other.pk)
