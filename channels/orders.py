"""Orders are states: each message of an order says what it is now, and the ledger moves by what that changes.

    lock the order → keep the larger state → merge its lines → one settlement in the ledger, which routes it →
    what its locations are asked to ship → the shelves it touches

The kept state is the maximum of all that came (`channels.order_states`), and the ledger follows the kept
state alone, so that any messages of an order, in any sequence and repeated any number of times, leave the
same ledger. Everything that is no full snapshot is a hint, and marks the order for one fetch
(`channels.fetching`).

Locks are taken in this order: the order, the pools it uses up, the ledger's own, listing levels by id.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db import connection, transaction
from django.utils import timezone

from channels import order_lines, order_rows
from channels.acknowledgement_requests import note_request
from channels.announced_returns import announce_returns
from channels.events import OrderState
from channels.line_demands import Sourcing, demand_changes, routed_for, wants_more
from channels.models import Channel, ChannelOrder
from channels.order_lines import LineChange, variant_id_of
from channels.order_rows import Known, known_orders
from channels.order_states import contradicts, is_newer, state_key
from channels.places import Places, places_of
from channels.preorders import terms_of
from channels.pushes import WAKE_UP
from channels.rules.pools import count_sales
from channels.screening import check_order
from channels.shelves import lower_expected
from channels.sourcing import NOTHING_ASKED, Standing, routing_of, standing_of
from config.notify import notify_after_commit
from inventory.demands import settle
from inventory.holds import are_beyond_plans
from inventory.ledger import Context, domain_errors
from inventory.locking import lock_levels
from inventory.models import BundlePart

# Hints that come before the fetch has begun are one fetch; a back-off in progress is respected. A deleted
# order stays so.
_HINT: Final = """
INSERT INTO channels_channelorder AS kept
    (channel_id, external_id, arrived_at, number, state_key, state_digest, country, currency, is_test,
     is_deleted, may_return, fetch_wanted, fetched, fetch_error, marks, routed_for, next_fetch_at)
VALUES (%(channel)s, %(external_id)s, %(at)s, '', '[]', '', '', '', false,
        false, false, 1, 0, '', '{}', '', clock_timestamp())
ON CONFLICT (channel_id, external_id) DO UPDATE
SET fetch_wanted = kept.fetch_wanted + 1,
    next_fetch_at = CASE
        WHEN kept.fetch_wanted > kept.fetched THEN kept.next_fetch_at
        ELSE clock_timestamp()
    END
