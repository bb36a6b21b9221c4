"""Keeps the key figures of each day: today's and yesterday's as they happen, others when something about them changes."""

from collections.abc import Collection
from datetime import date, timedelta
from typing import Final

from django.db import connection
from django.utils import timezone

from analytics.kpis.measures import (
    OF_ORDERS,
    OF_OTHERS,
    OF_TOLD,
    Figure,
    figures_of_orders,
    figures_of_others,
    figures_of_told,
)
from analytics.kpis.told import forget_told
from analytics.locks import Task, alone
from analytics.models import DayChange, FastSeller, Kpi, KpiDay
from inventory.models import Merchant

#: Days that are measured anew every day: orders that reached the last shelf late, and what other apps learned late.
LATE_DAYS: Final = 14
#: Days for which it is kept what sold fast; it is decided again where an older day changes.
KEEP_FAST_DAYS: Final = 60


def measure_due() -> int:
    """Measures today, yesterday and the days whose sales changed, of all merchants; returns how many days."""
    return sum(_measure_due(merchant_id) for merchant_id in _merchant_ids())


def measure_late() -> int:
    """Measures the last two weeks of all merchants anew; returns how many days."""
    today = timezone.now().date()
    days = {today - timedelta(days=back) for back in range(LATE_DAYS)}
    FastSeller.objects.filter(measured_on__lt=today - timedelta(days=KEEP_FAST_DAYS)).delete()
    forget_told()
    merchant_ids = _merchant_ids()
    for merchant_id in merchant_ids:
        measure(merchant_id, days)
    return len(days) * len(merchant_ids)


def _merchant_ids() -> list[int]:
    return list(Merchant.objects.order_by("id").values_list("id", flat=True))


def _measure_due(merchant_id: int) -> int:
    today = timezone.now().date()
    recent = {today, today - timedelta(days=1)}
    with alone(Task.MEASURING):
        changed = _changed_days(merchant_id)
        _measure(merchant_id, recent | changed, recent)
    return len(recent | changed)


def measure(merchant_id: int, days: Collection[date]) -> None:
    """Measures all figures of these days anew."""
    with alone(Task.MEASURING):
        _measure(merchant_id, days, days)


def _changed_days(merchant_id: int) -> set[date]:
    """Takes the notes of changed days; they come back where the transaction does not commit."""
    table = DayChange._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {table} WHERE merchant_id = %s RETURNING changed_on", [merchant_id])  # noqa: S608
        return {day for (day,) in cursor.fetchall()}


def _measure(merchant_id: int, of_orders: Collection[date], of_others: Collection[date]) -> None:
    _replace(merchant_id, OF_ORDERS, of_orders, figures_of_orders(merchant_id, of_orders))
    # Of older days the samples are gone; what was measured stays.
    known = timezone.now().date() - timedelta(days=LATE_DAYS)
    told = [day for day in of_orders if day > known]
    _replace(merchant_id, OF_TOLD, told, figures_of_told(merchant_id, told))
    _replace(merchant_id, OF_OTHERS, of_others, figures_of_others(merchant_id, of_others))


def _replace(
    merchant_id: int, kpis: Collection[Kpi], days: Collection[date], figures: Collection[Figure]
) -> None:
    now = timezone.now()
    KpiDay.objects.filter(merchant_id=merchant_id, kpi__in=kpis, measured_on__in=days).delete()
    KpiDay.objects.bulk_create(
        KpiDay(
            merchant_id=merchant_id,
            kpi=figure.kpi,
            channel_id=figure.channel_id,
            measured_on=figure.day,
            part=figure.part,
            whole=figure.whole,
            p50=figure.p50,
            p95=figure.p95,
            p99=figure.p99,
            measured_at=now,
        )
        for figure in figures
    )
