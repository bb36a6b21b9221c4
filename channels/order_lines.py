"""The lines of one order: merged from a snapshot, linked to variants, compared with the ledger."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from django.db import connection

from channels.events import OrderLineState, OrderState
from channels.models import Channel, ChannelOrder, ChannelOrderLine
from channels.places import Places
from channels.sourcing import Standing
from inventory.demands import DemandChange

#: Beyond this a price does not fit its column and is left out.
_LARGEST_PRICE: Final = Decimal(10) ** 14
#: What is kept of a line beside its names: column → its type in JSON.
_KEPT: Final = {
    "listing_external_id": "text",
    "sku": "text",
    "title": "text",
    "variant_id": "bigint",
    "channel_location_id": "bigint",
    "unit_price": "numeric",
    "quantity": "bigint",
    "cancelled": "bigint",
    "fulfilled": "bigint",
    "returned": "bigint",
    "restocked": "bigint",
    "returned_to_external_id": "text",
    "applied_demand": "bigint",
    "applied_fulfilled": "bigint",
    "is_named": "boolean",
}

_LINES: Final = "SELECT * FROM channels_channelorderline WHERE order_id = %s ORDER BY id"

# A line that is known keeps its id, and no number is used up for it.
_SAVE: Final = """
INSERT INTO channels_channelorderline AS kept (id, order_id, external_id, {columns}, is_sourced_by_hand)
SELECT coalesce(line.id, nextval(pg_get_serial_sequence('channels_channelorderline', 'id'))), %s::bigint,
       line.external_id, {columns}, false
FROM jsonb_to_recordset(%s::jsonb) AS line (id bigint, external_id text, {typed})
ORDER BY line.external_id
ON CONFLICT (order_id, external_id) DO UPDATE SET {assigned}
RETURNING kept.id, kept.external_id
""".format(
    columns=", ".join(_KEPT),
    typed=", ".join(f"{name} {kind}" for name, kind in _KEPT.items()),
    assigned=", ".join(f"{name} = excluded.{name}" for name in _KEPT),
)

_NAMED: Final = """
SELECT true, id, variant_id, external_id, sku FROM channels_listing
WHERE channel_id = %(channel)s AND external_id = ANY(%(ids)s::text[])
UNION
SELECT true, id, variant_id, external_id, sku FROM channels_listing
WHERE channel_id = %(channel)s AND sku = ANY(%(skus)s::text[])
UNION ALL
SELECT false, id, id, '', sku FROM inventory_variant
WHERE merchant_id = %(merchant)s AND sku = ANY(%(goods)s::text[])
"""


@dataclass(frozen=True, slots=True)
class NamedListing:
    """A listing that an order line names."""

    id: int
    variant_id: int | None
    external_id: str
    sku: str


@dataclass(slots=True)
class LineChange:
    """One line on its way from what was applied of it to what its order's kept state says."""

    line: ChannelOrderLine
    was_demanded: int
    was_fulfilled: int
    was_at: int | None
    #: Units that the shop had taken off its own number for this line, net of those it had put back, and of what.
    was_off_the_shelf: int
    was_restocked: int
    was_sold_as: tuple[str, str]
    #: Whether the ledger had units of this line, so that variant and place are settled.
    is_applied: bool
    #: Units that were sent back, as the state before had it.
    was_returned: int
    #: The channel's listing of what is sold, and of what was sold as the state before had it; None if unknown.
    listing: NamedListing | None = None
    was_listing: NamedListing | None = None

    @classmethod
    def of(cls, line: ChannelOrderLine) -> "LineChange":
        """Remembers the line as it is before anything is merged into it."""
        return cls(
            line,
            line.applied_demand,
            line.applied_fulfilled,
            line.channel_location_id,
            line.quantity - line.restocked,
            line.restocked,
            (line.listing_external_id, line.sku),
            bool(line.applied_demand or line.applied_fulfilled),
            line.returned,
        )

    @property
    def is_open(self) -> bool:
        """Whether the ledger holds or owes units of this line."""
        return self.was_demanded > self.was_fulfilled

    @property
    def is_put_back_unseen(self) -> bool:
        """Whether as many units went off the shop's number as came back: nothing of it is left, unless we wrote in between."""
        return self.line.restocked != self.was_restocked and self.off_the_shelf == self.was_off_the_shelf

    @property
    def off_the_shelf(self) -> int:
        """Units that the shop has taken off its own number for this line."""
        return self.line.quantity - self.line.restocked


