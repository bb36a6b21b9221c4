"""Ring-fenced pools, scarce stock by rank and caps: no unit is promised to two who must not share it."""

import itertools
from collections.abc import Sequence

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from channels.errors import RuleRefused
from channels.exposure import Inputs, LocationStock, Standing, explain, quantity_of, targets
from channels.exposure.stages import pool_sizes
from channels.models import Channel, ListingRank, ListingStanding, PoolUse
from channels.orders import apply_state
from channels.rules import pools, ranks
from channels.rules.resolved import Pool, ResolvedRules
from inventory.models import Tag
from inventory.tagging import tag
from tests.channels.rules.drawing import due, group_of, in_force, sell_on, settle_marks
from tests.channels.shop import Shop, line, open_shop, order
from tests.channels.test_bundles import bundle
from tests.inventory.racing import race


def stock(units: int) -> tuple[LocationStock, ...]:
    return (LocationStock("main", units, 0, 0, 0),)


@st.composite
def some_pools(draw: st.DrawFn) -> list[tuple[int | None, int]]:
    """Units or percent of each pool, units first, shares of 100 percent at most."""
    units = draw(st.lists(st.integers(1, 60), max_size=4))
    shares: list[int] = []
    for share in draw(st.lists(st.integers(1, 60), max_size=4)):
        shares.append(min(share, 100 - sum(shares)))
    return [(each, 0) for each in units] + [(None, share) for share in shares if share > 0]


def rules_of(given: Sequence[tuple[int | None, int]], own: int) -> ResolvedRules:
    return ResolvedRules(
        pools=tuple(Pool(n, str(n), n == own, units, percent) for n, (units, percent) in enumerate(given))
    )


USES = st.dictionaries(st.integers(0, 4), st.integers(-3, 80), max_size=4)


@given(some_pools(), st.integers(0, 200), USES)
def test_pools_together_never_hold_more_than_there_is(
    given: list[tuple[int | None, int]], units: int, uses: dict[int, int]
) -> None:
    sizes = pool_sizes(units, Inputs(1, stock(units), rules_of(given, 0), pool_uses=uses))
    assert 0 <= sum(sizes.values()) <= units
    assert all(size >= 0 for size in sizes.values())


@given(some_pools(), st.integers(0, 200), USES)
def test_a_channel_sees_its_own_pool_and_nothing_of_the_others(
    given: list[tuple[int | None, int]], units: int, uses: dict[int, int]
) -> None:
    for own in range(len(given)):
        inputs = Inputs(1, stock(units), rules_of(given, own), pool_uses=uses)
        sizes = pool_sizes(units, inputs)
        others = sum(size for number, size in sizes.items() if number != own)
        assert sizes[own] <= quantity_of(inputs) <= units - others


@given(st.lists(st.integers(1, 99), min_size=1, max_size=5), st.integers(0, 300))
def test_channels_whose_shares_are_everything_never_show_more_than_there_is(
    cuts: list[int], units: int
) -> None:
    edges = [0, *sorted(set(cuts)), 100]
    shares: list[tuple[int | None, int]] = [(None, b - a) for a, b in itertools.pairwise(edges)]
    shown = [quantity_of(Inputs(1, stock(units), rules_of(shares, own))) for own in range(len(shares))]
    assert sum(shown) <= units


@given(st.integers(1, 8), st.integers(0, 30), st.none() | st.integers(0, 8), st.integers(1, 30))
def test_scarce_units_are_shown_once_each_and_the_best_ranked_come_first(
    listings: int, units: int, sharing: int | None, below: int
) -> None:
    rules = ResolvedRules(scarce_below=below, scarce_listings=sharing)
    shown = [
        quantity_of(Inputs(1, stock(units), rules, standing=Standing(position, listings, 1, 1)))
        for position in range(1, listings + 1)
    ]
    if units >= below:
        assert shown == [units] * listings
        return
    assert sum(shown) == (units if sharing is None or sharing else 0)
    assert shown == sorted(shown, reverse=True)


@given(st.integers(1, 6), st.integers(0, 40), st.integers(0, 100))
def test_a_channel_shows_no_more_than_its_cap_over_all_its_shelves(
    shelves: int, cap: int, units: int
) -> None:
    rules = ResolvedRules(channel_cap=cap)
    shown = [
        quantity_of(Inputs(1, stock(units), rules, standing=Standing(1, 1, shelf, shelves)))
        for shelf in range(1, shelves + 1)
    ]
    assert sum(shown) <= cap


