"""Webhooks of orders that have gone silent, judged against the channel's own rhythm.

    orders came by polling, and no webhook of any       → the webhooks are broken, however quiet or young the shop is
    as long a time, at the same hours of earlier weeks  → so many messages would have been usual by now
    less than two weeks known                           → the same with the days before, against a higher bar
    less than one week known                            → nothing is usual yet

A busy shop that falls silent is polled at once, whatever its age: what the poll brings decides.

What is usual is the smallest of several earlier weeks (or days), so that a quiet holiday among them is enough to keep
quiet. The time compared begins where the silence began: the longer it lasts, the more would have been usual. It does not begin
before we were there to hear: after an outage of ours, or of the platform, everybody begins anew. News of shelves and products
are no word about orders: they go on where the webhooks of orders alone are broken.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from channels.connectors import CONNECTORS
from channels.feeds import ORDERS, ask_for_poll
from channels.models import PollFeed
from channels.models.inbound import DeliveryPriority
from config.admin_panels import address_of, duration
from config.statements import rows
from reconciliation.checks.results import Result
from reconciliation.models import Severity

#: Messages that would have been usual: with six, chance alone stays silent once in 400 times.
USUAL: Final = 6
#: The same where less than two weeks are known: few days may have been unlike this one.
USUAL_WHEN_YOUNG: Final = 12
#: So many that nobody is in doubt.
USUAL_IS_CRITICAL: Final = 60
#: Silence shorter than this is never worth a word.
SHORTEST: Final = 30.0
#: Orders that came by polling, each sold so many seconds ago, that have a webhook missing: some, or many.
MISSED_ORDERS: Final = 3
MISSED_FOR: Final = 60.0
MANY_MISSED: Final = 10
MANY_MISSED_FOR: Final = 20.0
#: Messages that would have come by now at the pace of the hour before: enough to have the shop polled.
DOUBTFUL: Final = 30
DOUBTFUL_AFTER: Final = 20.0
#: Fewer messages than these within the hour before have no pace.
FEWEST_FOR_A_PACE: Final = 20
#: Days before: the same weekday; and where fewer than two of these are known, these.
WEEKS: Final = (7, 14, 21, 28)
YOUNG: Final = (1, 2, 3, 7)
#: With fewer days there is no rhythm: a weekend has not been seen.
FEWEST_DAYS: Final = 7.0
#: The longest time that is compared, in seconds.
LONGEST: Final = 86_400.0
_MOST_COUNTED: Final = 1000
#: Where customers live is not known; these change their clocks on the days on which most of the others do.
_ZONES: Final = ("Europe/Amsterdam", "America/New_York")
#: Messages looked through for the last one of an order; where there is none, the silence is as long as these go back.
_MOST_LOOKED_AT: Final = 20_000


@dataclass(slots=True)
class Silence:
    """A channel whose webhooks of orders have been silent for `seconds`."""

    channel_id: int
    merchant_id: int
    name: str
    kind: str
    is_down: bool
    #: The last message of an order; None where there was never one.
    last_at: datetime | None
    #: When the silence began: with the last message, the channel, or the end of an outage, whichever was last.
    since: datetime
    seconds: float
    #: Days for which there is a record.
    days_known: float
    #: Messages of orders in the hour before the silence.
    hour_before: int
    #: Orders sold since that came without a message: `MISSED_FOR` ago, and `MANY_MISSED_FOR` ago.
    missed_orders: int
    missed_lately: int
    #: Days before → messages in as long a time, from the same hour on.
    usual: dict[int, int] = field(default_factory=dict)


_SILENT: Final = """
WITH back AS (
    SELECT max(ended_at) AS at FROM reconciliation_watchgap
)
SELECT c.id, c.merchant_id, c.name, c.kind, h.breaker_open_until IS NOT NULL, last.at, begun.at,
       extract(epoch FROM clock_timestamp() - begun.at)::float8,
       coalesce(extract(epoch FROM begun.at - (
           SELECT received_at FROM channels_webhookdelivery WHERE channel_id = c.id ORDER BY received_at LIMIT 1
       ))::float8 / 86400, 0),
       (SELECT count(*) FROM (
           SELECT FROM channels_webhookdelivery
           WHERE channel_id = c.id AND received_at > begun.at - interval '1 hour' AND priority = %(order)s
           LIMIT %(most)s
       ) w),
       missed.count, missed.lately
