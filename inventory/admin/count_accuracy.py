"""How well the record fits what was counted, on the page of a place."""

from datetime import timedelta

from django.utils import timezone

from config.admin_panels import NOTHING, Panel, list_of
from inventory.count_accuracy import CountAccuracy, count_accuracy
from inventory.models import Location

#: Days → how the span is called; 0 means all time.
_SPANS = ((30, "Last 30 days"), (365, "Last 365 days"), (0, "All time"))


def percent(accuracy: float | None) -> str:
    """Returns an accuracy as people read it."""
    return NOTHING if accuracy is None else f"{accuracy:.1%}"


def accuracy_panel(location: Location) -> Panel:
    """Shows 1 − Σ|variance| / Σ counted of a place, over some spans of time."""
    rows = []
    for days, name in _SPANS:
        since = timezone.now() - timedelta(days=days) if days else None
        found = count_accuracy(location.merchant_id, [location.pk], since=since)
        each = found.get(location.pk, CountAccuracy(location.pk, 0, 0, 0))
        rows.append((name, each.lines, each.counted, each.variance, percent(each.accuracy)))
    headers = ("Counts", "Lines", "Units counted", "Units off", "Accuracy")
    note = "1 − units off / units counted; units too many and too few both count as off."
    sheets = list_of("inventory.countsheet", f"location__id__exact={location.pk}")
    return Panel("Count accuracy", headers, rows, note=note, links=[(sheets, "Count sheets")])
