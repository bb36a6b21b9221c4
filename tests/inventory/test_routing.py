"""Strategies are pure: from what is wanted and what is free to shares, never more than either."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory.routing import STRATEGIES, Need, Routing, Share, Site, Usage, cut, plan

MUG, CUP, HAT = 1, 2, 3
NORTH, SOUTH, EAST = 10, 20, 30
PLACES = (NORTH, SOUTH, EAST)


def need(units: int, variant: int = MUG, places: Sequence[int] = PLACES) -> Need:
    return Need(variant, units, tuple(places))


def shares(routing: Routing, *needs: Need, **free: int) -> list[dict[int, int]]:
    """Plans; what is free is named as `mug_north=3`."""
    names = {"mug": MUG, "cup": CUP, "hat": HAT, "north": NORTH, "south": SOUTH, "east": EAST}
    stock = {(names[key.split("_")[0]], names[key.split("_")[1]]): units for key, units in free.items()}
    return [dict(share.units) for share in plan(routing, needs, stock)]


def test_priority_draws_on_locations_in_their_order_and_splits_a_line_where_it_must() -> None:
    assert shares(Routing(), need(5), mug_north=2, mug_south=2, mug_east=9) == [{NORTH: 2, SOUTH: 2, EAST: 1}]


def test_lines_for_the_same_goods_share_what_there_is_in_their_order() -> None:
    assert shares(Routing(), need(3), need(3), mug_north=4) == [{NORTH: 3}, {NORTH: 1}]


def test_nearest_prefers_the_customers_country_then_its_customs_union_then_priority() -> None:
    sites = (Site(NORTH, "US"), Site(SOUTH, "DE"), Site(EAST, "NL"))
    routing = Routing("nearest", "NL", sites=sites)
    assert routing.ordered(PLACES) == (EAST, SOUTH, NORTH)
    assert Routing("nearest", "GB", sites=sites).ordered(PLACES) == PLACES
    assert Routing("nearest", "", sites=sites).ordered(PLACES) == PLACES
    assert Routing("nearest", "us", sites=sites).ordered(PLACES) == (NORTH, SOUTH, EAST)


def test_fewest_parcels_uses_the_smallest_set_of_locations_that_serves_as_much_as_all() -> None:
    """Taking the largest first would need three."""
    wanted = [need(3), need(3, CUP), need(2, HAT)]
    free = {"mug_north": 3, "cup_north": 1, "hat_north": 1, "mug_south": 3, "cup_east": 3, "hat_east": 2}
    assert shares(Routing("fewest_parcels"), *wanted, **free) == [
        {NORTH: 3},
        {NORTH: 1, EAST: 2},
        {NORTH: 1, EAST: 1},
    ]


def test_fewest_parcels_takes_everything_from_one_place_that_has_it() -> None:
    assert shares(Routing("fewest_parcels"), need(3), need(1, CUP), mug_north=9, mug_east=3, cup_east=1) == [
        {EAST: 3},
        {EAST: 1},
    ]


def test_among_many_locations_fewest_parcels_adds_the_one_that_brings_most() -> None:
    many = tuple(range(1, 12))
    free = {(MUG, place): place for place in many}
    (share,) = plan(Routing("fewest_parcels"), [Need(MUG, 20, many)], free)
    assert (share.total, len(share.units)) == (20, 2)


def test_an_order_is_kept_together_where_one_place_has_all_of_it() -> None:
    free = {"mug_north": 9, "mug_south": 3, "cup_south": 1}
    assert shares(Routing("keep_together"), need(3), need(1, CUP), **free) == [{SOUTH: 3}, {SOUTH: 1}]


def test_else_each_line_is_kept_whole_and_split_only_where_no_place_has_it() -> None:
    free = {"mug_north": 2, "mug_south": 3, "cup_east": 1, "hat_north": 1, "hat_east": 1}
    assert shares(Routing("keep_together"), need(3), need(1, CUP), need(2, HAT), **free) == [
        {SOUTH: 3},
        {EAST: 1},
        {NORTH: 1, EAST: 1},
    ]


def test_an_order_that_must_not_be_split_takes_what_the_one_place_has_that_has_most() -> None:
    routing = Routing(may_split=False)
    stock = {(MUG, NORTH): 2, (CUP, NORTH): 1, (MUG, SOUTH): 4, (CUP, EAST): 9}
    found = plan(routing, [need(4), need(1, CUP)], stock)
    assert found == [Share({SOUTH: 4}, (SOUTH,)), Share({}, (SOUTH,))]


def test_lines_that_the_platform_sells_from_different_places_are_not_forced_into_one_parcel() -> None:
    wanted = [need(1, places=[NORTH]), need(1, CUP, places=[SOUTH])]
    assert shares(Routing(may_split=False), *wanted, mug_north=1, cup_south=1) == [{NORTH: 1}, {SOUTH: 1}]


def test_a_location_whose_day_is_used_up_is_passed_over_while_the_others_can_serve() -> None:
    stock = {(MUG, NORTH): 9, (MUG, SOUTH): 3}
    assert [dict(s.units) for s in plan(Routing(), [need(3)], stock, full=[NORTH])] == [{SOUTH: 3}]
    assert [dict(s.units) for s in plan(Routing(), [need(5)], stock, full=[NORTH])] == [{SOUTH: 3, NORTH: 2}]
    assert [dict(s.units) for s in plan(Routing(), [need(1)], stock, full=PLACES)] == [{NORTH: 1}]


def test_a_location_is_used_up_by_orders_or_by_units() -> None:
    assert not Site(NORTH).is_used_up(Usage(99, 99))
    assert Site(NORTH, daily_orders=2).is_used_up(Usage(2, 2))
    assert Site(NORTH, daily_units=5).is_used_up(Usage(1, 5))
    assert not Site(NORTH, daily_orders=2, daily_units=5).is_used_up(Usage(1, 4))


def test_what_is_planned_for_cancelled_units_goes_to_who_lacks_them() -> None:
    routing, free = Routing(), {(MUG, NORTH): 4}
    ordered = [need(4), need(4)]
    planned = plan(routing, ordered, free)
    kept = cut(routing, planned, [need(1), need(4)], free)
    assert [dict(share.units) for share in kept] == [{NORTH: 1}, {NORTH: 3}]


def test_a_strategy_that_no_longer_exists_counts_as_priority() -> None:
    assert Routing("retired").way is STRATEGIES["priority"]


QUESTIONS = st.lists(
    st.builds(
        Need,
        variant_id=st.sampled_from([MUG, CUP, HAT]),
        units=st.integers(0, 6),
        location_ids=st.lists(st.sampled_from(PLACES), min_size=1, unique=True).map(tuple),
    ),
    max_size=5,
)
STOCK = st.dictionaries(
    st.tuples(st.sampled_from([MUG, CUP, HAT]), st.sampled_from(PLACES)), st.integers(0, 6)
)


def _check(found: Sequence[Share], needs: Sequence[Need], free: dict[tuple[int, int], int]) -> None:
    left = dict(free)
    for share, wanted in zip(found, needs, strict=True):
        assert share.total <= wanted.units
        assert set(share.units) <= set(wanted.location_ids)
        for place, units in share.units.items():
            assert units > 0
            left[wanted.variant_id, place] -= units
    assert all(units >= 0 for units in left.values())


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("may_split", [True, False])
@given(needs=QUESTIONS, free=STOCK, full=st.sets(st.sampled_from(PLACES)))
def test_no_plan_takes_more_than_is_wanted_or_free(
    strategy: str, may_split: bool, needs: list[Need], free: dict[tuple[int, int], int], full: set[int]
) -> None:
    routing = Routing(strategy, may_split=may_split)
    found = plan(routing, needs, free, full=full)
    _check(found, needs, free)
    assert plan(routing, needs, free, full=full) == found


@pytest.mark.parametrize("strategy", STRATEGIES)
@given(units=st.integers(0, 20), free=STOCK)
def test_one_line_gets_all_there_is_however_it_is_routed(
    strategy: str, units: int, free: dict[tuple[int, int], int]
) -> None:
    """A number that is published can be reserved: it is at most what these places have."""
    wanted = need(units)
    (share,) = plan(Routing(strategy), [wanted], free)
    assert share.total == min(units, sum(free.get((MUG, place), 0) for place in PLACES))
    (whole,) = plan(Routing(strategy, may_split=False), [wanted], free)
    assert whole.total == min(units, max(free.get((MUG, place), 0) for place in PLACES))


@pytest.mark.parametrize("strategy", STRATEGIES)
@given(data=st.data(), needs=QUESTIONS, free=STOCK)
def test_less_is_served_by_the_first_units_of_the_same_plan_and_no_unit_is_left_that_somebody_lacks(
    strategy: str, data: st.DataObject, needs: list[Need], free: dict[tuple[int, int], int]
) -> None:
    routing = Routing(strategy)
    less = [Need(n.variant_id, data.draw(st.integers(0, n.units)), n.location_ids) for n in needs]
    kept = cut(routing, plan(routing, needs, free), less, free)
    _check(kept, less, free)
    left = dict(free)
    for share, wanted in zip(kept, less, strict=True):
        for place, units in share.units.items():
            left[wanted.variant_id, place] -= units
    for share, wanted in zip(kept, less, strict=True):
        if share.total < wanted.units:
            assert not any(left.get((wanted.variant_id, place), 0) for place in wanted.location_ids)
