"""What may be promised by a day, together and by location, for one variant and for many."""

from datetime import timedelta
from uuid import uuid4

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from inventory.errors import InsufficientInbound
from inventory.eta import UNKNOWN, LeadTime
from inventory.models import Transfer, Variant
from inventory.models.catalogue import LocationKind
from inventory.promising import (
    ALWAYS,
    Promisable,
    arrivals,
    available_to_promise,
    eta_texts,
    first_arrivals,
    open_inbound,
    promisable,
    promisable_by_location,
)
from inventory.transfer_drafts import TransferPlan, draft_transfer
from inventory.transfers import Arrival as MoveArrival
from inventory.transfers import close_transfer, receive_transfer, send_transfer
from tests.factories import LocationFactory, ProductFactory, VariantFactory
from tests.inventory.buying import Buying, in_days
from tests.inventory.cast import Cast


@pytest.fixture
def buying(cast: Cast) -> Buying:
    return Buying(cast)


def by_day(variant: Variant, *days: int) -> list[int]:
    return [available_to_promise(variant, in_days(day)) for day in days]


def test_what_may_be_promised_grows_on_the_days_of_confirmed_inbound(buying: Buying) -> None:
    buying.cast.receive(5)
    buying.cast.hold("somebody", 2)
    buying.order(10, days=4)
    buying.order(7, days=9, place_at=buying.cast.store)
    buying.order(100)
    assert by_day(buying.cast.mug, 0, 3, 4, 8, 9, 99) == [3, 3, 13, 13, 20, 20]
    assert by_day(buying.cast.shirt, 9) == [0]


def test_promises_are_taken_off_on_the_day_of_their_goods(buying: Buying) -> None:
    buying.order(10, days=4)
    buying.order(7, days=9)
    buying.promise("a", 12)
    assert by_day(buying.cast.mug, 0, 4, 9) == [0, 0, 5]


def test_open_shortages_get_the_first_goods_and_are_taken_off(buying: Buying) -> None:
    buying.cast.settle("order", wanted=6)
    buying.order(4, days=4)
    buying.order(7, days=9)
    assert by_day(buying.cast.mug, 0, 4, 9) == [0, 0, 5]
    assert first_arrivals(buying.cast.merchant.pk, [buying.cast.mug.pk]) == {buying.cast.mug.pk: in_days(9)}


def test_what_is_owed_elsewhere_takes_nothing_from_what_is_in_stock(buying: Buying) -> None:
    buying.cast.receive(3, place=buying.cast.store)
    buying.cast.settle("order", wanted=5, places=[buying.cast.warehouse.pk])
    assert by_day(buying.cast.mug, 0) == [3]


def test_overdue_inbound_does_not_count(buying: Buying) -> None:
    buying.order(10, days=4)
    with time_machine.travel(in_days(4) + timedelta(days=1)):
        assert available_to_promise(buying.cast.mug, ALWAYS) == 0


def test_each_location_has_its_own_number(buying: Buying) -> None:
    cast = buying.cast
    cast.receive(5)
    buying.order(10, days=4)
    buying.order(7, days=9, place_at=cast.store)
    buying.promise("a", 8)
    assert available_to_promise(cast.mug, in_days(9), location_id=cast.warehouse.pk) == 7
    assert available_to_promise(cast.mug, in_days(9), location_id=cast.store.pk) == 7
    found = promisable_by_location(cast.merchant.pk, [cast.mug.pk], in_days(9))
    assert found == {
        (cast.mug.pk, cast.warehouse.pk): Promisable(cast.mug.pk, 0, 10, 3, 0),
        (cast.mug.pk, cast.store.pk): Promisable(cast.mug.pk, 0, 7, 0, 0),
    }
    assert [each.units for each in found.values()] == [7, 7]


def test_places_of_a_platform_alone_and_closed_places_count_only_when_asked_for(buying: Buying) -> None:
    cast = buying.cast
    theirs = LocationFactory(merchant=cast.merchant, kind=LocationKind.CHANNEL_OWNED)
    closed = LocationFactory(merchant=cast.merchant, is_active=False)
    for place in (theirs, closed):
        buying.order(5, days=3, place_at=place)
    assert by_day(cast.mug, 9) == [0]
    assert open_inbound(cast.merchant.pk, [cast.mug.pk], in_days(9)) == {}
    only = promisable(cast.merchant.pk, [cast.mug.pk], in_days(9), location_ids=[theirs.pk])
    assert only[cast.mug.pk].inbound == 5
    assert open_inbound(cast.merchant.pk, [cast.mug.pk], in_days(9), location_ids=[]) == {}


def test_open_inbound_is_what_is_confirmed_until_then_less_what_is_promised(buying: Buying) -> None:
    cast = buying.cast
    cast.receive(50)
    buying.order(10, days=4)
    buying.order(7, days=9)
    buying.order(3, days=2, variant=cast.shirt)
    both = [cast.mug.pk, cast.shirt.pk]
    cast.hold("all of it", 50)
    buying.promise("a", 4)
    assert open_inbound(cast.merchant.pk, both, in_days(4)) == {cast.mug.pk: 6, cast.shirt.pk: 3}
    assert open_inbound(cast.merchant.pk, both, in_days(1)) == {}
    assert open_inbound(cast.merchant.pk, [], in_days(9)) == {}


