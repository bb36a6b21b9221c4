"""What the record holds about a conflict: who sold when and when we knew, what each channel had been told, who else wrote.

Read in a constant number of statements. A conflict that no order of a channel opened has no sale.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import connection

from channels.history import PastShelf, variant_shelves_as_of
from channels.line_remedies import line_of
from channels.models import ChannelOrderLine, ShelfObservation
from channels.models.inbound import ObservationVerdict
from inventory.models import Conflict

#: How far back other sales and edits are looked for.
WINDOW: Final = timedelta(hours=24)
#: Other sales that are looked at, the latest first.
_MOST: Final = 50


@dataclass(frozen=True, slots=True)
class Sale:
    """Units sold to somebody: when, and when the ledger knew."""

    reference: str
    #: Order and channel in words; the reference where it is no order.
    title: str
    channel_id: int | None
    units: int
    #: By the platform's clock, ours where it gave none.
    sold_at: datetime
    known_at: datetime
    #: Whether the units were taken as part of kits.
    is_of_kit: bool = False

    @property
    def delay(self) -> timedelta:
        """How long the sale was unknown to us; never negative."""
        return max(self.known_at - self.sold_at, timedelta())


@dataclass(frozen=True, slots=True)
class ForeignEdit:
    """A number that somebody else wrote into a shop."""

    channel: str
    channel_id: int
    shown: int
    expected: int | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Evidence:
    """All of it."""

    conflict: Conflict
    line: ChannelOrderLine | None
    sale: Sale | None
    #: Other demands that took units of the same goods before the conflict opened, the latest first.
    rivals: Sequence[Sale] = ()
    #: What every channel had been told at the instant of the sale.
    shelves: Sequence[PastShelf] = ()
    edits: Sequence[ForeignEdit] = ()
    is_kit: bool = False

    @property
    def channel_id(self) -> int | None:
        """The channel that sold what is owed."""
        return self.line.order.channel_id if self.line is not None else None

    @property
    def own_shelves(self) -> list[PastShelf]:
        """What the channel that sold had been told."""
        return [shelf for shelf in self.shelves if shelf.channel_id == self.channel_id]


# What is made of the variant, and what it is made of, are sold from the same units.
_RIVALS: Final = """
WITH part AS (
    SELECT %(variant)s::bigint AS id
    UNION
    SELECT part.variant_id FROM inventory_bundlepart part WHERE part.bundle_variant_id = %(variant)s
)
SELECT held.reference, sum(held.quantity)::bigint, min(held.created_at), bool_or(held.bundle_id IS NOT NULL),
       min(placed.id), min(coalesce(nullif(placed.number, ''), placed.external_id)), min(channel.id), min(channel.name),
       min(placed.ordered_at)
FROM (
    SELECT r.* FROM inventory_reservation r
    JOIN inventory_stocklevel level ON level.id = r.level_id
    WHERE level.merchant_id = %(merchant)s AND level.variant_id IN (SELECT id FROM part)
      AND level.location_id = ANY(%(places)s::bigint[])
      AND r.created_at BETWEEN %(since)s AND %(until)s AND r.reference <> %(reference)s
    ORDER BY r.id DESC LIMIT %(most)s
) held
LEFT JOIN channels_channelorderline line
    ON line.id = CASE WHEN held.reference ~ '^order-line:[0-9]{1,18}$' THEN substr(held.reference, 12)::bigint END
LEFT JOIN (
    channels_channelorder placed
    JOIN channels_channel channel ON channel.id = placed.channel_id AND channel.merchant_id = %(merchant)s
) ON placed.id = line.order_id
GROUP BY held.reference
ORDER BY min(held.created_at) DESC, held.reference
"""

_IS_KIT: Final = """
SELECT EXISTS (SELECT FROM inventory_bundlepart WHERE bundle_variant_id = %s)
"""


def gather(conflict: Conflict) -> Evidence:
    """Reads the record about a conflict."""
    line = line_of(conflict)
    if line is None:
        return Evidence(conflict, None, None, rivals=_rivals(conflict, conflict.opened_at))
    sale = _sale(conflict, line)
    return Evidence(
        conflict,
        line,
        sale,
        rivals=_rivals(conflict, sale.sold_at),
        shelves=variant_shelves_as_of(conflict.merchant_id, [conflict.variant_id], sale.sold_at),
        edits=_edits(conflict, sale),
        is_kit=_is_kit(conflict.variant_id),
    )


def _sale(conflict: Conflict, line: ChannelOrderLine) -> Sale:
    order = line.order
    return Sale(
        conflict.reference,
        f"{order} on {order.channel.name}",
        order.channel_id,
        line.quantity,
        order.ordered_at or order.arrived_at,
        order.applied_at or conflict.opened_at,
    )


def _rivals(conflict: Conflict, sold_at: datetime) -> list[Sale]:
    parameters: dict[str, Any] = {
        "variant": conflict.variant_id,
        "merchant": conflict.merchant_id,
        "places": conflict.location_ids,
        "reference": conflict.reference,
        "since": min(sold_at, conflict.opened_at) - WINDOW,
        "until": conflict.opened_at,
        "most": _MOST,
    }
    with connection.cursor() as cursor:
        cursor.execute(_RIVALS, parameters)
        return [_rival(row) for row in cursor.fetchall()]


def _rival(row: tuple[Any, ...]) -> Sale:
    reference, units, known_at, is_of_kit, order_id, number, channel_id, channel, ordered_at = row
    title = f"{number} on {channel}" if order_id is not None else reference
    return Sale(reference, title, channel_id, units, ordered_at or known_at, known_at, is_of_kit)


def _is_kit(variant_id: int) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(_IS_KIT, [variant_id])
        return bool(cursor.fetchone()[0])


def _edits(conflict: Conflict, sale: Sale) -> list[ForeignEdit]:
    rows = ShelfObservation.objects.filter(
        listing_level__listing__variant=conflict.variant_id,
        channel__merchant=conflict.merchant_id,
        verdict=ObservationVerdict.FOREIGN,
        received_at__range=(sale.sold_at - WINDOW, conflict.opened_at),
    ).order_by("-id")
    found = rows.values_list("channel__name", "channel_id", "quantity", "expected", "observed_at")
    return [ForeignEdit(*row) for row in found[:_MOST]]
