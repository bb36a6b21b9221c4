"""What goes wrong in the shops of `demo --faults drift`, and what became of each fault.

Beside the customers, hands write numbers into the shops' own stock, one shop's webhooks are lost for a while, and another
shop is down for a minute. When the customers have left, every channel is compared once more, and the play ends when nothing
waits to be corrected.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

import structlog
from django.db import connection
from django.utils import timezone

from channels.demo.figures import Stage
from channels.demo.oversell import StockEvent
from channels.demo.shops import Shop
from channels.demo.stage import Play
from channels.models import Channel, ChannelOrderLine, ListingLevel
from inventory.models import BundlePart, Location
from reconciliation import runs
from reconciliation.errors import Refused
from reconciliation.glance import opened_since
from reconciliation.models import Discrepancy, ReconciliationRun, ReconciliationSchedule
from reconciliation.models.discrepancies import DiscrepancyState, RunKind, RunState
from reconciliation.tasks import watch

log = structlog.get_logger(__name__)

#: Seconds that an endless play spreads its faults over.
ENDLESS: Final = 180.0
#: Units by which hands change numbers; each is within what the usual policy corrects.
EDITS: Final = (3, -2, 5)
#: Only shelves that show at least so many units are edited, so that a smaller number is still one.
_LEAST: Final = 6
#: Seconds for comparisons and corrections once the customers have left.
SETTLING: Final = 240.0
#: Times that an edit is repeated which a push wrote over before anybody saw it.
_TRIES: Final = 3
_TICK: Final = 0.25
#: Seconds between two looks at the health of everything.
WATCH_EVERY: Final = 10.0


@dataclass(slots=True)
class Fault:
    """Something that was done to a shop."""

    kind: str
    shop: str
    began_at: datetime
    ended_at: datetime | None = None
    #: Of an edit: the shelf, and the number that the hand wrote.
    listing_level_id: int | None = None
    sku: str = ""
    wrote: int | None = None
    #: The discrepancy that tells of it.
    discrepancy_id: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Returns it as the summary shows it."""
        facts: dict[str, Any] = {"fault": self.kind, "shop": self.shop, "began_at": self.began_at.isoformat()}
        if self.ended_at is not None:
            facts["ended_at"] = self.ended_at.isoformat()
        if self.listing_level_id is not None:
            facts |= {"sku": self.sku, "wrote": self.wrote, "discrepancy": self.discrepancy_id}
        return facts


class Scene(Protocol):
    """One thing that happens at its time."""

    def __call__(self, stage: Stage) -> None: ...


