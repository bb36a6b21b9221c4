"""Latency by the channel that is told: each has its own samples, whoever else waits."""

import math
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from analytics.kpis.measuring import LATE_DAYS, measure, measure_late
from analytics.kpis.told import KEEP_DAYS
from analytics.models import Kpi, KpiDay, KpiTarget, ToldOrder
from channels.models import Channel, ChannelOrder, ListingLevel, Push
from channels.models.outbound import PushOutcome
from channels.propagation import Propagation
from tests.channels.shop import Shop, open_shop

pytestmark = pytest.mark.django_db

#: Long enough ago that an order that is still on its way is stuck.
ARRIVED = timezone.now() - timedelta(minutes=5)
DAY = ARRIVED.date()


@pytest.fixture
def shop() -> Shop:
    """A shop that sells, and two other channels that list the same mug."""
    shop = open_shop({"MUG": 50})
    for name in ("Second", "Third"):
        channel = shop.add_channel(name)
        shop.list_variant("MUG", channel=channel, external_id=f"{name}-MUG")
    return shop


def channel_of(shop: Shop, name: str) -> Channel:
    return Channel.objects.get(merchant=shop.merchant, name=name)


def sell(shop: Shop, number: int, **more: Any) -> ChannelOrder:
    """An order that marks the mug on both other channels."""
    levels = ListingLevel.objects.filter(channel__name__in=["Second", "Third"])
    fields = {
        "arrived_at": ARRIVED,
        "applied_at": ARRIVED,
        "marks": {str(each.pk): number for each in levels},
    }
    return ChannelOrder.objects.create(channel=shop.channel, external_id=f"{number}", **fields | more)


def tell(shop: Shop, name: str, wanted: int, seconds: float, outcome: str = PushOutcome.CONFIRMED) -> None:
    """Has a channel confirm a number so many seconds after the orders arrived."""
    level = ListingLevel.objects.get(channel__name=name)
    at = ARRIVED + timedelta(seconds=seconds)
    Push.objects.create(
        channel_id=level.channel_id,
        listing_level=level,
        wanted=wanted,
        target=1,
        outcome=outcome,
        computed_at=at,
        finished_at=at,
    )
    if outcome in (PushOutcome.CONFIRMED, PushOutcome.UNCHANGED):
        ListingLevel.objects.filter(pk=level.pk).update(done=wanted, wanted=wanted)


def told(shop: Shop, name: str | None) -> tuple[int, int, float | None] | None:
    """Returns samples within the target, samples, and p95 of a channel that was told."""
    Propagation().note()
    measure(shop.merchant.pk, [DAY])
    channel = None if name is None else channel_of(shop, name)
    row = KpiDay.objects.filter(kpi=Kpi.TOLD, channel=channel, measured_on=DAY).first()
    return None if row is None else (row.part, row.whole, row.p95)


def test_each_channel_that_is_told_has_its_own_latency(shop: Shop) -> None:
    sell(shop, 1)
    tell(shop, "Second", 1, 0.5)
    tell(shop, "Third", 1, 9.0, PushOutcome.UNCHANGED)
    assert told(shop, "Second") == (1, 1, 0.5)
    assert told(shop, "Third") == (0, 1, 9.0)
    assert told(shop, None) == (1, 2, 9.0)
    assert not KpiDay.objects.filter(kpi=Kpi.TOLD, channel=shop.channel).exists()
    # The same order, by the channel that sold it: it is as late as its last shelf.
    assert KpiDay.objects.get(kpi=Kpi.LATENCY, channel=shop.channel).p95 == 9.0


def test_a_channel_that_waits_holds_up_no_other_and_is_infinitely_late(shop: Shop) -> None:
    sell(shop, 1)
    tell(shop, "Second", 1, 0.5)
    tell(shop, "Third", 1, 0.6, PushOutcome.FAILED)
    assert told(shop, "Second") == (1, 1, 0.5)
    assert told(shop, "Third") == (0, 1, math.inf)
    tell(shop, "Third", 1, 200.0)
    assert told(shop, "Third") == (0, 1, 200.0)
    assert told(shop, "Second") == (1, 1, 0.5)
    assert ToldOrder.objects.count() == 2


def test_the_first_confirmation_counts_and_is_kept(shop: Shop) -> None:
    sell(shop, 1)
    for name in ("Second", "Third"):
        tell(shop, name, 1, 1.0)
        tell(shop, name, 2, 30.0)
    assert told(shop, None) == (2, 2, 1.0)
    Push.objects.all().delete()
    assert told(shop, None) == (2, 2, 1.0)


def test_a_target_is_that_of_the_channel_that_is_told(shop: Shop) -> None:
    KpiTarget.objects.create(
        merchant=shop.merchant, kpi=Kpi.TOLD, channel=channel_of(shop, "Third"), value=60
    )
    sell(shop, 1)
    tell(shop, "Second", 1, 30.0)
    tell(shop, "Third", 1, 30.0)
    assert (told(shop, "Second"), told(shop, "Third")) == ((0, 1, 30.0), (1, 1, 30.0))


def test_test_orders_and_those_that_concern_nobody_are_no_samples(shop: Shop) -> None:
    sell(shop, 1, is_test=True)
    sell(shop, 2, marks={})
    assert told(shop, None) is None


def test_samples_go_after_some_weeks_and_what_was_measured_stays(shop: Shop) -> None:
    sell(shop, 1)
    tell(shop, "Second", 1, 1.0)
    tell(shop, "Third", 1, 1.0)
    assert told(shop, None) == (2, 2, 1.0)
    old = DAY - timedelta(days=KEEP_DAYS)
    ToldOrder.objects.update(arrived_on=old)
    KpiDay.objects.filter(kpi=Kpi.TOLD).update(measured_on=old)
    measure_late()
    assert ToldOrder.objects.filter(arrived_on=old).count() == 2
    ToldOrder.objects.update(arrived_on=old - timedelta(days=1))
    measure_late()
    assert not ToldOrder.objects.filter(arrived_on__lt=old).exists()
    measure(shop.merchant.pk, [old])
    assert KpiDay.objects.filter(kpi=Kpi.TOLD, measured_on=old).count() == 3
    assert KEEP_DAYS > LATE_DAYS