def changes_of(order: ChannelOrder, *, is_new: bool) -> dict[str, LineChange]:
    """Reads the order's lines as they are, by the platform's id."""
    if is_new:
        return {}
    lines = ChannelOrderLine.objects.raw(_LINES, [order.pk])
    return {line.external_id: LineChange.of(line) for line in lines}


def merge(order: ChannelOrder, changes: dict[str, LineChange], state: OrderState, places: Places) -> None:
    """Writes the snapshot into the lines; a line that it no longer names counts as cancelled."""
    named = {line.external_id for line in state.lines}
    for line_state in state.lines:
        if line_state.external_id not in changes:
            new = ChannelOrderLine(order=order, external_id=line_state.external_id)
            changes[line_state.external_id] = LineChange.of(new)
        _copy(line_state, changes[line_state.external_id].line, places)
    for external_id, change in changes.items():
        if external_id not in named:
            line = change.line
            line.is_named = False
            line.cancelled, line.fulfilled, line.returned = line.quantity, 0, 0


def _copy(state: OrderLineState, line: ChannelOrderLine, places: Places) -> None:
    line.is_named = True
    line.listing_external_id = state.listing_external_id[:200]
    line.sku = state.sku[:200]
    line.title = state.title[:300]
    line.unit_price = _price(state.unit_price)
    line.channel_location_id = places.id_of(state.location_external_id)
    line.quantity = state.quantity
    line.cancelled = state.cancelled
    line.fulfilled = state.fulfilled
    line.returned = state.returned
    line.restocked = state.restocked
    line.returned_to_external_id = state.returned_to_external_id[:200]


def _price(price: Decimal | None) -> Decimal | None:
    if price is None or not price.is_finite() or abs(price) >= _LARGEST_PRICE:
        return None
    return round(price, 4)


def link(channel: Channel, changes: Sequence[LineChange]) -> None:
    """Links lines to the channel's listings, and to variants by the listing's mapping, else by exact SKU.

    A line whose units the ledger has already keeps its variant.
    """
    listings, variants = _named(channel, changes)
    for change in changes:
        line = change.line
        change.listing = listings.find(line.listing_external_id, line.sku)
        change.was_listing = listings.find(*change.was_sold_as)
        if change.is_applied:
            continue
        mapped = change.listing.variant_id if change.listing else None
        line.variant_id = mapped or variants.get(line.sku)


class _Listings:
    """A channel's listings by the platform's id, or by SKU where the platform gave no id and one listing has it."""

    def __init__(self, found: Iterable[NamedListing]) -> None:
        self._by_id: dict[str, NamedListing] = {}
        self._by_sku: dict[str, list[NamedListing]] = {}
        for listing in found:
            self._by_id[listing.external_id] = listing
            self._by_sku.setdefault(listing.sku, []).append(listing)

    def find(self, external_id: str, sku: str) -> NamedListing | None:
        """Returns the one listing that is meant, or None."""
        if external_id:
            return self._by_id.get(external_id)
        candidates = self._by_sku.get(sku, []) if sku else []
        return candidates[0] if len(candidates) == 1 else None


def _named(channel: Channel, changes: Iterable[LineChange]) -> tuple[_Listings, dict[str, int]]:
    """Returns the channel's listings that the lines name or named, and by SKU the variants of those not linked yet."""
    names = [(c.line.listing_external_id, c.line.sku) for c in changes] + [c.was_sold_as for c in changes]
    wanted: dict[str, Any] = {
        "channel": channel.pk,
        "merchant": channel.merchant_id,
        "ids": sorted({external_id for external_id, _ in names if external_id}),
        "skus": sorted({sku for external_id, sku in names if sku and not external_id}),
        "goods": sorted({change.line.sku for change in changes if not change.is_applied} - {""}),
    }
    if not (wanted["ids"] or wanted["skus"] or wanted["goods"]):
        return _Listings(()), {}
    with connection.cursor() as cursor:
        cursor.execute(_NAMED, wanted)
        rows = cursor.fetchall()
    listings = _Listings(NamedListing(*row) for is_listing, *row in rows if is_listing)
    return listings, {sku: variant_id for is_listing, _, variant_id, _, sku in rows if not is_listing}


