"""Puts the production code onto the simulation: its database, its clock, and the little that it reads by the ORM."""

import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast
from unittest.mock import patch

import time_machine

from channels import (
    breaker,
    clock_steps,
    comparing,
    deliveries,
    fetching,
    leases,
    limits,
    order_lines,
    order_rows,
    orders,
    outcomes,
    places,
    polling,
    pushes,
    sending,
    sourcing,
)
from channels.connectors import CONNECTORS
from channels.connectors.base import OrderGlimpse
from channels.connectors.shopify import orders as shopify_orders
from channels.connectors.woocommerce import order_feed as woo_feed
from channels.exposure import Exposure
from channels.leases import Leased
from channels.models import Channel, ChannelOrder, ChannelOrderLine
from channels.order_lines import LineChange
from config import statements as config_statements
from inventory import demands, holds, inbound, ledger, locking, reservations, take_backs
from inventory.announcements import LevelChange
from inventory.holds import OWED_CAUSES
from inventory.posting import Posting
from inventory.posting_rows import OwedUnits

if TYPE_CHECKING:
    from tests.simulation.database import Clockwork, Cursor
    from tests.simulation.world import World

_worlds: list["Clockwork"] = []
_clocks: list[time_machine.Traveller] = []


def enter(world: "Clockwork") -> None:
    """Has the production code act by this clock and database from now on."""
    _worlds[:] = [world]
    set_clock(world.server_time())


def set_clock(instant: datetime) -> None:
    """Sets what Python takes for the present."""
    if _clocks:
        _clocks[0].move_to(instant, tick=False)


def _here() -> "Clockwork":
    return _worlds[0]


def _world() -> "World":
    return cast("World", _worlds[0])


@dataclass(frozen=True)
class Delivery:
    """As much of a stored message as its application asks for."""

    channel: Channel
    received_at: datetime


class _Connection:
    in_atomic_block = True

    def cursor(self) -> AbstractContextManager["Cursor"]:
        return _here().database.cursor()


class _Transactions:
    def atomic(self) -> AbstractContextManager[None]:
        return _here().database.atomic()


_SPEAKING = (
    *(breaker, clock_steps, comparing, deliveries, fetching, leases, limits, order_lines, order_rows, orders),
    *(outcomes, places, pushes, sending, sourcing),
    *(holds, inbound, ledger, locking, reservations, take_backs, config_statements),
)
_TRANSACTING = (orders, pushes, ledger, locking)
_LOGGING = (breaker, sending, fetching, polling)


def _nothing(*arguments: Any, **named: Any) -> None:
    """Does what the simulation has no need of: wake-ups, logs, pools, announced returns."""


def _announce(merchant_id: int, changes: Sequence[LevelChange]) -> None:
    if changes:
        pushes.mark_due(merchant_id, changes)


def _load_owed(
    posting: Posting, variant_ids: Collection[int], *, causes: Collection[str] = OWED_CAUSES
) -> list[OwedUnits]:
    """As `inventory.holds.load_owed`, without the ORM."""
    columns = ("opened_at", "id", "variant_id", "cause", "reference", "location_ids", "open_quantity")
    rows = sorted(
        tuple(row[name] for name in columns)
        for row in _here().database.tables["inventory_conflict"]
        if row["variant_id"] in variant_ids and row["open_quantity"] > 0 and row["cause"] in causes
    )
    return [holds._owed(posting, row) for row in rows]


def _locked_order(channel: Channel, external_id: str) -> ChannelOrder:
    row = next(
        each
        for each in _here().database.tables["channels_channelorder"]
        if (each["channel_id"], each["external_id"]) == (channel.pk, external_id)
    )
    columns = {
        name: json.loads(v) if name == "state_key" and isinstance(v, str) else v for name, v in row.items()
    }
    order = ChannelOrder(**columns)
    order.channel = channel
    return order


def _changes_of(order: ChannelOrder, *, is_new: bool) -> dict[str, LineChange]:
    rows = [r for r in _here().database.tables["channels_channelorderline"] if r["order_id"] == order.pk]
    return {row["external_id"]: LineChange.of(ChannelOrderLine(**row)) for row in rows}


def _news(channel: Channel, glimpses: Sequence[OrderGlimpse]) -> list[str]:
    """As `polling._news`, without the ORM."""
    known = {
        row["external_id"]: (row["quantity"], row["cancelled"], row["fulfilled"])
        for row in _here().database.tables["channels_channelorderline"]
    }
    return [g.external_id for g in glimpses if any(known.get(n) != counts for n, counts in g.lines.items())]


def _exposures(leased: dict[int, Leased]) -> dict[int, Exposure]:
    return _world().exposures(leased)


def _ask_for_poll(channel_id: int) -> None:
    _world().ask_for_poll(channel_id)


@contextmanager
def standing() -> Iterator[None]:
    """Has the production code run on the simulation while it lasts."""
    from tests.simulation.shops import KINDS

    connection, transactions = _Connection(), _Transactions()
    quiet = SimpleNamespace(note=_nothing, note_items=_nothing, note_delivery=_nothing)
    kinds = {kind: SimpleNamespace(capabilities=able) for kind, able in KINDS.items()}
    places_of: list[tuple[Any, str, Any]] = [(module, "connection", connection) for module in _SPEAKING]
    places_of += [(module, "transaction", transactions) for module in _TRANSACTING]
    places_of += [(module, "error_log", quiet) for module in _LOGGING]
    places_of += [(module, "notify_after_commit", _nothing) for module in (orders, pushes)]
    places_of += [(module, "load_owed", _load_owed) for module in (holds, demands, reservations, take_backs)]
    replaced = [
        *places_of,
        (ledger, "announcements", SimpleNamespace(announce=_announce, announce_holds=_nothing)),
        (order_rows, "locked", _locked_order),
        (order_lines, "changes_of", _changes_of),
        (orders, "announce_returns", _nothing),
        (orders, "count_sales", _nothing),
        (orders, "terms_of", lambda channel, demands: {}),
        (polling, "_news", _news),
        (sending, "exposures", _exposures),
        (sending, "ask_for_poll", _ask_for_poll),
        (woo_feed, "_state", lambda order: _state_of(order["order"])),
        (shopify_orders, "_state_at_once", lambda node: _state_of(node["order"])),
        (shopify_orders, "number_of", str),
    ]
    with ExitStack() as stack:
        for place, name, value in replaced:
            stack.enter_context(patch.object(place, name, value))
        stack.enter_context(patch.dict(CONNECTORS, kinds))
        _clocks[:] = [stack.enter_context(time_machine.travel(0, tick=False))]
        try:
            yield
        finally:
            _clocks.clear()


def _state_of(order: Any) -> Any:
    shop = next(shop for shop in _world().shops.values() if shop.orders.get(order.id) is order)
    return shop.state_of(order)
