"""The world that is tortured: database, program, shops, street, and the merchant in the middle of it."""

import secrets
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final

import psycopg
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import connection
from django.urls import reverse

from channels.accounts import open_connector
from channels.demo import trading
from channels.demo.linking import link, load_shop
from channels.demo.options import allow_simulated_shops
from channels.demo.shops import Shop
from channels.demo.stage import wait_until_told
from channels.demo.stocking import Goods, open_merchant, stock_up
from channels.models import Channel, ChannelGroup, Rule, RuleSet
from channels.polling import ask_for_poll
from channels.rules.lifecycle import activate, approve, draw_up
from channels.rules.pools import set_channels
from config.embedded_postgres import EmbeddedServer
from inventory.access import KeyTerms, issue
from inventory.models import Merchant, Variant
from inventory.models.access import LARGEST_RATE
from inventory.scopes import OWNER
from tests.torture import inside, server
from tests.torture.customers import Clerk, Customers
from tests.torture.fuses import Fuses
from tests.torture.goods import POOL_UNITS, POOLED, Assortment
from tests.torture.processes import HOST, PATIENCE, Program, Shops, free_ports
from tests.torture.street import Street

#: One reconcile period for webhooks that were lost: the channels' orders are read as often.
POLL_EVERY: Final = timedelta(seconds=2)
#: Shops repeat webhooks that were not taken after seconds, not after minutes and hours.
_RETRY_SPEED: Final = 30.0
_WHY: Final = "The torture needs a pool."
LOGIN: Final = "torturer"
#: Seconds for an answer of a program that is known to be broken.
_SHORT_PATIENCE: Final = 20.0


@dataclass(slots=True)
class World:
    """Everything that a run touches, and what it has done to it so far."""

    directory: Path
    server: EmbeddedServer
    program: Program
    shops: Sequence[Shop]
    street: Street
    fuses: Fuses
    merchant: Merchant
    stranger: Merchant
    #: Stands in everything of the stranger's.
    marker: str
    channels: list[Channel]
    goods: Assortment
    customers: Customers
    clerk: Clerk
    #: What must not be found anywhere: what it is → its text.
    secrets: dict[str, str]
    password: str
    hoard: list[psycopg.Connection] = field(default_factory=list)
    lit: list[str] = field(default_factory=list)
    #: How long the logs were when everything stood: what was written before concerns nobody.
    log_starts: dict[Path, int] = field(default_factory=dict)
    kills: int = 0
    restarts: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def channel_ids(self) -> list[int]:
        """Ids of the channels, in the sequence of their shops."""
        return [channel.pk for channel in self.channels]

    def trouble(self, position: int, **faults: object) -> None:
        """Gives one shop its troubles."""
        self.shops[position].client.set_faults(**faults)

    def calm(self, position: int) -> None:
        """Takes all troubles from one shop."""
        client = self.shops[position].client
        client.clear_faults()
        client.set_faults(retry_speed=_RETRY_SPEED)

    def light(self, fuse: str) -> None:
        """Lays a mine; whichever process comes there first burns it."""
        self.fuses.light(fuse)
        self.lit.append(fuse)

    def put_out(self) -> None:
        """Removes mines that nobody stepped on, and counts those that killed."""
        left = self.fuses.put_out()
        gone_off = [name for name in self.lit if name not in left]
        self.kills += sum(name.startswith("kill") for name in gone_off)
        self.lit = []


@dataclass(frozen=True, slots=True)
class Setting:
    """How large a world is."""

    seed: int
    kinds: Sequence[str]
    workers: int
    goods: Assortment
    sabotage: str | None = None
    #: Whether its data stay for somebody to look at.
    is_kept: bool = False


