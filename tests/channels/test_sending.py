"""A batch from lease to result: what is sent, compared, written down, and what every kind of failure leads to."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from channels.accounts import open_connector
from channels.connectors.base import ItemOutcome, PushItem, PushResult
from channels.errors import OutcomeUnknown, Rejected, Throttled, TransientError, Unauthorised
from channels.following import follow
from channels.models import ChannelHealth, Listing, ListingLevel, PollFeed, Push
from channels.models.listings import Lane
from channels.orders import apply_state
from channels.pushes import mark_listing_levels, replay
from channels.sending import send
from channels.survey import survey
from inventory.ledger import Context
from inventory.stock import AdjustmentLine, StockLine, adjust, receive
from tests.channels.shop import Shop, line, open_shop, order
from tests.channels.telling import (
    CAS,
    INCLUDING,
    Shelves,
    fresh,
    outcomes,
    take_lease,
    tell,
    tell_all,
    use_platform,
)

pytestmark = pytest.mark.django_db


def listed(shop: Shop, sku: str = "MUG") -> tuple[Listing, ListingLevel]:
    listing = shop.list_variant(sku)
    return listing, shop.shelf(listing)


def sell(shop: Shop, units: int = 1, *, id: str, sku: str = "MUG") -> None:
    """Imports an order of the shop's own channel."""
    apply_state(shop.channel, order(line(sku, units), id=id), arrived_at=timezone.now())


def mark(level: ListingLevel, lane: Lane = Lane.INCREASE) -> None:
    mark_listing_levels([level.pk], lane=lane)


def change_stock(shop: Shop, units: int, sku: str = "MUG") -> None:
    """Finds more or fewer on hand, which no channel sold."""
    variant, location = shop.variants[sku].pk, shop.locations["main"].pk
    adjust(Context(shop.merchant.pk, f"found:{uuid4()}"), [AdjustmentLine(variant, location, units)])


def wait_is_over(shop: Shop) -> None:
    ListingLevel.objects.filter(channel=shop.channel).update(next_attempt_at=None)


def told_once(shop: Shop, shelves: Shelves, number: int, sku: str = "MUG") -> tuple[Listing, ListingLevel]:
    """A listing whose shop shows the number that it was told."""
    listing, level = listed(shop, sku)
    shelves.numbers[listing.external_id, ""] = number
    mark(level)
    tell_all(shop)
    shelves.calls.clear()
    shelves.reads.clear()
    return listing, fresh(level)


def look_again(shop: Shop) -> None:
    """Time passes and all orders are imported, until nothing is in doubt any more."""
    PollFeed.objects.get_or_create(
        channel=shop.channel, name="orders", defaults={"next_poll_at": timezone.now() + timedelta(days=1)}
    )
    for _ in range(5):
        ListingLevel.objects.update(next_attempt_at=None, seen_at=F("seen_at") - timedelta(seconds=5))
        PollFeed.objects.update(last_polled_at=timezone.now(), covered_until=timezone.now())
        tell_all(shop)


# -- without compare-and-set


def test_a_number_is_computed_when_it_is_sent_not_when_it_was_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    shelves = use_platform(monkeypatch)
    shop = open_shop({"MUG": 9}, kind="telling")
    listing, level = listed(shop)
    mark(level)
    receive(
        Context(shop.merchant.pk, "more"), [StockLine(shop.variants["MUG"].pk, shop.locations["main"].pk, 5)]
    )
    tell(shop)
    after = fresh(level)
    assert shelves.number(listing) == 14
    assert (after.done, after.due_since, after.lease_token) == (after.wanted, None, None)
    assert (after.published_quantity, after.sent_quantity, after.expected) == (14, 14, 14)


def test_ten_changes_before_the_next_slot_are_one_push(monkeypatch: pytest.MonkeyPatch) -> None:
    shelves = use_platform(monkeypatch)
    shop = open_shop({"MUG": 20}, kind="telling")
    listing, level = listed(shop)
    for number in range(10):
        sell(shop, id=str(number))
    tell_all(shop)
    assert shelves.told == [(listing.external_id, 10, None)]
    assert fresh(level).done == fresh(level).wanted >= 10