# -- pools that orders use up


class B2B:
    """A web shop and a wholesale channel with a pool of four of ten mugs."""

    def __init__(self, stock: int = 10, units: int = 4) -> None:
        self.shop = open_shop({"MUG": stock})
        self.own = self.shop.list_variant("MUG")
        self.channel, (self.theirs,) = sell_on(self.shop, "b2b", "MUG")
        self.group = group_of(self.shop.merchant, "B2B", self.channel)
        in_force(self.shop.merchant, {"pool": self.group, "pool_units": units})

    def sell(self, channel: Channel, units: int, *, at: int = 0, id: str = "1001", **state: int) -> None:
        apply_state(channel, order(line("MUG", units, **state), at=at, id=id), arrived_at=timezone.now())  # type: ignore[arg-type]

    def shown(self) -> tuple[int, int]:
        ids = [self.shop.shelf(each).pk for each in (self.own, self.theirs)]
        found = targets(ids)
        return found[ids[0]], found[ids[1]]


@pytest.mark.django_db
def test_a_pool_is_kept_from_others_and_used_up_by_its_own_orders() -> None:
    b2b = B2B()
    assert b2b.shown() == (6, 10)
    b2b.sell(b2b.channel, 3)
    assert b2b.shown() == (6, 7)
    b2b.sell(b2b.channel, 3, at=1, fulfilled=3)
    assert b2b.shown() == (6, 7)
    b2b.sell(b2b.shop.channel, 2, id="web")
    assert b2b.shown() == (4, 5)
    b2b.sell(b2b.channel, 5, id="more")
    assert b2b.shown() == (0, 0)


@pytest.mark.django_db
def test_a_cancelled_order_gives_its_units_back_to_the_pool() -> None:
    b2b = B2B()
    b2b.sell(b2b.channel, 4)
    assert PoolUse.objects.get().units == 4
    b2b.sell(b2b.channel, 4, at=1, cancelled=3)
    assert (PoolUse.objects.get().units, b2b.shown()) == (1, (6, 9))


@pytest.mark.django_db
def test_a_message_that_comes_again_is_not_counted_again() -> None:
    b2b = B2B()
    for _ in range(3):
        b2b.sell(b2b.channel, 2)
    assert PoolUse.objects.get().units == 2


@pytest.mark.django_db
def test_a_pool_that_is_filled_again_marks_the_shelves_that_it_changes() -> None:
    b2b = B2B()
    b2b.sell(b2b.channel, 3)
    settle_marks()
    assert pools.fill(b2b.group) == 1
    assert b2b.shown() == (3, 7)
    assert due(b2b.own, b2b.theirs) == [True, True]
    assert pools.left_of(b2b.group, b2b.shop.variants["MUG"].pk, 4) == 4
    assert pools.fill(b2b.group) == 0


@pytest.mark.django_db
def test_the_most_specific_pool_of_a_group_counts_and_shares_are_of_what_is_left() -> None:
    b2b = B2B()
    marketplaces = group_of(b2b.shop.merchant, "Marketplaces")
    in_force(
        b2b.shop.merchant,
        {"pool": b2b.group, "pool_units": 4},
        {"pool": b2b.group, "pool_units": 2, "variant": b2b.shop.variants["MUG"]},
        {"pool": marketplaces, "pool_percent": 50},
    )
    assert b2b.shown() == (10 - 2 - 4, 10 - 4)


@pytest.mark.django_db(transaction=True)
def test_orders_at_the_same_time_all_count_and_do_not_deadlock() -> None:
    b2b = B2B(stock=100, units=50)
    b2b.shop.add_variant("CUP", {"main": 100})
    b2b.shop.list_variant("CUP", channel=b2b.channel, external_id="b2b-CUP")

    def buy(number: int) -> None:
        skus = ("MUG", "CUP") if number % 2 else ("CUP", "MUG")
        state = order(*(line(sku, 1, id=f"{number}-{sku}") for sku in skus), id=f"race-{number}")
        apply_state(b2b.channel, state, arrived_at=timezone.now())

    results = race([lambda number=number: buy(number) for number in range(6)])  # type: ignore[misc]
    assert results == [None] * 6
    assert list(PoolUse.objects.values_list("units", flat=True)) == [6, 6]


