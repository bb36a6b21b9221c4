"""What happens in a world, step by step: chosen by its seed, or by whoever plays it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Final

from tests.simulation.checks import check_always, check_quiet
from tests.simulation.shops import Line, Order, Shop
from tests.simulation.statements import Row
from tests.simulation.world import AUTUMN, SHOPS, SPRING, VARIANTS, Message, Story, Violation, World

#: Steps of a seed.
STEPS: Final = 24
#: Seconds of simulated time within which everything has to be told once nothing happens any more. A lost message is found
#: by the next poll; what the clock of the server held up is let go within the longest pause.
QUIET: Final = 2400.0
#: What arrives later than this has to change nothing any more.
LATE: Final = timedelta(minutes=15)
#: Seconds that a shop's clock may be ahead.
OFFSETS: Final = (0, 0, 90, -90, 7200, -7200, 86_400)
PUSH_FAULTS: Final = ("down", "lost", "late", "throttled", "half", "died", "died after")


@dataclass(frozen=True)
class Faults:
    """What may befall a world; each is switched off in some seeds, so that the others are seen alone."""

    messages: bool = True
    calls: bool = True
    clocks: bool = True
    crashes: bool = True
    haste: bool = True


def play(seed: int, *, steps: int = STEPS, story: Story | None = None) -> World:
    """Plays one seed to its end, and notes its story where one is given; raises `Violation`."""
    choose = Random(seed)
    faults = Faults(*(choose.random() < 0.6 for _ in range(5)))
    offsets = [timedelta(seconds=choose.choice(OFFSETS) if faults.clocks else 0) for _ in SHOPS]
    begins_at = choose.choice((AUTUMN, SPRING)) + timedelta(seconds=choose.randrange(6 * 3600))
    world = World(begins_at, seed=seed, shop_offsets=offsets, story=[] if story is None else story)
    world.haste = 0.3 if faults.haste else 0.0
    script = Script(world, faults)
    for _ in range(steps):
        script.step()
    settle(world)
    return world


class Script:
    """Takes the steps of a world."""

    def __init__(self, world: World, faults: Faults) -> None:
        self.world = world
        self.faults = faults
        self.actions: list[tuple[int, Callable[[], None]]] = [
            (5, self.sell),
            (2, self.cancel),
            (2, self.ship),
            (2, self.warehouse),
            (2, self.hold),
            (6, self.deliver),
            (2, self.poll),
            (6, self.push),
            (4, self.wait),
        ]
        if faults.clocks:
            self.actions.append((1, self.step_clock))
        if faults.crashes:
            self.actions.append((2, self.break_database))

    def step(self) -> None:
        """Takes one step, chosen by the world's seed."""
        weights = [weight for weight, _ in self.actions]
        (chosen,) = self.world.random.choices(self.actions, weights)
        chosen[1]()
        check_always(self.world)

    # -- the steps
    def sell(self) -> None:
        """A customer buys one or two things."""
        choose, shop = self.world.random, self.shop()
        listings = choose.sample(sorted(shop.skus), choose.choice((1, 1, 2)))
        order = shop.sell({listing: choose.randint(1, 4) for listing in listings})
        if order is not None:
            self.announce(shop, order)

    def cancel(self) -> None:
        """Some units are cancelled; most shops put them back on their number."""
        found = self._open_line()
        if found is not None:
            shop, order, line = found
            restocks = self.world.random.random() < 0.8
            shop.cancel(order, line, self.world.random.randint(1, line.open), restocks=restocks)
            self.announce(shop, order)

    def ship(self) -> None:
        """Some units leave."""
        found = self._open_line()
        if found is not None:
            shop, order, line = found
            shop.ship(order, line, self.world.random.randint(1, line.open))
            self.announce(shop, order)

    def warehouse(self) -> None:
        """Goods come, or turn out to be gone."""
        choose = self.world.random
        act = choose.choice((self.world.receive, self.world.lose))
        act(choose.choice(sorted(VARIANTS)), choose.randint(1, 4))

    def hold(self) -> None:
        """Units are held for a while, and confirmed, or given back, or forgotten."""
        world, choose = self.world, self.world.random
        if world.holds and choose.random() < 0.6:
            choose.choice((world.confirm, world.release))(choose.choice(world.holds))
        else:
            sku = choose.choice(sorted(VARIANTS))
            world.hold(sku, choose.randint(1, 4), seconds=choose.choice((1.0, 30.0, 900.0)))

    def deliver(self) -> None:
        """The network hands over something: what is due, or anything, or nothing at all but its loss."""
        world = self.world
        for message in [m for m in world.network if m.due_at <= world.now]:
            hand_over(world, message)
        if world.network and self.faults.messages:
            message = world.random.choice(world.network)
            if world.random.random() < 0.3:
                world.network.remove(message)
            else:
                hand_over(world, message)
        world.process()

    def poll(self) -> None:
        """A feed is read."""
        self.world.poll(self.shop().channel_id)

    def push(self) -> None:
        """Each channel is told what is due, one of them with something going wrong."""
        world = self.world
        unlucky = self.shop()
        for channel_id in world.shops:
            fault = ""
            if channel_id == unlucky.channel_id and self.faults.calls and world.random.random() < 0.5:
                fault = world.random.choice(PUSH_FAULTS)
            world.push(channel_id, fault=fault)

    def wait(self) -> None:
        """Time goes by: a moment, a lease, a poll, a day."""
        self.world.tick(self.world.random.choice((0.5, 1.0, 3.0, 20.0, 90.0, 400.0, 86_400.0)))
        self.world.sweep()

    def step_clock(self) -> None:
        """Our server's clock is put on or back, or a shop's goes on."""
        world = self.world
        if world.random.random() < 0.5:
            seconds = world.random.choice((0, 1, -1, 30, -30, 3600, -3600, -7200))
            world.set_server_clock(timedelta(seconds=seconds))
        else:
            shop = self.shop()
            shop.offset += timedelta(seconds=world.random.choice((1, 30, 3600)))

    def break_database(self) -> None:
        """Within the next statements the disk is full or the process dies, for one time."""
        world = self.world
        breaking = world.random.choice((world.fill_disk, world.kill_after))
        breaking(world.random.randrange(12))
        self.world.random.choice((self.deliver, self.push, self.poll, self.warehouse))()
        world.mend_database()

    def shop(self) -> Shop:
        """Chooses a shop."""
        return self.world.random.choice(list(self.world.shops.values()))

    def announce(self, shop: Shop, order: Order) -> None:
        """Has a shop tell of an order: once, often, a day late, or never; in full, or by its id alone."""
        choose = self.world.random
        copies = [choose.choice((0.0, 0.2, 2.0))]
        if self.faults.messages:
            kinds: tuple[list[float], ...] = (
                [],
                [0.0, 0.0, 5.0],
                [86_400.0],
                [choose.choice((0.0, 30.0, 300.0))],
            )
            copies = choose.choice((copies, *kinds))
        self.world.announce(shop, order, copies=copies, is_hint=choose.random() < 0.2)

    def _open_line(self) -> tuple[Shop, Order, Line] | None:
        found = [
            (shop, order, line)
            for shop in self.world.shops.values()
            for order in shop.orders.values()
            for line in order.lines
            if line.open
        ]
        return self.world.random.choice(found) if found else None


