"""All checks together: what is wrong opens an alert, what is right again ends it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

import structlog
from django.db import DatabaseError, transaction

from channels.feeds import ask_for_poll
from config.jobs import wake
from reconciliation.alerts import clear_alerts_except, raise_alert
from reconciliation.checks.channel_checks import CHANNEL_CHECKS
from reconciliation.checks.channel_facts import ChannelFacts, channel_facts
from reconciliation.checks.drift import drift
from reconciliation.checks.installation import clock, dead_tasks, disk, processes, schedules
from reconciliation.checks.ledger import proof
from reconciliation.checks.results import Result
from reconciliation.checks.silence import poll_doubtful, webhooks
from reconciliation.checks.subscriptions import receivers
from reconciliation.checks.waiting import waiting

log = structlog.get_logger(__name__)


def channels() -> list[Result]:
    """Checks every active channel."""
    return [result for facts in channel_facts() for result in _of_one(facts)]


def _of_one(facts: ChannelFacts) -> list[Result]:
    found = [check(facts) for check in CHANNEL_CHECKS]
    return [result for result in found if result is not None]


#: Name → what it checks, and the kinds of alerts that it alone opens and ends.
CHECKS: Final[dict[str, tuple[Callable[[], Iterable[Result]], tuple[str, ...]]]] = {
    "channels": (
        channels,
        (
            "no_connector",
            "channel_down",
            "access_refused",
            "access_expires",
            "polls_missed",
            "subscriptions_wrong",
            "inbound_late",
            "outbound_late",
            "dead_letters",
            "no_headroom",
            "error_rate",
        ),
    ),
    "webhooks": (webhooks, ("webhooks_silent",)),
    "receivers": (receivers, ("webhook_disabled", "webhook_failing")),
    "drift": (drift, ("drift",)),
    "things to do": (
        waiting,
        (
            "conflicts_waiting",
            "cancellations_by_hand",
            "discrepancies_waiting",
            "mass_changes_held",
            "retries_exhausted",
            "alerts_undelivered",
        ),
    ),
    "ledger": (proof, ("ledger_diverges", "proof_overdue")),
    "clock": (clock, ("clock_skew",)),
    "disk": (disk, ("disk_full",)),
    "processes": (processes, ("process_silent",)),
    "schedules": (schedules, ("schedules_late",)),
    "dead tasks": (dead_tasks, ("tasks_killed_workers",)),
}


@dataclass(frozen=True, slots=True)
class Report:
    """What one check found, or why it could not look."""

    name: str
    kinds: tuple[str, ...]
    results: list[Result] = field(default_factory=list)
    error: str = ""

    @property
    def wrong(self) -> list[Result]:
        """The things that are not as they should be."""
        return [result for result in self.results if not result.is_ok]


def look() -> list[Report]:
    """Runs every check; one that fails itself says so and hides no other."""
    return [_looked(name, run, kinds) for name, (run, kinds) in CHECKS.items()]


def _looked(name: str, run: Callable[[], Iterable[Result]], kinds: tuple[str, ...]) -> Report:
    try:
        with transaction.atomic():
            return Report(name, kinds, list(run()))
    except (DatabaseError, OSError) as error:
        log.warning("check_failed", check=name, error=str(error))
        return Report(name, kinds, error=str(error) or type(error).__name__)


def sweep() -> int:
    """Looks at everything, opens and ends alerts by it; returns how many things are wrong.

    Where a check could not look, its alerts stay as they are. Busy shops that have fallen silent are polled, for the next look.
    """
    reports = look()
    _poll_doubtful()
    for report in reports:
        if not report.error:
            _settle(report)
    return sum(len(report.wrong) + bool(report.error) for report in reports)


def _poll_doubtful() -> None:
    try:
        with transaction.atomic():
            poll_doubtful()
    except DatabaseError as error:
        log.warning("doubtful_not_polled", error=str(error))


def _settle(report: Report) -> None:
    open_ids = [_raise(result) for result in report.wrong]
    clear_alerts_except(report.kinds, open_ids)


def _raise(result: Result) -> int:
    alert = raise_alert(
        result.kind,
        result.trouble,
        channel=result.channel_id,
        merchant=result.merchant_id,
        subject=result.subject,
    )
    if alert.occurrences == 1 and result.kind == "webhooks_silent":
        _mend_webhooks(result.channel_id)
    return int(alert.pk)


def _mend_webhooks(channel_id: int | None) -> None:
    """Has the subscriptions of a silent channel audited and mended, and what it did not say polled, at once."""
    if channel_id is not None:
        wake("channels.tasks.audit_channel", channel_id)
        ask_for_poll(channel_id)