@pytest.mark.django_db(transaction=True)
def test_the_race_above_loses_orders_when_they_are_counted_in_python() -> None:
    """The control: reading and writing back without the upsert."""
    b2b = B2B(stock=100)
    b2b.sell(b2b.channel, 1)
    first, second = PoolUse.objects.get(), PoolUse.objects.get()
    for copy in (first, second):
        copy.units += 1
        copy.save()
    assert PoolUse.objects.get().units == 2


@pytest.mark.django_db
def test_a_channel_of_two_groups_uses_up_one_pool_after_the_other() -> None:
    shop = open_shop({"MUG": 10})
    shop.list_variant("MUG")
    _, (seen,) = sell_on(shop, "outside", "MUG")
    one, two = group_of(shop.merchant, "One", shop.channel), group_of(shop.merchant, "Two", shop.channel)
    group_of(shop.merchant, "Without a pool", shop.channel)
    in_force(shop.merchant, *({"pool": each, "pool_units": 5} for each in (one, two)))
    level = shop.shelf(seen).pk
    used: list[tuple[int, int]] = []

    def apply(at: int, id: str, **state: int) -> None:
        apply_state(shop.channel, order(line("MUG", 5, **state), at=at, id=id), arrived_at=timezone.now())  # type: ignore[arg-type]
        used.append(
            (pools.left_of(one, seen.variant_id or 0, 5), pools.left_of(two, seen.variant_id or 0, 5))
        )

    assert targets([level]) == {level: 0}
    apply(0, "first")
    assert targets([level]) == {level: 0}
    apply(1, "second")
    apply(2, "second", cancelled=5)
    assert used == [(0, 5), (0, 0), (5, 0)]
    assert PoolUse.objects.count() == 2
    assert targets([level]) == {level: 0}


# -- pools and kits


class Sets(B2B):
    """The same, and a kit of two mugs on both channels."""

    def __init__(self) -> None:
        super().__init__()
        bundle(self.shop, "SET", {"MUG": 2})
        self.own_set = self.shop.list_variant("SET")
        self.their_set = self.shop.list_variant("SET", channel=self.channel, external_id="b2b-SET")

    def sets(self) -> tuple[int, int]:
        ids = [self.shop.shelf(each).pk for each in (self.own_set, self.their_set)]
        found = targets(ids)
        return found[ids[0]], found[ids[1]]


@pytest.mark.django_db
def test_what_is_ring_fenced_of_a_part_is_not_offered_as_a_kit() -> None:
    sets = Sets()
    in_force(sets.shop.merchant, {"pool": sets.group, "pool_units": 4, "variant": sets.shop.variants["MUG"]})
    assert (sets.shown(), sets.sets()) == ((6, 10), (3, 5))
    steps = {step.name: step for step in explain(sets.shop.shelf(sets.own_set).pk).steps}
    assert "4 of 10 MUG kept for other channels: enough for 3" in steps["Bundle"].why
    assert "pool B2B" in steps["Bundle"].rule
    in_force(sets.shop.merchant, {"pool": sets.group, "pool_units": 10, "variant": sets.shop.variants["MUG"]})
    assert (sets.shown(), sets.sets()) == ((0, 10), (0, 5))


@pytest.mark.django_db
def test_a_kit_uses_up_the_pool_of_its_part_and_gives_it_back() -> None:
    sets = Sets()
    apply_state(sets.channel, order(line("SET", 1)), arrived_at=timezone.now())
    used = {use.variant.sku: use.units for use in PoolUse.objects.select_related("variant")}
    assert used == {"MUG": 2, "SET": 1}
    assert sets.shown() == (6, 8)
    apply_state(sets.channel, order(line("SET", 1, cancelled=1), at=1), arrived_at=timezone.now())
    assert set(PoolUse.objects.values_list("units", flat=True)) == {0}


@pytest.mark.django_db
def test_a_pool_of_a_part_marks_the_shelves_of_its_kits() -> None:
    sets = Sets()
    sets.sell(sets.channel, 1)
    settle_marks()
    in_force(sets.shop.merchant, {"pool": sets.group, "pool_units": 5, "variant": sets.shop.variants["MUG"]})
    assert due(sets.own_set, sets.their_set) == [True, True]
    settle_marks()
    pools.fill(sets.group)
    assert due(sets.own_set, sets.their_set) == [True, True]