def set_targets(
    order: ChannelOrder, changes: Iterable[LineChange], places: Places, standing: Standing
) -> list[LineChange]:
    """Sets what the ledger is to know of each line, and returns the lines for which that is a change.

    A line without variant or place waits: its applied counts stay.
    """
    moved = []
    for change in changes:
        line = change.line
        if not is_known(change, places):
            continue
        shipped = max(line.fulfilled, standing.reported.get(line.pk, 0))
        line.applied_demand, line.applied_fulfilled = target_of(order, line, shipped)
        if _is_change(change, places):
            moved.append(change)
    return moved


def is_known(change: LineChange, places: Places) -> bool:
    """Tells whether the line has a variant and a place."""
    return change.line.variant_id is not None and bool(locations_of(change, places))


def target_of(order: ChannelOrder, line: ChannelOrderLine, shipped: int) -> tuple[int, int]:
    """Returns the units that the ledger should have demanded and shipped for a line.

    `shipped` is what the platform or the warehouses say, whoever says more. A test order moves the shop's own number, but
    no goods. Of a deleted order only what was shipped remains.
    """
    if order.is_test:
        return 0, 0
    if order.is_deleted:
        return shipped, shipped
    return max(line.demand, shipped), shipped


def _is_change(change: LineChange, places: Places) -> bool:
    line = change.line
    is_same = (line.applied_demand, line.applied_fulfilled) == (change.was_demanded, change.was_fulfilled)
    return not is_same or _has_moved(change, places)


def _has_moved(change: LineChange, places: Places) -> bool:
    """Tells whether units that the ledger took from one place belong to another one."""
    if not change.is_applied or change.was_at == change.line.channel_location_id:
        return False
    return places.location_ids(change.was_at) != locations_of(change, places)


def locations_of(change: LineChange, places: Places) -> tuple[int, ...]:
    """Returns the line's locations; the whole channel's where an applied line's place lost its mapping."""
    ids = places.location_ids(change.line.channel_location_id)
    return ids or (places.location_ids(None) if change.is_applied else ())


def save(order: ChannelOrder, changes: Iterable[LineChange]) -> None:
    """Inserts new lines and updates known ones, in one statement; new lines have their ids afterwards."""
    lines = {change.line.external_id: change.line for change in changes}
    if not lines:
        return
    rows = [
        {"id": line.pk, "external_id": line.external_id, **{name: getattr(line, name) for name in _KEPT}}
        for line in lines.values()
    ]
    with connection.cursor() as cursor:
        cursor.execute(_SAVE, [order.pk, json.dumps(rows, default=str)])
        for identity, external_id in cursor.fetchall():
            lines[external_id].pk = identity


def moving(changes: Iterable[LineChange], places: Places) -> list[LineChange]:
    """Returns the lines that are taken from another place from now on."""
    return [change for change in changes if _has_moved(change, places)]


def is_only_planned_anew(change: LineChange, standing: Standing) -> bool:
    """Tells whether a line that moves is brought to its new place by planning it anew: nothing left, nobody was told."""
    line = change.line
    return not change.was_fulfilled and not line.is_sourced_by_hand and line.pk not in standing.told


def take_backs(changes: Iterable[LineChange], places: Places) -> list[DemandChange]:
    """Returns what undoes, at the place before, lines that are now taken from another place.

    Their `LineChange` then starts from nothing, so that the whole line is demanded at the new place.
    """
    undone = []
    for change in changes:
        undone.append(_undo(change, places))
        change.was_demanded = change.was_fulfilled = 0
    return undone


def _undo(change: LineChange, places: Places) -> DemandChange:
    return DemandChange(
        reference=change.line.reference,
        variant_id=variant_id_of(change.line),
        location_ids=places.location_ids(change.was_at) or locations_of(change, places),
        cancelled=change.was_demanded,
        unfulfilled=change.was_fulfilled,
    )


def variant_id_of(line: ChannelOrderLine) -> int:
    """Returns the variant of a line that has one: `set_targets` lets no other pass."""
    if line.variant_id is None:
        raise ValueError(f"{line.reference} has no variant.")
    return line.variant_id
