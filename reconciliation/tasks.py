"""What workers are woken for; each may be called at any time: what there is to do lies in rows."""

import time
from datetime import timedelta
from typing import Final

from django.utils import timezone

from channels import heartbeats
from channels.models import Heartbeat
from channels.retry_queue import insist
from reconciliation import alert_sending, alerts, cancelling, causes, policies, proofs, retention
from reconciliation.checks.installation import WATCH
from reconciliation.health import sweep
from reconciliation.models import ProofScope, WatchGap

#: A watch that comes after a longer pause finds what piled up while nothing ran: it leaves that a minute to clear.
_PAUSE: Final = timedelta(minutes=3)

#: A task ends well before django-q's timeout; what is left is found by the next one.
_LONGEST_RUN: Final = 45.0


def watch() -> int:
    """Checks everything, opens and ends alerts by it, makes old ones worse; returns how many things are wrong."""
    is_back = note_return()
    heartbeats.beat(WATCH)
    wrong = 0 if is_back else sweep()
    alerts.end_mutes()
    alerts.escalate_due()
    alert_sending.send_due()
    proofs.wake_open()
    return wrong


def note_return() -> bool:
    """Writes down when the watch comes back after a pause, and tells whether it does: nobody was there to hear till now."""
    now = timezone.now()
    last = Heartbeat.objects.filter(name=WATCH).values_list("beat_at", flat=True).first()
    if last is not None and last > now - _PAUSE:
        return False
    WatchGap.objects.create(began_at=None if last is None else min(last, now), ended_at=now)
    return True


def send_alerts() -> int:
    """Sends what recipients are to be told; returns how many messages arrived."""
    return alert_sending.send_due()


def prove_recent() -> int:
    """Begins the nightly proof, from the last proven checkpoints on; returns the id of its run."""
    return proofs.start(ProofScope.INCREMENTAL, asked_by="schedule").pk


def prove_all() -> int:
    """Begins the weekly proof of the whole ledger; returns the id of its run."""
    return proofs.start(ProofScope.FULL, asked_by="schedule").pk


def go_on_proving() -> int:
    """Takes open proofs further; returns how many steps were done."""
    return proofs.go_on()


def forget_old() -> dict[str, int]:
    """Deletes alerts that have long been over, and what systems were told long ago; returns how many of each."""
    return {**retention.forget_old_alerts(), **retention.forget_old_webhooks()}


def look_after_conflicts() -> dict[str, int]:
    """Judges new conflicts, applies the policies, and sees what became of cancellations; returns how many of each."""
    return {
        "examined": insist("conflicts", causes.examine_new),
        "resolved": insist("conflict policies", policies.apply_policies),
        "told": tell_platforms(),
    }


def tell_platforms() -> int:
    """Tells platforms the cancellations that are due, and ends those that their orders show; returns how many were told."""
    started, count = time.monotonic(), 0
    while time.monotonic() - started < _LONGEST_RUN and cancelling.tell_next():
        count += 1
    insist("cancelled orders", cancelling.follow_orders)
    return count
