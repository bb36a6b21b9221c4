"""A number that a shop shows is an echo of ours, explained within seconds, or somebody else's edit."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from channels.clock_steps import forget_the_future
from channels.events import LevelObserved
from channels.models import (
    ChannelOrder,
    ListingLevel,
    PollFeed,
    Push,
    Retry,
    ShelfObservation,
    WebhookDelivery,
)
from channels.models.inbound import DeliveryState, ObservationVerdict
from channels.models.outbound import PushOutcome
from channels.observations import judge_open, observe
from channels.orders import apply_state, hint
from channels.retry_queue import Work, postpone
from tests.channels.shop import NOON, Shop, line, open_shop, order

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop() -> Shop:
    """A shop that shows 5 mugs, as we told it; polled a moment ago."""
    shop = open_shop({"MUG": 5})
    shop.list_variant("MUG")
    ListingLevel.objects.update(expected=5, published_quantity=5, sent_quantity=5, wanted=1, done=1)
    PollFeed.objects.create(
        channel=shop.channel,
        name="orders",
        next_poll_at=timezone.now() + timedelta(minutes=5),
        covered_until=timezone.now(),
    )
    return shop


def see(
    shop: Shop, quantity: int | None, *, seconds_ago: int = 0, listing: str = "listing-MUG"
) -> ShelfObservation:
    at = timezone.now() - timedelta(seconds=seconds_ago)
    seen = observe(shop.channel, LevelObserved(listing, "", quantity, at), received_at=at)
    assert seen is not None
    return seen


def verdict(seen: ShelfObservation) -> str:
    return ShelfObservation.objects.get(pk=seen.pk).verdict


@pytest.mark.parametrize("name", ["expected", "published_quantity", "sent_quantity"])
def test_a_number_that_we_told_is_an_echo_and_causes_no_push(shop: Shop, name: str) -> None:
    ListingLevel.objects.update(**{name: 7})
    seen = see(shop, 7)
    assert (seen.verdict, seen.judged_at is not None) == (ObservationVerdict.ECHO, True)
    assert not ListingLevel.objects.get().is_due


def test_a_number_of_nothing_we_know_is_ignored(shop: Shop) -> None:
    for listing, quantity in (("listing-POT", 5), ("listing-MUG", None)):
        event = LevelObserved(listing, "", quantity, NOON)
        assert observe(shop.channel, event, received_at=NOON) is None
    assert not ShelfObservation.objects.exists()


def test_a_sale_that_is_imported_later_explains_the_number(shop: Shop) -> None:
    seen = see(shop, 3)
    assert judge_open() == 0
    apply_state(shop.channel, order(line("MUG", 2)), arrived_at=NOON)
    assert judge_open() == 1
    assert verdict(seen) == ObservationVerdict.EXPLAINED


def test_a_push_that_was_in_flight_explains_the_number(shop: Shop) -> None:
    seen = see(shop, 2)
    level = ListingLevel.objects.get()
    now = timezone.now()
    Push.objects.create(
        channel=shop.channel,
        listing_level=level,
        wanted=2,
        target=2,
        quantity=2,
        outcome=PushOutcome.CONFIRMED,
        computed_at=now,
        finished_at=now,
    )
    judge_open()
    assert verdict(seen) == ObservationVerdict.EXPLAINED


def test_a_number_in_between_is_explained_by_a_newer_one_that_is(shop: Shop) -> None:
    between = see(shop, 4, seconds_ago=8)
    see(shop, 5)
    judge_open()
    assert verdict(between) == ObservationVerdict.EXPLAINED


def test_a_number_that_nothing_explains_is_foreign_and_is_not_written_over(shop: Shop) -> None:
    seen = see(shop, 9, seconds_ago=6)
    PollFeed.objects.update(covered_until=timezone.now())
    judge_open()
    assert verdict(seen) == ObservationVerdict.FOREIGN
    assert not ListingLevel.objects.get().is_due
    assert ShelfObservation.objects.get(awaits_reconciliation=True).expected == 5


def test_a_poll_that_began_too_early_to_hold_a_sale_explains_nothing(shop: Shop) -> None:
    seen = see(shop, 3, seconds_ago=6)
    PollFeed.objects.update(
        last_polled_at=timezone.now(), covered_until=timezone.now() - timedelta(seconds=5)
    )
    judge_open()
    assert verdict(seen) == ObservationVerdict.OPEN


def test_no_number_is_foreign_before_the_orders_were_polled_and_they_are_polled_at_once(shop: Shop) -> None:
    seen = see(shop, 3, seconds_ago=6)
    PollFeed.objects.update(covered_until=timezone.now() - timedelta(seconds=30))
    judge_open()
    assert verdict(seen) == ObservationVerdict.OPEN
    assert PollFeed.objects.get().next_poll_at <= timezone.now()


def test_a_poll_from_the_future_holds_nothing_and_another_one_is_asked_for(shop: Shop) -> None:
    """The clock was an hour ahead when the orders were polled, and was put back since."""
    seen = see(shop, 3, seconds_ago=6)
    PollFeed.objects.update(covered_until=timezone.now() + timedelta(hours=1))
    judge_open()
    assert verdict(seen) == ObservationVerdict.OPEN
    assert PollFeed.objects.get().next_poll_at <= timezone.now()
    PollFeed.objects.update(covered_until=timezone.now())
    judge_open()
    assert verdict(seen) == ObservationVerdict.FOREIGN


def test_a_message_from_the_future_may_say_what_the_shelf_shows_since(shop: Shop) -> None:
    seen = see(shop, 3, seconds_ago=6)
    PollFeed.objects.update(covered_until=timezone.now())
    message = WebhookDelivery.objects.create(
        channel=shop.channel,
        dedupe_key="ahead",
        topic="order.created",
        state=DeliveryState.RECEIVED,
        received_at=timezone.now() + timedelta(hours=1),
    )
    judge_open()
    assert verdict(seen) == ObservationVerdict.OPEN
    message.delete()
    judge_open()
    assert verdict(seen) == ObservationVerdict.FOREIGN


def test_a_number_from_the_future_is_judged_and_holds_up_no_other(shop: Shop) -> None:
    """It is dated by a clock that was an hour ahead, and gets its verdict soon after the clock was put back."""
    see(shop, 4, seconds_ago=-3600)
    assert forget_the_future() == 1
    seen = ShelfObservation.objects.get()
    assert seen.received_at <= timezone.now()
    assert forget_the_future() == 0
    ShelfObservation.objects.update(received_at=timezone.now() - timedelta(seconds=6))
    PollFeed.objects.update(covered_until=timezone.now())
    judge_open()
    assert verdict(seen) == ObservationVerdict.FOREIGN


def test_no_number_is_foreign_while_a_push_is_on_its_way(shop: Shop) -> None:
    seen = see(shop, 3, seconds_ago=6)
    PollFeed.objects.update(covered_until=timezone.now())
    ListingLevel.objects.update(lease_token=uuid4(), leased_until=timezone.now() + timedelta(seconds=30))
    judge_open()
    assert verdict(seen) == ObservationVerdict.OPEN
    ListingLevel.objects.update(lease_token=None, leased_until=None)
    judge_open()
    assert verdict(seen) == ObservationVerdict.FOREIGN


def test_no_number_is_foreign_while_messages_wait_that_may_be_newer_words(shop: Shop) -> None:
    seen = see(shop, 3, seconds_ago=9)
    waiting = WebhookDelivery.objects.create(
        channel=shop.channel,
        dedupe_key="newer",
        topic="product.updated",
        payload={},
        received_at=timezone.now() - timedelta(seconds=5),
    )
    judge_open()
    assert verdict(seen) == ObservationVerdict.OPEN
    waiting.state = DeliveryState.PROCESSED
    waiting.save()
    judge_open()
    assert verdict(seen) == ObservationVerdict.FOREIGN


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([PushOutcome.CONFIRMED], ObservationVerdict.EXPLAINED),
        ([PushOutcome.STALE, PushOutcome.CONFIRMED], ObservationVerdict.FOREIGN),
        ([PushOutcome.UNCHANGED], ObservationVerdict.FOREIGN),
    ],
)
def test_a_shop_that_compared_later_and_found_what_we_expected_explains_a_number(
    shop: Shop, outcomes: list[PushOutcome], expected: ObservationVerdict
) -> None:
    seen = see(shop, 3, seconds_ago=9)
    for outcome in outcomes:
        Push.objects.create(
            channel=shop.channel,
            listing_level=ListingLevel.objects.get(),
            wanted=2,
            target=2,
            quantity=2,
            compared_with=5,
            outcome=outcome,
            computed_at=timezone.now(),
            finished_at=timezone.now(),
        )
    judge_open()
    assert verdict(seen) == expected


def test_the_verdict_falls_in_the_end_even_where_no_poll_succeeds(shop: Shop) -> None:
    seen = see(shop, 3, seconds_ago=700)
    PollFeed.objects.update(covered_until=None)
    judge_open()
    assert verdict(seen) == ObservationVerdict.FOREIGN


def test_what_is_judged_while_the_shelf_moves_is_not_taken_up(shop: Shop) -> None:
    seen = see(shop, 3, seconds_ago=700)
    ListingLevel.objects.update(wanted=2)
    judge_open()
    assert verdict(seen) == ObservationVerdict.FOREIGN
    assert not ShelfObservation.objects.filter(awaits_reconciliation=True).exists()


def test_a_number_that_own_sales_passed_through_is_explained_once_they_are_known(shop: Shop) -> None:
    """The message of the number between two sales came; those of the sales, and of the number after them, are lost."""
    seen = see(shop, 4, seconds_ago=6)
    for number in (1, 2):
        apply_state(shop.channel, order(line("MUG"), id=f"lost-{number}"), arrived_at=timezone.now())
    settle_pushes(shop)
    assert ListingLevel.objects.get(listing__channel=shop.channel).expected == 3
    judge_open()
    assert verdict(seen) == ObservationVerdict.EXPLAINED
    assert not ShelfObservation.objects.filter(awaits_reconciliation=True).exists()


def test_a_late_number_from_before_a_sale_that_is_known_is_explained(shop: Shop) -> None:
    now = timezone.now()
    apply_state(shop.channel, order(line("MUG", 2)), arrived_at=now - timedelta(seconds=20))
    ChannelOrder.objects.update(applied_at=now - timedelta(seconds=20))
    settle_pushes(shop)
    ListingLevel.objects.update(published_quantity=3, sent_quantity=3)
    late, beyond = see(shop, 4, seconds_ago=6), see(shop, 6, seconds_ago=6)
    judge_open()
    assert (verdict(late), verdict(beyond)) == (ObservationVerdict.OPEN, ObservationVerdict.FOREIGN)
    beyond.delete()
    judge_open()
    assert verdict(late) == ObservationVerdict.EXPLAINED


def test_nothing_is_foreign_while_an_order_waits_for_stock_that_others_hold(shop: Shop) -> None:
    seen = see(shop, 3, seconds_ago=6)
    PollFeed.objects.update(covered_until=timezone.now())
    hint(shop.channel, "4711")
    # Put off, which is no failure of its own.
    ChannelOrder.objects.update(fetch_error="Others are changing this stock.")
    postpone(Work.of_order(shop.channel, "4711"), "lock_timeout")
    judge_open()
    assert verdict(seen) == ObservationVerdict.OPEN
    # Given up: it is evidence, and nothing is waited for.
    Retry.objects.update(state="exhausted")
    judge_open()
    assert verdict(seen) == ObservationVerdict.FOREIGN


def test_what_no_poll_covered_is_left_to_the_next_comparison(shop: Shop) -> None:
    seen = see(shop, 3, seconds_ago=700)
    PollFeed.objects.update(covered_until=None)
    judge_open()
    assert verdict(seen) == ObservationVerdict.FOREIGN
    assert not ShelfObservation.objects.filter(awaits_reconciliation=True).exists()


def settle_pushes(shop: Shop) -> None:
    """Has the orders polled a moment ago, and nothing on its way to the shelves."""
    PollFeed.objects.update(covered_until=timezone.now())
    for level in ListingLevel.objects.filter(channel=shop.channel):
        ListingLevel.objects.filter(pk=level.pk).update(done=level.wanted, due_since=None)
