"""The world that is tortured: database, program, shops, street, and the merchant in the middle of it."""

import secrets
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final

import psycopg
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import connection
from django.urls import reverse
from django.utils import timezone
from django_q.models import OrmQ, Schedule

from channels.accounts import open_connector
from channels.demo.options import allow_simulated_shops
from channels.demo.shops import Shop
from channels.demo.stage import wait_until_told
from channels.models import AccessToken, Channel
from channels.subscriptions import register
from config.embedded_postgres import EmbeddedServer
from inventory.access import KeyTerms, issue
from inventory.models import Merchant
from inventory.models.access import LARGEST_RATE
from inventory.scopes import OWNER
from tests.torture import inside, server
from tests.torture.customers import Clerk, Customers
from tests.torture.fuses import Fuses
from tests.torture.goods import Assortment
from tests.torture.processes import HOST, PATIENCE, Program, Shops, free_ports
from tests.torture.snapshot import LOGIN, SLUG, Blueprint, copy_world, fill_shop
from tests.torture.street import Street

#: Shops repeat webhooks that were not taken after seconds, not after minutes and hours.
_RETRY_SPEED: Final = 30.0
#: Seconds for an answer of a program that is known to be broken.
_SHORT_PATIENCE: Final = 120.0


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
    """Starts everything on a copy of the world, and waits until it works; nothing of it is left afterwards."""
    with ExitStack() as stack:
        directory = stack.enter_context(server.scratch_directory(is_kept=setting.is_kept))
        copy_world(Blueprint(setting.kinds, setting.goods), directory / "postgres")
        # First of all, because they are forked. Ended last, so that the program does not find its shops closed.
        shops = Shops(setting.kinds, seed=setting.seed, log=directory / "shops.log")
        stack.callback(shops.stop)
        shops.start()
        database = stack.enter_context(_running(directory / "postgres"))
        web_port, street_port = free_ports(2)
        allow_simulated_shops(HOST, street_port)
        channels = _open_doors(shops.shops)
        fuses = Fuses(directory / "fuses")
        environment = _environment(directory, fuses, setting.sabotage)
        program = Program(directory, port=web_port, workers=setting.workers, environment=environment)
        stack.callback(program.close)
        program.start()
        street = Street(port=street_port, web_port=web_port, seed=setting.seed)
        street.start()
        stack.callback(street.close)
        merchant = Merchant.objects.get(slug=SLUG)
        stranger = Merchant.objects.exclude(pk=merchant.pk).get()
        keys = _keys(merchant)
        clerk = Clerk(
            port=web_port,
            key=keys["API key"],
            patience=_SHORT_PATIENCE if setting.sabotage else PATIENCE,
        )
        stack.callback(clerk.close)
        password = secrets.token_urlsafe(16)
        get_user_model().objects.create_superuser(LOGIN, "", password)
        program.wait_until_up()
        _register(channels, street)
        world = World(
            directory, database, program, shops.shops, street, fuses, merchant, stranger, stranger.slug, channels,
            setting.goods, Customers(shops.shops), clerk, {**keys, **_secrets_of(channels)}, password,
        )  # fmt: skip
        for position in range(len(channels)):
            world.calm(position)
        wait_until_told(world.channel_ids, lambda: False)
        world.log_starts = {
            log: log.stat().st_size for log in (program.log, server.log_of(database)) if log.exists()
        }
        yield world


@contextmanager
def _running(home: Path) -> Iterator[EmbeddedServer]:
    """Runs the copied database, and has this process work on it."""
    database = EmbeddedServer(home)
    database.acquire()
    try:
        server.use(home)
        yield database
    finally:
        connection.close()
        database.release()


def _register(channels: Sequence[Channel], street: Street) -> None:
    """Subscribes to the webhooks of every shop, by way of the street."""
    for channel in channels:
        register(channel, open_connector(channel))
        street.know(reverse("channels:webhook", args=[channel.public_id]), open_connector(channel))


def _open_doors(shops: Sequence[Shop]) -> list[Channel]:
    """Fills the shops with what the database says that they show, and tells the channels where their shops are."""
    AccessToken.objects.all().delete()
    # They are signed with the secret of who made the world, and whatever there is to do lies in rows.
    OrmQ.objects.all().delete()
    # What is due by the hour or the day was done when the world was made.
    due = timezone.now() + timedelta(hours=1)
    Schedule.objects.exclude(schedule_type=Schedule.MINUTES).update(next_run=due)
    return [_open_door(shop, Channel.objects.get(name=shop.name)) for shop in shops]


def _open_door(shop: Shop, channel: Channel) -> Channel:
    fill_shop(shop, channel)
    channel.settings = shop.client.settings()
    channel.credentials = {**channel.credentials, **shop.client.credentials()}
    channel.save(update_fields=["settings", "credentials"])
    return channel


def _environment(directory: Path, fuses: Fuses, sabotage: str | None) -> Mapping[str, str]:
    return {
        "ONECOUNT_DATA_DIR": str(directory),
        "DATABASE_URL": "",
        "DATABASE_DIRECT_URL": "",
        "SECRET_KEY": settings.SECRET_KEY,
        "ONECOUNT_CREDENTIAL_KEYS": ",".join(settings.ONECOUNT_CREDENTIAL_KEYS),
        "ONECOUNT_WAL_ARCHIVE": "",
        "LOG_FORMAT": "json",
        inside.FUSES: str(fuses.directory),
        inside.SABOTAGE: sabotage or "",
    }


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
