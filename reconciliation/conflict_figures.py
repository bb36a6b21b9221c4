"""Who resolved conflicts on a day, and how long it took people: what key figures are made of."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta

from django.db.models import Count, Q, Sum

from reconciliation.models import Resolution, ResolutionState


def conflicts_handled_on(
    merchant_id: int, day: date
) -> Iterator[tuple[int | None, int, int] | tuple[int | None, int, int, float]]:
    """Yields (channel, resolved by people, resolved by policies, minutes of people) of the remedies done on a day (UTC).

    Those of people whose time is not known come by themselves, without minutes.
    """
    begin = datetime.combine(day, time(), UTC)
    done = Resolution.objects.filter(
        merchant=merchant_id,
        state=ResolutionState.DONE,
        finished_at__gte=begin,
        finished_at__lt=begin + timedelta(days=1),
    )
    counts = (
        done.order_by("channel_id")
        .values("channel_id")
        .annotate(
            people=Count("id", filter=Q(is_automatic=False, handling_seconds__isnull=False)),
            untimed=Count("id", filter=Q(is_automatic=False, handling_seconds__isnull=True)),
            alone=Count("id", filter=Q(is_automatic=True)),
            seconds=Sum("handling_seconds"),
        )
    )
    names = ("channel_id", "people", "untimed", "alone", "seconds")
    for channel_id, people, untimed, alone, seconds in counts.values_list(*names):
        yield channel_id, people, alone, (seconds or 0) / 60
        if untimed:
            yield channel_id, untimed, 0
