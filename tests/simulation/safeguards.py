"""Safeguards of the protocol, each with what it is without: taken away, the simulation has to find out."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from unittest.mock import patch

from channels import clock_steps, comparing, leases, order_states, orders, outcomes, sending
from channels.comparing import Decision
from channels.connectors.bol import orders as bol_orders
from channels.connectors.shopify import orders as shopify_orders
from channels.connectors.woocommerce import order_feed as woo_feed
from channels.events import OrderState
from channels.models.outbound import PushOutcome
from channels.order_lines import LineChange
from channels.outcomes import OUTCOMES
from inventory import holds, reservations, statements, taking
from tests.simulation.scripts import hand_over
from tests.simulation.world import World

Replacement = tuple[object, str, object]


def _written_over(target: int, *, expected: int | None, shown: int | None) -> Decision:
    """What is missing in a shop is not left out of what it is told."""
    if shown is None:
        return Decision(None if expected == target else target, expected)
    return Decision(None if target == shown else target, shown, shown)


_redecide: Final = sending._redecide


def _redecide_where_compared(batch: Any, decisions: dict[int, Decision]) -> None:
    if batch.connector.capabilities.compare_and_set:
        _redecide(batch, decisions)


def _nothing(*arguments: Any, **named: Any) -> None:
    return None


def _altered(module: Any, name: str, before: str, after: str) -> Replacement:
    """A statement as another text."""
    text = getattr(module, name)
    if before not in text:
        raise ValueError(f"{module.__name__}.{name} says nothing of {before!r} any more")
    return module, name, text.replace(before, after)


_state_key: Final = order_states.state_key


def _by_wall_clock(state: OrderState) -> list[Any]:
    """States as the texts of their stamps sort, of which an hour is left out or comes twice."""
    return [state.updated_at.replace(tzinfo=None).isoformat(), *_state_key(state)[1:]]


@dataclass(frozen=True)
class Safeguard:
    """How it is taken away, and what shows that it is missing: a seed, or a story where chance seldom tells one."""

    replacements: Callable[[], Sequence[Replacement]]
    known_seed: int = 0
    story: Callable[[World], None] | None = None


def _received_while_telling(world: World) -> None:
    """What changes the number comes after it was computed and before it is confirmed."""
    world.lose("CUP", 1)
    world.interference = lambda: world.receive("CUP", 2)
    world.push(2)


def _died_while_telling(world: World) -> None:
    """A call arrives, its sender dies, and the number that was right before is right again."""
    world.lose("MUG", 1)
    world.push(1, fault="died after")
    world.receive("MUG", 1)


def _died_before_the_clock_was_put_back(world: World) -> None:
    world.lose("MUG", 1)
    world.push(1, fault="died")
    world.set_server_clock(timedelta(hours=-2))


def _put_back_unseen(world: World) -> None:
    """Our number goes over a sale that we have not heard of, and the shop puts its unit back on top."""
    shop = world.shops[2]
    order = shop.sell({"plain-CUP": 1})
    world.receive("CUP", 1)
    world.push(2)
    if order is not None:
        shop.cancel(order, order.lines[0], 1, restocks=True)


def _confirmed_late(world: World) -> None:
    world.hold("MUG", 1, seconds=1.0)
    world.tick(2.0)
    world.confirm(world.holds[0])


def _sold_on_the_night_of_the_change(world: World) -> None:
    """Half past two comes twice: what is cancelled at the second was ordered at the first."""
    shop = world.shops[2]
    world.tick((datetime(2026, 10, 25, 0, 30, tzinfo=UTC) - world.now).total_seconds())
    order = shop.sell({"plain-MUG": 2})
    if order is not None:
        world.announce(shop, order, copies=[0.0])
        hand_over(world, world.network[0])
        world.process()
        world.tick(50 * 60.0)
        shop.cancel(order, order.lines[0], 2, restocks=True)
        world.announce(shop, order, copies=[0.0])


def _taken_for_told(batch: Any, error: Exception) -> None:
    for draft in list(batch.open.values()):
        batch.close(draft, draft.told(PushOutcome.CONFIRMED, published=draft.decision.quantity))


#: What is taken away → how.
SAFEGUARDS: Final[dict[str, Safeguard]] = {
    "the largest state of an order is kept, not the last": Safeguard(
        lambda: [
            (orders, "is_newer", lambda key, kept: key != kept),
            (orders, "is_old_news", lambda state, known: False),
        ],
        known_seed=37,
    ),
    "states of one time stamp are ordered, too": Safeguard(
        lambda: [(orders, "is_newer", lambda key, kept: not kept or key[0] > kept[0])], known_seed=1
    ),
    "stamps are compared as instants": Safeguard(
        lambda: [(orders, "state_key", _by_wall_clock), (order_states, "state_key", _by_wall_clock)],
        story=_sold_on_the_night_of_the_change,
    ),
    "what a shop sold unseen is left out of what it is told": Safeguard(
        lambda: [(sending, "decide", _written_over)], known_seed=4
    ),
    "without comparing nothing is inferred": Safeguard(
        lambda: [(sending, "_redecide", _redecide_where_compared)], known_seed=7
    ),
    "a call without an answer is in doubt": Safeguard(
        lambda: [
            (sending, "OUTCOMES", dict.fromkeys(OUTCOMES, PushOutcome.CONFIRMED)),
            (sending, "_give_up", _taken_for_told),
        ],
        known_seed=34,
    ),
    "what is marked while it is told stays due": Safeguard(
        lambda: [_altered(outcomes, "_WRITE_SQL", "greatest(level.done, told.wanted)", "level.wanted")],
        story=_received_while_telling,
    ),
    "who died while telling is in doubt": Safeguard(
        lambda: [_altered(leases, "_LEASE_SQL", "level.lease_token IS NOT NULL", "false")],
        story=_died_while_telling,
    ),
    "what was sold and put back unseen is told again": Safeguard(
        lambda: [(LineChange, "is_put_back_unseen", False)], story=_put_back_unseen
    ),
    "a difference counts as somebody's edit only once all orders are imported": Safeguard(
        lambda: [_altered(comparing, "_LOOK", "NOT (is_same AND is_covered)", "false")], known_seed=4
    ),
    "movements are recorded after those before them": Safeguard(
        lambda: [
            _altered(statements, "_CLOCK", "greatest(clock_timestamp(),", "coalesce(clock_timestamp(),")
        ],
    ),
    "waits beyond all waits are over": Safeguard(
        lambda: [(clock_steps, "forget_the_future", lambda: 0)], story=_died_before_the_clock_was_put_back
    ),
    "what arrives fills what is owed": Safeguard(lambda: [(holds, "fill", _nothing)], known_seed=8),
    "a cancellation takes off what is owed first": Safeguard(
        lambda: [(taking, "close_owed", lambda posting, owed, quantity: quantity)], known_seed=7
    ),
    "a hold that ended is not confirmed": Safeguard(
        lambda: [(reservations, "expired_ids", lambda ids: [])], story=_confirmed_late
    ),
    "lists of orders are read with an overlap": Safeguard(
        lambda: [
            (woo_feed, "OVERLAP", -woo_feed.OVERLAP),
            (woo_feed, "SHORT_OVERLAP", -woo_feed.SHORT_OVERLAP),
            (shopify_orders, "OVERLAP", -shopify_orders.OVERLAP),
            (bol_orders, "OVERLAP", -bol_orders.OVERLAP),
        ],
        known_seed=3,
    ),
}


@contextmanager
def without(name: str) -> Iterator[None]:
    """Takes a safeguard away while it lasts; inside `stand.standing`."""
    with ExitStack() as stack:
        for place, attribute, value in SAFEGUARDS[name].replacements():
            stack.enter_context(patch.object(place, attribute, value))
        yield
