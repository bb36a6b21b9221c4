"""Alerts: opened once, worse with time, over by themselves; acknowledged or muted by people, with a reason.

    raise_alert("breaker_open", "Web shop cannot be reached", channel=channel, remedy="…")
    clear_alert("breaker_open", channel=channel)

Both may be called as often as one likes and from any transaction: what is open is only seen again, what is not open is
not over. Whom it is told is written in the same transaction and sent afterwards (`reconciliation.alert_messages`).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from channels.models import Channel
from inventory.models import Merchant
from reconciliation.alert_messages import announce
from reconciliation.models import Alert, AlertDelivery, Severity
from reconciliation.models.alerts import IS_OPEN, AlertEvent

#: After so long a warning that nobody has acknowledged becomes critical.
ESCALATES_AFTER: Final = timedelta(hours=1)

#: Columns that are brought up to date when a thing is seen again.
_SEEN: Final = (
    "severity", "title", "detail", "remedy", "link", "evidence", "last_seen_at", "occurrences", "escalated_at",
    "escalates_at",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong, in words for people."""

    title: str
    detail: str = ""
    #: What to do, naming page and action.
    remedy: str = ""
    severity: Severity = Severity.WARNING
    #: Address of the page that shows more, within this site.
    link: str = ""
    evidence: dict[str, Any] = field(default_factory=dict)
    #: After so long without an acknowledgement it becomes critical; None: it does not.
    escalates_after: timedelta | None = ESCALATES_AFTER


def raise_alert(
    kind: str,
    trouble: Trouble,
    *,
    channel: Channel | int | None = None,
    merchant: Merchant | int | None = None,
    subject: str = "",
) -> Alert:
    """Opens the alert of a thing, or notes that it is still wrong; tells recipients when it is new or worse.

    The thing is named by kind, channel, merchant and subject. The merchant of a channel goes without saying. An alert
    never becomes less severe while it is open.
    """
    key = _key(kind, channel, merchant, subject)
    now = timezone.now()
    with transaction.atomic():
        defaults = {"opened_at": now, "last_seen_at": now, **_words(trouble)}
        open_alerts = Alert.objects.select_for_update(of=("self",))
        alert, is_new = open_alerts.get_or_create(
            **key, resolved_at=None, defaults={**defaults, **_deadline(trouble, now)}
        )
        if is_new:
            _carry_mute_over(alert, now)
            announce(alert, AlertEvent.OPENED)
        else:
            _see_again(alert, trouble, now)
    return alert


def clear_alert(
    kind: str,
    *,
    channel: Channel | int | None = None,
    merchant: Merchant | int | None = None,
    subject: str = "",
    because: str = "",
) -> bool:
    """Ends the alert of a thing, if it is open; returns whether it was. Those who were told of it hear of its end."""
    return bool(_resolve(Alert.objects.filter(**_key(kind, channel, merchant, subject)), because=because))


def clear_alerts_except(kinds: Collection[str], ids: Collection[int]) -> int:
    """Ends the open alerts of these kinds that are none of these; returns how many. For checks that see everything."""
    return _resolve(Alert.objects.filter(kind__in=kinds).exclude(pk__in=ids))


def escalate_due(*, now: datetime | None = None) -> int:
    """Makes warnings worse that nobody has acknowledged in time; returns how many."""
    now = now or timezone.now()
    due = Alert.objects.filter(IS_OPEN, escalates_at__lte=now, acknowledged_at__isnull=True)
    count = 0
    for pk in due.order_by("pk").values_list("pk", flat=True):
        with transaction.atomic():
            alert = due.select_for_update(of=("self",)).filter(pk=pk).first()
            if alert is None or _is_muted(alert, now):
                continue
            alert.severity = max(alert.severity, Severity.CRITICAL)
            alert.escalated_at, alert.escalates_at = now, None
            alert.save(update_fields=["severity", "escalated_at", "escalates_at"])
            announce(alert, AlertEvent.ESCALATED)
            count += 1
    return count


def acknowledge(ids: Sequence[int], *, actor: str, because: str) -> int:
    """Notes that somebody sees to open alerts, so that they do not become worse by themselves; returns how many."""
    fields = {
        "acknowledged_at": timezone.now(),
        "acknowledged_by": actor,
        "acknowledged_because": because,
        "escalates_at": None,
    }
    return Alert.objects.filter(IS_OPEN, pk__in=ids, acknowledged_at__isnull=True).update(**fields)


def mute(ids: Sequence[int], *, until: datetime, actor: str, because: str) -> int:
    """Has nobody told of open alerts until an instant, also where they are over and come again; returns how many."""
    fields = {"muted_until": until, "muted_by": actor, "muted_because": because}
    return Alert.objects.filter(IS_OPEN, pk__in=ids).update(**fields)


