"""Bundles on channels: numbers, orders, and marks that are never lost and lock nothing that others need."""

import threading
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from channels.exposure import ComponentStock, Inputs, LocationStock, Pinned, compute, explain, targets
from channels.fanout import fan_out
from channels.models import BundleChange, Listing, ListingLevel
from channels.models.listings import Lane
from channels.orders import apply_deleted, apply_state
from channels.pushes import mark_variants
from channels.rules.resolved import ResolvedRules
from inventory.bundles import Component, define
from inventory.demands import DemandChange, settle
from inventory.ledger import Context
from inventory.models import BundleKind, StockLevel, Variant
from inventory.proof import prove
from inventory.stock import StockLine, receive
from tests.channels.shop import Shop, line, open_shop, order
from tests.channels.telling import INCLUDING, fresh, tell, tell_all, use_platform
from tests.inventory.racing import PATIENCE, meanwhile, race, wait_until_blocked


def bundle(shop: Shop, sku: str, components: dict[str, int], kind: BundleKind = BundleKind.KIT) -> Variant:
    """Adds a bundle, or says what a variant is made of from now on."""
    variant = shop.variants.get(sku) or shop.add_variant(sku)
    lines = [Component(shop.variants[each].pk, quantity) for each, quantity in components.items()]
    context = Context(shop.merchant.pk, f"define:{sku}:{sorted(components.items())}")
    define(context, variant.pk, kind, lines)
    return variant


def move(shop: Shop, sku: str, units: int, *, code: str = "main", key: str = "") -> None:
    context = Context(shop.merchant.pk, key or f"move:{sku}:{units}:{timezone.now()}")
    receive(context, [StockLine(shop.variants[sku].pk, shop.locations[code].pk, units)])


def sell(shop: Shop, sku: str, units: int = 1, *, reference: str = "elsewhere") -> None:
    change = DemandChange(reference, shop.variants[sku].pk, (shop.locations["main"].pk,), wanted=units)
    settle(Context(shop.merchant.pk, f"sell:{reference}:{sku}:{timezone.now()}"), [change])


def tea_shop() -> Shop:
    """A shop with nine mugs, five spoons, and a set of two mugs and a spoon."""
    shop = open_shop({"MUG": 9, "SPOON": 5})
    bundle(shop, "SET", {"MUG": 2, "SPOON": 1})
    fan_out()
    return shop


def due(listing: Listing) -> bool:
    return listing.levels.get().is_due


def told(*listings: Listing) -> None:
    """Has everything that is due told."""
    ListingLevel.objects.filter(listing__in=listings).update(done=5, wanted=5, due_since=None)


# What a channel is told.


def part(available: int, per_kit: int = 1, *, safety: int = 0, sku: str = "MUG") -> ComponentStock:
    return ComponentStock(sku, per_kit, available, safety)


def kit_at(*parts: ComponentStock, code: str = "main") -> LocationStock:
    return LocationStock(code, 0, 0, 0, 0, parts)


def test_a_kit_is_as_many_as_its_scarcest_part_is_enough_for_place_by_place() -> None:
    places = (kit_at(part(9, 2), part(3, sku="SPOON")), kit_at(part(1), part(9, sku="SPOON"), code="attic"))
    exposure = compute(Inputs(1, places))
    assert exposure.quantity == 4
    step = next(step for step in exposure.steps if step.name == "Bundle")
    assert (step.before, step.after) == (0, 4)
    assert step.why == "main 3: 3 SPOON, 1 in each; attic 1: 1 MUG, 1 in each"


def test_the_safety_stock_of_each_part_stays() -> None:
    assert compute(Inputs(1, (kit_at(part(9, 2, safety=4), part(9, sku="SPOON")),))).quantity == 2
    assert compute(Inputs(1, (kit_at(part(3, safety=4), part(9, sku="SPOON")),))).quantity == 0


