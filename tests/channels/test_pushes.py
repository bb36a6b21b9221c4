"""What is due: marks that commit with the ledger, in one statement, never lost and never skipped."""

from contextlib import ExitStack
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from channels.importing import follow_switch
from channels.models import Channel, Listing, ListingLevel
from channels.models.listings import Lane
from channels.orders import apply_state
from channels.pushes import lane_of, mark_due, mark_listing_levels, replay
from config.notify import Listener
from inventory.announcements import LevelChange
from inventory.ledger import Context
from inventory.stock import StockLine, receive
from tests.channels.shop import Shop, line, open_shop, order
from tests.channels.telling import INCLUDING, fresh, tell, use_platform
from tests.inventory.racing import meanwhile, race, wait_until_blocked


def change(
    shop: Shop, sku: str = "MUG", *, delta: int = -1, after: int = 5, code: str = "main"
) -> LevelChange:
    return LevelChange(shop.variants[sku].pk, shop.locations[code].pk, delta, after)


def due(listing: Listing) -> bool:
    return listing.levels.get().is_due


@pytest.mark.django_db
def test_a_change_of_the_ledger_marks_every_listing_of_the_variant_and_no_other() -> None:
    shop = open_shop({"MUG": 9, "CUP": 9})
    other = shop.add_channel("other")
    mug, cup = shop.list_variant("MUG"), shop.list_variant("CUP")
    elsewhere = shop.list_variant("MUG", channel=other, external_id="their-mug")
    stranger = open_shop({"MUG": 9})
    strange = stranger.list_variant("MUG")
    receive(
        Context(shop.merchant.pk, "more"), [StockLine(shop.variants["MUG"].pk, shop.locations["main"].pk, 5)]
    )
    assert (due(mug), due(elsewhere), due(cup), due(strange)) == (True, True, False, False)


@pytest.mark.django_db
def test_a_change_at_a_location_that_a_place_does_not_draw_on_marks_nothing() -> None:
    shop = open_shop({"MUG": 9})
    shop.add_location("attic")
    listing = shop.list_variant("MUG")
    mark_due(shop.merchant.pk, [change(shop, code="attic")])
    assert not due(listing)


@pytest.mark.django_db
def test_the_mark_is_gone_with_the_transaction_that_made_it() -> None:
    shop = open_shop({"MUG": 9})
    listing = shop.list_variant("MUG")
    with transaction.atomic():
        apply_state(shop.channel, order(line("MUG")), arrived_at=timezone.now())
        assert due(listing)
        transaction.set_rollback(True)
    assert not due(listing)


@pytest.mark.parametrize(
    ("delta", "after", "lane"),
    [
        (-3, 0, Lane.TO_ZERO),
        (-3, 2, Lane.DECREASE),
        (0, 2, Lane.DECREASE),
        (0, 0, Lane.DECREASE),
        (4, 4, Lane.INCREASE),
    ],
)
def test_the_direction_of_a_change_decides_its_lane(delta: int, after: int, lane: Lane) -> None:
    assert lane_of(LevelChange(1, 1, delta, after)) is lane


@pytest.mark.django_db
def test_the_lane_is_the_worst_direction_marked_and_starts_anew_once_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use_platform(monkeypatch)
    shop = open_shop({"MUG": 9}, kind="telling")
    level = shop.shelf(shop.list_variant("MUG"))
    lanes = []
    for lane in (Lane.INCREASE, Lane.TO_ZERO, Lane.DECREASE, Lane.INCREASE):
        mark_listing_levels([level.pk], lane=lane)
        lanes.append(fresh(level).lane)
    assert lanes == [Lane.INCREASE, Lane.TO_ZERO, Lane.TO_ZERO, Lane.TO_ZERO]
    tell(shop)
    mark_listing_levels([level.pk], lane=Lane.INCREASE)
    assert fresh(level).lane == Lane.INCREASE


@pytest.mark.django_db
def test_a_level_is_due_since_its_first_mark_and_every_mark_counts() -> None:
    shop = open_shop({"MUG": 9})
    level = shop.shelf(shop.list_variant("MUG"))
    mark_listing_levels([level.pk], lane=Lane.DECREASE)
    first = fresh(level).due_since
    mark_listing_levels([level.pk, level.pk], lane=Lane.DECREASE)
    after = fresh(level)
    assert (after.wanted, after.due_since) == (2, first)


