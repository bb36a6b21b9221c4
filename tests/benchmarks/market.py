"""The whole program at work on simulated shops, on the database in use: two shops of each platform, and all processes.

The shops and the web server run while the shops are being connected, as they do for a person who connects them; jobs, pusher
and reconciler are started afterwards.
"""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

import psutil
from django.db import close_old_connections, connection
from django.db.models import Sum
from django.test.utils import override_settings
from django.utils import timezone

from channels.accounts import forget_channels
from channels.demo.catalogue import gtin13
from channels.demo.figures import Sale, Stage, diverged, sales
from channels.demo.linking import link, load_shop
from channels.demo.shops import Shop, Temper, shops_on
from channels.demo.stage import wait_until_quiet, wait_until_told
from channels.demo.stocking import Goods, open_merchant, stock_up
from channels.models import Channel, ListingLevel
from channels.schedules import ensure_schedules
from config.residents import residents
from config.supervisor import Child
from inventory.models import Merchant
from inventory.proof import prove
from tests.benchmarks.footprint import server_processes
from tests.benchmarks.group import Group, running
from tests.benchmarks.report import Aim
from tests.benchmarks.tidying import tidy
from tests.benchmarks.web import HOST, WORKERS, free_ports

#: Two of each platform.
SHOPS: Final = 6
#: Units of everything, so that nothing is sold out.
UNITS: Final = {"AMS": 20_000, "RTM": 4_000, "BER": 8_000}
#: Lines of an order, on average.
LINES: Final = 1.5
#: Names beside those of the program's own processes.
SERVER: Final = "postgresql"
PLATFORMS: Final = "shops"
_TICK: Final = 0.25


@dataclass(slots=True)
class Market:
    """A merchant's shops with the channels that they are connected by, and the processes beside them."""

    merchant: Merchant
    shops: Sequence[Shop]
    #: By key of the shop.
    channels: Mapping[str, Channel]
    #: Of the web server.
    port: int
    #: The processes of the shops, which are no part of the program.
    platforms: Group
    #: Those of the program.
    groups: list[Group]
    _others: Sequence[Child]
    _variables: Mapping[str, str]

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Runs jobs, pusher and reconciler too while the block runs."""
        with running(self._others, **self._variables) as group:
            self.groups.append(group)
            try:
                wait_until_told(self.channel_ids, self._never)
                yield
            finally:
                self.groups.remove(group)

    @property
    def channel_ids(self) -> list[int]:
        """Ids of the channels."""
        return [channel.pk for channel in self.channels.values()]

    def stage(self) -> Stage:
        """Returns what figures are about, from now on."""
        return Stage(self.shops, self.channels, {}, timezone.now())

    def buy(self, rate: float, seconds: float, *, seed: int) -> None:
        """Has customers buy in all shops at once, so many orders a second in all, and returns when they have left."""
        until = time.time() + seconds
        for number, shop in enumerate(self.shops):
            share = rate / len(self.shops)
            shop.client.start_shoppers(share, mean_lines=LINES, until=until, seed=seed + number)
        self.wait(seconds)
        for shop in self.shops:
            shop.client.stop_shoppers()

    def wait(self, seconds: float, *, unless: Callable[[], bool] = lambda: False) -> None:
        """Lets time pass, and looks after the processes meanwhile."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not unless():
            self.look_after()
            time.sleep(min(_TICK, left))

    def look_after(self) -> None:
        """Restarts processes that have ended."""
        for group in (*self.groups, self.platforms):
            group.look_after()
        close_old_connections()

    def settle(self, stage: Stage) -> bool:
        """Waits until every sale is known and every shelf told; False when that takes too long."""
        return wait_until_quiet(stage, self._never)

    def _never(self) -> bool:
        """Looks after the processes when asked whether to stop waiting, and says no."""
        self.look_after()
        return False

    def sales(self, stage: Stage) -> list[Sale]:
        """Returns the orders of the stage of which others had to be told."""
        since = stage.began_at.timestamp()
        books = {shop.key: shop.client.book(since=since) for shop in self.shops}
        return [sale for sale in sales(stage, books) if sale.committed_at >= since]

    def proofs(self) -> list[Aim]:
        """Returns whether the ledger holds and every shop shows what it should."""
        stage = self.stage()
        differing = len(diverged(stage, {shop.key: shop.client.book() for shop in self.shops}))
        ledger_ok = all(proof.is_ok for proof in prove())
        return [
            Aim("the ledger replays to the live levels", "1", float(ledger_ok), ledger_ok),
            Aim("shelves that show another number than they should", "0", differing, differing == 0),
        ]

    def changes(self) -> int:
        """Returns how often a listing level was marked, ever."""
        total: int | None = ListingLevel.objects.aggregate(total=Sum("wanted"))["total"]
        return total or 0

    def memory_of(self) -> dict[str, list[psutil.Process]]:
        """Returns the processes of the program by name, PostgreSQL's among them, and those of the shops."""
        found = {SERVER: server_processes()}
        for group in self.groups:
            found |= group.processes()
        platforms = self.platforms.processes().values()
        return found | {PLATFORMS: [process for shop in platforms for process in shop]}


