"""What the analytics app has done on schedule."""

from django_q.models import Schedule

from channels.schedules import add_schedule


def add_schedules() -> None:
    """Has facts and figures kept every minute, late ones corrected at night, and reports sent when they are due."""
    add_schedule("Facts and key figures", "analytics.tasks.keep_facts", Schedule.MINUTES, minutes=1)
    add_schedule("Late key figures", "analytics.tasks.measure_late", Schedule.DAILY, hour=2)
    add_schedule("Daily reports", "analytics.tasks.send_reports", Schedule.MINUTES, minutes=5)