def test_another_merchants_inbound_is_not_seen(buying: Buying, stranger: Cast) -> None:
    Buying(stranger).order(5, days=3)
    assert open_inbound(buying.cast.merchant.pk, [stranger.mug.pk], in_days(9)) == {}
    assert arrivals(buying.cast.merchant.pk, [stranger.mug.pk]) == []


def test_many_variants_are_one_statement(buying: Buying) -> None:
    cast = buying.cast
    product = ProductFactory(merchant=cast.merchant)
    variants = VariantFactory.create_batch(30, merchant=cast.merchant, product=product)
    for number, variant in enumerate(variants[:10]):
        buying.order(number + 1, days=3, variant=variant)
    ids = [variant.pk for variant in variants]
    with CaptureQueriesContext(connection) as queries:
        found = promisable(cast.merchant.pk, ids, in_days(5))
        promisable_by_location(cast.merchant.pk, ids, in_days(5))
        coming = open_inbound(cast.merchant.pk, ids, in_days(5))
    assert len(queries) == 3
    assert found.keys() == set(ids)
    assert coming == {variant.pk: number + 1 for number, variant in enumerate(variants[:10])}


def test_the_days_on_which_goods_arrive_are_listed_in_order(buying: Buying) -> None:
    cast = buying.cast
    buying.order(7, days=9)
    buying.order(10, days=4)
    buying.order(2, days=4, place_at=cast.store)
    buying.promise("a", 3)
    told = [(a.on, a.confirmed, a.promised) for a in arrivals(cast.merchant.pk, [cast.mug.pk])]
    assert told == [(in_days(4), 12, 3), (in_days(9), 7, 0)]
    assert first_arrivals(cast.merchant.pk, [cast.mug.pk, cast.shirt.pk]) == {cast.mug.pk: in_days(4)}


def test_listings_of_many_variants_say_when_goods_arrive(buying: Buying) -> None:
    cast = buying.cast
    hat = VariantFactory(merchant=cast.merchant)
    cast.receive(1, cast.shirt)
    buying.order(2, days=5)
    both = [cast.mug.pk, cast.shirt.pk, hat.pk]
    assert eta_texts(cast.merchant.pk, both, LeadTime(2, 4)) == {
        cast.mug.pk: "within 7 to 9 days",
        cast.shirt.pk: "within 2 to 4 days",
        hat.pk: UNKNOWN,
    }
    buying.promise("a", 2)
    assert eta_texts(cast.merchant.pk, [cast.mug.pk], LeadTime(2, 4)) == {cast.mug.pk: UNKNOWN}


# -- goods in transit


def sent(cast: Cast, units: int, days: int | None) -> Transfer:
    expected_on = None if days is None else in_days(days)
    plan = TransferPlan(cast.warehouse.pk, cast.store.pk, {cast.mug.pk: units}, expected_on=expected_on)
    transfer = draft_transfer(cast.merchant.pk, plan, key=uuid4())
    send_transfer(cast.context(), transfer.pk)
    return transfer


def test_goods_in_transit_may_be_promised_where_and_when_they_arrive(cast: Cast) -> None:
    cast.receive(10)
    sent(cast, 6, 3)
    assert by_day(cast.mug, 0, 2, 3) == [4, 4, 10]
    places = (cast.warehouse.pk, cast.store.pk)
    assert [available_to_promise(cast.mug, in_days(3), location_id=place) for place in places] == [4, 6]
    found = promisable_by_location(cast.merchant.pk, [cast.mug.pk], in_days(3))
    assert found[cast.mug.pk, cast.store.pk].in_transit == 6


def test_goods_in_transit_without_a_day_or_overdue_are_not_promised(cast: Cast) -> None:
    cast.receive(10)
    sent(cast, 2, None)
    sent(cast, 3, 1)
    with time_machine.travel(timezone.now() + timedelta(days=3)):
        assert available_to_promise(cast.mug, ALWAYS) == 5


def test_what_has_arrived_or_is_missing_is_not_in_transit_any_more(cast: Cast) -> None:
    cast.receive(10)
    transfer = sent(cast, 6, 3)
    receive_transfer(cast.context(), transfer.pk, [MoveArrival(cast.mug.pk, 2, 1)])
    assert by_day(cast.mug, 0, 3) == [5, 9]
    close_transfer(cast.context(), transfer.pk)
    assert by_day(cast.mug, 0, 3) == [5, 5]


def test_what_is_owed_gets_goods_in_transit_first_and_backorders_are_not_promised_from_them(
    cast: Cast,
) -> None:
    cast.receive(5)
    sent(cast, 5, 2)
    cast.settle("order", wanted=2)
    assert by_day(cast.mug, 0, 2) == [0, 3]
    assert first_arrivals(cast.merchant.pk, [cast.mug.pk]) == {cast.mug.pk: in_days(2)}
    assert open_inbound(cast.merchant.pk, [cast.mug.pk], ALWAYS) == {}
    with pytest.raises(InsufficientInbound):
        Buying(cast).promise("somebody", 1)


def test_a_text_is_of_the_places_that_serve(buying: Buying) -> None:
    cast = buying.cast
    cast.receive(1)
    buying.order(4, days=5, place_at=cast.store)
    both = [cast.warehouse.pk, cast.store.pk]
    for places, text in (
        (both, "within 1 to 2 days"),
        ([cast.store.pk], "within 6 to 7 days"),
        ([], UNKNOWN),
    ):
        found = eta_texts(cast.merchant.pk, [cast.mug.pk], LeadTime(1, 2), location_ids=places)
        assert found == {cast.mug.pk: text}
