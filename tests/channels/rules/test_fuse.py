"""The mutation fuse: very many listings at once wait for a person, and a movement of stock never does."""

import threading
from collections.abc import Sequence
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from channels import fuse, mutations
from channels.errors import RuleRefused
from channels.importing import import_channel
from channels.mapping import map_by_sku, map_listing
from channels.models import Listing, ListingLevel, Mutation, MutationFuse, PollFeed
from channels.models.mutations import MutationKind
from channels.rules import lifecycle
from inventory.ledger import Context
from inventory.models import Variant
from inventory.stock import StockLine, receive
from tests.channels.rules.drawing import approved, due, in_force, settle_marks
from tests.channels.shop import Shop, open_shop
from tests.channels.test_importing import Catalogue, sold
from tests.inventory.racing import PATIENCE, meanwhile, race, wait_until_blocked

pytestmark = pytest.mark.django_db

SKUS = [f"S{number}" for number in range(6)]


def big_shop(*, floor: int = 3, percent: int = 0) -> tuple[Shop, list[Listing]]:
    """Opens a shop of six listings that have been told, with a fuse of three."""
    shop = open_shop(dict.fromkeys(SKUS, 9))
    listings = [shop.list_variant(sku) for sku in SKUS]
    ListingLevel.objects.update(confirmed_at=timezone.now())
    MutationFuse.objects.create(merchant=shop.merchant, floor=floor, percent=percent)
    settle_marks()
    return shop, listings


def states() -> list[str]:
    return list(Mutation.objects.order_by("id").values_list("state", flat=True))


def some(shop: Shop, skus: Sequence[str], maximum: int = 4) -> list[dict[str, object]]:
    return [{"variant": shop.variants[sku], "maximum": maximum} for sku in skus]


def test_an_activation_beyond_the_fuse_changes_nothing_until_somebody_confirms_it() -> None:
    shop, listings = big_shop()
    version = approved(shop.merchant, {"maximum": 4})
    assert not lifecycle.activate(version.pk, actor="anna", because="a test")
    version.refresh_from_db()
    assert (version.state, due(*listings), states()) == ("approved", [False] * 6, ["waiting"])
    held = Mutation.objects.get()
    assert (held.listings, held.allowed, held.actor) == (6, 3, "anna")
    mutations.confirm(held.pk, actor="bert", because="meant so")
    version.refresh_from_db()
    assert (version.state, due(*listings), states()) == ("active", [True] * 6, ["confirmed"])
    with pytest.raises(RuleRefused, match="waits"):
        mutations.confirm(held.pk, actor="bert")


def test_a_held_activation_that_is_rolled_back_is_a_draft_again() -> None:
    shop, listings = big_shop()
    version = approved(shop.merchant, {"maximum": 4})
    lifecycle.activate(version.pk, actor="anna", because="a test")
    mutations.refuse(Mutation.objects.get().pk, actor="bert", because="no")
    version.refresh_from_db()
    assert (version.state, due(*listings), states()) == ("draft", [False] * 6, ["refused"])


def test_asking_again_does_not_double_what_waits() -> None:
    shop, _ = big_shop()
    version = approved(shop.merchant, {"maximum": 4})
    for _ in range(2):
        lifecycle.activate(version.pk, actor="anna", because="a test")
    assert states() == ["waiting"]


def test_several_small_changes_within_ten_minutes_add_up_but_each_listing_once() -> None:
    shop, _ = big_shop()
    for number, skus in enumerate((SKUS[:2], SKUS[:2], SKUS[:3])):
        version = approved(shop.merchant, *some(shop, skus, maximum=number + 1))
        assert lifecycle.activate(version.pk, actor="anna", because="a test")
    version = approved(shop.merchant, *some(shop, SKUS[:4], maximum=8))
    assert not lifecycle.activate(version.pk, actor="anna", because="a test")
    Mutation.objects.update(at=timezone.now() - timedelta(minutes=11))
    MutationFuse.objects.update(floor=4)
    assert lifecycle.activate(version.pk, actor="anna", because="a test")


