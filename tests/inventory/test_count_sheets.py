"""Stocktakes: what was counted is judged by what lay there then, and recorded in one operation."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from inventory.count_accuracy import count_accuracy
from inventory.count_sheets import approve_sheet, cancel_sheet, enter_counts, print_sheet, want_recount
from inventory.errors import InvalidStockRequest, UnknownStock
from inventory.models import CountSheet, StockMovement, StockOperation, Variant
from inventory.stock import CountLine, ShipmentLine, count, ship
from inventory.transit import place_in_transit
from tests.inventory.cast import Cast, assert_ledger_holds, held, level_of, owed, story


def printed(cast: Cast, *variants: Variant, is_blind: bool = False) -> CountSheet:
    ids = [variant.pk for variant in variants] or None
    return print_sheet(cast.merchant.pk, cast.warehouse.pk, ids, key=uuid4(), is_blind=is_blind)


def enter(cast: Cast, sheet: CountSheet, counted: int, variant: Variant | None = None) -> None:
    enter_counts(cast.merchant.pk, sheet.pk, {(variant or cast.mug).pk: counted}, counted_by="anna")


def approve(cast: Cast, sheet: CountSheet) -> None:
    approve_sheet(cast.context(), sheet.pk)


def sell(cast: Cast, units: int) -> None:
    ship(cast.context(), [ShipmentLine(cast.mug.pk, cast.warehouse.pk, units)])


def test_a_sheet_lists_what_was_ever_kept_at_the_place(cast: Cast) -> None:
    cast.receive(5)
    cast.receive(2, cast.shirt, cast.store)
    assert [(line.variant, line.expected_quantity) for line in printed(cast).lines.all()] == [(cast.mug, 5)]


def test_a_sheet_lists_the_variants_that_were_chosen(cast: Cast) -> None:
    cast.receive(5)
    sheet = printed(cast, cast.shirt)
    assert [(line.variant, line.expected_quantity) for line in sheet.lines.all()] == [(cast.shirt, 0)]


def test_an_approved_sheet_is_one_operation_that_counts_every_line(cast: Cast) -> None:
    cast.receive(5)
    cast.receive(3, cast.shirt)
    sheet = printed(cast)
    enter(cast, sheet, 4)
    enter(cast, sheet, 3, cast.shirt)
    operations = StockOperation.objects.count()
    approve(cast, sheet)
    sheet.refresh_from_db()
    assert StockOperation.objects.count() == operations + 1
    assert sheet.operation is not None
    assert (sheet.state, sheet.operation.verb, sheet.operation.document) == (
        "approved",
        "count",
        sheet.number,
    )
    assert level_of(cast.mug, cast.warehouse) == (4, 0, 0)
    assert story(cast.mug, cast.warehouse)[-1] == ("count", "correction", -1, 0, 0)
    assert story(cast.shirt, cast.warehouse)[-1] == ("count", "correction", 0, 0, 0)
    assert_ledger_holds()


def test_lines_that_were_not_counted_stay_as_they_are(cast: Cast) -> None:
    cast.receive(5)
    cast.receive(3, cast.shirt)
    sheet = printed(cast)
    enter(cast, sheet, 4)
    approve(cast, sheet)
    assert level_of(cast.shirt, cast.warehouse) == (3, 0, 0)
    assert len(story(cast.shirt, cast.warehouse)) == 1


def test_what_moved_between_printing_and_counting_is_no_variance(cast: Cast) -> None:
    cast.receive(5)
    sheet = printed(cast)
    sell(cast, 2)
    enter(cast, sheet, 3)
    line = sheet.lines.get()
    assert (line.expected_quantity, line.level_quantity, line.counted_quantity, line.variance) == (5, 3, 3, 0)
    approve(cast, sheet)
    assert level_of(cast.mug, cast.warehouse) == (3, 0, 0)


def test_what_moves_between_counting_and_approval_stays_as_it_is(cast: Cast) -> None:
    cast.receive(5)
    sheet = printed(cast)
    enter(cast, sheet, 4)
    sell(cast, 2)
    cast.receive(10)
    approve(cast, sheet)
    assert level_of(cast.mug, cast.warehouse) == (5 - 1 - 2 + 10, 0, 0)


def test_a_count_that_was_made_earlier_is_judged_by_what_lay_there_then(cast: Cast) -> None:
    cast.receive(5)
    sheet = printed(cast)
    then = timezone.now()
    sell(cast, 2)
    enter_counts(cast.merchant.pk, sheet.pk, {cast.mug.pk: 5}, counted_at=then)
    assert sheet.lines.get().variance == 0
    approve(cast, sheet)
    assert level_of(cast.mug, cast.warehouse) == (3, 0, 0)


def test_when_more_has_left_since_than_was_counted_the_rest_was_beyond_record(cast: Cast) -> None:
    cast.receive(5)
    sheet = printed(cast)
    enter(cast, sheet, 1)
    sell(cast, 3)
    approve(cast, sheet)
    assert level_of(cast.mug, cast.warehouse) == (0, 0, 0)
    assert owed() == {(sheet.number, "beyond_record"): 2}
    assert story(cast.mug, cast.warehouse)[-2:] == [
        ("adjustment", "beyond_record", 2, 0, 0),
        ("count", "correction", -4, 0, 0),
    ]
    assert_ledger_holds()


def test_found_units_that_have_left_since_were_found_beyond_record_already(cast: Cast) -> None:
    cast.receive(5)
    sheet = printed(cast)
    enter(cast, sheet, 8)
    sell(cast, 7)
    assert level_of(cast.mug, cast.warehouse) == (0, 0, 0)
    approve(cast, sheet)
    assert level_of(cast.mug, cast.warehouse) == (1, 0, 0)
    assert_ledger_holds()


def test_more_that_left_beyond_record_than_the_count_had_found_leaves_the_level_as_it_is(cast: Cast) -> None:
    cast.receive(5)
    sheet = printed(cast)
    enter(cast, sheet, 6)
    sell(cast, 8)
    cast.receive(4)
    approve(cast, sheet)
    assert level_of(cast.mug, cast.warehouse) == (4, 0, 0)
    assert_ledger_holds()


def test_the_same_find_on_two_sheets_enters_the_record_once(cast: Cast) -> None:
    cast.receive(5)
    first, second = printed(cast), printed(cast)
    enter(cast, first, 8)
    enter(cast, second, 8)
    approve(cast, first)
    approve(cast, second)
    assert level_of(cast.mug, cast.warehouse) == (8, 0, 0)


def test_a_later_count_stands_whichever_sheet_is_approved_last(cast: Cast) -> None:
    cast.receive(5)
    earlier, later = printed(cast), printed(cast)
    enter(cast, earlier, 9)
    enter(cast, later, 6)
    approve(cast, later)
    approve(cast, earlier)
    assert level_of(cast.mug, cast.warehouse) == (6, 0, 0)
    earlier, later = printed(cast), printed(cast)
    enter(cast, earlier, 9)
    enter(cast, later, 7)
    approve(cast, earlier)
    approve(cast, later)
    assert level_of(cast.mug, cast.warehouse) == (7, 0, 0)
    enter(cast, sheet := printed(cast), 9)
    count(cast.context(), [CountLine(cast.mug.pk, cast.warehouse.pk, 5)])
    approve(cast, sheet)
    assert level_of(cast.mug, cast.warehouse) == (5, 0, 0)
    assert_ledger_holds()


def test_a_count_that_undercuts_reservations_breaks_the_newest(cast: Cast) -> None:
    cast.receive(5)
    cast.hold("old", 2)
    cast.hold("new", 3)
    sheet = printed(cast)
    enter(cast, sheet, 3)
    approve(cast, sheet)
    assert level_of(cast.mug, cast.warehouse) == (3, 3, 0)
    assert held() == {"old": 2, "new": 1}
    assert owed() == {("new", "broken"): 2}
    assert_ledger_holds()


def test_found_units_go_to_who_waits_first(cast: Cast) -> None:
    cast.settle("order", wanted=2, places=[cast.warehouse.pk])
    sheet = printed(cast, cast.mug)
    enter(cast, sheet, 3)
    approve(cast, sheet)
    assert (held(), owed()) == ({"order": 2}, {})


def test_something_found_that_the_sheet_does_not_name_is_added_to_it(cast: Cast) -> None:
    cast.receive(5)
    sheet = printed(cast, cast.mug)
    cast.receive(2, cast.shirt)
    enter(cast, sheet, 4, cast.shirt)
    line = sheet.lines.get(variant=cast.shirt)
    assert (line.expected_quantity, line.level_quantity, line.variance) == (0, 2, 2)
    approve(cast, sheet)
    assert level_of(cast.shirt, cast.warehouse) == (4, 0, 0)


def test_a_recount_replaces_the_count_and_remembers_it(cast: Cast) -> None:
    cast.receive(5)
    sheet = printed(cast)
    enter(cast, sheet, 2)
    assert want_recount(cast.merchant.pk, sheet.pk, [cast.mug.pk]) == 1
    with pytest.raises(InvalidStockRequest, match=f"1 wait to be counted again .{cast.mug.sku}"):
        approve(cast, sheet)
    enter(cast, sheet, 5)
    line = sheet.lines.get()
    assert (line.previous_quantity, line.counted_quantity, line.is_recount_wanted) == (2, 5, False)
    approve(cast, sheet)
    assert level_of(cast.mug, cast.warehouse) == (5, 0, 0)


def test_only_counted_lines_are_counted_again(cast: Cast) -> None:
    cast.receive(5)
    assert want_recount(cast.merchant.pk, printed(cast).pk, [cast.mug.pk]) == 0


def test_a_form_sent_twice_enters_once(cast: Cast) -> None:
    cast.receive(5)
    sheet = printed(cast)
    key = uuid4()
    enter_counts(cast.merchant.pk, sheet.pk, {cast.mug.pk: 5}, key=key)
    sell(cast, 2)
    enter_counts(cast.merchant.pk, sheet.pk, {cast.mug.pk: 5}, key=key)
    line = sheet.lines.get()
    assert (line.variance, line.previous_quantity) == (0, None)


def test_a_sheet_is_printed_once_for_its_key(cast: Cast) -> None:
    cast.receive(5)
    key = uuid4()
    sheets = [print_sheet(cast.merchant.pk, cast.warehouse.pk, key=key) for _ in range(2)]
    assert sheets[0] == sheets[1]
    assert sheets[0].lines.count() == 1


def test_a_closed_sheet_takes_nothing_in(cast: Cast) -> None:
    cast.receive(5)
    sheet = printed(cast)
    cancel_sheet(cast.merchant.pk, sheet.pk)
    for act in (
        lambda: enter(cast, sheet, 1),
        lambda: approve(cast, sheet),
        lambda: cancel_sheet(cast.merchant.pk, sheet.pk),
        lambda: want_recount(cast.merchant.pk, sheet.pk, [cast.mug.pk]),
    ):
        with pytest.raises(InvalidStockRequest, match="is cancelled"):
            act()
    assert StockMovement.objects.filter(kind="count").count() == 0


def test_what_makes_no_sense_is_refused(cast: Cast, stranger: Cast) -> None:
    with pytest.raises(InvalidStockRequest, match="nothing to count"):
        printed(cast)
    with pytest.raises(UnknownStock):
        printed(cast, stranger.mug)
    with pytest.raises(InvalidStockRequest, match="location"):
        print_sheet(cast.merchant.pk, place_in_transit(cast.merchant.pk), key=uuid4())
    sheet = printed(cast, cast.mug)
    with pytest.raises(InvalidStockRequest, match="nothing has been counted"):
        approve(cast, sheet)
    with pytest.raises(InvalidStockRequest, match="counted"):
        enter(cast, sheet, -1)
    for moment in (sheet.printed_at - timedelta(seconds=1), timezone.now() + timedelta(hours=1)):
        with pytest.raises(InvalidStockRequest, match="counted_at"):
            enter_counts(cast.merchant.pk, sheet.pk, {cast.mug.pk: 1}, counted_at=moment)
    with pytest.raises(UnknownStock, match="no such count sheet"):
        enter(stranger, sheet, 1)


def test_accuracy_is_one_less_variance_by_units_counted(cast: Cast) -> None:
    cast.receive(10)
    cast.receive(5, cast.shirt)
    cast.receive(7, place=cast.store)
    sheet = printed(cast)
    enter(cast, sheet, 8)
    enter(cast, sheet, 8, cast.shirt)
    approve(cast, sheet)
    [found] = count_accuracy(cast.merchant.pk, cast.places).values()
    assert (found.location_id, found.lines, found.counted, found.variance) == (cast.warehouse.pk, 2, 16, 5)
    assert found.accuracy == 1 - 5 / 16


def test_what_moved_before_the_approval_does_not_change_the_accuracy(cast: Cast) -> None:
    cast.receive(10)
    sheet = printed(cast)
    enter(cast, sheet, 8)
    sell(cast, 6)
    approve(cast, sheet)
    found = count_accuracy(cast.merchant.pk, cast.places)[cast.warehouse.pk]
    assert (found.counted, found.variance) == (8, 2)


def test_counts_without_a_sheet_are_part_of_the_accuracy(cast: Cast) -> None:
    cast.receive(10)
    count(cast.context(), [CountLine(cast.mug.pk, cast.warehouse.pk, 9)])
    found = count_accuracy(cast.merchant.pk, cast.places)[cast.warehouse.pk]
    assert (found.lines, found.counted, found.variance) == (1, 9, 1)
    assert count_accuracy(cast.merchant.pk, cast.places, since=timezone.now()) == {}


def test_a_place_where_nothing_was_found_has_no_accuracy(cast: Cast) -> None:
    cast.receive(10)
    cast.count(0)
    assert count_accuracy(cast.merchant.pk, cast.places)[cast.warehouse.pk].accuracy is None