def test_a_change_while_the_number_is_on_its_way_keeps_the_level_due(monkeypatch: pytest.MonkeyPatch) -> None:
    shelves = use_platform(monkeypatch)
    shop = open_shop({"MUG": 9}, kind="telling")
    listing, level = listed(shop)
    mark(level)
    shelves.before_call = lambda items: sell(shop, id="meanwhile") if len(shelves.calls) == 1 else None
    tell(shop)
    between = fresh(level)
    assert between.done == 1 < between.wanted
    assert (between.lane, between.due_since is None) == (Lane.DECREASE, False)
    tell(shop)
    assert shelves.number(listing) == 8
    assert not fresh(level).is_due


def test_without_compare_and_set_a_number_is_sent_although_it_should_stand_there_already(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shelves = use_platform(monkeypatch)
    shop = open_shop({"MUG": 9}, kind="telling")
    listing, _ = told_once(shop, shelves, 9)
    shelves.sell(listing)
    sell(shop, id="1")
    tell_all(shop)
    assert shelves.told == [(listing.external_id, 8, None)]


def test_own_open_orders_are_added_where_the_platform_subtracts_them(monkeypatch: pytest.MonkeyPatch) -> None:
    shelves = use_platform(monkeypatch, **INCLUDING)
    shop = open_shop({"MUG": 3}, kind="telling")
    listing, _ = listed(shop)
    sell(shop, 2, id="1")
    tell_all(shop)
    assert shelves.number(listing) == 3
    sell(shop, 1, id="2")
    tell_all(shop)
    assert shelves.number(listing) == 0


@pytest.mark.parametrize("is_unknown", [False, True])
def test_a_platform_that_leaves_its_number_alone_is_not_told_the_same_again(
    monkeypatch: pytest.MonkeyPatch, is_unknown: bool
) -> None:
    """Its own sale changes what is available and what is open alike; an outcome that is not known is told again."""
    shelves = use_platform(monkeypatch, **INCLUDING)
    shop = open_shop({"MUG": 9}, kind="telling")
    listing, level = told_once(shop, shelves, 9)
    sell(shop, 1, id="1")
    ListingLevel.objects.filter(pk=level.pk).update(is_outcome_unknown=is_unknown)
    assert fresh(level).is_due
    tell_all(shop)
    assert shelves.told == ([(listing.external_id, 9, None)] if is_unknown else [])
    assert not fresh(level).is_due


def test_accepted_is_not_told_and_holds_the_level_until_its_end_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shelves = use_platform(monkeypatch, asynchronous_push=True)
    shop = open_shop({"MUG": 9}, kind="telling")
    listing, level = listed(shop)
    mark(level)
    tell(shop)
    assert fresh(level).is_due
    assert outcomes(level) == ["accepted"]
    mark(level)
    assert tell(shop).count == 0
    assert survey()[shop.channel.pk].follows
    connector = open_connector(shop.channel)
    assert follow(shop.channel.pk, connector) == 0
    shelves.numbers[listing.external_id, ""] = 9
    assert follow(shop.channel.pk, connector) == 1
    after = fresh(level)
    assert (after.done, after.published_quantity, after.lease_token) == (1, 9, None)
    assert outcomes(level) == ["confirmed"]
    assert after.is_due


# -- with compare-and-set


def test_the_first_contact_reads_the_shop_before_it_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    shelves = use_platform(monkeypatch, **CAS)
    shop = open_shop({"MUG": 9}, kind="telling")
    listing, level = listed(shop)
    shelves.numbers[listing.external_id, ""] = 4
    mark(level)
    tell(shop)
    assert shelves.told == [(listing.external_id, 9, 4)]
    assert (fresh(level).expected, shelves.number(listing)) == (9, 9)


def test_a_first_contact_that_finds_the_right_number_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    shelves = use_platform(monkeypatch, **CAS)
    shop = open_shop({"MUG": 9}, kind="telling")
    _, level = told_once(shop, shelves, 9)
    assert outcomes(level) == ["unchanged"]
    assert (level.expected, level.published_quantity, level.is_due) == (9, 9, False)


def test_a_shelf_that_shows_nothing_is_written_without_a_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    shelves = use_platform(monkeypatch, **CAS)
    shop = open_shop({"MUG": 9}, kind="telling")
    listing, level = listed(shop)
    mark(level)
    tell(shop)
    assert shelves.told == [(listing.external_id, 9, None)]
    assert fresh(level).expected == 9


def test_an_own_sale_needs_no_push_because_the_shop_counted_it_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shelves = use_platform(monkeypatch, **CAS)
    shop = open_shop({"MUG": 9}, kind="telling")
    listing, level = told_once(shop, shelves, 9)
    shelves.sell(listing, 2)
    sell(shop, 2, id="1")
    tell_all(shop)
    assert shelves.calls == []
    assert outcomes(level)[-1] == "unchanged"
    assert (fresh(level).expected, fresh(level).is_due) == (7, False)


def test_a_sale_that_was_not_imported_yet_is_left_out_of_what_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shelves = use_platform(monkeypatch, **CAS)
    shop = open_shop({"MUG": 9}, kind="telling")
    listing, level = told_once(shop, shelves, 9)
    PollFeed.objects.create(
        channel=shop.channel, name="orders", next_poll_at=timezone.now() + timedelta(hours=1)
    )
    shelves.sell(listing, 2)
    change_stock(shop, -4)
    tell(shop)
    assert shelves.told == [(listing.external_id, 5, 9), (listing.external_id, 3, 7)]
    assert outcomes(level)[-2:] == ["stale", "confirmed"]
    assert PollFeed.objects.get(channel=shop.channel).next_poll_at <= timezone.now()
    assert fresh(level).expected == 5
    sell(shop, 2, id="late")
    tell_all(shop)
    assert (shelves.number(listing), fresh(level).expected) == (3, 3)
    assert len(shelves.calls) == 2


def test_more_unimported_sales_than_are_left_send_zero_and_settle_once_imported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shelves = use_platform(monkeypatch, **CAS)
    shop = open_shop({"MUG": 5}, kind="telling")
    listing, level = told_once(shop, shelves, 5)
    shelves.sell(listing, 4)
    change_stock(shop, -3)
    tell_all(shop)
    assert shelves.number(listing) == 0
    sell(shop, 4, id="late")
    look_again(shop)
    assert (shelves.number(listing), fresh(level).expected, fresh(level).is_due) == (0, 0, False)


def test_a_rise_that_nobody_explains_is_not_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    shelves = use_platform(monkeypatch, **CAS)
    shop = open_shop({"MUG": 9}, kind="telling")
    listing, level = told_once(shop, shelves, 9)
    shelves.numbers[listing.external_id, ""] = 50
    change_stock(shop, -1)
    tell(shop)
    assert shelves.told == [(listing.external_id, 8, 9), (listing.external_id, 8, 50)]
    # Its 41 units may be an order put back that we have not heard of: that would be on top of what is expected.
    assert fresh(level).expected == 8 - 41
    look_again(shop)
    assert (shelves.number(listing), fresh(level).expected, fresh(level).is_due) == (8, 8, False)


def test_units_put_back_that_our_call_went_over_come_back_once_their_order_is_imported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shelves = use_platform(monkeypatch, **CAS)
    shop = open_shop({"MUG": 9}, kind="telling")
    listing, level = told_once(shop, shelves, 9)
    shelves.sell(listing, 1)
    sell(shop, 1, id="fickle")
    tell_all(shop)
    shelves.sell(listing, -1)  # cancelled in the shop, which puts the unit back before we hear of it
    change_stock(shop, -3)
    tell(shop)
    assert shelves.number(listing) == 5
    state = order(line("MUG", 1, cancelled=1, restocked=1), id="fickle", at=1)
    apply_state(shop.channel, state, arrived_at=timezone.now())
    look_again(shop)
    assert (shelves.number(listing), fresh(level).expected, fresh(level).is_due) == (6, 6, False)


@pytest.mark.parametrize("by_hand", [4, 30])
def test_a_number_written_by_hand_is_put_right_after_two_looks_with_a_poll_between(
    monkeypatch: pytest.MonkeyPatch, by_hand: int
) -> None:
    shelves = use_platform(monkeypatch, **CAS)
    shop = open_shop({"MUG": 9}, kind="telling")
    listing, level = told_once(shop, shelves, 9)
    shelves.numbers[listing.external_id, ""] = by_hand
    mark_listing_levels([level.pk], lane=Lane.INCREASE, read_first=True)
    tell(shop)
    # Lower may be a sale on its way to us, so it stays; higher is nothing that we have.
    assert shelves.number(listing) == min(by_hand, 9)
    ListingLevel.objects.update(next_attempt_at=None)
    tell(shop)
    assert (shelves.number(listing), fresh(level).is_due) == (min(by_hand, 9), True)
    look_again(shop)
    assert (shelves.number(listing), fresh(level).expected, fresh(level).is_due) == (9, 9, False)


def test_without_reading_first_a_number_written_by_hand_is_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: what should be there by all we know is left alone."""
    shelves = use_platform(monkeypatch, **CAS)
    shop = open_shop({"MUG": 9}, kind="telling")
    listing, level = told_once(shop, shelves, 9)
    shelves.numbers[listing.external_id, ""] = 4
    mark_listing_levels([level.pk], lane=Lane.INCREASE)
    tell_all(shop)
    assert (shelves.number(listing), outcomes(level)[-1]) == (4, "unchanged")


def test_an_own_order_applied_while_the_number_is_on_its_way_stays_subtracted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shelves = use_platform(monkeypatch, **CAS)
    shop = open_shop({"MUG": 9}, kind="telling")
    listing, level = told_once(shop, shelves, 9)

    def customer_buys(items: Sequence[PushItem]) -> None:
        if len(shelves.calls) == 1:
            shelves.sell(listing)
            sell(shop, id="meanwhile")

    shelves.after_call = customer_buys
    change_stock(shop, -4)
    tell(shop)
    assert (fresh(level).expected, shelves.number(listing)) == (4, 4)
    tell_all(shop)
    assert len(shelves.calls) == 1


def test_a_number_that_keeps_changing_waits_for_its_next_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    shelves = use_platform(monkeypatch, **CAS)
    shop = open_shop({"MUG": 90}, kind="telling")
    listing, level = told_once(shop, shelves, 90)
    shelves.before_call = lambda items: shelves.sell(listing)
    change_stock(shop, -5)
    tell(shop)
    after = fresh(level)
    assert set(outcomes(level)[1:]) == {"stale"}
    assert (after.is_due, after.attempts, after.lease_token) == (True, 0, None)
    assert after.next_attempt_at is not None


@pytest.mark.parametrize("has_arrived", [True, False])
@pytest.mark.parametrize("change", [-4, 6])
def test_after_an_unknown_outcome_the_shop_is_read_and_the_call_is_not_taken_for_sales(
    monkeypatch: pytest.MonkeyPatch, has_arrived: bool, change: int
) -> None:
    shelves = use_platform(monkeypatch, **CAS)
    shop = open_shop({"MUG": 9}, kind="telling")
    listing, level = told_once(shop, shelves, 9)
    later = timezone.now() + timedelta(hours=1)
    feed = PollFeed.objects.create(channel=shop.channel, name="orders", next_poll_at=later)

    def lose(items: Sequence[PushItem]) -> None:
        if len(shelves.calls) == 1:
            raise OutcomeUnknown

    if has_arrived:
        shelves.after_call = lose
    else:
        shelves.before_call = lose
    change_stock(shop, change)
    tell(shop)
    assert fresh(level).is_outcome_unknown
    assert outcomes(level)[-1] == "unknown"
    # One sale comes before anybody has looked, and is imported after the next push.
    shelves.sell(listing)
    wait_is_over(shop)
    tell_all(shop)
    sell(shop, id="late")
    # Where it cannot be told, it is looked at again once the orders until then have been polled.
    feed.last_polled_at = timezone.now()
    feed.save()
    wait_is_over(shop)
    tell_all(shop)
    assert shelves.number(listing) == 9 + change - 1
    after = fresh(level)
    assert (after.expected, after.is_outcome_unknown, after.is_due) == (9 + change - 1, False, False)


def test_an_unknown_level_is_told_even_though_it_should_show_the_right_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shelves = use_platform(monkeypatch, **CAS)
    shop = open_shop({"MUG": 9}, kind="telling")
    listing, level = told_once(shop, shelves, 9)
    ListingLevel.objects.filter(pk=level.pk).update(is_outcome_unknown=True, sent_quantity=3)
    shelves.numbers[listing.external_id, ""] = 3
    mark(level)
    tell(shop)
    assert shelves.told == [(listing.external_id, 9, 3)]


# -- failures


def test_a_refused_listing_ends_in_the_dead_letters_with_its_reason_and_is_replayed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shelves = use_platform(monkeypatch)
    shop = open_shop({"MUG": 9, "CUP": 4}, kind="telling")
    (mug, mug_level), (cup, cup_level) = listed(shop), listed(shop, "CUP")
    shelves.reaction = lambda item: (
        PushResult(item.address.listing_level_id, ItemOutcome.REJECTED, "Not stocked here.")
        if item.address.listing_external_id == mug.external_id
        else None
    )
    mark(mug_level)
    mark(cup_level)
    for _ in range(5):
        tell_all(shop)
        wait_is_over(shop)
    after = fresh(mug_level)
    assert outcomes(mug_level) == ["rejected"] * 3
    assert after.dead_at is not None
    assert after.last_error == "Not stocked here."
    assert shelves.number(cup) == 4
    assert not ChannelHealth.objects.filter(consecutive_failures__gt=0).exists()
    shelves.reaction = lambda item: None
    assert replay([mug_level.pk, cup_level.pk]) == 1
    tell_all(shop)
    assert (shelves.number(mug), fresh(mug_level).attempts) == (9, 0)


def test_an_item_that_fails_for_a_while_waits_longer_each_time_and_then_dies(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    settings.PUSH_ATTEMPTS = 4
    shelves = use_platform(monkeypatch)
    shop = open_shop({"MUG": 9}, kind="telling")
    _, level = listed(shop)
    shelves.reaction = lambda item: PushResult(item.address.listing_level_id, ItemOutcome.RETRY, "Busy.")
    mark(level)
    pauses = []
    for _ in range(4):
        before = timezone.now()
        assert tell(shop).count == 1
        after = fresh(level)
        assert after.next_attempt_at is not None
        pauses.append((after.next_attempt_at - before).total_seconds())
        assert tell(shop).count == 0
        wait_is_over(shop)
    assert pauses == sorted(pauses)
    assert fresh(level).dead_at is not None
    mark(level)
    assert tell(shop).count == 0


def test_a_channel_that_is_down_opens_its_breaker_and_parks_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    shelves = use_platform(monkeypatch)
    shop = open_shop({"MUG": 9}, kind="telling")
    _, level = listed(shop)
    shelves.before_call = raising(TransientError("Down."))
    mark(level)
    for _ in range(12):
        tell(shop)
        wait_is_over(shop)
        ChannelHealth.objects.update(breaker_open_until=timezone.now())
    after = fresh(level)
    health = ChannelHealth.objects.get(channel=shop.channel)
    assert (after.dead_at, after.is_due) == (None, True)
    assert health.consecutive_failures == 12
    assert health.breaker_reason == "Down."
    shelves.before_call = lambda items: None
    tell(shop)
    health.refresh_from_db()
    assert (health.consecutive_failures, health.breaker_open_until) == (0, None)


def raising(error: Exception) -> Callable[[Sequence[PushItem]], None]:
    def react(items: Sequence[PushItem]) -> None:
        raise error

    return react


@pytest.mark.parametrize(
    "error", [TransientError("Answered 500."), OutcomeUnknown("No answer."), Rejected("No.")]
)
def test_one_listing_that_spoils_every_call_ends_alone_and_dead_while_the_others_are_told(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    shelves = use_platform(monkeypatch)
    skus = [f"S{number}" for number in range(10)]
    shop = open_shop(dict.fromkeys(skus, 7), kind="telling")
    levels = {sku: listed(shop, sku) for sku in skus}
    poison = levels["S3"][0].external_id

    def react(items: Sequence[PushItem]) -> None:
        if any(item.address.listing_external_id == poison for item in items):
            raise error

    shelves.before_call = react
    mark_listing_levels([level.pk for _, level in levels.values()], lane=Lane.DECREASE)
    for _ in range(12):
        while tell(shop).count:
            pass
        wait_is_over(shop)
        ChannelHealth.objects.update(consecutive_failures=0, breaker_open_until=None)
    told = {sku for sku, (listing, _) in levels.items() if shelves.number(listing) == 7}
    assert told == set(skus) - {"S3"}
    assert fresh(levels["S3"][1]).dead_at is not None
    assert not ListingLevel.objects.filter(dead_at__isnull=True, wanted__gt=F("done")).exists()


def test_a_throttled_call_costs_no_attempt_and_has_the_channel_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    shelves = use_platform(monkeypatch)
    shop = open_shop({"MUG": 9}, kind="telling")
    _, level = listed(shop)
    shelves.before_call = raising(Throttled(retry_after=7.0))
    mark(level)
    done = tell(shop)
    after = fresh(level)
    assert done.rest == 7.0
    assert (after.is_due, after.attempts, after.lease_token, after.dead_at) == (True, 0, None, None)
    assert not ChannelHealth.objects.filter(consecutive_failures__gt=0).exists()


def test_no_platform_is_left_alone_for_as_long_as_it_likes(monkeypatch: pytest.MonkeyPatch) -> None:
    shelves = use_platform(monkeypatch)
    shop = open_shop({"MUG": 9}, kind="telling")
    _, level = listed(shop)
    shelves.before_call = raising(Throttled(retry_after=86_400.0))
    mark(level)
    assert tell(shop).rest == 60.0


def test_refused_credentials_open_the_breaker_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    shelves = use_platform(monkeypatch)
    shop = open_shop({"MUG": 9}, kind="telling")
    _, level = listed(shop)
    shelves.before_call = raising(Unauthorised())
    mark(level)
    assert tell(shop).has_failed
    until = ChannelHealth.objects.get(channel=shop.channel).breaker_open_until
    assert until is not None
    assert until > timezone.now()
    assert (fresh(level).is_due, fresh(level).attempts) == (True, 0)


def test_after_an_unknown_outcome_without_comparison_the_next_call_waits_until_the_first_must_be_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shelves = use_platform(monkeypatch)
    shop = open_shop({"MUG": 9}, kind="telling")
    listing, level = listed(shop)
    shelves.before_call = raising(OutcomeUnknown())
    mark(level)
    tell(shop)
    after = fresh(level)
    assert after.next_attempt_at is not None
    assert after.next_attempt_at > timezone.now() + timedelta(seconds=9)
    assert (after.is_outcome_unknown, after.is_due) == (True, True)
    shelves.before_call = lambda items: None
    wait_is_over(shop)
    tell(shop)
    assert (shelves.number(listing), fresh(level).is_outcome_unknown, fresh(level).is_due) == (
        9,
        False,
        False,
    )


def test_an_item_that_the_answer_leaves_out_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    shelves = use_platform(monkeypatch)
    shop = open_shop({"MUG": 9}, kind="telling")
    _, level = listed(shop)
    shelves.reaction = lambda item: PushResult(-1, ItemOutcome.CONFIRMED)
    mark(level)
    tell(shop)
    assert outcomes(level) == ["unknown"]
    assert fresh(level).is_outcome_unknown


def test_an_expired_lease_stays_due_as_unknown_and_its_late_result_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shelves = use_platform(monkeypatch)
    shop = open_shop({"MUG": 9}, kind="telling")
    _, level = listed(shop)
    mark(level)
    slow = take_lease(shop.channel)
    ListingLevel.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
    second = take_lease(shop.channel)
    assert second.levels[0].is_outcome_unknown
    send(slow, open_connector(shop.channel))
    between = fresh(level)
    assert (between.lease_token, between.done, between.is_outcome_unknown) == (second.token, 0, True)
    send(second, open_connector(shop.channel))
    assert (fresh(level).done, fresh(level).is_outcome_unknown) == (1, False)
    assert shelves.calls


def test_every_push_is_logged_with_the_steps_that_led_to_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    use_platform(monkeypatch)
    shop = open_shop({"MUG": 9}, kind="telling")
    shop.channel.buffer_units = 2
    shop.channel.save()
    _, level = listed(shop)
    mark(level)
    tell(shop)
    push = Push.objects.get(listing_level=level)
    assert (push.target, push.quantity, push.outcome, push.wanted) == (7, 7, "confirmed", 1)
    assert [(step["name"], step["after"]) for step in push.waterfall][2] == ("Buffer", 7)
    assert push.computed_at <= push.finished_at
    assert push.call_id is not None


def test_a_paused_or_inactive_channel_is_told_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    shelves = use_platform(monkeypatch)
    shop = open_shop({"MUG": 9}, kind="telling")
    _, level = listed(shop)
    mark(level)
    for off in ({"is_paused": True}, {"is_active": False}):
        for name, value in ({"is_paused": False, "is_active": True} | off).items():
            setattr(shop.channel, name, value)
        shop.channel.save()
        assert tell(shop).count == 0
    assert shelves.calls == []


def test_the_statements_of_a_batch_do_not_grow_with_its_listings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use_platform(monkeypatch, push_batch_size=30)
    counts = []
    for size in (1, 30):
        shop = open_shop({f"S{number}": 5 for number in range(size)}, kind="telling")
        levels = [listed(shop, sku)[1].pk for sku in list(shop.variants)]
        mark_listing_levels(levels, lane=Lane.DECREASE)
        with CaptureQueriesContext(connection) as captured:
            assert tell(shop).count == size
        counts.append(len(captured))
    assert counts[0] == counts[1]


def test_a_platform_is_told_when_a_number_was_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    shelves = use_platform(monkeypatch)
    shop = open_shop({"MUG": 9}, kind="telling")
    _, level = listed(shop)
    mark(level)
    tell_all(shop)
    ((item,),) = shelves.calls
    assert item.as_of == Push.objects.get().computed_at
