"""Leases: the most urgent first, nobody waits for ever, and no listing level is sent twice at once."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from channels.leases import LEASE_SECONDS, Lease, Turns, give_back, lease, note_sent
from channels.models import Channel, ChannelLocation, Listing, ListingLevel
from channels.models.listings import Lane
from channels.pushes import mark_listing_levels
from channels.sending import BATCH_SECONDS
from channels.survey import survey
from tests.channels.shop import Shop, open_shop
from tests.channels.telling import fresh, take_lease
from tests.inventory.racing import race


def shop_with_due(count: int, lanes: Sequence[Lane] = (Lane.DECREASE,)) -> tuple[Shop, list[ListingLevel]]:
    """A shop whose listings are due, the first one since longest; lanes are dealt out in turn."""
    skus = [f"S{number:03}" for number in range(count)]
    shop = open_shop(dict.fromkeys(skus, 5))
    levels = [shop.shelf(shop.list_variant(sku)) for sku in skus]
    now = timezone.now()
    for number, level in enumerate(levels):
        ListingLevel.objects.filter(pk=level.pk).update(
            wanted=1, lane=lanes[number % len(lanes)], due_since=now - timedelta(seconds=count - number)
        )
    return shop, levels


def ids(lease: Lease | None) -> set[int]:
    return {level.id for level in lease.levels} if lease else set()


@pytest.mark.django_db
def test_a_lease_takes_the_worst_direction_first_and_in_a_lane_what_came_first() -> None:
    lanes = (Lane.INCREASE, Lane.DECREASE, Lane.TO_ZERO)
    shop, levels = shop_with_due(9, lanes)
    to_zero, decreases = levels[2::3], levels[1::3]
    assert ids(take_lease(shop.channel, size=4)) == {level.pk for level in [*to_zero, decreases[0]]}
    assert ids(take_lease(shop.channel, size=2)) == {level.pk for level in decreases[1:]}


@pytest.mark.django_db
def test_what_has_waited_longest_gets_a_tenth_of_all_slots() -> None:
    turns = Turns()
    fair = 0
    for _ in range(200):
        is_fair = turns.is_oldest_first()
        turns.count(3, oldest_first=is_fair)
        fair += is_fair
    assert fair == 20


@pytest.mark.django_db
def test_oldest_first_takes_an_increase_before_younger_decreases() -> None:
    shop, levels = shop_with_due(6, (Lane.INCREASE, Lane.TO_ZERO))
    assert ids(take_lease(shop.channel, size=1, oldest_first=True)) == {levels[0].pk}
    assert ids(take_lease(shop.channel, size=1)) == {levels[1].pk}


@pytest.mark.django_db
def test_a_lease_holds_one_parent_where_a_call_can_only_hold_one() -> None:
    shop, levels = shop_with_due(6)
    for number, level in enumerate(levels):
        Listing.objects.filter(levels=level).update(parent_external_id=f"parent-{number % 2}")
    assert ids(take_lease(shop.channel, parents=1)) == {level.pk for level in levels[0::2]}
    assert ids(take_lease(shop.channel, parents=1)) == {level.pk for level in levels[1::2]}
    assert lease(shop.channel.pk, size=10, parents=1) is None


@pytest.mark.django_db
def test_a_listing_that_spoiled_a_call_goes_in_smaller_company() -> None:
    shop, levels = shop_with_due(40)
    sizes = []
    for attempts in range(4):
        ListingLevel.objects.update(attempts=attempts, lease_token=None, leased_until=None)
        sizes.append(len(take_lease(shop.channel, size=32).levels))
    assert sizes == [32, 8, 2, 1]
    ListingLevel.objects.update(attempts=0, lease_token=None, leased_until=None)
    ListingLevel.objects.filter(pk=levels[5].pk).update(attempts=1)
    assert levels[5].pk not in ids(take_lease(shop.channel, size=32))


@pytest.mark.django_db
@pytest.mark.parametrize(
    "state",
    [
        {"dead_at": timezone.now()},
        {"next_attempt_at": timezone.now() + timedelta(hours=1)},
        {"leased_until": timezone.now() + timedelta(hours=1)},
        {"done": 1},
    ],
)
def test_what_is_dead_resting_leased_or_done_is_not_leased(state: dict[str, object]) -> None:
    shop, _ = shop_with_due(1)
    ListingLevel.objects.update(**state)
    assert lease(shop.channel.pk, size=10) is None
    assert not survey()[shop.channel.pk].pushes


@pytest.mark.django_db
def test_what_is_off_or_unmapped_is_not_leased() -> None:
    shop, _ = shop_with_due(1)
    Listing.objects.update(is_active=False)
    assert lease(shop.channel.pk, size=10) is None
    Listing.objects.update(is_active=True, variant=None)
    assert lease(shop.channel.pk, size=10) is None
    Listing.objects.update(variant=shop.variants["S000"])
    ChannelLocation.objects.update(is_active=False)
    assert lease(shop.channel.pk, size=10) is None
    ChannelLocation.objects.update(is_active=True)
    Channel.objects.update(is_paused=True)
    assert lease(shop.channel.pk, size=10) is None
    assert not survey()[shop.channel.pk].pushes
    Channel.objects.update(is_paused=False)
    assert survey()[shop.channel.pk].pushes
    assert lease(shop.channel.pk, size=10) is not None


@pytest.mark.django_db
def test_a_lease_copies_what_is_wanted_and_what_was_sent_is_only_noted_under_it() -> None:
    shop, (level,) = shop_with_due(1)
    first = take_lease(shop.channel)
    mark_listing_levels([level.pk], lane=Lane.DECREASE)
    assert first.levels[0].wanted == 1
    note_sent(first, {level.pk: 7})
    assert fresh(level).sent_quantity == 7
    give_back(first)
    note_sent(first, {level.pk: 8})
    assert fresh(level).sent_quantity == 7
    assert take_lease(shop.channel).levels[0].wanted == 2


@pytest.mark.django_db
def test_a_lease_that_expired_leaves_an_unknown_outcome_and_one_given_back_does_not() -> None:
    shop, _ = shop_with_due(1)
    give_back(take_lease(shop.channel))
    assert not take_lease(shop.channel).levels[0].is_outcome_unknown
    ListingLevel.objects.update(leased_until=timezone.now())
    assert take_lease(shop.channel).levels[0].is_outcome_unknown


def test_all_calls_of_a_batch_take_less_than_half_the_lease() -> None:
    assert BATCH_SECONDS < LEASE_SECONDS / 2


@pytest.mark.django_db
@pytest.mark.parametrize("oldest_first", [True, False])
def test_due_rows_are_found_by_the_partial_index_and_not_by_reading_the_table(oldest_first: bool) -> None:
    shop, _ = shop_with_due(3)
    _many_listings(shop, 4000)
    with connection.execute_wrapper(_explain), connection.cursor() as cursor:
        cursor.execute("ANALYZE")
        plans.clear()
        lease(shop.channel.pk, size=10, oldest_first=oldest_first)
    (plan,) = plans
    assert "Index Scan using listing_level_due" in plan
    assert "Seq Scan on channels_listinglevel" not in plan


plans: list[str] = []


def _explain(execute, sql, parameters, many, context):  # type: ignore[no-untyped-def]
    if "lease_token" in sql:
        with transaction.atomic(), connection.connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN {sql}", parameters)
            plans.append("\n".join(row[0] for row in cursor.fetchall()))
    return execute(sql, parameters, many, context)


def _many_listings(shop: Shop, count: int) -> None:
    """Adds listings that are not due."""
    variant, place = shop.variants["S000"], shop.places[""]
    listings = Listing.objects.bulk_create(
        Listing(channel=shop.channel, variant=variant, external_id=f"more-{number}")
        for number in range(count)
    )
    ListingLevel.objects.bulk_create(
        ListingLevel(channel=shop.channel, listing=listing, channel_location=place) for listing in listings
    )


@pytest.mark.django_db(transaction=True)
def test_senders_that_lease_at_the_same_time_share_out_the_rows() -> None:
    shop, levels = shop_with_due(60)
    found = race([lambda: lease(shop.channel.pk, size=10)] * 6)
    leased = [level for each in found for level in ids(each)]
    assert len(leased) == len(set(leased)) > 0
    assert set(leased) <= {level.pk for level in levels}
    rest = ListingLevel.objects.filter(wanted__gt=F("done"), lease_token__isnull=True).count()
    assert len(leased) + rest == 60


@pytest.mark.django_db(transaction=True)
def test_the_same_race_sends_rows_twice_when_they_are_chosen_without_a_lock() -> None:
    """The control: choosing and taking in two steps gives everybody the same rows."""
    shop, _ = shop_with_due(60)

    def take_unlocked() -> list[int]:
        with transaction.atomic():
            due = ListingLevel.objects.filter(channel=shop.channel, leased_until__isnull=True).order_by("id")
            chosen = list(due.values_list("id", flat=True)[:10])
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_sleep(0.3)")
            ListingLevel.objects.filter(pk__in=chosen).update(leased_until=timezone.now())
        return chosen

    leased = [level for each in race([take_unlocked] * 3) for level in each]
    assert len(leased) > len(set(leased))


@pytest.mark.django_db(transaction=True)
def test_a_lease_passes_over_rows_that_an_order_is_just_marking() -> None:
    shop, levels = shop_with_due(2)
    with transaction.atomic():
        mark_listing_levels([levels[0].pk], lane=Lane.TO_ZERO)
        (other,) = race([lambda: lease(shop.channel.pk, size=10)])
        assert ids(other) == {levels[1].pk}
