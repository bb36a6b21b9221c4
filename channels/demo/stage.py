"""Runs the whole program on simulated shops: sets the stage, plays, lets things go quiet, and sums up.

The playing is done in a thread beside the supervisor of the processes, which it never blocks.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final, Protocol

import psutil
import structlog
from django.db import close_old_connections, connection
from django.db.models import F, Q
from django.utils import timezone

from channels.demo.figures import Stage, summary
from channels.demo.linking import link, load_shop, ship_open_orders
from channels.demo.oversell import StockEvent
from channels.demo.shops import Shop
from channels.models import (
    BundleChange,
    Channel,
    ChannelOrder,
    FulfilmentRequest,
    ListingLevel,
    PollFeed,
    StatedLevel,
    WebhookDelivery,
)
from channels.models.inbound import DeliveryPriority, DeliveryState
from channels.polling import ask_for_poll
from config.supervisor import Supervisor
from inventory.models import Merchant, StockLevel

log = structlog.get_logger(__name__)

#: Seconds that all work in progress is given to end after the last sale.
QUIET_LIMIT: Final = 900.0
#: Seconds that the first telling of all numbers is given before customers come all the same.
OPENING_LIMIT: Final = 120.0
#: The last thing that changed must lie this far back.
QUIET_FOR: Final = 1.5
_TICK: Final = 0.25


class Play(Protocol):
    """What happens on the stage."""

    @property
    def events(self) -> Sequence[StockEvent]:
        """Stock changes beside the shops' own books."""

    def run(self, stage: Stage, should_stop: Callable[[], bool]) -> None:
        """Has customers buy until the play is over or `should_stop`."""

    def figures(self) -> dict[str, Any]:
        """What the play itself counted; laid over the summary."""


class Performance:
    """One run: give its `tick` to the supervisor; `result` is the summary once it has ended by itself."""

    def __init__(
        self,
        merchant: Merchant,
        shops: Sequence[Shop],
        play: Play,
        *,
        prices: Mapping[str, Decimal],
        welcome: str,
        announce: Callable[[str], None],
        parts: Mapping[str, Mapping[str, int]] | None = None,
        on_connected: Callable[[Sequence[Channel]], None] | None = None,
    ) -> None:
        """`announce` is given `welcome` once every process is up; `parts` are those of goods sold by their parts.

        `on_connected` is called once all shops have channels.
        """
        self._merchant = merchant
        self._shops = shops
        self._play = play
        self._prices = dict(prices)
        self._welcome = welcome
        self._announce = announce
        self._parts = parts or {}
        self._on_connected = on_connected
        self._thread = threading.Thread(target=self._run, name="performance", daemon=True)
        self._is_stopping = threading.Event()
        self._peak_bytes = 0
        self._measured_at = 0.0
        self.result: dict[str, Any] | None = None
        self.failure: Exception | None = None

    def tick(self, supervisor: Supervisor) -> None:
        """Starts the thread once all processes are up, and ends the group once it is done."""
        self._measure()
        if self._thread.ident is None:
            if all(supervisor.is_up(name) for name in self._needed()):
                self._thread.start()
        elif not self._thread.is_alive():
            supervisor.request_stop()

    def stop(self) -> None:
        """Has the thread end soon; it is not waited for longer than a moment."""
        self._is_stopping.set()
        if self._thread.ident is not None:
            self._thread.join(1.0)

    def _needed(self) -> list[str]:
        return ["web", "jobs", "pusher", "reconciler", *(f"shop-{shop.key}" for shop in self._shops)]

    def _measure(self) -> None:
        """Notes the largest memory of this process and all that descend from it."""
        if time.monotonic() - self._measured_at > 10.0:
            self._measured_at = time.monotonic()
            self._peak_bytes = max(self._peak_bytes, resident_bytes())

    def _run(self) -> None:
        try:
            self.result = self._perform()
        except Exception as error:  # noqa: BLE001 - carried to the command, which reports it
            self.failure = error
        finally:
            connection.close()

    def _perform(self) -> dict[str, Any] | None:
        self._announce(f"{self._welcome}\nThe shops are being connected; customers come once they are.")
        channels = self._connect()
        wait_until_told([channel.pk for channel in channels.values()], self._is_stopping.is_set)
        stage = Stage(self._shops, channels, _for_sale(self._merchant), timezone.now(), self._parts)
        started = time.monotonic()
        self._play.run(stage, self._is_stopping.is_set)
        if self._is_stopping.is_set():
            return None
        became_quiet = wait_until_quiet(stage, self._is_stopping.is_set)
        if not became_quiet:
            log.warning("not_quiet", seconds=QUIET_LIMIT)
        books = {shop.key: shop.client.book() for shop in stage.shops}
        figures = summary(stage, books, self._play.events)
        return {
            **figures,
            **self._play.figures(),
            "wall_seconds": round(time.monotonic() - started, 1),
            "peak_rss_mb": round(self._peak_bytes / 2**20),
        }

    def _connect(self) -> dict[str, Channel]:
        channels = {}
        started = time.monotonic()
        ship_open_orders(self._merchant)
        with ThreadPoolExecutor(len(self._shops)) as pool:
            # Most of it is waiting for the shops' answers.
            linked = [pool.submit(self._open, shop) for shop in self._shops]
        for shop, channel in zip(self._shops, linked, strict=True):
            channels[shop.key] = channel.result()
        if self._on_connected:
            self._on_connected(list(channels.values()))
        self._announce(f"The shops are connected, {time.monotonic() - started:.0f} s later.")
        return channels

    def _open(self, shop: Shop) -> Channel:
        try:
            load_shop(shop, self._merchant, self._prices)
            return link(shop, self._merchant)
        finally:
            connection.close()


def _for_sale(merchant: Merchant) -> dict[str, int]:
    """Units available by SKU, over all locations."""
    units: dict[str, int] = {}
    levels = StockLevel.objects.filter(merchant=merchant).annotate(
        free=F("on_hand") - F("reserved") - F("unavailable")
    )
    for sku, free in levels.values_list("variant__sku", "free"):
        units[sku] = units.get(sku, 0) + free
    return units


def resident_bytes() -> int:
    """Returns the memory of this process and its descendants; a page that several share counts once in all (PSS)."""
    total = 0
    root = psutil.Process()
    for process in [root, *root.children(recursive=True)]:
        try:
            total += process.memory_full_info().pss
        except psutil.Error:
            continue  # it has ended meanwhile
    return total


def wait_until_told(channel_ids: Sequence[int], should_stop: Callable[[], bool]) -> None:
    """Waits until the shops have been told their first numbers: customers come when the doors are open."""
    deadline = time.monotonic() + OPENING_LIMIT
    while time.monotonic() < deadline and not should_stop():
        close_old_connections()
        if not work_left(channel_ids):
            return
        time.sleep(_TICK)
    log.warning("opened_before_all_was_told", left=work_left(channel_ids))


def wait_until_quiet(stage: Stage, should_stop: Callable[[], bool]) -> bool:
    """Waits until every sale has been imported and every shelf told; False when time ran out or it should stop."""
    deadline = time.monotonic() + QUIET_LIMIT
    asked_at = timezone.now()
    for channel_id in stage.channel_ids:
        ask_for_poll(channel_id)
    quiet_since: float | None = None
    while time.monotonic() < deadline and not should_stop():
        close_old_connections()
        if not all(shop.client.is_idle() for shop in stage.shops) or work_left(
            stage.channel_ids, polled_after=asked_at
        ):
            quiet_since = None
        elif quiet_since is None:
            quiet_since = time.monotonic()
        elif time.monotonic() - quiet_since > QUIET_FOR:
            return True
        time.sleep(_TICK)
    return False


def work_left(channel_ids: Sequence[int], *, polled_after: datetime | None = None) -> dict[str, int]:
    """Returns what is still on its way, by kind of work; empty when nothing is."""
    ids = channel_ids
    levels = ListingLevel.objects.filter(channel_id__in=ids, dead_at__isnull=True, listing__is_active=True)
    # Notices of shelves and products move no stock: nobody waits for them.
    orders = WebhookDelivery.objects.filter(
        channel_id__in=ids, state=DeliveryState.RECEIVED, priority=DeliveryPriority.ORDER
    )
    counts = {
        "deliveries": orders.count(),
        "fetches": ChannelOrder.objects.filter(channel_id__in=ids, fetch_wanted__gt=F("fetched")).count(),
        "bundles": BundleChange.objects.count(),
        "pushes": levels.filter(Q(wanted__gt=F("done")) | Q(lease_token__isnull=False)).count(),
        "stock to be read": StatedLevel.objects.filter(
            authority__place__channel__in=ids, wanted__gt=F("done")
        ).count(),
        "requests": FulfilmentRequest.objects.filter(
            location__authority__place__channel__in=ids, wanted__gt=F("done"), dead_at__isnull=True
        ).count(),
    }
    if polled_after is not None:
        unread = Q(last_polled_at__isnull=True) | Q(last_polled_at__lt=polled_after)
        counts["polls"] = PollFeed.objects.filter(unread, channel_id__in=ids, name="orders").count()
    return {kind: count for kind, count in counts.items() if count}


def live_line(stage_channel_ids: Sequence[int]) -> str:
    """Returns one line on what is going on: orders of the last ten seconds, what is due, the latest latency."""
    since = timezone.now() - timedelta(seconds=10)
    recent = ChannelOrder.objects.filter(channel_id__in=stage_channel_ids, arrived_at__gte=since)
    orders = recent.count()
    spans = sorted(
        (done - arrived).total_seconds()
        for arrived, done in recent.values_list("arrived_at", "propagated_at")
        if done is not None
    )
    due = ListingLevel.objects.filter(
        channel_id__in=stage_channel_ids, wanted__gt=F("done"), dead_at__isnull=True
    ).count()
    typical = f"{spans[len(spans) // 2] * 1000:.0f} ms" if spans else "-"
    return f"{orders / 10:.1f} orders/s · {due} shelves to tell · sale to shelf {typical} (median, last 10 s)"
