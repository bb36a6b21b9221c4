"""What Prometheus sees: channels, queues, limits, alerts, proofs, processes. Nothing here is named after a customer or SKU."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, time
from typing import Any, Final

from django.conf import settings
from django.core.cache import cache
from django.db import connection
from django.db.models import Count
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from channels.models import Heartbeat
from reconciliation.checks.channel_facts import ChannelFacts, channel_facts
from reconciliation.checks.drift import latest_drift
from reconciliation.models import Alert, ProofRun, ProofState, Severity
from reconciliation.models.alerts import IS_OPEN

#: Seconds that a web process keeps what it measured: several scrapers cost as much as one.
KEPT_SECONDS: Final = 5
_LABELS: Final = ("channel", "name", "kind")

#: Name → what it is, and its value for one channel; None: not shown.
_OF_CHANNELS: Final[dict[str, tuple[str, Callable[[ChannelFacts], float | None]]]] = {
    "onecount_channel_up": (
        "1 while the breaker of the channel is closed, else 0",
        lambda facts: float(not facts.is_down),
    ),
    "onecount_channel_paused": ("1 while the channel is told nothing", lambda facts: float(facts.is_paused)),
    "onecount_channel_consecutive_failures": (
        "Failures of the whole channel in a row",
        lambda facts: facts.consecutive_failures,
    ),
    "onecount_inbound_queue_size": (
        "Messages and orders waiting to be processed",
        lambda facts: facts.queues.inbound + facts.queues.fetches,
    ),
    "onecount_inbound_queue_age_seconds": (
        "Age of the oldest of them",
        lambda facts: max(
            facts.seconds_since(facts.queues.inbound_since), facts.seconds_since(facts.queues.fetches_since)
        ),
    ),
    "onecount_outbound_queue_size": (
        "Listing levels waiting to be told",
        lambda facts: facts.queues.outbound,
    ),
    "onecount_outbound_queue_age_seconds": (
        "Age of the oldest of them",
        lambda facts: facts.seconds_since(facts.queues.outbound_since),
    ),
    "onecount_last_webhook_timestamp_seconds": (
        "When the last webhook came",
        lambda facts: _stamp(facts.last_webhook_at),
    ),
    "onecount_last_poll_timestamp_seconds": (
        "When orders were last read",
        lambda facts: _stamp(facts.polled_at),
    ),
    "onecount_last_push_timestamp_seconds": (
        "When a number was last told",
        lambda facts: _stamp(facts.last_push_at),
    ),
    "onecount_credentials_expire_timestamp_seconds": (
        "When the credentials of the channel end, as people entered it",
        lambda facts: _stamp(_midnight(facts.credentials_expire_on)),
    ),
    "onecount_subscription_problems": (
        "Webhook subscriptions that are wrong",
        lambda facts: len(facts.subscription_problems),
    ),
}


def measures() -> list[Metric]:
    """Returns all metrics, at most `KEPT_SECONDS` old."""
    kept: list[Metric] | None = cache.get("measures")
    if kept is None:
        kept = [
            *_of_channels(),
            *_of_alerts(),
            *_of_proofs(),
            *_of_processes(),
            *_of_stock(),
            *_of_webhooks(),
        ]
        cache.set("measures", kept, KEPT_SECONDS)
    return kept


def _of_channels() -> Iterator[Metric]:
    facts = channel_facts()
    names = {each.channel_id: _labels(each) for each in facts}
    for name, (text, value_of) in _OF_CHANNELS.items():
        yield _gauge(name, text, _LABELS, [(_labels(each), value_of(each)) for each in facts])
    dead = [
        ((*_labels(each), direction), count)
        for each in facts
        for direction, count in (("in", each.queues.dead_deliveries), ("out", each.queues.dead_pushes))
    ]
    yield _gauge("onecount_dead_letters", "What was given up", (*_LABELS, "direction"), dead)
    errors = [
        ((*_labels(each), code), count) for each in facts for code, count in sorted(each.errors.items())
    ]
    text = "Failures of the last 15 minutes"
    yield _gauge("onecount_recent_errors", text, (*_LABELS, "code"), errors)
    headroom = [((*_labels(each), b.name), b.headroom) for each in facts for b in each.buckets]
    text = "Share of a platform's limit that is left"
    yield _gauge("onecount_limit_headroom_ratio", text, (*_LABELS, "limit"), headroom)
    drifted = [(names[each.channel_id], each.rate) for each in latest_drift() if each.channel_id in names]
    text = "Share of the shelves that differed when they were last compared"
    yield _gauge("onecount_drift_ratio", text, _LABELS, drifted)


def _of_alerts() -> Iterator[Metric]:
    counted = Alert.objects.filter(IS_OPEN).order_by().values_list("kind", "severity").annotate(n=Count("pk"))
    rows = [((kind, Severity(severity).label.lower()), n) for kind, severity, n in counted]
    yield _gauge("onecount_open_alerts", "Alerts that are open", ("kind", "severity"), rows)


def _of_proofs() -> Iterator[Metric]:
    ended = ProofRun.objects.exclude(state=ProofState.RUNNING).order_by("scope", "-pk").distinct("scope")
    rows = list(ended.values_list("scope", "state", "finished_at"))
    held = [((scope,), state == ProofState.HELD) for scope, state, _ in rows]
    yield _gauge("onecount_ledger_proof_held", "1 where the last proof held", ("scope",), held)
    at = [((scope,), _stamp(finished_at)) for scope, _, finished_at in rows]
    text = "When the last proof ended"
    yield _gauge("onecount_ledger_proof_timestamp_seconds", text, ("scope",), at)


def _of_processes() -> Iterator[Metric]:
    beats = [((name,), _stamp(at)) for name, at in Heartbeat.objects.values_list("name", "beat_at")]
    text = "When a process last did its work"
    yield _gauge("onecount_heartbeat_timestamp_seconds", text, ("process",), beats)
    waiting = _one("SELECT count(*) FROM django_q_ormq WHERE lock <= clock_timestamp()")
    yield _gauge("onecount_jobs_waiting", "Wake-ups that no worker has taken", (), [((), waiting)])
    free = shutil.disk_usage(settings.DATA_DIR if settings.DATA_DIR.exists() else settings.BASE_DIR).free
    yield _gauge("onecount_disk_free_bytes", "Space left for the data directory", (), [((), free)])


def _of_stock() -> Iterator[Metric]:
    owed = _one(
        "SELECT coalesce(sum(open_quantity), 0)::bigint FROM inventory_conflict WHERE open_quantity > 0"
    )
    yield _gauge("onecount_owed_units", "Units sold beyond stock and still owed", (), [((), owed)])


def _of_webhooks() -> Iterator[Metric]:
    due = _one(
        "SELECT count(*) FROM reconciliation_webhookmessage WHERE next_attempt_at <= clock_timestamp()"
    )
    text = "Messages to merchants' systems that should be on their way"
    yield _gauge("onecount_webhook_messages_due", text, (), [((), due)])


def _labels(facts: ChannelFacts) -> tuple[str, ...]:
    return str(facts.channel_id), facts.name, facts.kind


def _midnight(day: date | None) -> datetime | None:
    return datetime.combine(day, time.min, tzinfo=UTC) if day else None


def _stamp(at: datetime | None) -> float | None:
    return at.timestamp() if at else None


def _gauge(name: str, text: str, labels: Sequence[str], rows: Sequence[tuple[Sequence[str], Any]]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for values, value in rows:
        if value is not None:
            family.add_metric(list(values), float(value))
    return family


def _one(sql: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        (value,) = cursor.fetchone()
    return int(value)
