"""The figures of the dashboard: a dozen statements at most, whatever the size of the catalogue and the number of channels.

What is asked for every two seconds has to stay cheap with 100,000 variants, so each figure comes in one of two ways:

- *Sums over whole tables* (stock in all, the latency of an hour's orders, a week's rates) are computed once in `SLOW_SECONDS`
  by each web process and kept in Django's cache, however many watch; a few hundred thousand levels take some ten milliseconds.
- *What is waiting or wrong* (queues, dead letters, owed units) is read from partial indexes that hold just these rows, as the
  checks of health do (`reconciliation.checks.queues`), and the latest movements from the end of the primary key; kept for
  `FAST_SECONDS`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeVar

from django.core.cache import cache
from django.utils import timezone

from analytics.kpis.headline import Headline, headlines
from analytics.owed import Owed, owed
from channels.admin.condition import condition
from config.statements import rows
from inventory.models import StockMovement
from reconciliation.checks.installation import processes
from reconciliation.checks.queues import MOST_COUNTED, Queues, queues
from reconciliation.checks.results import Result
from reconciliation.glance import Glance, glance

SLOW_SECONDS: Final = 5
FAST_SECONDS: Final = 1
LATEST: Final = 10

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Stock:
    """Units at all locations, in base units."""

    on_hand: int
    reserved: int
    unavailable: int

    @property
    def available(self) -> int:
        """Units that may be promised."""
        return self.on_hand - self.reserved - self.unavailable


@dataclass(frozen=True, slots=True)
class Latency:
    """From an order's arrival to the last other shelf that confirmed a number computed after it, over the last hour; seconds.

    An order still on its way counts as infinitely late.
    """

    orders: int
    unfinished: int
    p50: float | None
    p95: float | None


@dataclass(frozen=True, slots=True)
class ChannelState:
    """What one channel is doing."""

    channel_id: int
    name: str
    kind: str
    is_active: bool
    is_paused: bool
    in_shadow: bool
    last_webhook_at: datetime | None
    last_poll_at: datetime | None
    last_push_at: datetime | None
    last_success_at: datetime | None
    last_error_at: datetime | None
    last_error: str
    consecutive_failures: int
    breaker_open_until: datetime | None
    breaker_reason: str
    subscription_problems: int
    #: What waits and what was given up.
    queues: Queues

    @property
    def state(self) -> str:
        """The word for how it is doing."""
        return condition(
            is_active=self.is_active,
            is_paused=self.is_paused,
            in_shadow=self.in_shadow,
            down_until=self.breaker_open_until,
            has_trouble=bool(self.consecutive_failures or self.subscription_problems),
            was_reached=bool(self.last_success_at or self.last_push_at or self.last_poll_at),
        )

    @property
    def dead(self) -> int:
        """Dead letters of both directions."""
        return self.queues.dead_deliveries + self.queues.dead_pushes


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything the dashboard shows."""

    stock: Stock
    owed: Owed
    latency: Latency
    latency_by_channel: dict[int, Latency]
    #: Rates of the last seven days.
    headlines: list[Headline]
    channels: list[ChannelState]
    movements: list[StockMovement]
    #: Open alerts, and the last proof of the ledger.
    glance: Glance
    #: The processes that do the work, those that are silent first.
    processes: list[Result]


def figures() -> Figures:
    """Returns the figures, at most `SLOW_SECONDS` old."""
    stock = _kept("stock", SLOW_SECONDS, _stock)
    latencies = _kept("latency", SLOW_SECONDS, _latencies)
    rates = _kept("headlines", SLOW_SECONDS, headlines)
    is_owed = _kept("owed", FAST_SECONDS, owed)
    channels = _kept("channels", FAST_SECONDS, _channels)
    movements = _kept("movements", FAST_SECONDS, _movements)
    none = Latency(0, 0, None, None)
    by_channel = {channel_id: latency for channel_id, latency in latencies.items() if channel_id}
    seen = _kept("glance", FAST_SECONDS, glance)
    at_work = _kept("processes", SLOW_SECONDS, _processes)
    return Figures(
        stock, is_owed, latencies.get(0, none), by_channel, rates, channels, movements, seen, at_work
    )


def _kept(name: str, seconds: int, compute: Callable[[], Value]) -> Value:
    key = f"dashboard:{name}"
    value: Value | None = cache.get(key)
    if value is None:
        value = compute()
        cache.set(key, value, seconds)
    return value


_STOCK: Final = """
SELECT coalesce(sum(on_hand), 0)::bigint, coalesce(sum(reserved), 0)::bigint, coalesce(sum(unavailable), 0)::bigint
FROM inventory_stocklevel
"""

# Channel 0 stands for all of them. One step into the index by arrival for each channel.
_LATENCIES: Final = """
SELECT coalesce(o.channel_id, 0), count(*), count(*) FILTER (WHERE o.seconds = 'Infinity'),
       percentile_disc(0.5) WITHIN GROUP (ORDER BY o.seconds), percentile_disc(0.95) WITHIN GROUP (ORDER BY o.seconds)
FROM channels_channel c
CROSS JOIN LATERAL (
    SELECT channel_id, coalesce(extract(epoch FROM propagated_at - arrived_at)::float8, 'Infinity') AS seconds
    FROM channels_channelorder
    WHERE channel_id = c.id AND arrived_at >= %s AND applied_at IS NOT NULL AND NOT is_test
) o
GROUP BY GROUPING SETS ((o.channel_id), ())
"""

_CHANNELS: Final = """
SELECT c.id, c.name, c.kind, c.is_active, c.is_paused, c.in_shadow,
       h.last_webhook_at, feed.polled_at, h.last_push_at, h.last_success_at, h.last_error_at,
       coalesce(h.last_error, ''), coalesce(h.consecutive_failures, 0),
       h.breaker_open_until, coalesce(h.breaker_reason, ''), coalesce(jsonb_array_length(h.subscription_problems), 0)
FROM channels_channel c
LEFT JOIN channels_channelhealth h ON h.channel_id = c.id
LEFT JOIN LATERAL (
    SELECT greatest(max(last_polled_at), h.last_poll_at) AS polled_at FROM channels_pollfeed WHERE channel_id = c.id
) feed ON true
ORDER BY c.name, c.id
"""


def _stock() -> Stock:
    return Stock(*rows(_STOCK)[0])


def _latencies() -> dict[int, Latency]:
    an_hour_ago = timezone.now() - timedelta(hours=1)
    return {channel_id: Latency(*rest) for channel_id, *rest in rows(_LATENCIES, [an_hour_ago])}


def _channels() -> list[ChannelState]:
    found = rows(_CHANNELS)
    waiting = queues([channel_id for channel_id, *_ in found], most=MOST_COUNTED)
    return [ChannelState(*[*row, waiting[row[0]]]) for row in found]


def _processes() -> list[Result]:
    return sorted(processes(), key=lambda each: each.is_ok)


def _movements() -> list[StockMovement]:
    latest = StockMovement.objects.order_by("-id")
    return list(
        latest.select_related("level__variant", "level__location", "operation", "reservation")[:LATEST]
    )
