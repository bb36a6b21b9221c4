"""Kits promised out of goods that are still to come: whole ones, each at one place.

Half a kit is worth nothing to whoever waits for it. So a promise of kits has, at every moment, all that it needs: what is
there of a part is reserved under the promise's own name, the rest is promised by lines of purchase orders. For each part,
what is held and what is waited for add up to the kits that are open.

Whatever an operation does to the one or the other, `balance` brings that about again before the operation is written: kits
that have become whole are held for whoever was promised them, and kits of which something fell away become a conflict; what
had been kept for those goes to others. A promise changes only under the locks of all its parts' levels at its place.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from django.db import connection
from django.utils import timezone

from inventory.holds import fill_owed, held_for
from inventory.inbound import Inbound, lock_inbound, promises_of
from inventory.inbound_rows import InboundLine, PromisedKits, PromisedUnits, PromiseTerms
from inventory.kits import Kit, parts_from
from inventory.models import KitBackorder
from inventory.models.conflicts import ConflictCause
from inventory.models.stock import Reason
from inventory.posting import Posting
from inventory.posting_rows import Hold
from inventory.references import kits_named, reference_of_kits

#: Ids of promises fetched at once.
_IDS_AT_ONCE: Final = 16

_NEXT_IDS: Final = """
SELECT nextval(pg_get_serial_sequence('inventory_kitbackorder', 'id')) FROM generate_series(1, %s)
"""

_SELECT: Final = """
SELECT k.id, k.reference, k.bundle_id, k.variant_id, k.location_id, k.location_ids, k.open_quantity, k.promised_on, (
    SELECT jsonb_agg(jsonb_build_array(part.variant_id, part.quantity) ORDER BY part.variant_id)
    FROM inventory_bundlepart part WHERE part.bundle_id = k.bundle_id)
FROM inventory_kitbackorder k
"""

_BY_ID: Final = f"{_SELECT} WHERE k.merchant_id = %s AND k.id = ANY(%s::bigint[]) ORDER BY k.id"

_BY_REFERENCE: Final = f"""{_SELECT}
WHERE k.merchant_id = %s AND k.reference = %s AND k.variant_id = %s AND k.open_quantity > 0
ORDER BY k.id DESC
"""

_WRITE: Final = """
UPDATE inventory_kitbackorder k
SET open_quantity = k.open_quantity - c.filled - c.cancelled - c.broken,
    filled_quantity = k.filled_quantity + c.filled,
    cancelled_quantity = k.cancelled_quantity + c.cancelled,
    broken_quantity = k.broken_quantity + c.broken
FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[]) AS c(id, filled, cancelled, broken)
WHERE k.id = c.id
"""


# -- promising


@dataclass(frozen=True, slots=True)
class KitsWanted:
    """Kits that one demand lacks; positive."""

    kit: Kit
    reference: str
    quantity: int
    #: Where they may be held, the preferred place first.
    location_ids: tuple[int, ...]
    #: What is owed to this demand does not count: it does not stand in its own way.
    besides: str = ""


def promise_kits(posting: Posting, wanted: KitsWanted, terms: PromiseTerms) -> int:
    """Promises as many kits as have all parts at one place, there or confirmed in time; returns those that do not.

    After the levels of the parts, what is owed of them, and whole kits that could be held at once.
    """
    inbound, rest = lock_inbound(posting), wanted.quantity
    for place in wanted.location_ids:
        coming = {
            part: list(inbound.promisable(part, (place,), terms.by, besides=wanted.besides))
            for part, _ in wanted.kit.parts
        }
        kits = min(
            rest,
            *(
                (posting.free(part, place) + sum(spare for _, spare in coming[part])) // per_kit
                for part, per_kit in wanted.kit.parts
            ),
        )
        if kits > 0:
            _promise(posting, inbound, wanted, terms, (place, kits), coming)
            rest -= kits
    return rest


def _promise(
    posting: Posting,
    inbound: Inbound,
    wanted: KitsWanted,
    terms: PromiseTerms,
    share: tuple[int, int],
    coming: dict[int, list[tuple[InboundLine, int]]],
) -> None:
    """Keeps what is there of each part at a place, and has lines promise the rest, the earliest first."""
    place, kits = share
    kit_id = _next_id(posting)
    rows: list[PromisedUnits] = []
    for part, per_kit in wanted.kit.parts:
        missing = kits * per_kit - _keep(posting, part, place, kits * per_kit, kit_id)
        for line, spare in coming[part]:
            units = min(spare, missing)
            if units > 0:
                rows.append(inbound.promise_part(line, wanted.reference, units, terms, kit_id))
                missing -= units
    day = max((row.promised_on for row in rows), default=terms.by)
    for row in rows:
        # The kit is whole with its last part: until then no part is late.
        row.promised_on = day
    posting.promised_kits[kit_id] = PromisedKits(
        kit_id,
        wanted.reference,
        wanted.kit,
        place,
        wanted.location_ids,
        kits,
        day,
        terms.allowed_by,
        is_new=True,
    )


def _keep(posting: Posting, part: int, place: int, wanted: int, kit_id: int) -> int:
    """Reserves what is there of a part under the name of the promise; returns the units."""
    units = min(posting.free(part, place), wanted)
    if units > 0:
        posting.hold(posting.levels[part, place], reference_of_kits(kit_id), units)
    return units


def _next_id(posting: Posting) -> int:
    if not posting.kit_ids:
        with connection.cursor() as cursor:
            cursor.execute(_NEXT_IDS, [_IDS_AT_ONCE])
            posting.kit_ids += [identity for (identity,) in cursor.fetchall()]
    return posting.kit_ids.pop(0)


def withdraw(posting: Posting, reference: str, variant_id: int, quantity: int) -> int:
    """Takes kits off what a demand was promised, the newest promise first; returns those that were not.

    Their parts are available at once. Raises `MoreLevels`.
    """
    if not quantity or variant_id not in posting.kits or not promises_of(posting).is_locked:
        return quantity
    found = _read(posting, _BY_REFERENCE, [posting.merchant_id, reference, variant_id])
    new = [each for each in posting.promised_kits.values() if each.is_new]
    own_new = [each for each in new if (each.reference, each.kit.variant_id) == (reference, variant_id)]
    taken: list[PromisedKits] = []
    for promise in [*reversed(own_new), *found]:
        kits = min(promise.open, quantity)
        if kits > 0:
            promise.open -= kits
            promise.cancelled += kits
            quantity -= kits
            taken.append(promise)
    for promise, backing in _backings(posting, taken):
        backing.trim(posting, promise)
    return quantity


# -- the balance


def balance(posting: Posting) -> None:
    """Settles the promises of kits that the operation touched: whole ones are held, broken ones owed. Raises `MoreLevels`."""
    is_settled = False
    while not is_settled and (ids := _touched(posting)):
        _read(posting, _BY_ID, [posting.merchant_id, sorted(ids - posting.promised_kits.keys())])
        promises = [posting.promised_kits[each] for each in sorted(ids)]
        given_back = [_settle(posting, *each) for each in _backings(posting, promises)]
        is_settled = not any(given_back)
        if not is_settled:
            # What was kept for them goes to others, and they may be whole at another place.
            fill_owed(posting)


def _touched(posting: Posting) -> set[int]:
    """Returns the promises of which a hold moved, or a part that is waited for changed."""
    moved = {kits_named(m.reservation.reference) for m in posting.movements if m.reservation is not None}
    waiting = set() if posting.inbound is None else posting.inbound.kits_changed()
    return (moved | waiting | posting.promised_kits.keys()) - {0}


def _read(posting: Posting, sql: str, parameters: list[Any]) -> list[PromisedKits]:
    """Reads promises; one that this operation has read before is that same object."""
    if parameters[-1] == []:
        return []
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        rows = cursor.fetchall()
    found = []
    for identity, reference, bundle_id, variant_id, place, places, kits, promised_on, parts in rows:
        if identity not in posting.promised_kits:
            kit = Kit(bundle_id, variant_id, parts_from(parts))
            posting.promised_kits[identity] = PromisedKits(
                identity, reference, kit, place, tuple(places), kits, promised_on
            )
        found.append(posting.promised_kits[identity])
    return found


@dataclass(slots=True)
class _Backing:
    """What one promise has of each part: holds, the oldest first, and promises of lines, the newest first."""

    held: defaultdict[int, list[Hold]] = field(default_factory=lambda: defaultdict(list))
    waiting: defaultdict[int, list[PromisedUnits]] = field(default_factory=lambda: defaultdict(list))

    def units_held(self, part: int) -> int:
        """Units that are reserved."""
        return sum(hold.open for hold in self.held[part])

    def units(self, part: int) -> int:
        """Units that are reserved or waited for."""
        return self.units_held(part) + sum(row.open for row in self.waiting[part])

    def rows(self) -> Iterable[PromisedUnits]:
        """All that lines of purchase orders promise, or did before this operation."""
        return (row for rows in self.waiting.values() for row in rows)

    def trim(self, posting: Posting, promise: PromisedKits) -> bool:
        """Gives up what the open kits do not need; tells whether units became available."""
        is_free = False
        for part, per_kit in promise.kit.parts:
            excess = self.units(part) - promise.open * per_kit
            for row in self.waiting[part]:
                units = min(row.open, max(excess, 0))
                row.cancel(units)
                excess -= units
            for hold in reversed(self.held[part]):
                if units := min(hold.open, max(excess, 0)):
                    posting.release(hold, units, Reason.CANCELLATION)
                    excess -= units
                    is_free = True
        return is_free


def _backings(posting: Posting, promises: Collection[PromisedKits]) -> list[tuple[PromisedKits, _Backing]]:
    """Reads what promises have, under the locks of all their parts' levels."""
    if not promises:
        return []
    posting.need(pair for promise in promises for pair in promise.pairs)
    names = {reference_of_kits(promise.id): _Backing() for promise in promises}
    holds: list[Hold] = [hold for held in held_for(posting, names.keys()).values() for hold in held]
    for hold in [*holds, *posting.new_reservations]:
        if hold.reference in names:
            names[hold.reference].held[hold.variant_id].append(hold)
    for row in lock_inbound(posting).of_kits([promise.id for promise in promises]):
        names[reference_of_kits(row.kit_id)].waiting[row.line.variant_id].append(row)
    return [(promise, names[reference_of_kits(promise.id)]) for promise in promises]


