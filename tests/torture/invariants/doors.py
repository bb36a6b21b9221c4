"""The doors: what was acknowledged is stored once, what is false is refused, and nobody sees an error of ours."""

from typing import Final

from django.urls import reverse

from tests.torture.faults.outside import POISON
from tests.torture.invariants.evidence import Evidence, rows
from tests.torture.invariants.pages import opened_pages
from tests.torture.verdict import Violation, violated

_STORED: Final = """
SELECT delivery.dedupe_key, delivery.topic FROM channels_webhookdelivery delivery
WHERE delivery.channel_id = %s AND delivery.dedupe_key NOT LIKE %s
"""


#: A message that waits for its turn is taken within a second, one whose worker was killed within a minute.
_NOT_APPLIED: Final = """
SELECT channel.name, delivery.topic, delivery.state, delivery.takes FROM channels_webhookdelivery delivery
JOIN channels_channel channel ON channel.id = delivery.channel_id
WHERE delivery.dedupe_key NOT LIKE %s
  AND (delivery.state = 'received' AND delivery.received_at < clock_timestamp() - interval '90 seconds'
       OR delivery.state = 'received' AND delivery.priority = 0
       OR delivery.state IN ('processed', 'unknown') AND delivery.processed_at IS NULL)
"""


def acknowledged_is_stored_once(evidence: Evidence) -> list[Violation]:
    """Compares the keys of what the street saw acknowledged with what is stored."""
    world = evidence.world
    missing, unexpected = [], []
    for channel in world.channels:
        path = reverse("channels:webhook", args=[channel.public_id])
        stored = dict(rows(_STORED, [channel.pk, f"{POISON}%"]))
        acknowledged = world.street.record.acknowledged.get(path, set())
        sent = world.street.record.sent.get(path, set())
        missing += [f"{channel.name}: {key[:80]}" for key in sorted(acknowledged - stored.keys())]
        unexpected += [f"{channel.name}: {stored[key]}" for key in sorted(stored.keys() - sent)]
    name = "acknowledged-is-stored-once"
    return violated(name, "{count} messages were acknowledged and are not stored", missing) + violated(
        name, "{count} messages are stored more than once, or were never sent", unexpected
    )


def acknowledged_is_applied(evidence: Evidence) -> list[Violation]:
    """Looks for messages that wait although nothing else does; what was applied twice stands out in the books."""
    waiting = rows(_NOT_APPLIED, [f"{POISON}%"])
    return violated("acknowledged-is-applied", "{count} messages are stored and not applied", waiting)


def forgeries_are_refused(evidence: Evidence) -> list[Violation]:
    """Names forgeries that were taken."""
    what = "{count} forgeries were taken"
    return violated("forgeries-are-refused", what, list(evidence.world.street.record.taken_in))


def nothing_answers_500(evidence: Evidence) -> list[Violation]:
    """Names the statuses of 500 and above that webhooks, API and pages gave; 503 says: send it again."""
    world = evidence.world
    statuses = world.street.record.statuses + world.clerk.account.statuses
    cases = [f"{count} × {status}" for status, count in statuses.items() if status >= 500 and status != 503]
    cases += [f"{path}: {status}" for path, status, _ in opened_pages(evidence) if status >= 500]
    return violated("nothing-answers-500", "{count} kinds of errors", cases)


def repeats_are_answered_alike(evidence: Evidence) -> list[Violation]:
    """Names calls that got two answers, or none."""
    account = evidence.world.clerk.account
    name = "repeats-are-answered-alike"
    return violated(name, "{count} calls were answered in two ways", account.ambiguous) + violated(
        name, "{count} calls were never answered", account.unanswered
    )
