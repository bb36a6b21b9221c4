"""Sends the daily reports: each day of a merchant once, from the hour that its plan says.

A report is claimed in its own transaction before it is sent, and noted afterwards. Where the process dies in between it is
sent again after a while: rather twice than never.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from time import monotonic
from typing import Any, Final

import structlog
from django.conf import settings
from django.db import connection
from django.utils import timezone

from analytics.models import ReportPlan, ReportRun, ReportState
from analytics.reports.content import report_of
from analytics.reports.mail import message_of

log = structlog.get_logger(__name__)

#: After so long a report that is being sent counts as left behind, and one that failed is tried again.
PATIENCE: Final = timedelta(minutes=15)
#: Attempts before it stays failed; a person may still send it.
ATTEMPTS: Final = 6

# Whoever comes second finds it claimed.
_CLAIM: Final = """
INSERT INTO analytics_reportrun AS run (merchant_id, reported_on, state, recipients, attempts, error, started_at)
VALUES (%(merchant)s, %(day)s, 'sending', %(recipients)s::varchar[], 1, '', %(now)s)
ON CONFLICT (merchant_id, reported_on) DO UPDATE
SET state = 'sending', recipients = excluded.recipients, attempts = run.attempts + 1, error = '',
    started_at = excluded.started_at
WHERE run.state <> 'sent' AND run.attempts < %(attempts)s AND run.started_at < %(left_behind)s
RETURNING run.id
"""


def send_due(*, now: datetime | None = None, seconds: float | None = None) -> int:
    """Sends yesterday's reports whose hour has come and that are not sent yet; returns how many were sent."""
    moment = now or timezone.now()
    until = None if seconds is None else monotonic() + seconds
    day = moment.date() - timedelta(days=1)
    done = ReportRun.objects.filter(reported_on=day, state=ReportState.SENT)
    plans = ReportPlan.objects.filter(is_active=True, merchant__is_active=True, hour__lte=moment.hour)
    sent = 0
    for plan in plans.exclude(merchant__in=done.values("merchant")).select_related("merchant").order_by("id"):
        if until is not None and monotonic() > until:
            break
        run_id = _claim(plan, day, moment)
        sent += run_id is not None and _send(plan, day, run_id)
    return sent


def send_now(plan: ReportPlan, day: date) -> ReportRun:
    """Sends the report of a day, whether or not it was sent before; the row says what became of it."""
    run, _ = ReportRun.objects.update_or_create(
        merchant_id=plan.merchant_id,
        reported_on=day,
        defaults={"state": ReportState.SENDING, "recipients": plan.recipients, "started_at": timezone.now()},
    )
    _send(plan, day, run.pk)
    run.refresh_from_db()
    return run


def _claim(plan: ReportPlan, day: date, now: datetime) -> int | None:
    parameters: dict[str, Any] = {
        "merchant": plan.merchant_id,
        "day": day,
        "recipients": plan.recipients,
        "now": now,
        "attempts": ATTEMPTS,
        "left_behind": now - PATIENCE,
    }
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, parameters)
        row = cursor.fetchone()
    return row[0] if row else None


def _send(plan: ReportPlan, day: date, run_id: int) -> bool:
    """Sends it, outside any transaction, and notes how that ended."""
    error = _error_of_sending(plan, day, plan.recipients)
    now = timezone.now()
    if error:
        log.warning("report_not_sent", merchant=plan.merchant_id, day=str(day), error=error)
        ReportRun.objects.filter(pk=run_id).update(state=ReportState.FAILED, error=error)
    else:
        ReportRun.objects.filter(pk=run_id).update(state=ReportState.SENT, sent_at=now, error="")
    return not error


def _error_of_sending(plan: ReportPlan, day: date, recipients: Sequence[str]) -> str:
    if not settings.EMAIL_HOST:
        return "No mail server is set: give EMAIL_HOST, as in .env.example."
    message = message_of(report_of(plan.merchant, day), recipients, has_csv=plan.has_csv)
    try:
        message.send()
    except OSError as error:
        # Every failure of SMTP is one of these.
        return f"The mail server refused it: {error}"[:2000]
    return ""
