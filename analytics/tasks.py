"""What workers do on schedule; each may be called at any time."""

from typing import Final

from analytics.facts.updating import update
from analytics.kpis import measuring
from analytics.reports.sending import send_due

#: A task ends well before django-q's timeout; what is left is for the next run.
_LONGEST_RUN: Final = 45.0


def keep_facts() -> int:
    """Counts what is new and measures the days that it concerns; returns how many movements and changes of orders."""
    done = update(seconds=_LONGEST_RUN)
    measuring.measure_due()
    return done.movements + done.changes


def measure_late() -> int:
    """Measures the last two weeks anew; returns how many days."""
    return measuring.measure_late()


def send_reports() -> int:
    """Sends the daily reports that are due; returns how many."""
    return send_due(seconds=_LONGEST_RUN)
