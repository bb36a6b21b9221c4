"""Safeguards of the protocol, each with what it is without: taken away, the simulation has to find out."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final
from unittest.mock import patch

from channels import clock_steps, comparing, leases, order_states, orders, outcomes, sending
from channels.comparing import Decision
from channels.connectors.bol import orders as bol_orders
from channels.connectors.shopify import orders as shopify_orders
from channels.connectors.woocommerce import order_feed as woo_feed
from channels.events import OrderState
from channels.models.outbound import PushOutcome
from channels.outcomes import OUTCOMES
from inventory import holds, reservations, statements, taking

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


def _by_wall_clock(state: OrderState) -> list[Any]:
    """States as the texts of their stamps sort, which an hour is left out of or comes twice in."""
    return [state.updated_at.replace(tzinfo=None).isoformat(), *order_states.state_key(state)[1:]]


@dataclass(frozen=True)
class Safeguard:
    """How it is taken away, and a seed that showed that it is missing: tried first, because many may have to be."""

    known_seed: int
    replacements: Callable[[], Sequence[Replacement]]


def _taken_for_told(batch: Any, error: Exception) -> None:
    for draft in list(batch.open.values()):
        batch.close(draft, draft.told(PushOutcome.CONFIRMED, published=draft.decision.quantity))


#: What is taken away → how.
SAFEGUARDS: Final[dict[str, Safeguard]] = {
    "the largest state of an order is kept, not the last": Safeguard(
        82,
        lambda: [
            (orders, "is_newer", lambda key, kept: key != kept),
            (orders, "is_old_news", lambda state, known: False),
        ],
    ),
    "states of one time stamp are ordered, too": Safeguard(
        1, lambda: [(orders, "is_newer", lambda key, kept: not kept or key[0] > kept[0])]
    ),
    "stamps are compared as instants": Safeguard(0, lambda: [(orders, "state_key", _by_wall_clock)]),
    "what a shop sold unseen is left out of what it is told": Safeguard(
        0, lambda: [(sending, "decide", _written_over)]
    ),
    "without comparing nothing is inferred": Safeguard(
        31, lambda: [(sending, "_redecide", _redecide_where_compared)]
    ),
    "what a shop sold is not expected any more": Safeguard(
        15, lambda: [(orders, "lower_expected", _nothing)]
    ),
    "a call without an answer is in doubt": Safeguard(
        72,
        lambda: [
            (sending, "OUTCOMES", dict.fromkeys(OUTCOMES, PushOutcome.CONFIRMED)),
            (sending, "_give_up", _taken_for_told),
        ],
    ),
    "what is marked while it is told stays due": Safeguard(
        12, lambda: [_altered(outcomes, "_WRITE_SQL", "greatest(level.done, told.wanted)", "level.wanted")]
    ),
    "who died while telling is in doubt": Safeguard(
        0, lambda: [_altered(leases, "_LEASE_SQL", "level.lease_token IS NOT NULL", "false")]
    ),
    "a difference counts as somebody's edit only once all orders are imported": Safeguard(
        0, lambda: [_altered(comparing, "_LOOK", "NOT (is_same AND is_covered)", "false")]
    ),
    "movements are recorded after those before them": Safeguard(
        0,
        lambda: [
            _altered(statements, "_CLOCK", "greatest(clock_timestamp(),", "coalesce(clock_timestamp(),")
        ],
    ),
    "waits beyond all waits are over": Safeguard(66, lambda: [(clock_steps, "forget_the_future", lambda: 0)]),
    "what arrives fills what is owed": Safeguard(0, lambda: [(holds, "fill", _nothing)]),
    "a cancellation takes off what is owed first": Safeguard(
        26, lambda: [(taking, "close_owed", lambda posting, owed, quantity: quantity)]
    ),
    "a hold that ended is not confirmed": Safeguard(
        0, lambda: [(reservations, "expired_ids", lambda ids: [])]
    ),
    "lists of orders are read with an overlap": Safeguard(
        1,
        lambda: [
            (woo_feed, "OVERLAP", -woo_feed.OVERLAP),
            (woo_feed, "SHORT_OVERLAP", -woo_feed.SHORT_OVERLAP),
            (shopify_orders, "OVERLAP", -shopify_orders.OVERLAP),
            (bol_orders, "OVERLAP", -bol_orders.OVERLAP),
        ],
    ),
}


@contextmanager
def without(name: str) -> Iterator[None]:
    """Takes a safeguard away while it lasts; inside `stand.standing`."""
    with ExitStack() as stack:
        for place, attribute, value in SAFEGUARDS[name].replacements():
            stack.enter_context(patch.object(place, attribute, value))
        yield
