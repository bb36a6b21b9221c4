"""Forgets alerts that have long been over, with the messages that told of them."""

from datetime import timedelta
from typing import Final

from django.conf import settings
from django.utils import timezone

from reconciliation.models import Alert, AlertDelivery, WatchGap

#: Rows deleted at once.
PIECE: Final = 1000


def forget_old_alerts() -> dict[str, int]:
    """Deletes what was over before `ONECOUNT_KEEP_ALERTS_DAYS`, and tests and gaps as old; returns how many of each."""
    before = timezone.now() - timedelta(days=settings.KEEP_ALERTS_DAYS)
    count = 0
    while ids := list(Alert.objects.filter(resolved_at__lt=before).values_list("pk", flat=True)[:PIECE]):
        Alert.objects.filter(pk__in=ids).delete()
        count += len(ids)
    tests, _ = AlertDelivery.objects.filter(alert__isnull=True, created_at__lt=before).delete()
    gaps, _ = WatchGap.objects.filter(ended_at__lt=before).delete()
    return {"alerts": count, "tests": tests, "gaps": gaps}
