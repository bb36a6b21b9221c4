"""All that the checks need to know of the channels, in as many statements whatever their number."""

import json
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any, Final

from channels.connectors import CONNECTORS
from channels.connectors.base import Capabilities
from config.admin_panels import address_of
from config.statements import rows
from reconciliation.checks.queues import MOST_COUNTED, Queues, queues

#: Failures younger than this make up the error rate.
ERRORS_WITHIN: Final = timedelta(minutes=15)
#: A little more than passes between two watches: an outage that is over by then is seen all the same.
LATELY: Final = timedelta(seconds=90)
#: Codes of calls that did not reach a working platform.
UNREACHED: Final = ("unavailable", "unknown_outcome")


@dataclass(frozen=True, slots=True)
class Bucket:
    """A limit of the platform as it is now."""

    name: str
    #: Share of the limit that is left, 0 to 1.
    headroom: float
    blocked_until: datetime | None


@dataclass(slots=True)
class ChannelFacts:
    """One active channel as the database has it, at the instant `now` by the database's clock."""

    now: datetime
    channel_id: int
    merchant_id: int
    name: str
    kind: str
    is_paused: bool
    created_at: datetime
    poll_interval: timedelta | None
    last_webhook_at: datetime | None
    last_success_at: datetime | None
    last_error: str
    consecutive_failures: int
    breaker_open_until: datetime | None
    breaker_reason: str
    subscription_problems: list[dict[str, str]]
    audited_at: datetime | None
    last_push_at: datetime | None
    #: When the order feed was last read, and whether it fails.
    polled_at: datetime | None
    poll_failures: int
    poll_error: str
    token_expires_at: datetime | None
    #: The day that people entered.
    credentials_expire_on: date | None
    #: What waits and what was given up. A paused channel is not told anything, so that nothing waits for it.
    queues: Queues = field(default_factory=Queues)
    #: Failures of the last quarter of an hour, by code; and calls that worked meanwhile.
    errors: dict[str, int] = field(default_factory=dict)
    calls_that_worked: int = 0
    #: Of the last minute and a half: calls that did not reach the platform, and calls that worked.
    recent_failures: int = 0
    recent_successes: int = 0
    #: Code of the newest failure, where nothing has worked since.
    last_code: str = ""
    buckets: list[Bucket] = field(default_factory=list)

    @property
    def capabilities(self) -> Capabilities | None:
        """What its platform can do; None where no connector speaks for it any more."""
        connector = CONNECTORS.get(self.kind)
        return connector.capabilities if connector else None

    @property
    def is_down(self) -> bool:
        """Whether its breaker is open or half open."""
        return self.breaker_open_until is not None

    @property
    def page(self) -> str:
        """The address of the channel's page."""
        return address_of("channels.channel", self.channel_id)

    def seconds_since(self, at: datetime | None) -> float:
        """Returns how long ago an instant was, 0 for none."""
        return max((self.now - at).total_seconds(), 0.0) if at else 0.0


_CHANNELS: Final = """
SELECT clock_timestamp(), c.id, c.merchant_id, c.name, c.kind, c.is_paused, c.created_at, c.poll_interval,
       h.last_webhook_at, h.last_success_at, coalesce(h.last_error, ''), coalesce(h.consecutive_failures, 0),
       h.breaker_open_until, coalesce(h.breaker_reason, ''), coalesce(h.subscription_problems, '[]')::text,
       h.subscriptions_audited_at, h.last_push_at,
       greatest(feed.last_polled_at, h.last_poll_at), coalesce(feed.failures, 0), coalesce(feed.last_error, ''),
       token.expires_at, c.credentials_expire_on
FROM channels_channel c
LEFT JOIN channels_channelhealth h ON h.channel_id = c.id
LEFT JOIN channels_pollfeed feed ON feed.channel_id = c.id AND feed.name = 'orders'
LEFT JOIN channels_accesstoken token ON token.channel_id = c.id
WHERE c.is_active
ORDER BY c.name, c.id
"""

_ERRORS: Final = """
SELECT c.id, failed.code, failed.count, failed.recent
FROM unnest(%(ids)s::bigint[]) AS c (id)
CROSS JOIN LATERAL (
    SELECT code, count(*),
           count(*) FILTER (WHERE at > clock_timestamp() - %(lately)s AND code = ANY(%(unreached)s::text[])) AS recent
    FROM channels_errorentry
    WHERE channel_id = c.id AND at > clock_timestamp() - %(within)s GROUP BY code
) failed
"""

#: What worked is only counted where something failed; calls of one batch share their id.
_WORKED: Final = """
SELECT c.id, worked.count, worked.recent
FROM unnest(%(ids)s::bigint[]) AS c (id)
CROSS JOIN LATERAL (
    SELECT count(DISTINCT call_id),
           count(DISTINCT call_id) FILTER (WHERE finished_at > clock_timestamp() - %(lately)s) AS recent
    FROM (
        SELECT call_id, finished_at FROM channels_push
        WHERE channel_id = c.id ORDER BY id DESC LIMIT %(most)s
    ) w
    WHERE finished_at > clock_timestamp() - %(within)s
) worked
"""

_LAST_CODES: Final = """
SELECT c.id, newest.code
FROM unnest(%(ids)s::bigint[]) AS c (id)
LEFT JOIN channels_channelhealth h ON h.channel_id = c.id
CROSS JOIN LATERAL (
    SELECT code, at FROM channels_errorentry WHERE channel_id = c.id ORDER BY at DESC LIMIT 1
) newest
WHERE coalesce(newest.at > h.last_success_at, true)
"""

_BUCKETS: Final = """
SELECT channel_id, name,
       least(capacity, tokens + refill_per_second * greatest(extract(epoch FROM clock_timestamp() - updated_at), 0))
           / nullif(capacity, 0),
       CASE WHEN blocked_until > clock_timestamp() THEN blocked_until END
FROM channels_ratebucket WHERE channel_id = ANY(%(ids)s::bigint[]) ORDER BY channel_id, name
"""


def channel_facts() -> list[ChannelFacts]:
    """Returns the facts of all active channels, by name; six statements."""
    facts = [_fact(row) for row in rows(_CHANNELS)]
    by_id = {each.channel_id: each for each in facts}
    known = {
        "ids": list(by_id),
        "within": ERRORS_WITHIN,
        "lately": LATELY,
        "unreached": list(UNREACHED),
        "most": MOST_COUNTED,
    }
    for channel_id, waiting in queues(list(by_id)).items():
        facts_of = by_id[channel_id]
        facts_of.queues = replace(waiting, outbound=0, outbound_since=None) if facts_of.is_paused else waiting
    for channel_id, code, count, recent in rows(_ERRORS, known):
        by_id[channel_id].errors[code] = count
        by_id[channel_id].recent_failures += recent
    failing = [each.channel_id for each in facts if each.errors]
    for channel_id, count, recent in rows(_WORKED, {**known, "ids": failing}):
        by_id[channel_id].calls_that_worked = count
        by_id[channel_id].recent_successes = recent
    for channel_id, code in rows(_LAST_CODES, known):
        by_id[channel_id].last_code = code
    for channel_id, name, headroom, blocked_until in rows(_BUCKETS, known):
        by_id[channel_id].buckets.append(Bucket(name, float(headroom or 0.0), blocked_until))
    return facts


def _fact(row: tuple[Any, ...]) -> ChannelFacts:
    values = list(row)
    values[14] = [problem for problem in json.loads(values[14]) if isinstance(problem, dict)]
    return ChannelFacts(*values)
