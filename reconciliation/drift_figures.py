"""How much the channels drifted on a day, and who put it right: what key figures are made of."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta

from django.db.models import Count, Q, Sum

from reconciliation.models import Discrepancy, ReconciliationRun
from reconciliation.models.discrepancies import RunState


def drift_on(merchant_id: int, day: date) -> Iterator[tuple[int, int, int]]:
    """Yields (channel, shelves compared, of these differing) over the runs that ended on a day (UTC)."""
    begin, end = _span(day)
    done = ReconciliationRun.objects.filter(
        channel__merchant=merchant_id, state=RunState.DONE, finished_at__gte=begin, finished_at__lt=end
    )
    sums = done.order_by("channel_id").values("channel_id")
    yield from sums.annotate(shelves=Sum("compared"), wrong=Sum("drifted")).values_list(
        "channel_id", "shelves", "wrong"
    )


def handled_on(merchant_id: int, day: date) -> Iterator[tuple[int | None, int, int]]:
    """Yields (channel, closed by people, closed without) of the discrepancies that were closed on a day (UTC)."""
    begin, end = _span(day)
    closed = Discrepancy.objects.filter(merchant=merchant_id, closed_at__gte=begin, closed_at__lt=end)
    counts = closed.order_by("channel_id").values("channel_id")
    yield from counts.annotate(
        people=Count("id", filter=~Q(closed_by="")), alone=Count("id", filter=Q(closed_by=""))
    ).values_list("channel_id", "people", "alone")


def _span(day: date) -> tuple[datetime, datetime]:
    begin = datetime.combine(day, time(), UTC)
    return begin, begin + timedelta(days=1)