@pytest.mark.django_db
def test_goods_that_leave_as_reserved_are_only_told_where_open_orders_are_included(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use_platform(monkeypatch, **INCLUDING)
    shop = open_shop({"MUG": 9}, kind="telling")
    other = shop.add_channel("other", kind="woocommerce")
    own = shop.list_variant("MUG")
    elsewhere = shop.list_variant("MUG", channel=other, external_id="their-mug")
    for after in (5, 0):
        mark_due(shop.merchant.pk, [change(shop, delta=0, after=after)])
        assert (due(own), due(elsewhere)) == (True, False)


@pytest.mark.django_db
def test_an_own_order_marks_its_shelf_even_where_nothing_was_left_to_reserve() -> None:
    shop = open_shop({"MUG": 0})
    listing = shop.list_variant("MUG")
    apply_state(shop.channel, order(line("MUG")), arrived_at=timezone.now())
    assert due(listing)


@pytest.mark.django_db
@pytest.mark.parametrize("count", [1, 40])
def test_marking_is_one_statement_whatever_the_number_of_changes(count: int) -> None:
    skus = [f"S{number}" for number in range(count)]
    shop = open_shop(dict.fromkeys(skus, 5))
    listings = [shop.list_variant(sku) for sku in skus]
    with CaptureQueriesContext(connection) as captured:
        mark_due(shop.merchant.pk, [change(shop, sku) for sku in skus])
    assert len(captured) == 1
    assert all(due(listing) for listing in listings)


@pytest.mark.django_db
def test_a_channel_that_is_off_is_marked_so_that_nothing_is_forgotten_when_it_comes_back() -> None:
    shop = open_shop({"MUG": 9})
    listing = shop.list_variant("MUG")
    Channel.objects.update(is_active=False)
    mark_due(shop.merchant.pk, [change(shop)])
    assert due(listing)


@pytest.mark.django_db
def test_a_listing_that_is_switched_off_is_not_due_and_told_again_when_it_comes_back() -> None:
    shop = open_shop({"MUG": 9})
    listing = shop.list_variant("MUG")
    mark_due(shop.merchant.pk, [change(shop)])
    for is_off in (True, False):
        listing.is_switched_off = is_off
        listing.save()
        follow_switch(listing)
        assert due(listing) == (not is_off)
        if is_off:
            mark_due(shop.merchant.pk, [change(shop)])
            assert not due(listing)


@pytest.mark.django_db
def test_a_replay_takes_only_dead_letters_and_makes_them_due_at_once() -> None:
    shop = open_shop({"MUG": 9, "CUP": 9})
    dead, alive = shop.shelf(shop.list_variant("MUG")), shop.shelf(shop.list_variant("CUP"))
    later = timezone.now() + timedelta(hours=1)
    ListingLevel.objects.filter(pk=dead.pk).update(
        dead_at=timezone.now(), attempts=8, next_attempt_at=later, wanted=3, done=3, last_error="Refused."
    )
    assert replay([dead.pk, alive.pk]) == 1
    after = fresh(dead)
    assert (after.dead_at, after.attempts, after.next_attempt_at, after.last_error) == (None, 0, None, "")
    assert after.is_due
    assert not fresh(alive).is_due


@pytest.mark.django_db(transaction=True)
def test_the_pusher_is_woken_after_the_commit_and_not_before() -> None:
    shop = open_shop({"MUG": 9})
    shop.list_variant("MUG")
    with Listener("onecount_push") as listener:
        listener.wait(0.1)
        listener.wait(0.1)
        with transaction.atomic():
            mark_due(shop.merchant.pk, [change(shop)])
            assert listener.wait(0.2) == set()
        assert listener.wait(5.0) == {"onecount_push"}


@pytest.mark.django_db(transaction=True)
def test_marks_made_at_the_same_time_all_count() -> None:
    shop = open_shop({"MUG": 9})
    level = shop.shelf(shop.list_variant("MUG"))
    race([lambda: mark_due(shop.merchant.pk, [change(shop)])] * 6)
    assert fresh(level).wanted == 6


@pytest.mark.django_db(transaction=True)
def test_the_race_above_loses_marks_when_they_are_counted_in_python() -> None:
    """The control: reading and writing back without the lock."""
    shop = open_shop({"MUG": 9})
    level = shop.shelf(shop.list_variant("MUG"))
    first, second = fresh(level), fresh(level)
    for copy in (first, second):
        copy.wanted += 1
        copy.save(update_fields=["wanted"])
    assert fresh(level).wanted == 1


@pytest.mark.django_db(transaction=True)
def test_a_mark_waits_for_one_that_is_not_committed_yet_and_adds_to_it() -> None:
    shop = open_shop({"MUG": 9})
    level = shop.shelf(shop.list_variant("MUG"))
    with ExitStack() as stack, transaction.atomic():
        mark_due(shop.merchant.pk, [change(shop)])
        to_zero = [change(shop, after=0)]
        other = stack.enter_context(meanwhile(lambda: mark_due(shop.merchant.pk, to_zero)))
        wait_until_blocked()
        assert not other.done()
    assert (fresh(level).wanted, fresh(level).lane) == (2, Lane.TO_ZERO)


@pytest.mark.django_db(transaction=True)
def test_marks_of_the_same_levels_in_opposite_order_do_not_deadlock() -> None:
    skus = [f"S{number}" for number in range(30)]
    shop = open_shop(dict.fromkeys(skus, 5))
    ids = [shop.shelf(shop.list_variant(sku)).pk for sku in skus]
    forward = [change(shop, sku) for sku in skus]

    def mark_often(changes: list[LevelChange]) -> None:
        for _ in range(20):
            mark_due(shop.merchant.pk, changes)

    results = race([lambda: mark_often(forward), lambda: mark_often(forward[::-1])] * 2)
    assert results == [None] * 4
    assert set(ListingLevel.objects.filter(pk__in=ids).values_list("wanted", flat=True)) == {80}