@dataclass(slots=True)
class Drift:
    """Customers as in any demo, and faults in between."""

    #: The customers.
    shoppers: Play
    seconds: float | None
    faults: list[Fault] = field(default_factory=list)
    _is_over: threading.Event = field(default_factory=threading.Event)
    _began_at: datetime = field(default_factory=timezone.now)
    _used: set[int] = field(default_factory=set)
    #: Why a fault could not be played, or health not be watched: the summary would tell of less than it should.
    _failure: Exception | None = None

    @property
    def events(self) -> Sequence[StockEvent]:
        """Stock changes beside the shops' own books: hands change what shops show, not what there is."""
        return self.shoppers.events

    def run(self, stage: Stage, should_stop: Callable[[], bool]) -> None:
        """Has customers buy while things go wrong, then waits until all is right again."""
        self._began_at = timezone.now()
        hasten(stage)
        faults = threading.Thread(target=self._play_faults, args=[stage], name="faults", daemon=True)
        watcher = threading.Thread(target=self._watch, name="watcher", daemon=True)
        faults.start()
        watcher.start()
        try:
            self.shoppers.run(stage, should_stop)
        finally:
            self._is_over.set()
            faults.join(10.0)
            watcher.join(10.0)
            for shop in stage.shops:
                shop.client.clear_faults()
        if self._failure is not None:
            raise self._failure
        if not should_stop():
            self._settle(stage, should_stop)

    def figures(self) -> dict[str, Any]:
        """Every fault, with the discrepancy that tells of it."""
        return {**self.shoppers.figures(), "faults": [fault.as_json() for fault in self.faults]}

    # -- while customers buy

    def scenes(self, stage: Stage) -> list[tuple[float, Scene]]:
        """Returns what happens, by its share of the time."""
        silent, down = stage.shops[1 % len(stage.shops)], stage.shops[-1]
        length = min(60.0, (self.seconds or ENDLESS) / 3)
        down_for = length / (self.seconds or ENDLESS)
        return [
            (0.08, self._edit_everywhere),
            (0.15, lambda stage: self._begin("webhooks lost", silent, webhooks_are_lost=True)),
            (0.30, lambda stage: self._edit(stage, silent, EDITS[0])),
            (0.44, lambda stage: self._end("webhooks lost", silent, webhooks_are_lost=False)),
            (0.45, lambda stage: self._begin("down", down, is_down=True)),
            (0.50, lambda stage: self._edit(stage, down, EDITS[1])),
            (0.45 + down_for, lambda stage: self._end("down", down, is_down=False)),
            (0.90, self._edit_everywhere),
        ]

    def _play_faults(self, stage: Stage) -> None:
        began = time.monotonic()
        try:
            for share, scene in sorted(self.scenes(stage), key=lambda pair: pair[0]):
                pause = began + share * (self.seconds or ENDLESS) - time.monotonic()
                if self._is_over.wait(max(pause, 0.0)):
                    return
                scene(stage)
        except Exception as error:  # noqa: BLE001 - carried to the thread that plays, which raises it
            self._failure = error
        finally:
            connection.close()

    def _watch(self) -> None:
        """Looks for what is wrong more often than every minute: these faults last no longer."""
        try:
            while not self._is_over.wait(WATCH_EVERY):
                watch()
        except Exception as error:  # noqa: BLE001 - carried to the thread that plays, which raises it
            self._failure = error
        finally:
            connection.close()

    def _begin(self, kind: str, shop: Shop, **faults: object) -> None:
        shop.client.set_faults(**faults)
        self.faults.append(Fault(kind, shop.key, timezone.now()))

    def _end(self, kind: str, shop: Shop, **faults: object) -> None:
        shop.client.set_faults(**faults)
        for fault in self.faults:
            if (fault.kind, fault.shop) == (kind, shop.key) and fault.ended_at is None:
                fault.ended_at = timezone.now()

    def _edit_everywhere(self, stage: Stage) -> None:
        for shop in stage.shops:
            for units in EDITS:
                self._edit(stage, shop, units)

    def _edit(self, stage: Stage, shop: Shop, units: int) -> None:
        """Writes another number into the shop's own stock, of goods that nobody bought of late."""
        level = quiet_shelf(stage.channels[shop.key], self._used)
        if level is None or level.expected is None:
            log.warning("nothing_to_edit", shop=shop.key)
            return
        self._used.add(level.pk)
        wrote = level.expected + units
        shop.client.edit_stock(level.listing.sku, wrote, place_code(level))
        fault = Fault("edit", shop.key, timezone.now(), None, level.pk, level.listing.sku, wrote)
        self.faults.append(fault)

    # -- once they have left

    def _settle(self, stage: Stage, should_stop: Callable[[], bool]) -> None:
        """Compares every channel until each edit is told of and corrected, or time is up."""
        until = time.monotonic() + SETTLING
        for _ in range(_TRIES):
            compare_all(stage, until, should_stop)
            self._find_discrepancies()
            unseen = [fault for fault in self.faults if fault.kind == "edit" and fault.discrepancy_id is None]
            if not unseen or time.monotonic() > until or should_stop():
                return
            # A push wrote over them before anybody looked; nobody buys now, so that these will be seen.
            for fault in unseen:
                self.faults.remove(fault)
                shop = next(each for each in stage.shops if each.key == fault.shop)
                self._edit(stage, shop, EDITS[0])

    def _find_discrepancies(self) -> None:
        found = Discrepancy.objects.filter(first_seen_at__gte=self._began_at).order_by("id")
        by_shelf = dict(found.values_list("listing_level_id", "id"))
        for fault in self.faults:
            if fault.listing_level_id is not None:
                fault.discrepancy_id = by_shelf.get(fault.listing_level_id)


def hasten(stage: Stage) -> None:
    """Has the demo's channels compared every minute, so that a fault is found while somebody watches."""
    for channel in stage.channels.values():
        ReconciliationSchedule.objects.update_or_create(
            channel=channel,
            kind=RunKind.INCREMENTAL,
            tag=None,
            defaults={"every_minutes": 1, "is_active": True, "next_run_at": timezone.now()},
        )