WHERE NOT kept.is_deleted OR kept.may_return
"""

#: An order that was named and is not shown is asked for so long.
GIVEN_UP_AFTER: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Occasion:
    """Why an order is brought up to its kept state, where no message of its platform is the reason."""

    #: Unlike that of every other occasion of the order.
    name: str = ""
    #: Whether what is held already may move.
    is_replanned: bool = False


_A_MESSAGE: Final = Occasion()


def apply_state(channel: Channel, state: OrderState, *, arrived_at: datetime) -> None:
    """Brings order and ledger to this snapshot, unless a larger one is known already.

    Another content under the same time stamp also has the order fetched once more. Raises `BadMessage` for
    what cannot be, `StockBusy` when the stock could not be had in time; nothing has changed then.
    """
    if record_state(channel, state, arrived_at=arrived_at):
        hint(channel, state.external_id, arrived_at=arrived_at)


def is_old_news(state: OrderState, known: Known | None) -> bool:
    """Tells whether a snapshot says nothing new: what is kept only grows, so that what was kept a moment ago decides."""
    if known is None:
        return False
    key = state_key(state)
    return not is_newer(key, known.state_key) and (known.is_deleted or not contradicts(key, known.state_key))


def record_state(channel: Channel, state: OrderState, *, arrived_at: datetime) -> bool:
    """Applies a snapshot; tells whether it contradicts another one of the same instant.

    Most messages repeat what is known, and end with one look that locks nothing.
    """
    check_order(state)
    known = known_orders(channel, [state.external_id]).get(state.external_id)
    if is_old_news(state, known):
        return False
    key = state_key(state)
    with _order_lock(channel, state.external_id, arrived_at, is_known=known is not None) as (order, is_new):
        kept = order.state_key
        if is_newer(key, kept):
            if order.may_return:
                order.is_deleted = order.may_return = False
            _keep(order, state, key)
            places = places_of(channel, (line.location_external_id for line in state.lines))
            changes = order_lines.changes_of(order, is_new=is_new)
            order_lines.merge(order, changes, state, places)
            _bring_up(channel, order, _in_order(changes), places)
            note_request(channel, order, state)
        return contradicts(key, kept) and not order.is_deleted


def apply_deleted(channel: Channel, external_id: str, *, arrived_at: datetime) -> None:
    """Cancels what is still open of an order that the platform no longer has; no later state revives it."""
    with _order_lock(channel, external_id, arrived_at) as (order, is_new):
        if order.is_deleted and not order.may_return:
            return
        order.may_return = False
        _remove(channel, order, is_new=is_new)


def apply_missing(channel: Channel, external_id: str, *, arrived_at: datetime) -> bool:
    """Cancels what is open of an order that the platform did not show when asked; a later state brings it back.

    Returns False, and changes nothing, for one of which nothing but its id was ever told and that is young: some
    platforms speak of an order before they show it.
    """
    with _order_lock(channel, external_id, arrived_at) as (order, is_new):
        if order.is_deleted:
            return True
        if not order.state_digest and arrived_at - order.arrived_at < GIVEN_UP_AFTER:
            return False
        order.may_return = True
        _remove(channel, order, is_new=is_new)
        return True


def _remove(channel: Channel, order: ChannelOrder, *, is_new: bool) -> None:
    order.is_deleted = True
    order.fetched = order.fetch_wanted
    order.next_fetch_at = None
    changes = order_lines.changes_of(order, is_new=is_new)
    _bring_up(channel, order, _in_order(changes), places_of(channel))


def apply_waiting(channel: Channel, order_id: int) -> None:
    """Applies lines of an order that waited for a variant or a place and have it now."""
    with domain_errors(), transaction.atomic():
        order = ChannelOrder.objects.select_for_update().get(channel=channel, pk=order_id)
        changes = order_lines.changes_of(order, is_new=False)
        _bring_up(channel, order, _in_order(changes), places_of(channel))


def bring_up(order: ChannelOrder, occasion: Occasion) -> None:
    """Brings the ledger to an order's kept state after one of its locations answered; under the order's lock."""
    channel = order.channel
    changes = order_lines.changes_of(order, is_new=False)
    _bring_up(channel, order, _in_order(changes), places_of(channel), occasion)


def hint(channel: Channel, external_id: str, *, arrived_at: datetime | None = None) -> None:
    """Has an order fetched soon, because something about it changed; hints together are one fetch."""
    now = arrived_at or timezone.now()
    with connection.cursor() as cursor:
        cursor.execute(_HINT, {"channel": channel.pk, "external_id": external_id, "at": now})
    # The pusher fetches: a job would keep a worker waiting for the platform.
    notify_after_commit(WAKE_UP)


@contextmanager
def _order_lock(
    channel: Channel, external_id: str, arrived_at: datetime, *, is_known: bool = False
) -> Iterator[tuple[ChannelOrder, bool]]:
    """Holds the order's row, which is inserted where it is new, until the end of one transaction."""
    with domain_errors(), transaction.atomic():
        order_id = None if is_known else order_rows.insert(channel, external_id, arrived_at)
        if order_id is not None:
            order = ChannelOrder(pk=order_id, channel=channel, external_id=external_id, arrived_at=arrived_at)
            yield order, True
        else:
            yield order_rows.locked(channel, external_id), False


def _in_order(changes: dict[str, LineChange]) -> list[LineChange]:
    """Sorts lines by the platform's id: who comes first must not depend on the sequence of messages."""
    return [changes[external_id] for external_id in sorted(changes)]


