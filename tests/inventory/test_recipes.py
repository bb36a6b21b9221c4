"""What bundles are made of, as a graph: circles, and kits taken apart."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inventory.errors import InvalidStockRequest
from inventory.recipes import Recipe, bundles_with, circle_through, parts_of


def kit(**components: int) -> Recipe:
    return Recipe(True, {int(name[1:]): units for name, units in components.items()})


def composite(**components: int) -> Recipe:
    return Recipe(False, {int(name[1:]): units for name, units in components.items()})


def test_a_kit_of_kits_is_taken_apart_and_added_up() -> None:
    recipes = {1: kit(v2=2, v3=1), 2: kit(v3=3, v4=5)}
    assert parts_of(1, recipes) == {3: 7, 4: 10}


def test_a_composite_lies_on_the_shelf_and_is_not_taken_apart() -> None:
    recipes = {1: kit(v2=2), 2: composite(v3=3)}
    assert parts_of(1, recipes) == {2: 2}
    assert parts_of(2, recipes) == {3: 3}


def test_a_circle_is_named_in_its_order() -> None:
    recipes = {1: kit(v2=1), 2: composite(v3=1), 3: kit(v4=1, v1=1)}
    assert circle_through(1, recipes) == [1, 2, 3, 1]
    assert circle_through(4, recipes) == []


def test_the_same_component_by_two_ways_is_no_circle() -> None:
    assert circle_through(1, {1: kit(v2=1, v3=1), 2: kit(v4=1), 3: kit(v4=1)}) == []


def test_what_contains_a_variant_is_found_by_way_of_kits_only() -> None:
    recipes = {1: kit(v2=1), 2: kit(v9=1), 3: kit(v4=1), 4: composite(v9=1)}
    assert bundles_with(9, recipes) == [2, 4, 1]


def test_more_than_can_be_counted_is_refused() -> None:
    recipes = {n: kit(**{f"v{n + 1}": 10**6}) for n in range(1, 4)}
    with pytest.raises(InvalidStockRequest) as refusal:
        parts_of(1, recipes)
    assert refusal.value.field == "components"


def test_kits_within_kits_have_a_limit_and_many_ways_to_the_same_part_take_no_time() -> None:
    ways = {n: kit(**{f"v{n + 1}": 1, f"v{n + 2}": 1}) for n in range(1, 20)}
    assert sum(parts_of(1, ways).values()) == 10946
    with pytest.raises(InvalidStockRequest, match="at most 20 kits within each other"):
        parts_of(1, {n: kit(**{f"v{n + 1}": 1}) for n in range(1, 22)})


@settings(deadline=None, database=None)
@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=20))
def test_whatever_has_no_circle_ends_in_plain_variants(edges: list[tuple[int, int]]) -> None:
    recipes: dict[int, Recipe] = {}
    for bundle, component in edges:
        recipes.setdefault(bundle, Recipe(True, {})).components[component] = 1
    if any(circle_through(bundle, recipes) for bundle in recipes):
        return
    for bundle in recipes:
        assert parts_of(bundle, recipes).keys() & recipes.keys() == set()