def unmute(ids: Sequence[int]) -> int:
    """Has people told of alerts again; returns how many were muted."""
    return _end_mutes(Alert.objects.filter(pk__in=ids, muted_until__gt=timezone.now()))


def end_mutes() -> int:
    """Has people told of open alerts whose mute is over; returns how many."""
    return _end_mutes(Alert.objects.filter(IS_OPEN, muted_until__lte=timezone.now()))


def _end_mutes(muted: QuerySet[Alert]) -> int:
    """Ends mutes. What is open and nobody has heard of is told now: it is as wrong as it was."""
    with transaction.atomic():
        ending = list(muted.select_for_update(of=("self",)).order_by("pk"))
        Alert.objects.filter(pk__in=[alert.pk for alert in ending]).update(
            muted_until=None, muted_by="", muted_because=""
        )
        told = set(
            AlertDelivery.objects.filter(alert__in=ending).values_list("alert_id", flat=True).distinct()
        )
        for alert in ending:
            alert.muted_until = None
            if alert.resolved_at is None and alert.pk not in told:
                announce(alert, AlertEvent.OPENED)
    return len(ending)


def resolve_by_hand(ids: Sequence[int], *, actor: str, because: str) -> int:
    """Ends open alerts; one whose cause lasts opens again when it is next noticed. Returns how many."""
    return _resolve(Alert.objects.filter(pk__in=ids), actor=actor, because=because)


def muted_things() -> set[tuple[Any, ...]]:
    """Returns the things whose open alerts are muted now, as (kind, merchant, channel, subject)."""
    muted = Alert.objects.filter(IS_OPEN, muted_until__gt=timezone.now())
    return set(muted.values_list("kind", "merchant_id", "channel_id", "subject"))


def is_muted(alert: Alert) -> bool:
    """Returns whether nobody is told of an alert now."""
    return _is_muted(alert, timezone.now())


def _key(
    kind: str, channel: Channel | int | None, merchant: Merchant | int | None, subject: str
) -> dict[str, Any]:
    channel_id = channel.pk if isinstance(channel, Channel) else channel
    merchant_id = merchant.pk if isinstance(merchant, Merchant) else merchant
    if merchant_id is None and channel_id is not None:
        known = channel.merchant_id if isinstance(channel, Channel) else None
        merchant_id = known or Channel.objects.values_list("merchant_id", flat=True).get(pk=channel_id)
    return {"kind": kind, "channel_id": channel_id, "merchant_id": merchant_id, "subject": subject[:200]}


def _words(trouble: Trouble) -> dict[str, Any]:
    return {
        "severity": trouble.severity,
        "title": trouble.title[:300],
        "detail": trouble.detail,
        "remedy": trouble.remedy,
        "link": trouble.link,
        "evidence": trouble.evidence,
    }


def _deadline(trouble: Trouble, now: datetime) -> dict[str, Any]:
    rises = trouble.severity < Severity.CRITICAL and trouble.escalates_after is not None
    return {"escalates_at": now + trouble.escalates_after if rises and trouble.escalates_after else None}


def _see_again(alert: Alert, trouble: Trouble, now: datetime) -> None:
    is_worse = trouble.severity > alert.severity
    words = _words(trouble) | {"severity": max(alert.severity, trouble.severity)}
    for name, value in words.items():
        setattr(alert, name, value)
    alert.last_seen_at = now
    alert.occurrences += 1
    if is_worse:
        alert.escalated_at, alert.escalates_at = now, None
    alert.save(update_fields=list(_SEEN))
    if is_worse:
        announce(alert, AlertEvent.ESCALATED)


def _carry_mute_over(alert: Alert, now: datetime) -> None:
    """Mutes an alert whose thing was muted when it was last wrong."""
    key = {name: getattr(alert, name) for name in ("kind", "channel_id", "merchant_id", "subject")}
    last = Alert.objects.filter(**key).exclude(pk=alert.pk).order_by("-pk").first()
    if last is not None and _is_muted(last, now):
        alert.muted_until, alert.muted_by = last.muted_until, last.muted_by
        alert.muted_because = last.muted_because
        alert.save(update_fields=["muted_until", "muted_by", "muted_because"])


def _is_muted(alert: Alert, now: datetime) -> bool:
    return alert.muted_until is not None and alert.muted_until > now


def _resolve(alerts: QuerySet[Alert], *, actor: str = "", because: str = "") -> int:
    with transaction.atomic():
        ending = list(alerts.filter(IS_OPEN).select_for_update(of=("self",)).order_by("pk"))
        for alert in ending:
            alert.resolved_at = max(timezone.now(), alert.opened_at)
            alert.resolved_by, alert.resolved_because = actor, because
            alert.save(update_fields=["resolved_at", "resolved_by", "resolved_because"])
            announce(alert, AlertEvent.RESOLVED)
    return len(ending)
