"""What the ledger has to do for the lines of an order, as differences to what it did; and when it plans anew.

An order is routed as a whole. It is planned anew whenever more is demanded, or what the plan depends on has changed: the
goods ordered, their places, the country. What a location has been told stays there, and what a person moved.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from channels.models import ChannelOrder
from channels.order_lines import LineChange, is_known, locations_of, variant_id_of
from channels.places import Places
from channels.sourcing import Standing
from inventory.demands import DemandChange


@dataclass(frozen=True, slots=True)
class Sourcing:
    """What decides from where an order's lines are served, beside the stock."""

    places: Places
    standing: Standing
    #: Whether what is held already may move.
    is_replanned: bool


def routed_for(order: ChannelOrder, changes: Iterable[LineChange], places: Places) -> str:
    """Returns a digest of what an order's plan depends on, beside stock and settings."""
    lines = [
        [c.line.external_id, c.line.variant_id, c.line.quantity, c.line.channel_location_id]
        for c in changes
        if c.line.is_named and is_known(c, places)
    ]
    text = json.dumps([order.country, lines], separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def wants_more(moved: Iterable[LineChange]) -> bool:
    """Tells whether any line demands units that it did not before."""
    return any(change.line.applied_demand > change.was_demanded for change in moved)


def demand_changes(
    changes: Sequence[LineChange], moved: Sequence[LineChange], sourcing: Sourcing
) -> list[DemandChange]:
    """Returns what the ledger has to do: for the lines that moved, and for those that are planned or shipped with them."""
    pools = _pools(changes, sourcing.places)
    chosen = {id(change) for change in moved}
    if sourcing.is_replanned:
        chosen |= {id(c) for c in changes if is_known(c, sourcing.places) and (c.is_open or _is_planned(c))}
    shared = {pools.get(change.line.pk) for change in moved if _ships(change)} - {None}
    chosen |= {id(c) for c in changes if c.is_open and pools.get(c.line.pk) in shared}
    return [
        _difference(change, sourcing, pools.get(change.line.pk, ""))
        for change in changes
        if id(change) in chosen
    ]


def _ordered(change: LineChange) -> int:
    """Returns the units that the plan is made for: all that were ordered and had not left before."""
    return max(change.line.quantity - change.was_fulfilled, 0) if _is_planned(change) else 0


def _is_planned(change: LineChange) -> bool:
    return change.line.is_named and not change.line.is_sourced_by_hand


def _ships(change: LineChange) -> bool:
    return change.line.applied_fulfilled != change.was_fulfilled


def _pools(changes: Iterable[LineChange], places: Places) -> Mapping[int, str]:
    """Names the lines that sell the same goods from the same places by the first of them, by line id."""
    groups: dict[tuple[int, tuple[int, ...]], list[LineChange]] = {}
    for change in changes:
        if is_known(change, places):
            key = variant_id_of(change.line), locations_of(change, places)
            groups.setdefault(key, []).append(change)
    twins = [group for group in groups.values() if len(group) > 1]
    return {change.line.pk: group[0].line.reference for group in twins for change in group}


def _difference(change: LineChange, sourcing: Sourcing, pool: str) -> DemandChange:
    line = change.line
    demanded = line.applied_demand - change.was_demanded
    fulfilled = line.applied_fulfilled - change.was_fulfilled
    plain = DemandChange(
        line.reference, variant_id_of(line), locations_of(change, sourcing.places), pool=pool
    )
    return replace(
        plain,
        wanted=max(demanded, 0),
        cancelled=max(-demanded, 0),
        fulfilled=max(fulfilled, 0),
        unfulfilled=max(-fulfilled, 0),
        ordered=_ordered(change),
        has_left=_is_planned(change) and change.was_fulfilled > 0,
        is_replanned=sourcing.is_replanned and change.is_open and not line.is_sourced_by_hand,
        kept_at=tuple(sorted(sourcing.standing.told.get(line.pk, ()))),
        refused_by=tuple(sorted(sourcing.standing.refused)),
        left_from=sourcing.standing.left_from.get(line.pk) if fulfilled > 0 else None,
    )
