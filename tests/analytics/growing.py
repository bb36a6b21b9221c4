"""Rows for every table of analytics, for the tests of the back office."""

from itertools import count

from django.utils import timezone

from analytics.models import (
    CountedLine,
    DayChange,
    FastSeller,
    Kpi,
    KpiDay,
    KpiTarget,
    LevelMark,
    OrderChange,
    ReportPlan,
    ReportRun,
    SalesFact,
    StockDay,
    StockFact,
    SupportTicket,
    ToldOrder,
)
from channels.models import Channel, ChannelOrder
from inventory.models import StockLevel
from tests.factories import MerchantFactory

_serial = count(1)


def measure(level: StockLevel, channel: Channel) -> None:
    """Adds a row to every table, about a level and a channel of one merchant."""
    now, number = timezone.now(), next(_serial)
    merchant, variant, today = level.merchant, level.variant, now.date()
    place = {"merchant": merchant, "variant": variant, "location": level.location, "recorded_on": today}
    StockFact.objects.create(**place, channel=channel, received=10)
    StockDay.objects.create(
        **place,
        first_at=now,
        last_at=now,
        first_version=1,
        version=1,
        opening_available=0,
        on_hand=10,
        available=0,
    )
    LevelMark.objects.create(level=level, merchant=merchant, version=1)
    SalesFact.objects.create(
        merchant=merchant,
        channel=channel,
        variant=variant,
        currency="EUR",
        ordered_on=today,
        lines=1,
        ordered=12,
    )
    CountedLine.objects.create(
        line_id=10**9 + number,
        order_id=10**9 + number,
        merchant_id=merchant.pk,
        channel_id=channel.pk,
        ordered_on=today,
        orders=1,
        ordered=12,
        cancelled=0,
        shipped=0,
        returned=0,
        unpriced=12,
        amount=0,
        cancelled_amount=0,
        returned_amount=0,
    )
    OrderChange.objects.create(order_id=10**9 + number, noted_at=now)
    DayChange.objects.create(merchant_id=merchant.pk, changed_on=today)
    KpiDay.objects.create(
        merchant=merchant,
        kpi=Kpi.LATENCY,
        channel=channel,
        measured_on=today,
        part=1,
        whole=1,
        measured_at=now,
    )
    KpiTarget.objects.create(merchant=merchant, kpi=Kpi.LATENCY, channel=channel, value=3)
    FastSeller.objects.create(merchant=merchant, measured_on=today, variant=variant, units=12)
    placed = ChannelOrder.objects.create(channel=channel, external_id=f"told-{number}", arrived_at=now)
    ToldOrder.objects.create(merchant=merchant, order=placed, channel=channel, arrived_on=today, seconds=0.4)
    reporting = MerchantFactory()
    ReportPlan.objects.create(merchant=reporting, recipients=["somebody@example.com"])
    ReportRun.objects.create(merchant=reporting, reported_on=today, started_at=now)
    SupportTicket.objects.create(
        merchant=merchant,
        number=f"T-{number}",
        opened_at=now,
        channel=channel,
        variant=variant,
        recorded_at=now,
    )