def test_the_rules_of_the_channel_come_after_the_kits_are_counted() -> None:
    inputs = Inputs(1, (kit_at(part(9, 2)),), ResolvedRules(buffer_units=1, maximum=2))
    assert compute(inputs).quantity == 2
    assert compute(replace(inputs, rules=ResolvedRules(buffer_units=1))).quantity == 3


def test_a_channel_whose_orders_stay_whole_is_offered_the_kits_of_one_location() -> None:
    places = (kit_at(part(9, 2), code="main"), kit_at(part(7), code="attic"))
    assert compute(Inputs(1, places)).quantity == 4 + 7
    assert compute(Inputs(1, places, may_split=False)).quantity == 7


def test_a_pin_shows_no_more_kits_than_there_are() -> None:
    pinned = Inputs(1, (kit_at(part(9, 2)),), pin=Pinned(6, "a test"))
    assert compute(pinned).quantity == 4


@pytest.mark.django_db
def test_the_number_of_a_kit_is_read_from_its_parts_and_that_of_a_composite_from_its_stock() -> None:
    shop = tea_shop()
    shop.add_location("attic", place="")
    move(shop, "MUG", 6, code="attic")
    move(shop, "SPOON", 2, code="attic")
    bundle(shop, "BOX", {"SET": 1}, BundleKind.COMPOSITE)
    move(shop, "BOX", 3)
    kit, box = shop.list_variant("SET"), shop.list_variant("BOX")
    StockLevel.objects.filter(variant=shop.variants["SPOON"], location=shop.locations["attic"]).update(
        safety_stock=1
    )
    levels = {shop.shelf(kit).pk: 4 + 1, shop.shelf(box).pk: 3}
    assert targets(levels) == levels


@pytest.mark.django_db
def test_a_channel_that_counts_its_own_orders_adds_whole_kits(monkeypatch: pytest.MonkeyPatch) -> None:
    use_platform(monkeypatch, **INCLUDING)
    shop = open_shop({"MUG": 9, "SPOON": 5}, kind="telling")
    bundle(shop, "SET", {"MUG": 2, "SPOON": 1})
    listing = shop.list_variant("SET")
    apply_state(shop.channel, order(line("SET", 3)), arrived_at=timezone.now())
    steps = {step.name: step for step in explain(listing.levels.get().pk).steps}
    assert (steps["Bundle"].after, steps["Convention"].after) == (1, 4)


# Orders.


@pytest.mark.django_db
def test_an_order_of_kits_holds_their_parts_and_conflicts_on_the_rest() -> None:
    shop = tea_shop()
    listing = shop.list_variant("SET")
    apply_state(shop.channel, order(line("SET", 5)), arrived_at=timezone.now())
    assert (shop.level("MUG"), shop.level("SPOON")) == ((9, 8), (5, 4))
    assert (shop.owed("SET"), shop.owed("MUG")) == (1, 0)
    assert due(listing)
    assert not StockLevel.objects.filter(variant=shop.variants["SET"], version__gt=0).exists()
    move(shop, "MUG", 1)
    assert (shop.level("MUG"), shop.owed("SET")) == ((10, 10), 0)


@pytest.mark.django_db
def test_every_state_of_an_order_of_kits_moves_whole_kits() -> None:
    shop = tea_shop()
    shop.list_variant("SET")
    now = timezone.now()
    states: tuple[tuple[int, dict[str, Any], tuple[int, int], tuple[int, int]], ...] = (
        (1, {}, (9, 8), (5, 4)),
        (2, {"cancelled": 1}, (9, 6), (5, 3)),
        (3, {"cancelled": 1, "fulfilled": 2}, (5, 2), (3, 1)),
        (4, {"cancelled": 1, "fulfilled": 1}, (7, 4), (4, 2)),
    )
    for at, counts, mugs, spoons in states:
        apply_state(shop.channel, order(line("SET", 4, **counts), at=at), arrived_at=now)
        assert (shop.level("MUG"), shop.level("SPOON")) == (mugs, spoons), at
    apply_deleted(shop.channel, "1001", arrived_at=now)
    assert (shop.level("MUG"), shop.level("SPOON")) == ((7, 0), (4, 0))
    assert all(proof.is_ok for proof in prove())


