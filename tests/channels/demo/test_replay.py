"""A history is played as orders of the shops; what comes back is matched to what was sold last."""

from collections import Counter
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.demo.replay import (
    SHIP_AFTER,
    Played,
    Replay,
    account_for,
    choose_rows,
    shop_of,
    units_sold,
)
from channels.demo.sales_file import Row, RowKind, Tally
from channels.demo.shops import Shop
from channels.sandbox import PlacedOrder
from tests.channels.demo.files import row
from tests.channels.demo.platform import Platform, plenty, shop, stocked


def returned(number: int, sku: str, quantity: int, order: str = "C1") -> Row:
    return row(number, order, sku, quantity, RowKind.RETURN)


def never() -> bool:
    return False


def play(rows: Sequence[Row], *shops: Shop) -> Replay:
    """Plays rows that hold no adjustments."""
    replay = Replay(shops, merchant_id=0, location_id=0, variant_ids={})
    replay.play(rows, rate=None, should_stop=never, report=lambda line: None)
    return replay


# -- sales


def test_rows_of_one_order_number_are_one_order_with_all_its_lines() -> None:
    platform = plenty("A", "B")

    played = play([row(2, "1", "A", 2), row(3, "1", "B", 1), row(4, "2", "A", 3)], shop(platform)).played

    assert sorted(platform.orders.values()) == [[("A", 2), ("B", 1)], [("A", 3)]]
    assert played.sold_rows == 3


def test_rows_of_one_order_that_lie_apart_are_still_one_order() -> None:
    platform = plenty("A", "B", "Z")

    replay = play([row(2, "1", "A", 2), row(3, "2", "Z", 1), row(4, "1", "B", 1)], shop(platform))

    assert sorted(platform.orders.values()) == [[("A", 2), ("B", 1)], [("Z", 1)]]
    assert replay.orders == 2


def test_the_same_sku_twice_in_an_order_stays_two_lines() -> None:
    platform = plenty("A")

    play([row(2, "1", "A", 2), row(3, "1", "A", 1)], shop(platform))

    assert list(platform.orders.values()) == [[("A", 2), ("A", 1)]]


def test_an_order_number_leads_to_the_same_shop_on_every_machine() -> None:
    shops = [shop(plenty(), kind) for kind in ("shopify", "woocommerce", "bol")]

    # By hand: the first eight bytes of the number's SHA-256, modulo three.
    assert [shop_of(order, shops).kind for order in ("536365", "536366", "536369")] == [
        "bol",
        "woocommerce",
        "shopify",
    ]


def test_orders_are_spread_over_the_shops_about_evenly() -> None:
    shops = [shop(plenty(), kind) for kind in ("shopify", "woocommerce", "bol")]

    counts = Counter(shop_of(str(number), shops).kind for number in range(536365, 536365 + 3000))

    assert len(counts) == 3
    assert all(900 < count < 1100 for count in counts.values())


# -- refusals


def test_what_the_shop_refuses_is_left_out_and_the_rest_is_ordered() -> None:
    platform = stocked({"A": 5, "B": 1, "Z": 5})

    played = play([row(2, "1", "A", 2), row(3, "1", "B", 4), row(4, "1", "Z", 1)], shop(platform)).played

    assert list(platform.orders.values()) == [[("A", 2), ("Z", 1)]]
    assert (played.sold_rows, played.refused_rows, played.refused_units) == (2, 1, 4)


def test_of_two_rows_of_a_sku_the_last_one_is_left_out() -> None:
    platform = stocked({"A": 5})

    played = play([row(2, "1", "A", 3), row(3, "1", "A", 4)], shop(platform)).played

    assert list(platform.orders.values()) == [[("A", 3)]]
    assert (played.refused_rows, played.refused_units) == (1, 4)


def test_an_order_that_is_refused_altogether_is_none() -> None:
    platform = stocked({"A": 0, "B": 0})

    played = play([row(2, "1", "A", 1), row(3, "1", "B", 2)], shop(platform)).played

    assert platform.orders == {}
    assert (played.sold_rows, played.refused_rows, played.refused_units) == (0, 2, 3)


def test_refused_units_cannot_come_back() -> None:
    platform = stocked({"A": 1})

    played = play([row(2, "1", "A", 1), row(3, "2", "A", 5), returned(4, "A", 3)], shop(platform)).played

    assert (played.cancelled_units, played.unmatched_units) == (1, 2)


def test_what_goes_wrong_at_a_till_ends_the_replay() -> None:
    class Broken(Platform):
        def place_order(self, lines: Sequence[tuple[str, int]]) -> PlacedOrder:
            raise ConnectionError("the shop is gone")

    with pytest.raises(ConnectionError, match="the shop is gone"):
        play([row(2, "1", "A", 1)], shop(Broken({})))


# -- returns