FROM channels_channel c
CROSS JOIN back
LEFT JOIN channels_channelhealth h ON h.channel_id = c.id
CROSS JOIN LATERAL (
    SELECT coalesce((
        SELECT received_at FROM (
            SELECT received_at, priority FROM channels_webhookdelivery
            WHERE channel_id = c.id ORDER BY received_at DESC LIMIT %(looked_at)s
        ) newest
        WHERE priority = %(order)s ORDER BY received_at DESC LIMIT 1
    ), (
        SELECT received_at FROM channels_webhookdelivery
        WHERE channel_id = c.id ORDER BY received_at DESC OFFSET %(looked_at)s LIMIT 1
    )) AS at
) last
LEFT JOIN LATERAL (
    SELECT coalesce(resolved_at, clock_timestamp()) AS at FROM reconciliation_alert
    WHERE channel_id = c.id AND kind = 'channel_down' ORDER BY id DESC LIMIT 1
) reached ON true
CROSS JOIN LATERAL (
    SELECT greatest(coalesce(last.at, c.created_at), back.at, reached.at) AS at
) begun
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE sold_at < clock_timestamp() - make_interval(secs => %(missed_for)s)) AS count,
           count(*) FILTER (WHERE sold_at < clock_timestamp() - make_interval(secs => %(many_missed_for)s)) AS lately
    FROM (
        SELECT coalesce(ordered_at, arrived_at) AS sold_at FROM channels_channelorder
        WHERE channel_id = c.id AND arrived_at > begun.at AND NOT is_test
        LIMIT %(most)s
    ) placed
    WHERE sold_at > begun.at
) missed
WHERE c.is_active AND c.kind = ANY(%(kinds)s::text[])
ORDER BY c.name, c.id
"""

_USUAL: Final = """
SELECT earlier.id, earlier.days, (
    SELECT count(*) FROM (
        SELECT FROM channels_webhookdelivery
        WHERE channel_id = earlier.id AND received_at > earlier.since
          AND received_at <= earlier.until
          AND priority = %(order)s
        LIMIT %(most)s
    ) w)
FROM unnest(%(ids)s::bigint[], %(days)s::int[], %(begun)s::timestamptz[], %(until)s::timestamptz[])
    AS earlier (id, days, since, until)