@contextmanager
def opened(setting: Setting) -> Iterator[World]:
    """Builds a world and waits until every shop has been told its numbers; nothing of it is left afterwards."""
    with ExitStack() as stack:
        directory = stack.enter_context(server.scratch_directory(is_kept=setting.is_kept))
        database = EmbeddedServer(directory / "postgres")
        database.acquire()
        stack.callback(database.release)
        server.use(directory / "postgres")
        stack.callback(connection.close)
        web_port, street_port = free_ports(2)
        allow_simulated_shops(HOST, street_port)
        fuses = directory / "fuses"
        fuses.mkdir()
        # Ended last, so that the program does not find its shops closed.
        shops = Shops(setting.kinds, seed=setting.seed, log=directory / "shops.log")
        stack.callback(shops.stop)
        program = Program(
            directory,
            port=web_port,
            workers=setting.workers,
            environment=_environment(directory, fuses, setting.sabotage),
        )
        stack.callback(program.close)
        program.start()
        shops.start()
        street = Street(port=street_port, web_port=web_port, seed=setting.seed)
        street.start()
        stack.callback(street.close)
        merchant, stranger, marker = _merchants(setting.goods)
        program.wait_until_up()
        channels = _connect(merchant, shops.shops)
        _ring_fence(merchant, channels)
        keys = _keys(merchant)
        clerk = Clerk(
            port=web_port,
            key=keys["API key"],
            patience=_SHORT_PATIENCE if setting.sabotage else PATIENCE,
        )
        stack.callback(clerk.close)
        password = secrets.token_urlsafe(16)
        get_user_model().objects.create_superuser(LOGIN, "", password)
        world = World(
            directory, database, program, shops.shops, street, Fuses(fuses), merchant, stranger, marker, channels,
            setting.goods, Customers(shops.shops), clerk, {**keys, **_secrets_of(channels)}, password,
        )  # fmt: skip
        for position, channel in enumerate(channels):
            street.know(reverse("channels:webhook", args=[channel.public_id]), open_connector(channel))
            world.calm(position)
        wait_until_told(world.channel_ids, lambda: False)
        logs = (program.log, server.log_of(database))
        world.log_starts = {log: log.stat().st_size for log in logs if log.exists()}
        yield world


def _environment(directory: Path, fuses: Path, sabotage: str | None) -> Mapping[str, str]:
    return {
        "ONECOUNT_DATA_DIR": str(directory),
        "DATABASE_URL": "",
        "DATABASE_DIRECT_URL": "",
        "SECRET_KEY": settings.SECRET_KEY,
        "ONECOUNT_CREDENTIAL_KEYS": ",".join(settings.ONECOUNT_CREDENTIAL_KEYS),
        "ONECOUNT_WAL_ARCHIVE": "",
        "LOG_FORMAT": "json",
        inside.FUSES: str(fuses),
        inside.SABOTAGE: sabotage or "",
    }


def _merchants(goods: Assortment) -> tuple[Merchant, Merchant, str]:
    """Creates the merchant with all goods, and a stranger who sells the same SKUs under a mark of their own."""
    merchant = open_merchant("Tortured", "tortured")
    stock_up(merchant, goods.goods)
    trading.bundle(merchant, goods.kits)
    marker = f"stranger-{secrets.token_hex(8)}"
    stranger = open_merchant("Stranger", marker)
    stock_up(stranger, [Goods(sku, f"{marker} {sku}", marker, {"AMS": 7}) for sku in goods.hot])
    return merchant, stranger, marker


def _connect(merchant: Merchant, shops: Sequence[Shop]) -> list[Channel]:
    prices: dict[str, Decimal] = {}

    def connect(shop: Shop) -> Channel:
        try:
            load_shop(shop, merchant, prices)
            channel = link(shop, merchant)
            Channel.objects.filter(pk=channel.pk).update(poll_interval=POLL_EVERY)
            channel.refresh_from_db()
            # The feed was planned by the usual interval.
            ask_for_poll(channel.pk)
            return channel
        finally:
            connection.close()

    with ThreadPoolExecutor(len(shops)) as pool:
        return list(pool.map(connect, shops))


def _ring_fence(merchant: Merchant, channels: Sequence[Channel]) -> None:
    """Keeps some units of one variant for the first channel alone."""
    group = ChannelGroup.objects.create(merchant=merchant, name="The first shop")
    set_channels(group, channels[:1], actor=LOGIN)
    rule_set = RuleSet.objects.create(merchant=merchant, name="Pools")
    version = draw_up(rule_set, actor=LOGIN, why=_WHY)
    variant = Variant.objects.get(merchant=merchant, sku=POOLED)
    Rule.objects.create(version=version, position=1, variant=variant, pool=group, pool_units=POOL_UNITS)
    approve(version.pk, actor=LOGIN, because=_WHY)
    activate(version.pk, actor=LOGIN, because=_WHY, is_confirmed=True)


def _keys(merchant: Merchant) -> dict[str, str]:
    terms = KeyTerms("torture", [OWNER], requests_per_minute=LARGEST_RATE)
    _, text = issue(merchant, terms, by=LOGIN)
    return {"API key": text, "SECRET_KEY": settings.SECRET_KEY}


def _secrets_of(channels: Sequence[Channel]) -> dict[str, str]:
    """Returns every secret text in the channels' credentials; names and addresses are none."""
    found = {}
    for channel in channels:
        for name, value in channel.credentials.items():
            if isinstance(value, str) and len(value) > 12 and ("secret" in name or "token" in name):
                found[f"{name} of {channel.name}"] = value
    return found