def test_a_return_takes_from_the_latest_sale_first_and_goes_on_to_earlier_ones() -> None:
    platform = plenty("A")
    rows = [row(2, "1", "A", 5), row(3, "2", "A", 3), returned(4, "A", 4)]

    played = play(rows, shop(platform)).played

    latest, earlier = _ids_by_quantity(platform, 3, 5)
    assert platform.calls == [("cancel", latest, "A", 3), ("cancel", earlier, "A", 1)]
    assert (played.cancelled_units, played.returned_rows, played.unmatched_units) == (4, 1, 0)


def test_the_next_return_takes_what_the_last_one_left() -> None:
    platform = plenty("A")
    rows = [row(2, "1", "A", 5), row(3, "2", "A", 3), returned(4, "A", 2), returned(5, "A", 3, "C2")]

    play(rows, shop(platform))

    latest, earlier = _ids_by_quantity(platform, 3, 5)
    assert platform.calls == [
        ("cancel", latest, "A", 2),
        ("cancel", latest, "A", 1),
        ("cancel", earlier, "A", 2),
    ]


def test_a_return_is_played_at_the_shop_that_sold_the_units() -> None:
    here, there = plenty("A"), plenty("A")
    shops = [shop(here, "shopify"), shop(there, "bol")]
    orders = {shop_of(str(number), shops).kind: str(number) for number in range(20)}

    play([row(2, orders["bol"], "A", 2), row(3, orders["shopify"], "A", 1), returned(4, "A", 2)], *shops)

    assert here.calls == [("cancel", "1", "A", 1)]
    assert there.calls == [("cancel", "1", "A", 1)]


def test_a_sku_in_another_case_is_another_sku() -> None:
    platform = plenty("A", "a")

    played = play([row(2, "1", "A", 2), returned(3, "a", 1)], shop(platform)).played

    assert platform.calls == []
    assert (played.unmatched_rows, played.unmatched_units) == (1, 1)


def test_a_return_before_its_sale_matches_nothing() -> None:
    platform = plenty("A")

    played = play([returned(2, "A", 2), row(3, "1", "A", 2)], shop(platform)).played

    assert platform.calls == []
    assert (played.unmatched_rows, played.unmatched_units, played.sold_rows) == (1, 2, 1)


def test_a_row_of_an_order_that_stands_below_the_return_is_not_taken_back() -> None:
    platform = plenty("A")
    rows = [row(2, "1", "A", 1), returned(3, "A", 2), row(4, "1", "A", 5)]

    played = play(rows, shop(platform)).played

    assert platform.calls == [("cancel", "1", "A", 1)]
    assert played.unmatched_units == 1


def test_units_that_cannot_be_matched_are_counted_beside_those_that_can() -> None:
    played = play([row(2, "1", "A", 2), returned(3, "A", 5)], shop(plenty("A"))).played

    assert (played.cancelled_units, played.unmatched_units) == (2, 3)
    assert (played.returned_rows, played.unmatched_rows) == (1, 0)


def test_units_that_the_shop_no_longer_has_open_are_looked_for_in_earlier_sales() -> None:
    class Forgetful(Platform):
        def place_order(self, lines: Sequence[tuple[str, int]]) -> PlacedOrder:
            placed = super().place_order(lines)
            if lines == [("A", 3)]:
                self.open[placed.id, "A"] = 1  # its own back office cancelled two
            return placed

    platform = Forgetful({"A": 100})

    played = play([row(2, "1", "A", 5), row(3, "2", "A", 3), returned(4, "A", 4)], shop(platform)).played

    assert (played.cancelled_units, played.unmatched_units) == (4, 0)
    assert [units for *_, units in platform.calls] == [1, 3]


def test_what_was_placed_long_ago_has_been_shipped_and_comes_back_as_a_return_without_restock() -> None:
    platform = plenty("A", "Z")
    later = [row(3 + number, f"later {number}", "Z", 1) for number in range(SHIP_AFTER + 24)]
    rows = [row(2, "1", "A", 2), *later, returned(1000, "A", 1), returned(1001, "Z", 1)]

    played = play(rows, shop(platform)).played

    back = [call for call in platform.calls if call[0] != "ship"]
    assert [(verb, sku, units) for verb, _, sku, units in back] == [("refund", "A", 1), ("cancel", "Z", 1)]
    assert (played.returned_units, played.cancelled_units) == (1, 1)


def test_units_cancelled_before_shipping_are_not_shipped() -> None:
    platform = plenty("A", "B", "Z")
    later = [row(4 + number, f"later {number}", "Z", 1) for number in range(SHIP_AFTER + 24)]
    rows = [row(2, "1", "A", 2), row(3, "1", "B", 1), returned(4, "A", 1), returned(5, "B", 1), *later]

    play(rows, shop(platform))

    shipped = [call for call in platform.calls if call[0] == "ship" and call[2] != "Z"]
    assert shipped == [("ship", "1", "A", 1)]