@pytest.mark.django_db
def test_a_tag_of_a_part_marks_its_kits_where_a_pool_goes_by_it() -> None:
    sets = Sets()
    scarce = Tag.objects.create(merchant=sets.shop.merchant, name="scarce")
    in_force(sets.shop.merchant, {"pool": sets.group, "pool_units": 8, "tag": scarce})
    settle_marks()
    tag(scarce, [sets.shop.variants["MUG"]])
    assert due(sets.own_set) == [True]
    assert sets.sets() == (1, 5)


# -- ranks


def standings(shop: Shop) -> dict[str, tuple[int, int]]:
    rows = ListingStanding.objects.select_related("listing_level__listing")
    return {each.listing_level.listing.external_id: (each.position, each.listings) for each in rows}


@pytest.mark.django_db
def test_listings_stand_by_their_rank_and_then_by_what_they_sell() -> None:
    shop = open_shop({"MUG": 50})
    own = shop.list_variant("MUG")
    _first, (a,) = sell_on(shop, "a", "MUG")
    second, (b,) = sell_on(shop, "b", "MUG")
    apply_state(second, order(line("MUG", 5), id="b1"), arrived_at=timezone.now())
    in_force(shop.merchant, {"scarce_below": 100, "scarce_listings": 2})
    assert standings(shop) == {"b-MUG": (1, 3), "listing-MUG": (2, 3), "a-MUG": (3, 3)}
    ranks.enter_rank(a, 1)
    assert standings(shop) == {"a-MUG": (1, 3), "b-MUG": (2, 3), "listing-MUG": (3, 3)}
    ids = [shop.shelf(each).pk for each in (a, b, own)]
    assert [targets(ids)[each] for each in ids] == [23, 22, 0]


@pytest.mark.django_db
def test_a_rank_marks_the_shelves_that_it_moves_and_no_others() -> None:
    shop = open_shop({"MUG": 5, "CUP": 5})
    mug, cup = shop.list_variant("MUG"), shop.list_variant("CUP")
    _, (theirs, their_cup) = sell_on(shop, "a", "MUG", "CUP")
    in_force(shop.merchant, {"scarce_below": 100})
    settle_marks()
    ranks.enter_rank(theirs, 1)
    assert due(mug, theirs, cup, their_cup) == [True, True, False, False]
    settle_marks()
    ranks.enter_rank(theirs, 1)
    assert due(mug, theirs) == [False, False]
    ranks.enter_rank(theirs, None)
    assert due(mug, theirs) == [True, True]
    assert not ListingRank.objects.exists()


@pytest.mark.django_db
def test_a_listing_that_is_mapped_later_is_ranked_at_once() -> None:
    from channels.mapping import map_listing

    shop = open_shop({"MUG": 5})
    own = shop.list_variant("MUG")
    in_force(shop.merchant, {"scarce_below": 100})
    late = shop.list_variant("MUG", external_id="late")
    late.variant = None
    late.save()
    map_listing(late, shop.variants["MUG"])
    ids = [shop.shelf(each).pk for each in (own, late)]
    assert sum(targets(ids).values()) == 5


@pytest.mark.django_db
def test_ranks_are_imported_whole_or_not_at_all() -> None:
    shop = open_shop({"MUG": 5, "CUP": 5})
    shop.list_variant("MUG")
    shop.list_variant("CUP")
    text = ["channel,sku,rank", "Web shop,MUG,2", "Web shop,CUP,1"]
    assert ranks.import_ranks(shop.merchant.pk, text) == 2
    assert set(ListingRank.objects.values_list("listing__sku", "rank", "source")) == {
        ("MUG", 2, "imported"),
        ("CUP", 1, "imported"),
    }
    assert ListingRank.history.count() == 2
    for bad in ("TEA,1", "MUG,0", "MUG,", f"MUG,{10**11}", "MUG," + "9" * 5000):
        with pytest.raises(RuleRefused, match="Line 3"):
            ranks.import_ranks(shop.merchant.pk, ["channel,sku,rank", "Web shop,CUP,7", f"Web shop,{bad}"])
    with pytest.raises(RuleRefused, match="columns"):
        ranks.import_ranks(shop.merchant.pk, ["sku;rank"])
    assert not ListingRank.objects.filter(rank=7).exists()