@pytest.mark.django_db
def test_an_order_of_a_kit_and_its_part_is_summed() -> None:
    shop = tea_shop()
    apply_state(shop.channel, order(line("SET", 4), line("MUG", 3)), arrived_at=timezone.now())
    assert shop.level("MUG") == (9, 9)
    assert (shop.owed("SET"), shop.owed("MUG")) == (0, 2)


# Marks.


@pytest.mark.django_db
def test_a_sale_of_a_kit_marks_it_its_parts_and_every_kit_that_shares_them() -> None:
    shop = tea_shop()
    bundle(shop, "DUO", {"MUG": 2})
    bundle(shop, "HAMPER", {"SET": 1, "SPOON": 1})
    shop.add_variant("PLATE", {"main": 3})
    bundle(shop, "DINNER", {"PLATE": 1})
    listings = [shop.list_variant(sku) for sku in ("SET", "MUG", "SPOON", "DUO", "HAMPER", "DINNER")]
    told(*listings)
    sell(shop, "SET")
    assert [due(each) for each in listings] == [True, True, True, False, False, False]
    fan_out()
    assert [due(each) for each in listings] == [True, True, True, True, True, False]
    assert not BundleChange.objects.exists()


@pytest.mark.django_db
def test_a_movement_of_a_part_marks_the_kits_wherever_they_are_listed() -> None:
    shop = tea_shop()
    other = shop.add_channel("other")
    listings = [shop.list_variant("SET"), shop.list_variant("SET", channel=other)]
    told(*listings)
    move(shop, "SPOON", 1)
    assert fan_out() == 2
    assert [(due(each), shop.shelf(each).lane) for each in listings] == [(True, Lane.INCREASE)] * 2


@pytest.mark.django_db
@pytest.mark.parametrize(("sold", "lane"), [(1, Lane.DECREASE), (7, Lane.DECREASE), (8, Lane.TO_ZERO)])
def test_a_kit_that_its_part_is_not_enough_for_any_more_is_most_urgent(sold: int, lane: Lane) -> None:
    shop = tea_shop()
    listing = shop.list_variant("SET")
    told(listing)
    sell(shop, "MUG", sold)
    move(shop, "SPOON", 4)
    fan_out()
    assert shop.shelf(listing).lane == lane


@pytest.mark.django_db
def test_a_change_of_components_marks_the_kit_and_all_that_contain_it() -> None:
    shop = tea_shop()
    bundle(shop, "HAMPER", {"SET": 1})
    bundle(shop, "DUO", {"MUG": 2})
    listings = [shop.list_variant(sku) for sku in ("SET", "HAMPER", "DUO", "MUG")]
    told(*listings)
    bundle(shop, "SET", {"MUG": 3})
    assert [due(each) for each in listings] == [True, True, False, False]