def _settle(posting: Posting, promise: PromisedKits, backing: _Backing) -> bool:
    """Brings one promise into balance; tells whether anybody may be served by that."""
    backed = min(backing.units(part) // per_kit for part, per_kit in promise.kit.parts)
    lost = max(promise.open - backed, 0)
    if lost:
        _lose(posting, promise, lost, backing)
    is_free = backing.trim(posting, promise) or lost > 0
    whole = min(backing.units_held(part) // per_kit for part, per_kit in promise.kit.parts)
    if whole > 0:
        _fill(posting, promise, whole, backing)
    return is_free


def _lose(posting: Posting, promise: PromisedKits, kits: int, backing: _Backing) -> None:
    """Gives up kits that lack a part: what was cancelled is no longer wanted, anything else is owed."""
    promise.open -= kits
    if any(row.cancelled for row in backing.rows()):
        promise.cancelled += kits
        return
    promise.broken += kits
    posting.broken_kits.add(promise.kit.variant_id)
    is_late = any(row.broken for row in backing.rows())
    posting.owe(
        reference=promise.reference,
        variant_id=promise.kit.variant_id,
        quantity=kits,
        cause=ConflictCause.INBOUND if is_late else ConflictCause.BROKEN,
        location_ids=promise.location_ids,
    )


def _fill(posting: Posting, promise: PromisedKits, kits: int, backing: _Backing) -> None:
    """Holds kits that have become whole for whoever was promised them."""
    for part, per_kit in promise.kit.parts:
        rest = kits * per_kit
        for hold in backing.held[part]:
            if units := min(hold.open, rest):
                posting.release(hold, units, Reason.SALE)
                rest -= units
    reason = Reason.BACKORDER_FILLED
    posting.hold_kits(promise.kit, promise.location_id, promise.reference, kits, reason=reason)
    promise.open -= kits
    promise.filled += kits


# -- writing


def write(posting: Posting, operation_id: int) -> None:
    """Writes new promises and what became of others; before the lines that promise their parts."""
    promises = posting.promised_kits.values()
    if new := [promise for promise in promises if promise.is_new]:
        KitBackorder.objects.bulk_create(_row(posting, operation_id, each) for each in new)
    if changed := [promise for promise in promises if promise.is_changed and not promise.is_new]:
        columns = [(each.id, each.filled, each.cancelled, each.broken) for each in changed]
        with connection.cursor() as cursor:
            cursor.execute(_WRITE, [list(column) for column in zip(*columns, strict=True)])


def _row(posting: Posting, operation_id: int, promise: PromisedKits) -> KitBackorder:
    return KitBackorder(
        id=promise.id,
        merchant_id=posting.merchant_id,
        operation_id=operation_id,
        variant_id=promise.kit.variant_id,
        bundle_id=promise.kit.bundle_id,
        location_id=promise.location_id,
        reference=promise.reference,
        location_ids=list(promise.location_ids),
        quantity=promise.open + promise.filled + promise.cancelled + promise.broken,
        open_quantity=promise.open,
        filled_quantity=promise.filled,
        cancelled_quantity=promise.cancelled,
        broken_quantity=promise.broken,
        promised_on=promise.promised_on,
        allowed_by=promise.allowed_by,
        created_at=timezone.now(),
    )
