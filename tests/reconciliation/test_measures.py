"""What Prometheus sees."""

from datetime import timedelta

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from channels import breaker
from channels.errors import TransientError
from channels.models import ChannelHealth, ListingLevel
from reconciliation.alerts import Trouble, raise_alert
from reconciliation.measures import measures
from reconciliation.models import Severity
from tests.back_office import SECRET, Business

pytestmark = pytest.mark.django_db


def values() -> dict[tuple[str, ...], float]:
    """Returns every sample: name and label values → value."""
    cache.clear()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for metric in measures()
        for sample in metric.samples
    }


def test_every_channel_is_measured() -> None:
    business = Business.grown(2)
    first, second = business.channels
    labels = (str(first.pk), first.name, first.kind)
    ListingLevel.objects.filter(channel=first).update(
        wanted=2, due_since=timezone.now() - timedelta(seconds=30)
    )
    for _ in range(3):
        breaker.note_failure(first.pk, TransientError("Answered 503."))
    found = values()
    assert found["onecount_channel_up", *labels] == 0
    assert found["onecount_channel_up", str(second.pk), second.name, second.kind] == 1
    assert found["onecount_outbound_queue_size", *labels] == 1
    assert found["onecount_outbound_queue_age_seconds", *labels] >= 30
    assert found["onecount_dead_letters", *labels, "in"] == 1
    assert found["onecount_recent_errors", *labels, "unavailable"] == 4
    assert 0 < found["onecount_limit_headroom_ratio", *labels, "calls"] <= 1


def test_alerts_proofs_processes_and_stock_are_measured() -> None:
    Business.grown(1)
    raise_alert("ledger_diverges", Trouble("No", severity=Severity.EMERGENCY))
    found = values()
    assert found["onecount_open_alerts", "channel_down", "warning"] == 1
    assert found["onecount_open_alerts", "ledger_diverges", "emergency"] == 1
    assert found["onecount_ledger_proof_held", "full"] == 1
    assert found["onecount_owed_units",] == 2
    assert found["onecount_disk_free_bytes",] > 0


def test_no_secret_is_measured_and_what_never_happened_is_left_out(client: Client) -> None:
    Business.grown(1)
    ChannelHealth.objects.update(last_webhook_at=None)
    cache.clear()
    text = client.get("/metrics").content.decode()
    assert SECRET not in text
    assert "onecount_last_webhook_timestamp_seconds{" not in text
    assert 'onecount_channel_up{channel="' in text


def test_measuring_costs_the_same_whatever_there_is_and_nothing_while_it_is_kept() -> None:
    counts = []
    for _ in range(2):
        Business.grown(3)
        cache.clear()
        with CaptureQueriesContext(connection) as captured:
            measures()
        counts.append(len(captured))
    assert counts[0] == counts[1]
    with CaptureQueriesContext(connection) as captured:
        measures()
    assert len(captured) == 0