@pytest.mark.django_db
def test_goods_that_leave_as_held_change_only_the_numbers_that_include_open_orders(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use_platform(monkeypatch, **INCLUDING)
    shop = open_shop({"MUG": 9, "SPOON": 5}, kind="telling")
    bundle(shop, "SET", {"MUG": 2, "SPOON": 1})
    other = shop.add_channel("other", kind="woocommerce")
    own, elsewhere = shop.list_variant("SET"), shop.list_variant("SET", channel=other)
    sell(shop, "SET", reference="held")
    fan_out()
    told(own, elsewhere)
    change = DemandChange("held", shop.variants["SET"].pk, (shop.locations["main"].pk,), fulfilled=1)
    settle(Context(shop.merchant.pk, "shipped"), [change])
    fan_out()
    assert (due(own), due(elsewhere)) == (True, False)


@pytest.mark.django_db
def test_a_movement_of_what_is_in_no_kit_notes_nothing() -> None:
    shop = tea_shop()
    shop.add_variant("PLATE", {"main": 3})
    sell(shop, "PLATE")
    assert not BundleChange.objects.exists()


@pytest.mark.django_db
def test_the_note_is_gone_with_the_movement_that_made_it() -> None:
    shop = tea_shop()
    with transaction.atomic():
        sell(shop, "MUG")
        assert BundleChange.objects.count() == 1
        transaction.set_rollback(True)
    assert not BundleChange.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_note_is_gone_only_when_its_marks_are_there() -> None:
    shop = tea_shop()
    listing = shop.list_variant("SET")
    told(listing)
    sell(shop, "MUG")
    with transaction.atomic():
        assert fan_out() == 1
        transaction.set_rollback(True)
    assert (BundleChange.objects.count(), due(listing)) == (1, False)
    fan_out()
    assert (BundleChange.objects.count(), due(listing)) == (0, True)


@pytest.mark.django_db
@pytest.mark.parametrize("kits", [1, 30])
def test_all_notes_become_marks_in_one_statement(kits: int) -> None:
    shop = tea_shop()
    for number in range(kits):
        bundle(shop, f"KIT-{number}", {"MUG": 1, "SPOON": number + 1})
    listings = [shop.list_variant(f"KIT-{number}") for number in range(kits)]
    told(*listings)
    for _ in range(3):
        sell(shop, "MUG")
        sell(shop, "SPOON")
    with CaptureQueriesContext(connection) as captured:
        assert fan_out() == kits
    assert len(captured) == 1
    assert {shop.shelf(each).wanted for each in listings} == {6}


@pytest.mark.django_db
def test_a_kit_is_told_what_its_parts_are_enough_for(monkeypatch: pytest.MonkeyPatch) -> None:
    shelves = use_platform(monkeypatch)
    shop = open_shop({"MUG": 9, "SPOON": 5}, kind="telling")
    bundle(shop, "SET", {"MUG": 2, "SPOON": 1})
    listing = shop.list_variant("SET")
    mark_variants([shop.variants["SET"].pk], lane=Lane.INCREASE)
    tell(shop)
    assert shelves.number(listing) == 4
    sell(shop, "MUG", 4)
    fan_out()
    tell_all(shop)
    assert shelves.number(listing) == 2


# Eight at once.

WRITERS = 8


def crowded_shop() -> Shop:
    """A shop with eight parts, each of which is in each of five kits, on two channels."""
    parts = {f"PART-{number}": 500 for number in range(WRITERS)}
    shop = open_shop(parts)
    other = shop.add_channel("other")
    for number in range(5):
        bundle(shop, f"KIT-{number}", dict.fromkeys(parts, number + 1))
        shop.list_variant(f"KIT-{number}")
        shop.list_variant(f"KIT-{number}", channel=other)
    fan_out()
    return shop


@pytest.mark.django_db(transaction=True)
def test_eight_writers_of_parts_of_the_same_kits_do_not_wait_for_each_other() -> None:
    shop = crowded_shop()
    all_have_written = threading.Barrier(WRITERS)

    def write(number: int) -> None:
        with transaction.atomic():
            sell(shop, f"PART-{number}", 7, reference=f"writer {number}")
            # Passed only when all eight have written and none has committed.
            all_have_written.wait(PATIENCE)

    assert race([partial(write, number) for number in range(WRITERS)]) == [None] * WRITERS
    assert fan_out() == 10
    assert set(targets(kit_levels(shop)).values()) == {(500 - 7) // per_kit for per_kit in range(1, 6)}


def kit_levels(shop: Shop) -> list[int]:
    levels = ListingLevel.objects.filter(listing__sku__startswith="KIT", channel__merchant=shop.merchant)
    return list(levels.values_list("id", flat=True))


@pytest.mark.django_db(transaction=True)
def test_with_the_kits_marked_in_the_transaction_of_the_sale_the_second_writer_waits() -> None:
    """The control: the marks themselves, not a note of them, beside the movement."""
    shop = crowded_shop()
    kits = [shop.variants[f"KIT-{number}"].pk for number in range(5)]

    def sell_and_mark(number: int) -> None:
        with transaction.atomic():
            sell(shop, f"PART-{number}")
            mark_variants(kits, lane=Lane.DECREASE)

    with ExitStack() as stack, transaction.atomic():
        sell_and_mark(0)
        second = stack.enter_context(meanwhile(lambda: sell_and_mark(1)))
        wait_until_blocked()
        assert not second.done()


@pytest.mark.django_db(transaction=True)
def test_eight_writers_and_a_teller_leave_every_kit_with_its_last_number() -> None:
    shop = crowded_shop()
    levels = kit_levels(shop)
    ListingLevel.objects.filter(pk__in=levels).update(done=1, wanted=1, published_quantity=None)
    have_written = threading.Event()
    writing = threading.Semaphore(0)

    def write(number: int) -> None:
        for turn in range(12):
            sell(shop, f"PART-{(number + turn) % WRITERS}", 1 + turn % 3, reference=f"writer {number}")
        writing.release()

    def wait_for_writers() -> None:
        for _ in range(WRITERS):
            assert writing.acquire(timeout=PATIENCE)
        have_written.set()

    def tell_on() -> None:
        while not have_written.is_set():
            tell_what_is_due(levels)

    results = race([*(partial(write, n) for n in range(WRITERS)), wait_for_writers, tell_on, tell_on])
    assert results == [None] * (WRITERS + 3)
    while tell_what_is_due(levels):
        pass
    shown = dict(ListingLevel.objects.filter(pk__in=levels).values_list("id", "published_quantity"))
    assert shown == targets(levels)
    assert not BundleChange.objects.exists()
    assert all(proof.is_ok for proof in prove())


def tell_what_is_due(levels: list[int]) -> int:
    """Tells as a pusher does: copies what is wanted, computes afterwards, notes the copy as done."""
    fan_out()
    count = 0
    for level in ListingLevel.objects.filter(pk__in=levels).order_by("id"):
        if level.is_due:
            number = targets([level.pk])[level.pk]
            told_now = ListingLevel.objects.filter(pk=level.pk, done__lt=level.wanted)
            count += told_now.update(done=level.wanted, published_quantity=number)
    return count


@pytest.mark.django_db
def test_notes_read_and_forgotten_in_two_statements_would_lose_what_comes_between() -> None:
    """The control: a change that is noted after the reading and swept away with what was read."""
    shop = tea_shop()
    listing = shop.list_variant("SET")
    sell(shop, "MUG")
    read = list(BundleChange.objects.values_list("variant_id", flat=True))
    sell(shop, "SPOON")
    mark_variants([shop.variants["SET"].pk] if read else [], lane=Lane.DECREASE)
    told(listing)
    BundleChange.objects.all().delete()
    fan_out()
    assert not due(listing), "and yet the spoons of the second sale were not in its number"


@pytest.mark.django_db(transaction=True)
def test_a_part_that_is_being_moved_while_it_joins_a_kit_marks_the_kit() -> None:
    shop = tea_shop()
    shop.add_variant("PLATE", {"main": 3})
    listing = shop.list_variant("SET")
    with ExitStack() as stack, transaction.atomic():
        sell(shop, "PLATE")
        change = stack.enter_context(meanwhile(lambda: bundle(shop, "SET", {"PLATE": 1})))
        wait_until_blocked()
        assert not change.done()
    told(listing)
    sell(shop, "PLATE")
    fan_out()
    assert due(listing)
    assert fresh(shop.shelf(listing)).wanted == 6