def test_the_same_listings_are_guarded_again_right_after_a_confirmed_change() -> None:
    shop, _ = big_shop()
    lifecycle.activate(approved(shop.merchant, {"maximum": 4}).pk, actor="anna", because="a test")
    mutations.confirm(Mutation.objects.get().pk, actor="bert", because="meant so")
    slip = approved(shop.merchant, {"maximum": 0})
    assert not lifecycle.activate(slip.pk, actor="carl", because="a slip of the finger")
    assert states() == ["confirmed", "waiting"]


def test_the_same_listings_are_guarded_again_right_after_a_version_was_ended() -> None:
    shop, _ = big_shop()
    in_force(shop.merchant, {"maximum": 4})
    Mutation.objects.update(at=timezone.now() - timedelta(hours=1))
    slip = approved(shop.merchant, {"maximum": 0})
    lifecycle.retire(slip.rule_set_id, actor="carl", because="no longer needed")
    assert not lifecycle.activate(slip.pk, actor="carl", because="a slip of the finger")


def test_what_changes_no_listing_passes_a_fuse_that_is_used_up() -> None:
    shop, _ = big_shop()
    in_force(shop.merchant, {"maximum": 4})
    same = approved(shop.merchant, {"maximum": 4}, name="Other")
    assert lifecycle.activate(same.pk, actor="anna", because="nothing changes")


def test_a_share_of_the_listings_passes_where_that_is_more_than_the_floor() -> None:
    shop, _ = big_shop(floor=0, percent=50)
    passes = approved(shop.merchant, *some(shop, SKUS[:3]))
    assert lifecycle.activate(passes.pk, actor="anna", because="a test")
    held = approved(shop.merchant, *some(shop, SKUS[:4], maximum=5))
    assert not lifecycle.activate(held.pk, actor="anna", because="a test")


def test_a_movement_of_stock_is_told_whatever_the_fuse_says() -> None:
    shop, listings = big_shop(floor=0)
    place = shop.locations["main"].pk
    receive(Context(shop.merchant.pk, "more"), [StockLine(v.pk, place, 1) for v in shop.variants.values()])
    assert due(*listings) == [True] * 6
    assert states() == []


# -- imports


def test_an_empty_answer_of_a_platform_retires_nothing() -> None:
    shop, _listings = big_shop(floor=1000)
    report = import_channel(shop.channel, Catalogue())
    assert (report.gone, report.held, states()) == (0, 6, ["waiting"])
    assert Listing.objects.filter(is_active=True).count() == 6
    assert "answered with none" in Mutation.objects.get().summary
    import_channel(shop.channel, Catalogue())
    assert states() == ["waiting"]


def test_an_import_that_misses_very_many_listings_waits_and_is_withdrawn_once_they_are_back() -> None:
    shop, _ = big_shop()
    report = import_channel(shop.channel, Catalogue([sold(sku) for sku in SKUS[:2]]))
    assert (report.gone, report.held) == (0, 4)
    import_channel(shop.channel, Catalogue([sold(sku) for sku in SKUS]))
    assert states() == ["withdrawn"]


def test_a_confirmed_import_retires_what_is_gone() -> None:
    shop, _ = big_shop()
    import_channel(shop.channel, Catalogue([sold(sku) for sku in SKUS[:2]]))
    mutations.confirm(Mutation.objects.get().pk, actor="anna")
    assert sorted(Listing.objects.filter(is_active=True).values_list("sku", flat=True)) == SKUS[:2]


def test_a_few_missing_listings_are_retired_at_once() -> None:
    shop, _ = big_shop()
    report = import_channel(shop.channel, Catalogue([sold(sku) for sku in SKUS[:4]]))
    assert (report.gone, report.held, states()) == (2, 0, ["applied"])


# -- mapping


def unmapped(shop: Shop, count: int) -> list[Listing]:
    for number in range(count):
        Variant.objects.create(merchant=shop.merchant, product=shop.product, sku=f"N{number}")
    return [
        Listing.objects.create(channel=shop.channel, external_id=f"n{number}", sku=f"N{number}")
        for number in range(count)
    ]


def test_very_many_listings_that_would_be_mapped_by_sku_wait() -> None:
    shop, _ = big_shop()
    new = unmapped(shop, 4)
    assert (map_by_sku(shop.merchant.pk), states()) == (0, ["waiting"])
    assert map_by_sku(shop.merchant.pk) == 0
    mutations.confirm(Mutation.objects.get().pk, actor="anna")
    assert not Listing.objects.filter(pk__in=[each.pk for each in new], variant__isnull=True).exists()