def of_the_program(look: Mapping[str, int]) -> int:
    """Returns the bytes that the program takes, PostgreSQL among it."""
    return sum(taken for name, taken in look.items() if name != PLATFORMS)


@contextmanager
def market(variants: int, *, in_forms: float = 0.4) -> Iterator[Market]:
    """Opens the shops and connects them; no jobs, pusher or reconciler run yet.

    `in_forms` is the share of the variants that are one of two forms of a product; the others are products by themselves.
    """
    web_port, *shop_ports = free_ports(1 + SHOPS)
    address = f"http://{HOST}:{web_port}"
    variables = {"PUBLIC_URL": address, "ONECOUNT_ALLOW_LOOPBACK_PLATFORMS": "true", "LOG_LEVEL": "WARNING"}
    ensure_schedules()
    merchant = _stocked(variants, in_forms)
    shops = shops_on(shop_ports)
    children = residents(host=HOST, port=web_port, workers=WORKERS)
    web, others = children[0], children[1:]
    with (
        ExitStack() as clients,
        override_settings(PUBLIC_URL=address, ALLOW_LOOPBACK_PLATFORMS=True),
        running([shop.child(Temper(limits="generous")) for shop in shops], **variables) as platforms,
        running([web], **variables) as group,
    ):
        for shop in shops:
            clients.enter_context(shop.client)
        _say(f"connecting {len(shops)} shops with {variants:,} variants")
        forget_channels()
        yield Market(
            merchant, shops, _connected(merchant, shops), web_port, platforms, [group], others, variables
        )
    forget_channels()


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _stocked(variants: int, in_forms: float) -> Merchant:
    merchant = open_merchant("Benchmark", "benchmark")
    goods = []
    for number in range(variants):
        # Of every hundred, so many belong together two by two.
        is_form = number % 100 < in_forms * 100
        product = number - number % 2 if is_form else number
        goods.append(
            Goods(
                sku=f"SKU-{number:06d}",
                product=f"Product {product:06d}",
                title=f"Form {number % 2}" if is_form else "",
                quantities=UNITS,
                gtin=gtin13(200_000_000_000 + number),
                category=f"Category {product % 7}",
            )
        )
    stock_up(merchant, goods)
    tidy()
    return merchant


def _connected(merchant: Merchant, shops: Sequence[Shop]) -> dict[str, Channel]:
    """Fills the shops and connects them all at once, as `demo` does."""
    with ThreadPoolExecutor(len(shops)) as pool:
        return dict(zip([shop.key for shop in shops], pool.map(partial(_open, merchant), shops), strict=True))


def _open(merchant: Merchant, shop: Shop) -> Channel:
    try:
        load_shop(shop, merchant, {})
        return link(shop, merchant)
    finally:
        connection.close()
