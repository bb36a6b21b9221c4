"""The schedules of this app, kept beside those of the channels."""

from django_q.models import Schedule

from channels.schedules import add_schedule


def add_schedules() -> None:
    """Has health watched every minute, and the ledger proven every night and once a week in full."""
    add_schedule("Watch over health", "reconciliation.tasks.watch", Schedule.MINUTES, minutes=1)
    add_schedule("Nightly proof of the ledger", "reconciliation.tasks.prove_recent", Schedule.DAILY, hour=2)
    add_schedule("Weekly proof of the ledger", "reconciliation.tasks.prove_all", Schedule.WEEKLY, hour=3)
    add_schedule("Forgetting of old alerts", "reconciliation.tasks.forget_old", Schedule.DAILY, hour=4)
