"""A merchant, its shops, the network between and the engine, on one simulated clock.

The engine is the production code with its own statements; what it waits for, is told and forgets is decided here. Every
choice comes from one `random.Random`.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final

from django.db import DatabaseError

from channels import breaker, clock_steps, deliveries, fetching, leases, polling, sending
from channels.breaker import BreakerState
from channels.connectors.base import Convention, InboundMessage, InboundRequest, PushItem
from channels.events import ChannelEvent, OrderHint
from channels.exposure import Exposure, Inputs, LocationStock, compute
from channels.leases import Leased
from channels.models import Channel
from channels.models.inbound import DeliveryPriority, DeliveryState
from inventory.errors import InsufficientStock, ReservationClosed, ReservationExpired
from inventory.ledger import Context
from inventory.models.stock import Reason
from inventory.reservations import Demand, ReservedUnits, confirm, expire, release, reserve
from inventory.stock import AdjustmentLine, StockLine, adjust, receive
from tests.simulation import stand
from tests.simulation.database import Clockwork, Died, disk_full
from tests.simulation.shops import KINDS, Order, Shop, SimulatedConnector
from tests.simulation.statements import Row

MERCHANT: Final = 1
LOCATIONS: Final = (11, 12)
VARIANTS: Final = {"MUG": 21, "CUP": 22}
SHOPS: Final = tuple(KINDS)
#: The hours around it hold the end of summer time in Amsterdam, at 01:00 UTC.
AUTUMN: Final = datetime(2026, 10, 24, 22, 0, tzinfo=UTC)
SPRING: Final = datetime(2026, 3, 28, 22, 0, tzinfo=UTC)


#: When, what, and about what.
Story = list[tuple[datetime, str, tuple[object, ...]]]


class Violation(AssertionError):
    """Something that must never be."""


@dataclass
class Message:
    """A message on its way."""

    due_at: datetime
    channel_id: int
    key: str
    event: ChannelEvent


@dataclass
class World(Clockwork):
    """Everything there is."""

    now: datetime = AUTUMN
    seed: int = 0
    opening: int = 6
    kinds: Sequence[str] = SHOPS
    #: How far the shops' clocks are ahead.
    shop_offsets: Sequence[timedelta] = (timedelta(),) * len(SHOPS)
    #: The chance that something happens while a call is under way.
    haste: float = 0.0
    random: Random = field(init=False)
    shops: dict[int, Shop] = field(default_factory=dict)
    channels: dict[int, Channel] = field(default_factory=dict)
    network: list[Message] = field(default_factory=list)
    events: dict[tuple[int, str], ChannelEvent] = field(default_factory=dict)
    turns: dict[int, leases.Turns] = field(default_factory=dict)
    #: Units that came, less those that were lost, and that left otherwise than for a shop's order; by SKU.
    received: dict[str, int] = field(default_factory=dict)
    #: Holds that somebody asked for, by reservation, and the units of those that were confirmed.
    holds: list[int] = field(default_factory=list)
    confirmed: dict[int, int] = field(default_factory=dict)
    story: Story = field(default_factory=list)
    #: What was computed last for a listing level.
    computed: dict[int, Exposure] = field(default_factory=dict)
    #: Listing levels of which a call was lost: what their shop shows is a guess until they are settled.
    doubtful: set[int] = field(default_factory=set)
    #: When each channel's orders were last read to the end, by the true time.
    read_at: dict[int, datetime] = field(default_factory=dict)
    #: When the last thing happened.
    quiet_since: datetime = AUTUMN
    kept_keys: dict[int, list[Any]] = field(default_factory=dict)
    #: What happens once while the next call is under way.
    interference: Callable[[], None] | None = None
    _is_busy: bool = False
    _keys: int = 0

    def __post_init__(self) -> None:
        self.random = Random(self.seed)
        random.seed(self.seed)
        super().__post_init__()
        stand.enter(self)
        breaker.forget_successes()
        self._furnish()

    def tell(self, what: str, *about: object) -> None:
        """Notes what happens, for whoever has to understand it."""
        self.story.append((self.now, what, about))

    # -- beginning
    def _furnish(self) -> None:
        add = self.database.tables.add
        for location in LOCATIONS:
            add("inventory_location", id=location, merchant_id=MERCHANT, is_active=True, country="",
                daily_orders=None, daily_units=None)  # fmt: skip
        for sku, variant in VARIANTS.items():
            add("inventory_variant", id=variant, merchant_id=MERCHANT, sku=sku)
        shops = zip(self.kinds, self.shop_offsets, strict=False)
        for number, (kind, offset) in enumerate(shops, start=1):
            self._open(number, kind, offset)
        for sku, variant in VARIANTS.items():
            self.received[sku] = 2 * self.opening
            lines = [StockLine(variant, location, self.opening) for location in LOCATIONS]
            receive(self.context("opening"), lines)
        for channel_id, shop in self.shops.items():
            self._settle_in(channel_id, shop)

    def _open(self, channel_id: int, kind: str, offset: timedelta) -> None:
        add = self.database.tables.add
        add("channels_channel", id=channel_id, merchant_id=MERCHANT, kind=kind, name=kind, is_active=True,
            is_paused=False, in_shadow=False)  # fmt: skip
        self.channels[channel_id] = Channel(pk=channel_id, merchant_id=MERCHANT, kind=kind, name=kind)
        self.turns[channel_id] = leases.Turns()
        place = add(
            "channels_channellocation", channel_id=channel_id, external_id="", name="", is_active=True
        )
        for priority, location in enumerate(LOCATIONS):
            add("channels_channellocationsource", channel_location_id=place["id"], location_id=location,
                priority=priority, is_active=True)  # fmt: skip
        skus = {}
        for sku, variant in VARIANTS.items():
            name = f"{kind}-{sku}"
            skus[name] = sku
            listing = add("channels_listing", channel_id=channel_id, variant_id=variant, external_id=name, sku=sku,
                          parent_external_id="", data={}, is_active=True)  # fmt: skip
            add("channels_listinglevel", channel_id=channel_id, listing_id=listing["id"],
                channel_location_id=place["id"])  # fmt: skip
        self.shops[channel_id] = Shop(self, kind, channel_id, dict.fromkeys(skus, 0), skus, offset)
        add("channels_pollfeed", channel_id=channel_id, name="orders", cursor="", next_poll_at=self.now)

    def _settle_in(self, channel_id: int, shop: Shop) -> None:
        """Begins with shops that show the right numbers, and whose orders were read just now."""
        for level in self.levels(channel_id):
            number = self.exposure(level["id"]).quantity
            shop.numbers[self.listing(level)] = number
            level.update(
                wanted=1, done=1, due_since=None, expected=number, published_quantity=number,
                confirmed_at=self.now, sent_quantity=number, sent_at=self.now,
            )  # fmt: skip
        self.poll(channel_id)

    # -- what there is
    def levels(self, channel_id: int | None = None) -> list[Row]:
        """Returns the listing levels, of one channel or all."""
        rows = self.database.tables["channels_listinglevel"]
        return [row for row in rows if channel_id in (None, row["channel_id"])]

    def listing(self, level: Row) -> str:
        """Returns the platform's id of what a listing level is about."""
        rows = self.database.tables["channels_listing"]
        return str(next(row["external_id"] for row in rows if row["id"] == level["listing_id"]))

    def feed(self, channel_id: int) -> Row:
        """Returns the feed of a channel."""
        rows = self.database.tables["channels_pollfeed"]
        return next(row for row in rows if row["channel_id"] == channel_id)

    def context(self, key: str) -> Context:
        """Returns the context of an operation with a key of its own."""
        self._keys += 1
        return Context(MERCHANT, f"{key}:{self._keys}")

    def exposure(self, level_id: int) -> Exposure:
        """Computes a number as production does, from the rows there are."""
        tables = self.database.tables
        level = next(row for row in tables["channels_listinglevel"] if row["id"] == level_id)
        listing = next(row for row in tables["channels_listing"] if row["id"] == level["listing_id"])
        able = KINDS[self.shops[level["channel_id"]].kind]
        stock = tuple(
            LocationStock(str(r["location_id"]), r["on_hand"], r["reserved"], r["unavailable"], 0)
            for r in tables["inventory_stocklevel"]
            if r["variant_id"] == listing["variant_id"]
        )
        own = self._held_for(level["channel_id"], listing["external_id"])
        found = compute(
            Inputs(
                level_id,
                stock,
                convention=able.convention,
                own_open_units=own,
                largest=able.largest_quantity,
                expected=level["expected"],
            )
        )
        most = sum(each.available for each in stock)
        most += own if able.convention is Convention.INCLUDES_OPEN_ORDERS else 0
        if found.quantity > most:
            raise Violation(f"{listing['external_id']}: {found.quantity} published, {most} can be reserved")
        self.computed[level_id] = found
        return found

    def _held_for(self, channel_id: int, listing: str) -> int:
        """Returns the units that are held for a channel's own open orders of a listing."""
        tables = self.database.tables
        orders = {row["id"] for row in tables["channels_channelorder"] if row["channel_id"] == channel_id}
        lines = {
            f"order-line:{row['id']}"
            for row in tables["channels_channelorderline"]
            if row["order_id"] in orders and row["listing_external_id"] == listing
        }
        return sum(r["open_quantity"] for r in tables["inventory_reservation"] if r["reference"] in lines)

    # -- time
    def tick(self, seconds: float) -> None:
        """Lets time go by."""
        self.tell("time", seconds)
        self.now += timedelta(seconds=seconds)
        stand.set_clock(self.server_time())

    def set_server_clock(self, ahead: timedelta) -> None:
        """Puts the clock of our server on, or back."""
        self.tell("our clock", ahead)
        self.offset = ahead
        stand.set_clock(self.server_time())

    # -- shops and warehouse
    def announce(self, shop: Shop, order: Order, *, copies: Sequence[float], is_hint: bool = False) -> None:
        """Puts messages of an order on their way, each with its delay in seconds; none is a lost one."""
        state = shop.state_of(order)
        event: ChannelEvent = OrderHint(order.id) if is_hint else state
        key = f"{order.id}/{order.version}/{'hint' if is_hint else 'state'}"
        self.tell(shop.kind, state.lines, "announced after", copies, "hint" if is_hint else "state")
        for delay in copies:
            due_at = self.now + timedelta(seconds=delay)
            self.network.append(Message(due_at, shop.channel_id, key, event))

    def receive(self, sku: str, units: int) -> None:
        """Goods arrive."""
        self.tell("received", sku, units)
        self.received[sku] += units
        self._warehouse(
            lambda c: receive(c, [StockLine(VARIANTS[sku], self.random.choice(LOCATIONS), units)])
        )

    def lose(self, sku: str, units: int) -> None:
        """Goods that are there turn out to be gone."""
        rows = self.database.tables["inventory_stocklevel"]
        there = [row for row in rows if row["variant_id"] == VARIANTS[sku] and row["on_hand"]]
        if not there:
            return
        level = self.random.choice(there)
        units = min(units, level["on_hand"])
        self.received[sku] -= units
        self.tell("lost", sku, units)
        line = AdjustmentLine(VARIANTS[sku], level["location_id"], -units, Reason.LOSS)
        self._warehouse(lambda c: adjust(c, [line]))

    def hold(self, sku: str, units: int, *, seconds: float) -> None:
        """Somebody asks to hold units for a while."""
        context = self.context("hold")
        demand = Demand(f"api:{context.key}", VARIANTS[sku], units, LOCATIONS)
        with self._may_fail(), suppress(InsufficientStock):
            ends_at = self.server_time() + timedelta(seconds=seconds)
            held = reserve(context, [demand], expires_at=ends_at).held
            self.holds += [each.reservation_id for each in held]
            self.tell("held", self.holds[-len(held) :], seconds)

    def confirm(self, reservation_id: int) -> None:
        """Somebody makes a hold permanent."""
        rows = self.database.tables["inventory_reservation"]
        row = next(row for row in rows if row["id"] == reservation_id)
        has_ended = row["expires_at"] is not None and row["expires_at"] <= self.server_time()
        with self._may_fail(), suppress(ReservationExpired, ReservationClosed):
            confirm(self.context("confirm"), [reservation_id])
            self.tell("confirmed", reservation_id)
            if has_ended:
                raise Violation(f"hold {reservation_id} was confirmed after its end")
            self.confirmed.setdefault(reservation_id, row["open_quantity"])

    def release(self, reservation_id: int) -> None:
        """Somebody gives a hold back, as long as nobody was promised it for good."""
        if reservation_id not in self.confirmed:
            with self._may_fail(), suppress(ReservationClosed):
                release(self.context("release"), [ReservedUnits(reservation_id)])

    def _warehouse(self, act: Callable[[Context], object]) -> None:
        """Records a fact until it is recorded: people try again, with the same key."""
        context = self.context("warehouse")
        for _ in range(3):
            try:
                act(context)
            except (Died, DatabaseError):
                continue
            return

    # -- the engine
    def deliver(self, message: Message) -> bool:
        """A message arrives at the door; False where it could not be stored, so that its sender keeps it."""
        self.tell("message", message.key)
        request = InboundRequest({}, b"", self.server_time())
        self.events[message.channel_id, message.key] = message.event
        inbound = InboundMessage("order", message.key, {})
        try:
            deliveries._store(self.channels[message.channel_id], inbound, DeliveryPriority.ORDER, request)
        except (Died, DatabaseError):
            return False
        return True

    def process(self) -> None:
        """Applies the messages that were stored, each in a transaction."""
        for row in list(self.database.tables["channels_webhookdelivery"]):
            if row["state"] == DeliveryState.RECEIVED:
                self._process(row)

    def _process(self, row: Row) -> None:
        channel = self.channels[row["channel_id"]]
        delivery: Any = stand.Delivery(channel, row["received_at"])
        with self._may_fail(), self.database.atomic():
            deliveries._apply(delivery, self.events[row["channel_id"], row["dedupe_key"]])
            with self.database.cursor() as cursor:
                cursor.execute(
                    deliveries._PROCESSED, [DeliveryState.PROCESSED.value, self.server_time(), row["id"]]
                )

    @contextmanager
    def _may_fail(self) -> Iterator[None]:
        """Ends the work where the process dies or the disk is full; what was committed stays."""
        with suppress(Died, DatabaseError):
            yield

    def poll(self, channel_id: int) -> None:
        """Reads the orders of a channel to the end, as `polling.poll_feed` does, then those of which it has hints."""
        feed, connector = self.feed(channel_id), SimulatedConnector(self.shops[channel_id])
        started_at = self.server_time()
        self.tell("poll", connector.shop.kind)
        with self._may_fail():
            while True:
                page = connector.fetch_orders(feed["cursor"])
                polling._apply_page(self.channels[channel_id], page)
                feed["cursor"] = page.cursor
                if not page.has_more:
                    break
            self.read_at[channel_id] = self.now
            interval = KINDS[connector.shop.kind].poll_interval
            feed.update(
                covered_until=started_at,
                last_polled_at=self.server_time(),
                next_poll_at=started_at + interval,
            )
            self.fetch(channel_id)

    def fetch(self, channel_id: int) -> None:
        """Fetches the orders of a channel of which only hints came."""
        connector: Any = SimulatedConnector(self.shops[channel_id])
        with self._may_fail():
            fetching.fetch_due(self.channels[channel_id], connector)

    def push(self, channel_id: int, *, fault: str = "") -> int:
        """Tells a channel one batch of what is due; returns how many shelves that was."""
        health = next(
            (r for r in self.database.tables["channels_channelhealth"] if r["channel_id"] == channel_id), None
        )
        open_until = health["breaker_open_until"] if health else None
        if breaker.state_of(open_until, now=self.server_time()) is BreakerState.OPEN:
            return 0
        told: list[Leased] = []
        turns, able = self.turns[channel_id], KINDS[self.shops[channel_id].kind]
        with self._may_fail():
            oldest_first = turns.is_oldest_first()
            leased = leases.lease(channel_id, size=able.push_batch_size, oldest_first=oldest_first)
            if leased is None:
                return 0
            if fault or self.database.works_for is not None:
                self.doubtful |= {level.id for level in leased.levels}
            turns.count(len(leased.levels), oldest_first=oldest_first)
            self.tell("push", self.shops[channel_id].kind, fault)
            connector: Any = SimulatedConnector(self.shops[channel_id], fault)
            sending.send(leased, connector)
            told += leased.levels
        return len(told)

    def exposures(self, leased: dict[int, Leased]) -> dict[int, Exposure]:
        """Stands in for the loader of production."""
        return {level_id: self.exposure(level_id) for level_id in leased}

    def ask_for_poll(self, channel_id: int) -> None:
        """Has the orders of a channel read at once."""
        self.feed(channel_id)["next_poll_at"] = self.server_time()

    def sweep(self) -> None:
        """What is done every minute."""
        with self._may_fail():
            clock_steps.forget_the_future()
        with self._may_fail():
            expire()

    # -- what befalls
    def die(self) -> None:
        """The process is killed."""
        raise Died

    def fill_disk(self, statements: int) -> None:
        """Has the database refuse a statement, after so many that still work."""
        self.tell("the disk is full after", statements)
        self.database.works_for, self.database.breaks_with = statements, disk_full

    def kill_after(self, statements: int) -> None:
        """Has the process die at a statement, after so many that still work."""
        self.tell("the process dies after", statements)
        self.database.works_for, self.database.breaks_with = statements, Died

    def mend_database(self) -> None:
        """Has every statement work again."""
        self.database.works_for = None

    def meanwhile(self) -> None:
        """While a call is under way, others act: customers buy, messages are applied."""
        if self.interference is not None:
            act, self.interference = self.interference, None
            act()
        if self._is_busy or self.random.random() >= self.haste:
            return
        self._is_busy = True
        try:
            works_for, self.database.works_for = self.database.works_for, None
            shop = self.random.choice(list(self.shops.values()))
            order = shop.sell({self.random.choice(list(shop.skus)): self.random.randint(1, 2)})
            if order is not None:
                self.announce(shop, order, copies=[0.0])
            if self.network and self.random.random() < 0.5:
                self.deliver(self.network.pop(self.random.randrange(len(self.network))))
                self.process()
            self.database.works_for = works_for
        finally:
            self._is_busy = False

    def note_told(self, shop: Shop, item: PushItem) -> None:
        """Checks a number that a shop takes in."""
        level_id = item.address.listing_level_id
        self.tell("told", item.address.listing_external_id, item.quantity, "instead of", item.compare_with)
        target = self.computed[level_id].quantity
        if item.quantity > target:
            raise Violation(f"{item.address.listing_external_id} was told {item.quantity}, not {target}")
        if not shop.able.compare_and_set or level_id in self.doubtful:
            return
        sold = self._sold_unseen(shop, item.address.listing_external_id)
        if item.quantity > max(target - sold, 0):
            raise Violation(
                f"{item.address.listing_external_id} was told {item.quantity} of {target}, and {sold} of them are sold"
            )

    def _sold_unseen(self, shop: Shop, listing: str) -> int:
        """Returns the units that a shop took off its number for orders that are not imported."""
        tables = self.database.tables
        known = {
            row["external_id"]: row["quantity"] - row["restocked"]
            for row in tables["channels_channelorderline"]
        }
        return sum(
            line.quantity - line.restocked - known.get(f"{order.id}-{line.listing}", 0)
            for order in shop.orders.values()
            for line in order.lines
            if line.listing == listing
        )
