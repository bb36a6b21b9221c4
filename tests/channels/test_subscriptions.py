"""Subscriptions are audited and mended, and a replaced webhook secret is kept for its overlap."""

from datetime import UTC, datetime, timedelta

import pytest

from channels.connectors import CONNECTORS
from channels.models import Channel, ChannelHealth
from channels.sandbox import INSTANT, SANDBOXES
from channels.signing_secrets import OVERLAP, with_new
from channels.subscriptions import audit
from tests.factories import ChannelFactory

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def test_a_replaced_secret_stays_valid_for_its_overlap() -> None:
    kept = with_new({"consumer_key": "k", "webhook_secret": "old"}, {"webhook_secret": "new"}, now=NOW)
    assert (kept["consumer_key"], kept["webhook_secret"]) == ("k", "new")
    assert kept["previous_webhook_secrets"] == [
        {"secret": "old", "valid_until": (NOW + OVERLAP).isoformat()},
    ]


def test_a_secret_whose_overlap_is_over_is_dropped() -> None:
    stale = {"secret": "older", "valid_until": (NOW - timedelta(seconds=1)).isoformat()}
    kept = with_new({"previous_webhook_secrets": [stale]}, {"webhook_secret": "new"}, now=NOW)
    assert kept["previous_webhook_secrets"] == []


def test_the_same_secret_again_replaces_nothing() -> None:
    kept = with_new({"webhook_secret": "same"}, {"webhook_secret": "same"}, now=NOW)
    assert "previous_webhook_secrets" not in kept


@pytest.mark.django_db
@pytest.mark.parametrize(
    "kind", [kind for kind in SANDBOXES if CONNECTORS[kind].capabilities.manages_subscriptions]
)
def test_an_audit_that_mends_everything_leaves_no_problem(kind: str) -> None:
    with SANDBOXES[kind](profile=INSTANT, limits="generous") as sandbox:
        channel = ChannelFactory(
            kind=kind, settings=sandbox.settings(), credentials=dict(sandbox.credentials())
        )
        assert audit(channel) == []
        assert ChannelHealth.objects.get(channel=channel).subscription_problems == []
        assert audit(Channel.objects.get(pk=channel.pk)) == []