"""


def silences() -> list[Silence]:
    """Returns how long each active channel with order webhooks has been silent, and what was usual; two statements."""
    kinds = [kind for kind, connector in CONNECTORS.items() if connector.capabilities.order_webhooks]
    asked = {
        "kinds": kinds,
        "missed_for": MISSED_FOR,
        "many_missed_for": MANY_MISSED_FOR,
        "most": _MOST_COUNTED,
        "looked_at": _MOST_LOOKED_AT,
        "order": DeliveryPriority.ORDER,
    }
    found = [Silence(*row) for row in rows(_SILENT, asked)]
    compare([each for each in found if each.seconds >= SHORTEST and each.days_known >= FEWEST_DAYS])
    return found


def compare(silent: Sequence[Silence]) -> None:
    """Counts what was usual in as long a time on earlier days; one statement.

    Customers keep the hours of their clocks: across a change of these the same hours are others by ours, and the smaller
    count is taken.
    """
    spans = [
        (each.channel_id, days, *span)
        for each in silent
        for days in sorted({*YOUNG, *WEEKS})
        for span in same_hours(each.since, min(each.seconds, LONGEST), days)
    ]
    if not spans:
        return
    ids, earlier, begun, until = (list(column) for column in zip(*spans, strict=True))
    compared = {
        "ids": ids,
        "days": earlier,
        "begun": begun,
        "until": until,
        "most": _MOST_COUNTED,
        "order": DeliveryPriority.ORDER,
    }
    by_id = {each.channel_id: each for each in silent}
    for channel_id, days, count in rows(_USUAL, compared):
        usual = by_id[channel_id].usual
        usual[days] = min(usual.get(days, count), count)


def same_hours(since: datetime, seconds: float, days: int) -> set[tuple[datetime, datetime]]:
    """Returns from when to when it was as late so many days before; two spans where clocks were changed in between."""
    until = since + timedelta(seconds=seconds)
    return {(_earlier(since, days, zone), _earlier(until, days, zone)) for zone in (UTC, *_zones())}


def _earlier(instant: datetime, days: int, zone: tzinfo) -> datetime:
    local = instant.astimezone(zone).replace(tzinfo=None) - timedelta(days=days)
    return local.replace(tzinfo=zone).astimezone(UTC)


@cache
def _zones() -> tuple[ZoneInfo, ...]:
    """Returns the zones; none on a machine that knows of no zones."""
    try:
        return tuple(ZoneInfo(name) for name in _ZONES)
    except ZoneInfoNotFoundError:
        return ()


def expected(silence: Silence) -> tuple[int, int]:
    """Returns how many messages would have been usual by now, and how many there must be for an alert.

    The first is never less, the longer the silence lasts.
    """
    weeks = [silence.usual[day] for day in WEEKS if day <= silence.days_known and day in silence.usual]
    if len(weeks) >= 2:
        return min(weeks), USUAL
    if silence.days_known < FEWEST_DAYS:
        return 0, USUAL_WHEN_YOUNG
    return min((silence.usual[day] for day in YOUNG if day in silence.usual), default=0), USUAL_WHEN_YOUNG


def judge(silence: Silence) -> Result:
    """Says whether a silence is worth an alert."""
    named: dict[str, Any] = {
        "kind": "webhooks_silent",
        "thing": f"{silence.name}: webhooks",
        "merchant_id": silence.merchant_id,
        "channel_id": silence.channel_id,
        "link": address_of("channels.channel", silence.channel_id),
    }
    usual, enough = expected(silence)
    is_missed = silence.missed_orders >= MISSED_ORDERS or silence.missed_lately >= MANY_MISSED
    is_unusual = silence.seconds >= SHORTEST and usual >= enough
    if silence.is_down or not (is_missed or is_unusual):
        ago = f"last one of an order {duration(silence.seconds)} ago"
        return Result(**named, says=ago if silence.last_at else "none of an order has come yet")
    why = (
        f"{silence.missed_lately} orders came by polling alone"
        if is_missed
        else f"about {usual} would have been usual by now"
    )
    return Result(
        **named,
        says=f"silent about orders for {duration(silence.seconds)}; {why}",
        is_ok=False,
        remedy=(
            "The subscriptions are audited and the orders polled by themselves. Where it stays silent, press Register "
            "webhooks on the channel's page, and see that the platform reaches PUBLIC_URL over https."
        ),
        severity=Severity.CRITICAL if usual >= USUAL_IS_CRITICAL else Severity.WARNING,
        evidence={
            "silent_seconds": round(silence.seconds),
            "usual_messages": usual,
            "orders_by_polling": silence.missed_lately,
        },
    )


def is_doubtful(silence: Silence) -> bool:
    """Tells whether a busy shop has fallen silent: it is closed, or its webhooks are broken."""
    is_paced = silence.hour_before >= FEWEST_FOR_A_PACE and not silence.is_down
    hours = min(max(silence.days_known * 24, 1 / 60), 1.0)
    at_that_pace = silence.hour_before * silence.seconds / (hours * 3600)
    return is_paced and silence.seconds >= DOUBTFUL_AFTER and at_that_pace >= DOUBTFUL


def poll_doubtful() -> list[int]:
    """Has the orders of busy shops read that have fallen silent: what comes of it is what the check goes by.

    Returns the channels. One whose orders were read since it became doubtful is left to its usual polls: it is closed.
    """
    doubtful = {each.channel_id: each for each in silences() if is_doubtful(each)}
    read: dict[int, Any] = dict(
        PollFeed.objects.filter(
            channel__in=list(doubtful), name=ORDERS, covered_until__isnull=False
        ).values_list("channel_id", "covered_until")
    )
    after = timedelta(seconds=DOUBTFUL_AFTER)
    asked = [pk for pk, each in doubtful.items() if pk not in read or read[pk] < each.since + after]
    for channel_id in asked:
        ask_for_poll(channel_id)
    return asked


def webhooks() -> list[Result]:
    """Judges the silence of every channel that has order webhooks."""
    return [judge(each) for each in silences()]
