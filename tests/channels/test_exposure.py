"""What a channel is told: a pure function whose every step is shown, and the one statement that feeds it."""

from dataclasses import replace

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from channels.connectors.base import Convention
from channels.exposure import (
    Inputs,
    LocationStock,
    Pinned,
    Standing,
    compute,
    explain,
    exposures,
    quantity_of,
    targets,
)
from channels.models import ChannelLocation, ListingLevel
from channels.orders import apply_state
from channels.rules.resolved import NO_RULES, Pool, ResolvedRules
from inventory.models import Location, StockLevel
from tests.channels.shop import Shop, line, open_shop, order
from tests.channels.telling import INCLUDING, use_platform

INCLUDES = Convention.INCLUDES_OPEN_ORDERS
#: Inputs have many parts: on a busy machine, drawing them takes longer than computing with them.
MANY_PARTS = settings(suppress_health_check=[HealthCheck.too_slow])


def stock(available: int, *, safety: int = 0, code: str = "main") -> LocationStock:
    return LocationStock(code, available, 0, 0, safety)


def number(*locations: LocationStock, rules: ResolvedRules = NO_RULES, **rest: object) -> int:
    return compute(Inputs(1, locations, rules, **rest)).quantity  # type: ignore[arg-type]


def test_locations_add_up_and_each_keeps_its_own_safety_stock() -> None:
    assert number(stock(7), stock(4, code="attic")) == 11
    assert number(stock(7, safety=2), stock(4, safety=9, code="attic")) == 5


def test_what_is_reserved_or_unavailable_is_not_offered() -> None:
    assert number(LocationStock("main", on_hand=10, reserved=3, unavailable=2, safety_stock=0)) == 5


@pytest.mark.parametrize(
    ("available", "units", "percent", "left"),
    [
        (10, 3, 0, 7),
        (10, 0, 25, 7),
        (10, 0, 21, 7),
        (10, 2, 25, 5),
        (1, 0, 1, 0),
        (3, 9, 0, 0),
        (5, 0, 100, 0),
    ],
)
def test_the_buffer_is_units_and_percent_rounded_up(
    available: int, units: int, percent: int, left: int
) -> None:
    assert number(stock(available), rules=ResolvedRules(units, percent)) == left


@pytest.mark.parametrize(
    ("available", "minimum", "maximum", "shown"),
    [(5, 6, None, 0), (6, 6, None, 6), (9, 0, 4, 4), (3, 0, 4, 3), (9, 4, 4, 4), (9, 0, 0, 0)],
)
def test_below_the_minimum_nothing_is_shown_and_never_more_than_the_maximum(
    available: int, minimum: int, maximum: int | None, shown: int
) -> None:
    assert number(stock(available), rules=ResolvedRules(minimum=minimum, maximum=maximum)) == shown


def test_open_orders_are_added_where_the_platform_subtracts_them_but_not_to_nothing() -> None:
    assert number(stock(5), convention=INCLUDES, own_open_units=3) == 8
    assert number(stock(0), convention=INCLUDES, own_open_units=3) == 0
    assert number(stock(2), rules=ResolvedRules(2), convention=INCLUDES, own_open_units=3) == 0
    assert number(stock(5), own_open_units=3) == 5


def test_the_platforms_largest_number_comes_last() -> None:
    assert number(stock(5000), largest=999, convention=INCLUDES, own_open_units=7) == 999


def test_a_place_with_nothing_behind_it_shows_nothing() -> None:
    exposure = compute(Inputs(1))
    assert exposure.quantity == 0
    assert "no location" in exposure.steps[0].why


def test_each_step_says_what_was_before_what_is_after_and_why() -> None:
    steps = compute(Inputs(1, (LocationStock("main", 12, 2, 0, 1),), ResolvedRules(2, maximum=5))).steps
    assert [(step.name, step.before, step.after) for step in steps] == [
        ("Available", 12, 10),
        ("Safety stock", 10, 9),
        ("Buffer", 9, 7),
        ("Minimum and maximum", 7, 5),
        ("Floor", 5, 5),
        ("Convention", 5, 5),
        ("Platform", 5, 5),
    ]
    assert all(step.why for step in steps)
    assert "main keeps 1" in steps[1].why


