"""What a channel had been told at an instant, from the push log; now it is what the shelf itself says."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from channels.connectors.base import ItemOutcome, PushItem, PushResult
from channels.history import location_shelves_as_of, shelves_as_of, variant_shelves_as_of
from channels.models import ChannelLocationSource, ListingLevel, Push, SourceSpan
from channels.models.outbound import PushOutcome
from channels.past_inputs import sources_at
from inventory.ledger import Context
from inventory.stock import CountLine, count
from tests.channels.rehearsals.stage import listed, now
from tests.channels.shop import Shop, open_shop
from tests.channels.telling import CAS, tell, tell_all, use_platform

pytestmark = pytest.mark.django_db


def _counted(shop: Shop, units: int) -> None:
    place = shop.locations["main"].pk
    number = Push.objects.count()
    line = CountLine(shop.variants["MUG"].pk, place, units)
    count(Context(shop.merchant.pk, f"count-{number}-{units}"), [line])


def test_each_number_is_shown_from_when_it_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    use_platform(monkeypatch)
    shop = open_shop({"MUG": 5}, kind="telling")
    level = shop.shelf(listed(shop, "MUG"))
    before = now()
    seen = []
    for units in (5, 3, 8):
        _counted(shop, units)
        tell_all(shop)
        seen.append((now(), units, Push.objects.latest("id").pk))
    (nothing,) = shelves_as_of([level.pk], before)
    assert (nothing.sent, nothing.confirmed, nothing.shown) == (None, None, None)
    for at, units, push_id in seen:
        (shelf,) = shelves_as_of([level.pk], at)
        assert (shelf.sent, shelf.confirmed, shelf.shown, shelf.has_ended) == (units, units, units, True)
        assert shelf.confirmed_push_id == push_id


def test_now_it_says_what_the_shelf_says(monkeypatch: pytest.MonkeyPatch) -> None:
    shelves = use_platform(monkeypatch, **CAS)
    shop = open_shop({"MUG": 5}, kind="telling")
    listing = listed(shop, "MUG")
    level = shop.shelf(listing)
    shelves.numbers[listing.external_id, ""] = 0
    for units in (4, 4, 2):
        _counted(shop, units)
        tell_all(shop)
        (past,) = shelves_as_of([level.pk], now())
        live = ListingLevel.objects.get(pk=level.pk)
        assert (past.sent, past.confirmed) == (live.sent_quantity, live.published_quantity)


def test_a_number_on_its_way_is_sent_and_not_confirmed(monkeypatch: pytest.MonkeyPatch) -> None:
    use_platform(monkeypatch)
    shop = open_shop({"MUG": 5}, kind="telling")
    level = shop.shelf(listed(shop, "MUG"))
    tell_all(shop)
    push = Push.objects.get()
    Push.objects.update(finished_at=push.computed_at + timedelta(seconds=2))
    (shelf,) = shelves_as_of([level.pk], push.computed_at + timedelta(seconds=1))
    assert (shelf.sent, shelf.has_ended, shelf.confirmed) == (5, False, None)


def test_what_was_refused_is_sent_and_not_confirmed(monkeypatch: pytest.MonkeyPatch) -> None:
    shelves = use_platform(monkeypatch)
    shop = open_shop({"MUG": 5}, kind="telling")
    level = shop.shelf(listed(shop, "MUG"))
    tell_all(shop)

    def refuse(item: PushItem) -> PushResult:
        return PushResult(item.address.listing_level_id, ItemOutcome.REJECTED, "no")

    shelves.reaction = refuse
    _counted(shop, 2)
    tell(shop)
    (shelf,) = shelves_as_of([level.pk], now())
    assert (shelf.sent, shelf.sent_outcome, shelf.confirmed) == (2, PushOutcome.REJECTED, 5)


def test_a_number_that_needed_no_change_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    shelves = use_platform(monkeypatch, **CAS)
    shop = open_shop({"MUG": 5}, kind="telling")
    listing = listed(shop, "MUG")
    shelves.numbers[listing.external_id, ""] = 5
    tell_all(shop)
    (shelf,) = shelves_as_of([shop.shelf(listing).pk], now())
    assert (shelf.sent, shelf.confirmed, shelf.found_right, shelf.shown) == (None, None, 5, 5)


def test_a_number_that_was_right_at_first_contact_counts_as_confirmed() -> None:
    shop = open_shop({"MUG": 5})
    level = shop.shelf(shop.list_variant("MUG"))
    before = now()
    ListingLevel.objects.update(published_quantity=5, confirmed_at=now())
    assert [shelves_as_of([level.pk], at)[0].confirmed for at in (before, now())] == [None, 5]


def test_a_variant_and_a_location_have_the_shelves_that_drew_on_them(monkeypatch: pytest.MonkeyPatch) -> None:
    use_platform(monkeypatch)
    shop = open_shop({"MUG": 5, "CUP": 1}, kind="telling")
    listed(shop, "MUG")
    listed(shop, "CUP")
    tell_all(shop)
    at, merchant, place = now(), shop.merchant.pk, shop.locations["main"].pk
    (mug,) = variant_shelves_as_of(merchant, [shop.variants["MUG"].pk], at)
    assert (mug.sku, mug.confirmed) == ("MUG", 5)
    assert {shelf.sku for shelf in location_shelves_as_of(merchant, place, at)} == {"MUG", "CUP"}
    ChannelLocationSource.objects.all().delete()
    assert location_shelves_as_of(merchant, place, now()) == []
    assert len(location_shelves_as_of(merchant, place, at)) == 2
    assert variant_shelves_as_of(open_shop().merchant.pk, [shop.variants["MUG"].pk], at) == []


def test_the_locations_behind_a_place_are_remembered_whoever_changes_them() -> None:
    shop = open_shop()
    place = shop.places[""]
    main, more = shop.locations["main"], shop.add_location("more")
    seen: list[tuple[datetime, list[str]]] = [(now(), ["main"])]
    ChannelLocationSource.objects.bulk_create(
        [ChannelLocationSource(channel_location=place, location=more, priority=5)]
    )
    seen.append((now(), ["main", "more"]))
    ChannelLocationSource.objects.filter(location=main).update(priority=9)
    seen.append((now(), ["more", "main"]))
    ChannelLocationSource.objects.filter(location=more).delete()
    seen.append((now(), ["main"]))
    for at, codes in seen:
        assert [code for _, code in sources_at([place.pk], at)[place.pk]] == codes
    assert SourceSpan.objects.filter(ended_at__isnull=True).count() == 1


def test_saving_a_source_without_a_change_begins_no_span() -> None:
    shop = open_shop()
    ChannelLocationSource.objects.get().save()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE channels_channellocationsource SET priority = priority")
    assert SourceSpan.objects.filter(channel_location_id=shop.places[""].pk).count() == 1


def test_one_statement_answers_for_many(
    monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Any
) -> None:
    use_platform(monkeypatch)
    shop = open_shop({f"S{n}": n for n in range(5)}, kind="telling")
    ids = [shop.shelf(listed(shop, f"S{n}")).pk for n in range(5)]
    tell_all(shop)
    at = now()
    with django_assert_num_queries(1):
        assert [shelf.confirmed for shelf in shelves_as_of(ids, at)] == [0, 1, 2, 3, 4]