def hand_over(world: World, message: Message) -> None:
    """Delivers a message; one that could not be stored stays with its sender."""
    if world.deliver(message):
        world.network.remove(message)


def settle(world: World, *, within: float = QUIET) -> None:
    """Lets everything arrive, be read and be told, with nothing going wrong any more; then checks it all."""
    world.haste = 0.0
    world.mend_database()
    world.quiet_since = world.now
    waited, pause = 0.0, 1.0
    while True:
        _round(world)
        if is_quiet(world):
            world.sweep()
            if is_quiet(world):
                break
            continue
        if waited > within:
            raise Violation(f"there is more to tell after {within:.0f} seconds")
        world.tick(pause)
        waited += pause
        if pause >= 60.0:
            world.sweep()
        pause = min(pause * 2, 60.0)
    check_quiet(world)


def _round(world: World) -> None:
    """What the resident processes do in a moment."""
    for message in [m for m in world.network if m.due_at <= world.now]:
        hand_over(world, message)
    world.process()
    for channel_id in world.shops:
        if world.feed(channel_id)["next_poll_at"] <= world.server_time():
            world.poll(channel_id)
        elif any(_wants_fetch(order) for order in world.database.tables["channels_channelorder"]):
            world.fetch(channel_id)
        for _ in range(8):
            is_due = any(level["wanted"] > level["done"] for level in world.levels(channel_id))
            if not is_due or not world.push(channel_id):
                break


def _wants_fetch(order: Row) -> bool:
    return bool(order["fetch_wanted"] > order["fetched"])


def is_quiet(world: World) -> bool:
    """Tells whether every shop was read since all was said, and nothing is due."""
    tables = world.database.tables
    if any(m.due_at - world.now < LATE for m in world.network):
        return False
    if any(row["state"] == "received" for row in tables["channels_webhookdelivery"]):
        return False
    if any(_wants_fetch(order) for order in tables["channels_channelorder"]):
        return False
    if any(level["wanted"] > level["done"] or level["lease_token"] for level in world.levels()):
        return False
    return all(_is_read(world, shop) for shop in world.shops.values())


def _is_read(world: World, shop: Shop) -> bool:
    """Tells whether the shop's list was read long enough after its last order changed."""
    return world.read_at[shop.channel_id] >= world.quiet_since + timedelta(seconds=5)