@st.composite
def any_rules(draw: st.DrawFn) -> ResolvedRules:
    minimum = draw(st.integers(0, 50))
    pools = draw(st.lists(st.tuples(st.booleans(), st.none() | st.integers(1, 300)), max_size=4))
    return ResolvedRules(
        buffer_units=draw(st.integers(0, 100)),
        buffer_percent=draw(st.integers(0, 100)),
        velocity_quantile=draw(st.sampled_from([0, 90, 95, 99])),
        velocity_least=draw(st.integers(0, 5)),
        velocity_most=draw(st.none() | st.integers(5, 20)),
        minimum=minimum,
        maximum=draw(st.none() | st.integers(minimum, 2000)),
        scarce_below=draw(st.sampled_from([0, 5, 60, 5000])),
        scarce_listings=draw(st.none() | st.integers(0, 4)),
        channel_cap=draw(st.none() | st.integers(0, 400)),
        preorder_limit=draw(st.sampled_from([0, 0, 30])),
        daily_increases=draw(st.none() | st.integers(0, 3)),
        pools=tuple(
            Pool(number, f"pool {number}", is_own, units, 0 if units else 100 // len(pools))
            for number, (is_own, units) in enumerate(sorted(pools, key=lambda pool: pool[1] is None))
        ),
    )


@st.composite
def any_inputs(draw: st.DrawFn) -> Inputs:
    units = st.integers(0, 1000)
    parts = st.tuples(units, units, units, units)
    listings, shelves = draw(st.integers(1, 5)), draw(st.integers(1, 3))
    standing = Standing(draw(st.integers(1, listings)), listings, draw(st.integers(1, shelves)), shelves)
    locations = [
        LocationStock(f"L{index}", free + reserved + unavailable, reserved, unavailable, safety)
        for index, (free, reserved, unavailable, safety) in enumerate(draw(st.lists(parts, max_size=4)))
    ]
    return Inputs(
        1,
        tuple(locations),
        draw(any_rules()),
        convention=draw(st.sampled_from(Convention)),
        own_open_units=draw(units),
        largest=draw(st.none() | st.integers(1, 2000)),
        expected=draw(st.none() | st.integers(-5, 2000)),
        pool_uses=draw(st.dictionaries(st.integers(0, 3), st.integers(-5, 300), max_size=3)),
        standing=draw(st.none() | st.just(standing)),
        lag_demand=draw(st.integers(0, 30)),
        preorder_units=draw(st.integers(0, 50)),
        raises_today=draw(st.integers(0, 4)),
        pin=draw(st.none() | st.builds(Pinned, st.integers(0, 3000), st.just("a test"))),
    )


def available(inputs: Inputs) -> int:
    return sum(each.available for each in inputs.locations)


@MANY_PARTS
@given(any_inputs())
def test_the_number_is_never_negative_and_never_more_than_could_be_reserved(inputs: Inputs) -> None:
    most = available(inputs) + min(inputs.preorder_units, inputs.rules.preorder_limit)
    own = inputs.own_open_units if inputs.convention is INCLUDES else 0
    assert 0 <= compute(inputs).quantity <= most + own


@MANY_PARTS
@given(any_inputs(), st.integers(0, 3), st.integers(1, 500))
def test_more_stock_never_shows_less(inputs: Inputs, index: int, more: int) -> None:
    locations = list(inputs.locations) or [stock(0)]
    index %= len(locations)
    fuller = list(locations)
    fuller[index] = replace(locations[index], on_hand=locations[index].on_hand + more)
    before = compute(replace(inputs, locations=tuple(locations))).quantity
    assert compute(replace(inputs, locations=tuple(fuller))).quantity >= before


@MANY_PARTS
@given(any_inputs())
def test_the_number_alone_is_the_number_with_its_steps(inputs: Inputs) -> None:
    assert quantity_of(inputs) == compute(inputs).quantity


@MANY_PARTS
@given(any_inputs())
def test_each_step_goes_on_where_the_one_before_it_ended(inputs: Inputs) -> None:
    exposure = compute(inputs)
    ends = [step.after for step in exposure.steps]
    assert [step.before for step in exposure.steps[1:]] == ends[:-1]
    assert exposure.quantity == ends[-1]


# -- what is read


@pytest.mark.django_db
def test_rules_of_the_channel_and_stock_of_its_places_are_read() -> None:
    shop = open_shop({"MUG": 10})
    shop.add_location("attic", place="")
    shop.add_location("closed", place="")
    shop.add_variant("CUP", {"main": 4, "attic": 5, "closed": 50})
    Location.objects.filter(code="closed").update(is_active=False)
    StockLevel.objects.filter(location__code="attic").update(safety_stock=2)
    shop.channel.buffer_units, shop.channel.maximum_exposure = 1, 6
    shop.channel.save()
    mug, cup = shop.shelf(shop.list_variant("MUG")), shop.shelf(shop.list_variant("CUP"))
    ListingLevel.objects.filter(pk=cup.pk).update(expected=3)
    assert targets([mug.pk, cup.pk]) == {mug.pk: 6, cup.pk: 6}
    found = exposures([cup.pk])[cup.pk]
    assert [step.after for step in found.steps][:3] == [9, 7, 6]
    assert found.expected == 3
    assert explain(cup.pk) == found


@pytest.mark.django_db
def test_an_unmapped_listing_and_a_place_without_locations_show_nothing() -> None:
    shop = open_shop({"MUG": 10})
    listing = shop.list_variant("MUG")
    empty = ChannelLocation.objects.create(channel=shop.channel, external_id="elsewhere")
    bare = ListingLevel.objects.create(channel=shop.channel, listing=listing, channel_location=empty)
    assert targets([bare.pk]) == {bare.pk: 0}
    level = listing.levels.get(channel_location=shop.places[""])
    listing.variant = None
    listing.save()
    assert targets([level.pk]) == {level.pk: 0}


def ordered(shop: Shop, units: int, *, id: str, fulfilled: int = 0, cancelled: int = 0, at: int = 0) -> None:
    state = order(line("MUG", units, fulfilled=fulfilled, cancelled=cancelled), id=id, at=at)
    apply_state(shop.channel, state, arrived_at=timezone.now())


@pytest.mark.django_db
def test_only_units_held_for_this_channels_open_orders_of_the_listing_are_added(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use_platform(monkeypatch, **INCLUDING)
    shop = open_shop({"MUG": 20}, kind="telling")
    level = shop.shelf(shop.list_variant("MUG"))
    twin = shop.shelf(shop.list_variant("MUG", external_id="twin"))
    other = shop.add_channel("other", kind="telling")
    theirs = shop.shelf(shop.list_variant("MUG", channel=other, external_id="theirs"))
    ordered(shop, 5, id="open")
    ordered(shop, 4, id="part", fulfilled=1, cancelled=1)
    ordered(shop, 3, id="gone", fulfilled=3)
    assert targets([level.pk, twin.pk, theirs.pk]) == {level.pk: 9 + 7, twin.pk: 9, theirs.pk: 9}


@pytest.mark.django_db
def test_units_that_are_owed_are_not_added_because_nothing_holds_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use_platform(monkeypatch, **INCLUDING)
    shop = open_shop({"MUG": 3}, kind="telling")
    level = shop.shelf(shop.list_variant("MUG"))
    ordered(shop, 5, id="short")
    assert shop.owed("MUG") == 2
    assert targets([level.pk]) == {level.pk: 0}


@pytest.mark.django_db
@pytest.mark.parametrize("count", [1, 25])
def test_as_many_statements_read_one_number_as_many(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    use_platform(monkeypatch, **INCLUDING)
    skus = [f"S{each}" for each in range(count)]
    shop = open_shop(dict.fromkeys(skus, 3), kind="telling")
    ids = [shop.shelf(shop.list_variant(sku)).pk for sku in skus]
    with CaptureQueriesContext(connection) as captured:
        assert set(targets(ids).values()) == {3}
    assert len(captured) == 3
