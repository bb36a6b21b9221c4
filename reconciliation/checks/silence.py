"""Webhooks that have gone silent, judged against the channel's own rhythm.

    orders came by another way, and no webhook of them   → the webhooks are broken, however quiet the shop is
    as long a time, at the same hour of earlier weeks    → so many messages would have been usual by now
    no history yet: the pace of the hour before          → the same, held against a higher bar

What is usual is the smallest of several earlier weeks (or days), so that a quiet holiday among them is enough to keep
quiet. The time compared begins where the silence began: the longer it lasts, the more would have been usual.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from django.db import connection

from channels.connectors import CONNECTORS
from config.admin_panels import address_of, duration
from reconciliation.checks.results import Result
from reconciliation.models import Severity

#: Messages that would have been usual: with six, chance alone stays silent once in 400 times.
USUAL: Final = 6
#: The same by the last hour alone, which knows nothing of nights and sales that end.
USUAL_BY_THE_HOUR: Final = 60
#: Fewer messages than these within the last hour have no pace.
FEWEST_FOR_A_PACE: Final = 20
#: So many that nobody is in doubt.
USUAL_IS_CRITICAL: Final = 60
#: Silence shorter than this is never worth a word.
SHORTEST: Final = 30.0
#: Orders that came by another way, each so many seconds ago, that have a webhook missing.
MISSED_ORDERS: Final = 3
MISSED_FOR: Final = 60.0
#: Days before: the same weekday, or any.
WEEKS: Final = (7, 14, 21, 28)
DAYS: Final = (1, 2, 3)
#: The longest time that is compared, in seconds.
LONGEST: Final = 86_400.0
_MOST_COUNTED: Final = 1000


@dataclass(slots=True)
class Silence:
    """A channel whose webhooks have been silent for `seconds`."""

    channel_id: int
    merchant_id: int
    name: str
    kind: str
    is_down: bool
    #: The last message; None where there was never one, and it counts from the day the channel was added.
    last_at: datetime | None
    seconds: float
    #: Messages of the hour before the silence.
    hour_before: int
    #: Days for which there is a record.
    days_known: float
    #: Orders that came otherwise since.
    missed_orders: int
    #: Days before → messages in as long a time, from the same hour on.
    usual: dict[int, int] = field(default_factory=dict)


_SILENT: Final = """
SELECT c.id, c.merchant_id, c.name, c.kind, h.breaker_open_until IS NOT NULL, last.at,
       extract(epoch FROM clock_timestamp() - coalesce(last.at, c.created_at))::float8,
       (SELECT count(*) FROM (
           SELECT FROM channels_webhookdelivery
           WHERE channel_id = c.id AND received_at > last.at - interval '1 hour' LIMIT %(most)s
       ) w),
       coalesce(extract(epoch FROM last.at - (
           SELECT received_at FROM channels_webhookdelivery WHERE channel_id = c.id ORDER BY received_at LIMIT 1
       ))::float8 / 86400, 0),
       (SELECT count(*) FROM (
           SELECT FROM channels_channelorder
           WHERE channel_id = c.id AND arrived_at > coalesce(last.at, c.created_at)
             AND arrived_at < clock_timestamp() - make_interval(secs => %(missed_for)s) LIMIT 100
       ) o)
FROM channels_channel c
LEFT JOIN channels_channelhealth h ON h.channel_id = c.id
CROSS JOIN LATERAL (
    SELECT greatest(h.last_webhook_at, (
        SELECT received_at FROM channels_webhookdelivery WHERE channel_id = c.id ORDER BY received_at DESC LIMIT 1
    )) AS at
) last
WHERE c.is_active AND c.kind = ANY(%(kinds)s::text[])
ORDER BY c.name, c.id
"""

_USUAL: Final = """
SELECT silent.id, earlier.days, (
    SELECT count(*) FROM (
        SELECT FROM channels_webhookdelivery
        WHERE channel_id = silent.id AND received_at > silent.last_at - make_interval(days => earlier.days)
          AND received_at <= silent.last_at - make_interval(days => earlier.days)
                             + make_interval(secs => silent.seconds)
        LIMIT %(most)s
    ) w)