@pytest.mark.parametrize("is_read", [False, True])
def test_what_is_read_for_the_first_time_is_mapped_in_waves(is_read: bool) -> None:
    """Numbers of the first wave may be confirmed before the last wave is read."""
    shop, _ = big_shop()
    read_at = timezone.now() if is_read else None
    PollFeed.objects.create(
        channel=shop.channel, name="listings", next_poll_at=timezone.now(), last_polled_at=read_at
    )
    unmapped(shop, 4)
    expected = (0, ["waiting"]) if is_read else (4, ["applied"])
    assert (map_by_sku(shop.merchant.pk), states()) == expected


@pytest.mark.django_db(transaction=True)
def test_listings_that_another_worker_maps_and_tells_meanwhile_do_not_wait() -> None:
    """Found before the lock they would count as told listings that are about to change."""
    shop, _ = big_shop()
    ListingLevel.objects.update(confirmed_at=None)
    new = [each.pk for each in unmapped(shop, 4)]
    is_locked = threading.Event()

    def map_later() -> int:
        is_locked.wait(PATIENCE)
        return map_by_sku(shop.merchant.pk)

    with meanwhile(map_later) as other, transaction.atomic():
        fuse.lock(shop.merchant.pk)
        is_locked.set()
        wait_until_blocked()
        assert map_by_sku(shop.merchant.pk) == 4
        ListingLevel.objects.filter(listing__in=new).update(confirmed_at=timezone.now())
    assert (other.result(), states()) == (0, ["applied"])


def test_what_was_not_to_be_mapped_is_not_proposed_again_but_can_be_mapped_by_hand() -> None:
    shop, _ = big_shop()
    new = unmapped(shop, 4)
    map_by_sku(shop.merchant.pk)
    mutations.refuse(Mutation.objects.get().pk, actor="anna")
    assert (map_by_sku(shop.merchant.pk), states()) == (0, ["refused"])
    map_listing(new[0], Variant.objects.get(sku="N0"))
    assert new[0].variant is not None


def test_a_new_channel_is_mapped_whatever_its_size_because_nothing_that_was_told_changes() -> None:
    shop, _ = big_shop(floor=0)
    ListingLevel.objects.update(confirmed_at=None)
    unmapped(shop, 5)
    assert map_by_sku(shop.merchant.pk) == 5


def test_a_correction_that_waited_is_told_when_it_is_confirmed() -> None:
    shop, listings = big_shop()
    ids = [each.pk for each in listings]
    change = fuse.Change(shop.merchant.pk, MutationKind.CORRECTION, ids, "Six shelves differ")
    held = fuse.admit(change)
    assert held.state == "waiting"
    mutations.confirm(held.pk, actor="anna")
    assert due(*listings) == [True] * 6


@pytest.mark.django_db(transaction=True)
def test_two_activations_at_the_same_time_do_not_pass_the_fuse_together() -> None:
    shop, _ = big_shop()
    first = approved(shop.merchant, *some(shop, SKUS[:3]), name="One")
    second = approved(shop.merchant, *some(shop, SKUS[3:]), name="Two")
    passed = race(
        [
            lambda version=version: lifecycle.activate(version.pk, actor="anna", because="a test")  # type: ignore[misc]
            for version in (first, second)
        ]
    )
    assert sorted(passed) == [False, True]


@pytest.mark.django_db(transaction=True)
def test_the_race_above_passes_both_when_the_fuse_is_counted_without_its_lock() -> None:
    """The control: both count before either writes."""
    _shop, listings = big_shop()
    row = MutationFuse.objects.get()
    counts = [fuse.count(row, [each.pk for each in half]) for half in (listings[:3], listings[3:])]
    assert [each.is_beyond for each in counts] == [False, False]


def test_a_version_that_waits_is_not_tried_again_by_the_clock() -> None:
    shop, _ = big_shop()
    version = approved(shop.merchant, {"maximum": 4}, effective_from=timezone.now() - timedelta(minutes=1))
    assert [lifecycle.follow_dates() for _ in range(2)] == [0, 0]
    assert states() == ["waiting"]
    version.refresh_from_db()
    assert version.state == "approved"
    in_force(shop.merchant, {"maximum": 3}, name="Other")