def quiet_shelf(channel: Channel, used: set[int]) -> ListingLevel | None:
    """Returns a shelf that shows enough, that nothing is on its way to, and whose goods nobody bought of late."""
    since = timezone.now() - timedelta(seconds=60)
    bought = ChannelOrderLine.objects.filter(order__arrived_at__gte=since, variant__isnull=False)
    levels = ListingLevel.objects.filter(
        channel=channel,
        listing__is_active=True,
        listing__variant__isnull=False,
        expected__gte=_LEAST,
        due_since__isnull=True,
        lease_token__isnull=True,
        seen_at__isnull=True,
    )
    free = (
        levels.exclude(pk__in=used)
        .exclude(listing__variant__in=bought.values("variant"))
        # What a set or its parts show changes with every sale of either.
        .exclude(listing__variant__in=BundlePart.objects.values("variant"))
        .exclude(listing__variant__in=BundlePart.objects.values("bundle_variant"))
    )
    # The last of the catalogue: its best sellers come first.
    return free.select_related("listing", "channel_location").order_by("-listing__variant_id", "id").first()


def place_code(level: ListingLevel) -> str | None:
    """Returns the code under which the simulated shop knows the shelf's place; None where it has no places."""
    place = level.channel_location
    if not place.external_id:
        return None
    own = Location.objects.filter(merchant=level.channel.merchant_id, name=place.name)
    return own.values_list("code", flat=True).first()


def compare_all(stage: Stage, until: float, should_stop: Callable[[], bool]) -> None:
    """Has every channel compared, and waits until all runs have ended and nothing is being corrected any more."""
    asked = {channel.pk: _ask(channel) for channel in stage.channels.values()}
    while time.monotonic() < until and not should_stop():
        states = dict(ReconciliationRun.objects.filter(pk__in=asked.values()).values_list("pk", "state"))
        for channel in stage.channels.values():
            if states.get(asked[channel.pk]) == RunState.FAILED:
                asked[channel.pk] = _ask(channel)
        correcting = Discrepancy.objects.filter(
            channel__in=stage.channel_ids, closed_at__isnull=True, state=DiscrepancyState.CORRECTING
        )
        if all(states.get(pk) == RunState.DONE for pk in asked.values()) and not correcting.exists():
            return
        time.sleep(_TICK)


def _ask(channel: Channel) -> int:
    try:
        return runs.ask(channel, asked_by="demo").pk
    except Refused as error:
        raise RuntimeError(f"The demo's own channel cannot be compared: {error}") from error


def discrepancies_of(channel_ids: Sequence[int], since: datetime) -> list[dict[str, Any]]:
    """Returns the discrepancies of channels as the summary shows them, as found."""
    found = Discrepancy.objects.filter(channel__in=channel_ids, first_seen_at__gte=since).order_by("id")
    return [
        {
            "id": each.pk,
            "channel": each.channel.kind if each.channel else "",
            "sku": each.listing_level.listing.sku if each.listing_level else "",
            "shown": each.shown,
            "expected": each.expected,
            "cause": each.cause,
            "state": each.state,
            "value": None if each.value is None else f"{each.value:.2f} {each.currency}".strip(),
            "seconds_to_close": (each.closed_at - each.first_seen_at).total_seconds()
            if each.closed_at
            else None,
        }
        for each in found.select_related("channel", "listing_level__listing").defer("channel__credentials")
    ]


@dataclass(slots=True)
class Watched:
    """A play whose summary also tells what OneCount itself reported of it."""

    play: Play
    _channel_ids: list[int] = field(default_factory=list)
    _began_at: datetime = field(default_factory=timezone.now)

    @property
    def events(self) -> Sequence[StockEvent]:
        """Stock changes beside the shops' own books."""
        return self.play.events

    def run(self, stage: Stage, should_stop: Callable[[], bool]) -> None:
        """Plays."""
        self._channel_ids, self._began_at = stage.channel_ids, stage.began_at
        self.play.run(stage, should_stop)

    def figures(self) -> dict[str, Any]:
        """Lists the discrepancies and the alerts of the run."""
        return {
            **self.play.figures(),
            "discrepancies": discrepancies_of(self._channel_ids, self._began_at),
            "alerts": opened_since(self._channel_ids, self._began_at),
        }
