"""Accepted is not told: what is followed until it is live, what a shelf says meanwhile, and what went out in bulk."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db.models import F
from django.utils import timezone

from channels.accounts import open_connector
from channels.connectors.base import ItemOutcome, PushResult
from channels.events import LevelObserved
from channels.following import confirm_seen, follow
from channels.models import Listing, ListingLevel, Push
from channels.models.listings import Lane
from channels.observations import observe_all
from channels.orders import apply_state
from channels.pushes import mark_listing_levels
from channels.survey import survey
from tests.channels.shop import Shop, line, open_shop, order
from tests.channels.telling import Shelves, fresh, outcomes, tell, use_platform

pytestmark = pytest.mark.django_db


def listed(shop: Shop, sku: str = "MUG") -> tuple[Listing, ListingLevel]:
    listing = shop.list_variant(sku)
    level = shop.shelf(listing)
    mark_listing_levels([level.pk], lane=Lane.DECREASE)
    return listing, level


@pytest.fixture
def shelves(monkeypatch: pytest.MonkeyPatch) -> Shelves:
    return use_platform(monkeypatch, asynchronous_push=True)


@pytest.fixture
def shop(shelves: Shelves) -> Shop:
    return open_shop({"MUG": 9}, kind="telling")


def follow_all(shop: Shop) -> int:
    return follow(shop.channel.pk, open_connector(shop.channel))


def seen(shop: Shop, listing: Listing, quantity: int, at: datetime) -> int:
    event = LevelObserved(listing.external_id, "", quantity, at)
    return confirm_seen(observe_all([(shop.channel, event, timezone.now())]))


def test_a_shelf_that_says_the_number_confirms_it(shop: Shop, shelves: Shelves) -> None:
    listing, level = listed(shop)
    tell(shop)
    assert seen(shop, listing, 8, datetime.now(UTC)) == 0
    assert seen(shop, listing, 9, datetime.now(UTC) - timedelta(minutes=5)) == 0
    assert outcomes(level) == ["accepted"]
    assert seen(shop, listing, 9, datetime.now(UTC)) == 1
    after = fresh(level)
    assert (outcomes(level), after.published_quantity, after.is_due) == (["confirmed"], 9, False)
    assert after.lease_token is None
    assert not survey()[shop.channel.pk].follows


def test_a_shelf_of_a_platform_that_confirms_at_once_is_only_observed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use_platform(monkeypatch)
    shop = open_shop({"MUG": 9}, kind="telling")
    listing, level = listed(shop)
    tell(shop)
    assert seen(shop, listing, 9, datetime.now(UTC)) == 0
    assert outcomes(level) == ["confirmed"]


def test_whoever_follows_hears_what_was_sold_since(shop: Shop, shelves: Shelves) -> None:
    listing, level = listed(shop)
    apply_state(shop.channel, order(line("MUG", 1), id="before"), arrived_at=timezone.now())
    tell(shop)
    apply_state(shop.channel, order(line("MUG", 2), id="since"), arrived_at=timezone.now())
    follow_all(shop)
    (asked,) = shelves.followed
    assert (asked.quantity, asked.sold_since) == (8, 2)
    assert asked.address.listing_external_id == listing.external_id
    assert abs(asked.sent_at - timezone.now()) < timedelta(minutes=1)
    assert fresh(level).is_due


def test_what_ends_after_its_lease_is_told_again_where_something_newer_was_told(
    shop: Shop, shelves: Shelves
) -> None:
    listing, level = listed(shop)
    tell(shop)
    ListingLevel.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
    mark_listing_levels([level.pk], lane=Lane.DECREASE)
    tell(shop)
    first, second = Push.objects.order_by("id")
    shelves.accepted[second.tracking_id], shelves.accepted[first.tracking_id] = (
        shelves.accepted[second.tracking_id],
        shelves.accepted.pop(first.tracking_id),
    )
    shelves.numbers[listing.external_id, ""] = 9
    assert follow_all(shop) == 2
    assert outcomes(level) == ["confirmed", "confirmed"]
    assert fresh(level).is_due, "the late one may have gone over the newer one"


# -- in bulk


@pytest.fixture
def bulk(monkeypatch: pytest.MonkeyPatch) -> Shelves:
    return use_platform(monkeypatch, asynchronous_push=True, bulk_increases=3)


def many(shop: Shop, count: int, lane: Lane) -> list[ListingLevel]:
    levels = []
    for number in range(count):
        shop.add_variant(f"S{number}", {"main": 5})
        levels.append(shop.shelf(shop.list_variant(f"S{number}")))
    mark_listing_levels([each.pk for each in levels], lane=lane)
    return levels


def test_many_increases_go_together_and_hold_nothing(bulk: Shelves) -> None:
    shop = open_shop(kind="telling")
    levels = many(shop, 4, Lane.INCREASE)
    tell(shop)
    assert bulk.bulks == [4]
    found = ListingLevel.objects.filter(channel=shop.channel)
    assert not found.filter(lease_token__isnull=False).exists()
    assert found.filter(wanted__gt=F("done"), next_attempt_at__gt=timezone.now()).count() == 4
    assert tell(shop).count == 0, "they are not told once more"
    for each in levels:
        bulk.numbers[each.listing.external_id, ""] = 5
    assert survey()[shop.channel.pk].follows
    assert follow_all(shop) == 4
    assert not found.filter(wanted__gt=F("done")).exists()
    assert set(found.values_list("published_quantity", flat=True)) == {5}


def test_a_decrease_does_not_wait_for_a_bulk_and_is_told_again_when_that_has_ended(bulk: Shelves) -> None:
    shop = open_shop(kind="telling")
    levels = many(shop, 3, Lane.INCREASE)
    tell(shop)
    apply_state(shop.channel, order(line("S0", 1)), arrived_at=timezone.now())
    tell(shop)
    assert bulk.told[-1] == (levels[0].listing.external_id, 4, None)
    newest = Push.objects.filter(listing_level=levels[0]).latest("id")
    bulk.numbers[levels[0].listing.external_id, ""] = 4
    follow_all(shop)
    assert not fresh(levels[0]).is_due
    assert newest.quantity == 4
    for each in levels:
        bulk.numbers[each.listing.external_id, ""] = 5  # the bulk arrives late, over the newer number
    assert follow_all(shop) == 3
    after = fresh(levels[0])
    assert (after.is_due, after.lane) == (True, Lane.DECREASE)
    assert not any(fresh(each).is_due for each in levels[1:])


def test_a_bulk_that_goes_over_a_newer_number_before_that_is_seen_has_it_told_at_once(bulk: Shelves) -> None:
    shop = open_shop(kind="telling")
    levels = many(shop, 3, Lane.INCREASE)
    tell(shop)
    apply_state(shop.channel, order(line("S0", 1)), arrived_at=timezone.now())
    tell(shop)
    # Nobody has seen the newer number when the bulk arrives.
    for each in levels:
        bulk.numbers[each.listing.external_id, ""] = 5
    assert follow_all(shop) == 3
    assert outcomes(levels[0]) == ["confirmed", "unknown"]
    calls = len(bulk.calls)
    tell(shop)
    assert len(bulk.calls) == calls + 1
    assert bulk.told[-1] == (levels[0].listing.external_id, 4, None)


@pytest.mark.parametrize(("count", "lane"), [(2, Lane.INCREASE), (4, Lane.DECREASE), (4, Lane.TO_ZERO)])
def test_few_increases_and_all_decreases_go_one_by_one(bulk: Shelves, count: int, lane: Lane) -> None:
    shop = open_shop(kind="telling")
    many(shop, count, lane)
    tell(shop)
    assert bulk.bulks == []
    assert len(bulk.told) == count


def test_what_the_platform_does_not_take_in_bulk_goes_one_by_one(bulk: Shelves) -> None:
    shop = open_shop(kind="telling")
    levels = many(shop, 3, Lane.INCREASE)
    first = levels[0].pk
    bulk.reaction = lambda item: (
        PushResult(first, ItemOutcome.NOT_SENT)
        if item.address.listing_level_id == first and bulk.bulks and len(bulk.calls) == 1
        else None
    )
    tell(shop)
    after = fresh(levels[0])
    assert (after.is_due, after.lane, after.next_attempt_at, after.lease_token) == (
        True,
        Lane.DECREASE,
        None,
        None,
    )
    tell(shop)
    assert bulk.bulks == [3]
    assert bulk.told[-1] == (levels[0].listing.external_id, 5, None)