def _keep(order: ChannelOrder, state: OrderState, key: list[object]) -> None:
    order.state_key = key
    order.state_digest = str(key[-1])
    order.number = state.number[:100]
    order.ordered_at = state.ordered_at
    order.updated_at = state.updated_at
    order.country = state.country[:2]
    order.currency = state.currency[:3]
    order.is_test = state.is_test


def _bring_up(
    channel: Channel,
    order: ChannelOrder,
    changes: Sequence[LineChange],
    places: Places,
    occasion: Occasion = _A_MESSAGE,
) -> None:
    """Moves the ledger from what was applied of the lines to their targets, and saves lines and order."""
    standing = NOTHING_ASKED if order.applied_at is None else standing_of(order)
    order_lines.link(channel, changes)
    moved = order_lines.set_targets(order, changes, places, standing)
    order_lines.save(order, changes)
    count_sales(channel, moved)
    was_routed_for, order.routed_for = order.routed_for, routed_for(order, changes, places)
    announce_returns(channel, order, changes, places)
    key = _settlement_key(order, moved, occasion)
    moving = order_lines.moving(moved, places)
    if undone := _to_be_undone(channel, moving, standing):
        _lock_stock(channel, changes, places)
        settle(_context(channel, order, f"{key}:moved"), order_lines.take_backs(undone, places))
    is_replanned = (
        occasion.is_replanned
        or bool(moving)
        or was_routed_for not in ("", order.routed_for)
        or wants_more(moved)
    )
    sourcing = Sourcing(places, standing, is_replanned)
    demands = demand_changes(changes, moved, sourcing)
    if demands:
        routing, pre_orders = routing_of(channel, order, places), terms_of(channel, demands)
        settle(_context(channel, order, key), demands, routing=routing, pre_orders=pre_orders)
    lower_expected(channel, changes, places)
    is_first = bool(moved) and order.applied_at is None
    if is_first:
        order.applied_at = timezone.now()
    order_rows.save(order, [variant_id_of(each.line) for each in moved], is_first=is_first)


def _to_be_undone(channel: Channel, moving: Sequence[LineChange], standing: Standing) -> Sequence[LineChange]:
    """Returns the moving lines that are taken back before they are demanded at their new place."""
    if not moving:
        return ()
    goods = [variant_id_of(change.line) for change in moving]
    if are_beyond_plans(channel.merchant_id, goods, [change.line.reference for change in moving]):
        return moving
    return [change for change in moving if not order_lines.is_only_planned_anew(change, standing)]


def _lock_stock(channel: Channel, changes: Sequence[LineChange], places: Places) -> None:
    """Locks what both settlements of a move may touch: the first one locks shelves, after which no level may follow."""
    variant_ids = {change.line.variant_id for change in changes if change.line.variant_id}
    parts = BundlePart.objects.filter(bundle_variant__in=variant_ids).values_list("variant_id", flat=True)
    lock_levels(channel.merchant_id, {*variant_ids, *parts}, {site.location_id for site in places.sites})


def _settlement_key(order: ChannelOrder, moved: Sequence[LineChange], occasion: Occasion) -> str:
    """Derives the ledger's key from the order, its kept state, what it is planned for, and each line's way to its target."""
    steps = [
        [m.line.pk, m.was_demanded, m.was_fulfilled, m.line.applied_demand, m.line.applied_fulfilled]
        for m in moved
    ]
    about = [order.state_key, order.is_deleted, order.routed_for, occasion.name, steps]
    text = json.dumps(about, separators=(",", ":"))
    return f"order:{order.pk}:{hashlib.sha256(text.encode()).hexdigest()[:40]}"


def _context(channel: Channel, order: ChannelOrder, key: str) -> Context:
    return Context(
        merchant_id=channel.merchant_id,
        key=key,
        actor=channel.name,
        source=channel.kind,
        document=order.number or order.external_id,
        occurred_at=order.ordered_at if order.applied_at is None else order.updated_at,
    )