def test_the_file_decides_which_sale_was_the_latest_and_not_the_quickest_till() -> None:
    slow, quick = plenty("A", "slow"), plenty("A")
    slow.slow_sku = "slow"
    shops = [shop(slow, "shopify"), shop(quick, "bol")]
    of = {shop_of(str(number), shops).kind: str(number) for number in range(20)}
    place = quick.place_order

    def place_and_open(lines: Sequence[tuple[str, int]]) -> PlacedOrder:
        try:
            return place(lines)
        finally:
            slow.gate.set()

    quick.place_order = place_and_open  # type: ignore[method-assign]
    rows = [row(2, of["shopify"], "A", 1), row(3, of["shopify"], "slow", 1), row(4, of["bol"], "A", 1)]

    play([*rows, returned(5, "A", 1)], *shops)

    assert quick.calls == [("cancel", "1", "A", 1)]
    assert slow.calls == []


def _ids_by_quantity(platform: Platform, *quantities: int) -> list[str]:
    by_quantity = {lines[0][1]: order_id for order_id, lines in platform.orders.items()}
    return [by_quantity[quantity] for quantity in quantities]


# -- all of it


def test_a_replay_that_is_told_to_stop_places_no_more_orders() -> None:
    platform = plenty("A")
    answers = iter([False, False, True])
    replay = Replay([shop(platform)], merchant_id=0, location_id=0, variant_ids={})

    replay.play(
        [row(number, str(number), "A", 1) for number in range(2, 12)],
        rate=None,
        should_stop=lambda: next(answers),
        report=lambda line: None,
    )

    assert len(platform.orders) == 2


_ROWS = st.lists(
    st.tuples(st.sampled_from(["1", "2", "3", "4", "C1", "C2"]), st.sampled_from("AB"), st.integers(1, 5)),
    max_size=25,
)


@given(cells=_ROWS, numbers=st.fixed_dictionaries({"A": st.integers(0, 30), "B": st.integers(0, 30)}))
def test_every_row_and_every_unit_has_one_outcome(
    cells: list[tuple[str, str, int]], numbers: dict[str, int]
) -> None:
    rows = [
        row(number, order, sku, units, RowKind.RETURN if order.startswith("C") else RowKind.SALE)
        for number, (order, sku, units) in enumerate(cells, start=2)
    ]
    platforms = [stocked(numbers), stocked(numbers)]

    played = play(
        rows, *(shop(p, kind) for p, kind in zip(platforms, ("shopify", "bol"), strict=True))
    ).played

    assert account_for(Tally(rows_read=len(rows)), played)
    placed = sum(quantity for p in platforms for lines in p.orders.values() for _, quantity in lines)
    assert placed + played.refused_units == sum(units_sold(rows).values())
    taken_back = played.cancelled_units + played.returned_units
    assert taken_back + played.unmatched_units == sum(r.quantity for r in rows if r.kind is RowKind.RETURN)
    assert sum(sum(p.open.values()) for p in platforms) == placed - taken_back


def test_a_row_without_an_outcome_is_noticed() -> None:
    assert account_for(Tally(rows_read=3, rejected={"no goods": 1}), Played(sold_rows=1, refused_rows=1))
    assert not account_for(Tally(rows_read=4, rejected={"no goods": 1}), Played(sold_rows=1, refused_rows=1))
    assert not account_for(Tally(rows_read=2, rejected={"no goods": 1}), Played(sold_rows=1, refused_rows=1))


# -- how much of the file


def chosen(rows: Sequence[Row], limit: int | None) -> tuple[list[int], int]:
    """Returns the lines chosen, and how many rows count as read."""
    tally = Tally()

    def reading() -> Iterator[Row]:
        for each in rows:
            tally.rows_read += 1
            yield each

    lines = [each.line for each in choose_rows(reading(), tally, limit_orders=limit)]
    return lines, tally.rows_read


HISTORY = [
    row(2, "1", "A", 1),
    row(3, "1", "B", 1),
    row(4, "C9", "A", 1, RowKind.RETURN),
    row(5, "2", "A", 1),
    row(6, "7", "A", -3, RowKind.ADJUSTMENT),
    row(7, "1", "A", 1),
    row(8, "3", "A", 1),
    row(9, "C9", "A", 1, RowKind.RETURN),
]


def test_without_a_limit_all_rows_are_played() -> None:
    assert chosen(HISTORY, None) == ([2, 3, 4, 5, 6, 7, 8, 9], 8)


@pytest.mark.parametrize(
    ("limit", "lines"),
    [(1, [2, 3, 4]), (2, [2, 3, 4, 5, 6, 7]), (3, [2, 3, 4, 5, 6, 7, 8, 9]), (99, [2, 3, 4, 5, 6, 7, 8, 9])],
)
def test_a_limit_counts_sale_orders_and_keeps_what_lies_between(limit: int, lines: list[int]) -> None:
    assert chosen(HISTORY, limit) == (lines, len(lines))


def test_the_opening_stock_is_what_the_rows_sell() -> None:
    assert units_sold(HISTORY) == {"A": 4, "B": 1}