FROM unnest(%(ids)s::bigint[], %(lasts)s::timestamptz[], %(seconds)s::float8[]) AS silent (id, last_at, seconds)
CROSS JOIN unnest(%(days)s::int[]) AS earlier (days)
"""


def silences() -> list[Silence]:
    """Returns how long each active channel with order webhooks has been silent, and what was usual; two statements."""
    kinds = [kind for kind, connector in CONNECTORS.items() if connector.capabilities.order_webhooks]
    asked = {"kinds": kinds, "most": _MOST_COUNTED, "missed_for": MISSED_FOR}
    found = [Silence(*row) for row in _rows(_SILENT, asked)]
    silent = [each for each in found if each.last_at and each.seconds >= SHORTEST]
    compared = {
        "ids": [each.channel_id for each in silent],
        "lasts": [each.last_at for each in silent],
        "seconds": [min(each.seconds, LONGEST) for each in silent],
        "days": [*DAYS, *WEEKS],
        "most": _MOST_COUNTED,
    }
    by_id = {each.channel_id: each for each in silent}
    for channel_id, days, count in _rows(_USUAL, compared) if silent else ():
        by_id[channel_id].usual[days] = count
    return found


def expected(silence: Silence) -> float:
    """Returns how many messages would have been usual by now; never less, the longer the silence lasts."""
    for days in (WEEKS, DAYS):
        windows = _known(silence, days)
        if len(windows) >= 2:
            return float(min(windows))
    if silence.hour_before < FEWEST_FOR_A_PACE:
        return 0.0
    counted_over = max(min(silence.days_known * 86_400, 3600.0), 60.0)
    at_that_pace = silence.hour_before * min(silence.seconds, LONGEST) / counted_over
    return at_that_pace * USUAL / USUAL_BY_THE_HOUR


def _known(silence: Silence, days: Sequence[int]) -> list[int]:
    return [silence.usual[day] for day in days if day <= silence.days_known and day in silence.usual]


def judge(silence: Silence) -> Result:
    """Says whether a silence is worth an alert."""
    named: dict[str, Any] = {
        "kind": "webhooks_silent",
        "thing": f"{silence.name}: webhooks",
        "merchant_id": silence.merchant_id,
        "channel_id": silence.channel_id,
        "link": address_of("channels.channel", silence.channel_id),
    }
    usual = expected(silence)
    is_missed = silence.missed_orders >= MISSED_ORDERS and silence.seconds >= SHORTEST
    is_unusual = silence.seconds >= SHORTEST and usual >= USUAL
    if silence.is_down or not (is_missed or is_unusual):
        last = f"last one {duration(silence.seconds)} ago" if silence.last_at else "none has come yet"
        return Result(**named, says=last)
    why = (
        f"{silence.missed_orders} orders came by polling alone"
        if is_missed
        else f"about {usual:.0f} would have been usual by now"
    )
    return Result(
        **named,
        says=f"silent for {duration(silence.seconds)}; {why}",
        is_ok=False,
        remedy=(
            "The subscriptions are audited and the orders polled by themselves. Where it stays silent, press Register "
            "webhooks on the channel's page, and see that the platform reaches PUBLIC_URL over https."
        ),
        severity=Severity.CRITICAL if usual >= USUAL_IS_CRITICAL else Severity.WARNING,
        evidence={
            "silent_seconds": round(silence.seconds),
            "usual_messages": round(usual, 1),
            "orders_by_polling": silence.missed_orders,
        },
    )


def webhooks() -> list[Result]:
    """Judges the silence of every channel that has order webhooks."""
    return [judge(each) for each in silences()]


def _rows(sql: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows
