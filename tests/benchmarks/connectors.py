"""How much of what each platform allows is used: its calls that write numbers, by the resident process, under its own limits.

One platform after the other, each a simulated shop that enforces the limits as the vendor publishes them and counts whom it
turns away. Every number of the shop changes again and again, so that there is always more to tell than it takes. The partner is
the limit itself. In the first seconds the buckets may learn; afterwards nobody is to be turned away.
"""

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

from django.db import close_old_connections
from django.db.models import F
from django.test.utils import override_settings

from channels.accounts import forget_channels
from channels.connectors import CONNECTORS
from channels.demo.linking import link, load_shop
from channels.demo.platforms import PLATFORMS
from channels.demo.shops import Shop, Temper, shops
from channels.demo.stocking import Goods, open_merchant, stock_up
from channels.models import Channel, ChannelHealth, ListingLevel, Push
from channels.models.outbound import PushOutcome
from channels.tuning import tune
from config.environment import BASE_DIR
from config.residents import RESIDENT_COMMANDS
from config.supervisor import python_child
from inventory.models import Merchant
from tests.benchmarks.group import Group, running
from tests.benchmarks.report import Aim, Result, document, paired
from tests.benchmarks.scratch import scratch_database
from tests.benchmarks.tidying import tidy
from tests.benchmarks.web import free_ports

#: Fewer than go in bulk, which has limits of its own.
VARIANTS: Final = 1_200
#: Units of everything, below the largest number of any platform.
UNITS: Final = 800
#: Seconds in which the buckets may learn what the platform allows.
WARM: Final = 10.0
#: What an issue asks for.
SHARE: Final = 0.9
_TICK: Final = 0.1


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a platform allows of the calls that write numbers."""

    #: The simulated shop's name for them.
    endpoint: str
    calls_per_second: float
    #: Who says so.
    source: str = "published"


#: By platform; one that is missing is told no numbers, or publishes no limit and enforces none.
ALLOWED: Final[Mapping[str, Allowance]] = {
    # 100 points a second on the smallest plan; a mutation takes 10, and the object that it answers with 1.
    "shopify": Allowance("graphql inventorySetQuantities", 100 / 11),
    "bol": Allowance("PATCH /retailer/offers/{id}", 50),
    "amazon_seller": Allowance("patchListingsItem", 5),
    "square": Allowance(
        "POST /v2/inventory/changes/batch-create", 10, "assumed: Square publishes no numbers"
    ),
    "wholesale": Allowance("POST /stock", 10, "the handbook's interface for portals"),
}


@dataclass(slots=True)
class Look:
    """What a shop has counted by an instant."""

    at: float
    calls: int
    throttled: int
    told: int


@dataclass(slots=True)
class Trade:
    """One shop with its channel, whose numbers never come to rest."""

    shop: Shop
    channel: Channel
    groups: tuple[Group, ...]
    _buffer: int = field(default=0)

    def keep_busy(self, seconds: float) -> None:
        """Changes all numbers whenever half of them are told, for so long."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for group in self.groups:
                group.look_after()
            if self._due() < VARIANTS / 2:
                self._buffer = self._buffer % (UNITS // 2) + 1
                tune(self.channel, {"buffer_units": self._buffer})
            time.sleep(_TICK)
        close_old_connections()

    def _due(self) -> int:
        return ListingLevel.objects.filter(channel=self.channel, wanted__gt=F("done")).count()

    def look(self, endpoint: str) -> Look:
        """Reads what the shop has counted until now."""
        book = self.shop.client.book(since=time.time())
        taken = Push.objects.filter(
            listing_level__channel=self.channel, outcome__in=[PushOutcome.CONFIRMED, PushOutcome.ACCEPTED]
        )
        calls = int(book["requests"].get(endpoint, 0))
        return Look(time.monotonic(), calls, int(book["throttled"]), taken.count())


def run(*, runs: int, seconds: float) -> dict[str, Any]:
    """Measures each platform in turn, and returns the JSON document."""
    results, aims = [], []
    variables = {"ONECOUNT_ALLOW_LOOPBACK_PLATFORMS": "true", "LOG_LEVEL": "ERROR"}
    pusher = python_child("pusher", str(BASE_DIR / "manage.py"), *RESIDENT_COMMANDS["pusher"])
    with (
        scratch_database(),
        override_settings(ALLOW_LOOPBACK_PLATFORMS=True),
        running([pusher], **variables) as group,
    ):
        merchant = _stocked()
        for kind in measured():
            sys.stderr.write(f"{kind}\n")
            with _trading(merchant, kind, group) as trade:
                result = _measure(trade, ALLOWED[kind], runs, seconds)
            results.append(result)
            aims += _aims(kind, result)
    return document("connectors", runs, results, aims)


def measured() -> list[str]:
    """Returns the platforms that are told numbers and limit how often."""
    return [kind for kind in PLATFORMS if kind in ALLOWED and kind in CONNECTORS]


def _stocked() -> Merchant:
    merchant = open_merchant("Benchmark", "benchmark")
    skus = [f"SKU-{number:06d}" for number in range(VARIANTS)]
    stock_up(merchant, [Goods(sku, sku, "", {"RTM": UNITS}) for sku in skus])
    tidy()
    return merchant


@contextmanager
def _trading(merchant: Merchant, kind: str, pusher: Group) -> Iterator[Trade]:
    """Opens a shop of this platform and connects it; its messages are lost, since nobody is there to take them."""
    (shop,) = shops(kinds=[kind])
    shop = Shop(shop.kind, shop.name, free_ports(1)[0])
    with running([shop.child(Temper())]) as platform, shop.client:
        forget_channels()
        shop.client.set_faults(webhooks_are_lost=True)
        load_shop(shop, merchant, {})
        channel = link(shop, merchant)
        # The pusher may have tried before the two sides shared a secret, and stays away then.
        ChannelHealth.objects.filter(channel=channel).update(breaker_open_until=None, consecutive_failures=0)
        try:
            yield Trade(shop, channel, (pusher, platform))
        finally:
            Channel.objects.filter(pk=channel.pk).update(is_active=False)
            close_old_connections()


def _measure(trade: Trade, allowed: Allowance, runs: int, seconds: float) -> Result:
    first = trade.look(allowed.endpoint)
    trade.keep_busy(WARM)
    looks = [trade.look(allowed.endpoint)]
    for _ in range(runs):
        trade.keep_busy(seconds)
        looks.append(trade.look(allowed.endpoint))
    rates = [
        ((later.calls - sooner.calls) / (later.at - sooner.at), allowed.calls_per_second)
        for sooner, later in pairwise(looks)
    ]
    lasted = looks[-1].at - looks[0].at
    return paired(
        trade.channel.kind,
        "calls/s",
        f"what the platform allows ({allowed.source})",
        rates,
        numbers_per_second=round((looks[-1].told - looks[0].told) / lasted, 1),
        throttled_while_learning=looks[0].throttled - first.throttled,
        throttled=looks[-1].throttled - looks[0].throttled,
    )


def _aims(kind: str, result: Result) -> list[Aim]:
    throttled = int(result.notes["throttled"])
    return [
        Aim(f"{kind}: share of the limit that is used", f">= {SHARE}", result.ratio, result.ratio >= SHARE),
        Aim(f"{kind}: calls refused as too many after the first {WARM:g} s", "0", throttled, throttled == 0),
    ]
