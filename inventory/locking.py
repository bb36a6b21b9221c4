"""The lock on stock, and the rules every caller keeps.

1. One function takes the locks of all levels that an operation needs, in order of id, so that no two operations can
   wait for each other.
2. The locked rows' own columns are current. Anything else a decision needs (reservations, conflicts) is read in a later
   statement: in the locking statement itself it would be as old as the wait.
3. Locks are taken inside a transaction at READ COMMITTED and held to its end. Nothing but the database is talked to.
4. The order across tables: order of a channel, merchant (who changes bundles, or orders goods), operation, document, levels,
   conflicts, locations with a daily capacity, purchase orders, their lines, fulfilment requests, listing levels.
5. Nobody waits longer than the connection's `lock_timeout`.
6. An operation that finds only under its locks that it needs more of them (the other parts of a kit) raises `MoreLevels`:
   the ledger rolls it back and begins anew with all of them, so that rule 1 holds.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from django.db import connection, transaction

from inventory.arrays import array
from inventory.errors import UnknownStock
from inventory.models import Location


@dataclass(slots=True)
class LockedLevel:
    """A level under lock, as it is and as the operation in progress changes it."""

    id: int
    variant_id: int
    location_id: int
    on_hand: int
    reserved: int
    unavailable: int
    version: int
    recorded_at: datetime | None
    available_before: int = field(init=False)

    def __post_init__(self) -> None:
        self.available_before = self.available

    @property
    def available(self) -> int:
        """Units that may be promised now."""
        return self.on_hand - self.reserved - self.unavailable


class MoreLevels(Exception):
    """The operation needs levels that it has not locked; it begins anew with them."""

    def __init__(self, pairs: Collection[tuple[int, int]]) -> None:
        #: (variant, location).
        self.pairs = frozenset(pairs)
        super().__init__()


_LOCK: Final = """
SELECT id, variant_id, location_id, on_hand, reserved, unavailable, version, recorded_at
FROM inventory_stocklevel
WHERE merchant_id = %s AND variant_id = ANY(%s::bigint[]) AND location_id = ANY(%s::bigint[])
ORDER BY id
FOR NO KEY UPDATE
"""


def lock_levels(
    merchant_id: int, variant_ids: Collection[int], location_ids: Collection[int]
) -> list[LockedLevel]:
    """Locks every level of these variants at these locations, by id. Raises outside a transaction."""
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("Stock levels are locked inside a transaction only.")
    with connection.cursor() as cursor:
        cursor.execute(_LOCK, [merchant_id, array(variant_ids), array(location_ids)])
        return [LockedLevel(*row) for row in cursor.fetchall()]


_CREATE_MISSING: Final = """
INSERT INTO inventory_stocklevel
    (merchant_id, variant_id, location_id, on_hand, reserved, unavailable, version, safety_stock)
SELECT v.merchant_id, v.id, l.id, 0, 0, 0, 0, 0
FROM unnest(%s::bigint[], %s::bigint[]) AS pair(variant_id, location_id)
JOIN inventory_variant v ON v.id = pair.variant_id AND v.merchant_id = %s
JOIN inventory_location l ON l.id = pair.location_id AND l.merchant_id = v.merchant_id
WHERE NOT EXISTS (
    SELECT FROM inventory_stocklevel s
    WHERE s.merchant_id = v.merchant_id AND s.variant_id = v.id AND s.location_id = l.id)
GROUP BY v.merchant_id, v.id, l.id
ORDER BY v.id, l.id
ON CONFLICT DO NOTHING
"""


def create_missing_levels(merchant_id: int, pairs: Iterable[tuple[int, int]]) -> None:
    """Creates empty levels for those (variant, location) pairs of this merchant that have none yet."""
    wanted = sorted(set(pairs))
    with connection.cursor() as cursor:
        cursor.execute(
            _CREATE_MISSING,
            [
                [variant for variant, _ in wanted],
                [location for _, location in wanted],
                merchant_id,
            ],
        )


def lock_locations(merchant_id: int, location_ids: Collection[int]) -> None:
    """Has whoever counts on the daily capacity of these locations take turns; after the levels, by id."""
    rows = Location.objects.select_for_update(no_key=True).filter(
        merchant_id=merchant_id, id__in=sorted(location_ids)
    )
    list(rows.order_by("id").values_list("id"))


_KNOWS_ALL: Final = """
SELECT (SELECT count(*) FROM inventory_variant WHERE merchant_id = %s AND id = ANY(%s::bigint[]))
     + (SELECT count(*) FROM inventory_location WHERE merchant_id = %s AND id = ANY(%s::bigint[]))
"""


def check_known(merchant_id: int, variant_ids: Collection[int], location_ids: Collection[int]) -> None:
    """Raises `UnknownStock` unless the merchant has all these variants and locations."""
    variants, places = set(variant_ids), set(location_ids)
    with connection.cursor() as cursor:
        cursor.execute(_KNOWS_ALL, [merchant_id, sorted(variants), merchant_id, sorted(places)])
        if cursor.fetchone()[0] < len(variants) + len(places):
            raise UnknownStock


def keep_recipes(merchant_id: int) -> None:
    """Has nobody change what the merchant's bundles are made of until the transaction ends.

    For what is decided by "it is no kit" and written where no constraint sees it; before the document's own lock.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT FROM inventory_merchant WHERE id = %s FOR SHARE", [merchant_id])
