"""Units promised against goods that are still to come: promised, cancelled, missed, and made from an open shortage.

A backorder is filled when stock arrives (`inventory.holds.fill_owed`), and broken into a conflict when its inbound slips,
is cancelled or comes short (`inventory.purchasing`).
"""

import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from functools import partial
from typing import Final

from django.db import connection
from django.utils import timezone

from inventory.errors import InsufficientInbound, InvalidStockRequest, Shortage, UnknownStock
from inventory.holds import debt_of, fill_owed, load_waiting, release_expired
from inventory.inbound import Inbound, lock_inbound
from inventory.inbound_locks import lock_lines
from inventory.inbound_rows import PromiseTerms
from inventory.kit_backorders import KitsWanted, promise_kits
from inventory.kits import current_kits
from inventory.ledger import Context, Outcome, perform
from inventory.models import Backorder, Conflict
from inventory.posting import Posting
from inventory.posting_rows import Short
from inventory.reservations import Demand, hold_available
from inventory.validation import check_places, check_quantities, check_references


@dataclass(frozen=True, slots=True)
class BackorderUnits:
    """Units of one backorder; `quantity` None means all that still wait."""

    backorder_id: int
    quantity: int | None = None


def promise(
    context: Context, demands: Sequence[Demand], terms: PromiseTerms, *, allow_partial: bool = False
) -> Outcome:
    """Holds what is available for demands and promises the rest from inbound confirmed in time, the earliest first.

    Of kits whole ones are promised, each at one place: what is there of their parts is reserved for them. All of it, or as
    much as there is where `allow_partial`. Never more than is confirmed, less what is promised and what is owed already.
    Raises `InsufficientInbound` with every shortage, `InvalidStockRequest`, `UnknownStock`.
    """
    check_quantities("quantity", [demand.quantity for demand in demands], smallest=1)
    check_references(demand.reference for demand in demands)
    check_places(demand.location_ids for demand in demands)

    def work(posting: Posting) -> None:
        # Of a repeat the day may be over by now.
        terms.check_day()
        places = {(d.variant_id, place) for d in demands for place in d.location_ids}
        inbound = _lock(posting, places)
        short = [s for demand in demands if (s := _promise(posting, inbound, demand, terms)) is not None]
        if short and not allow_partial:
            raise InsufficientInbound(short)
        posting.not_held += [Short(s.reference, s.variant_id, s.requested - s.available) for s in short]

    request = [[asdict(demand) for demand in demands], asdict(terms), allow_partial]
    return perform(context, "promise", request, work, variants={demand.variant_id for demand in demands})


def _lock(posting: Posting, places: set[tuple[int, int]]) -> Inbound:
    """Locks the levels, what is owed and the inbound; units that have expired go to who waits for them. Of kits, the parts'."""
    goods = {(part, place) for variant, place in places for part, _ in posting.parts_of(variant)}
    posting.lock({v for v, _ in goods}, {place for _, place in goods}, create=goods)
    release_expired(posting)
    load_waiting(posting, {v for v, _ in goods})
    inbound = lock_inbound(posting)
    fill_owed(posting)
    return inbound


def _promise(posting: Posting, inbound: Inbound, demand: Demand, terms: PromiseTerms) -> Shortage | None:
    short = hold_available(posting, demand)
    if short is None:
        return None
    missing = short.requested - short.available
    kit = posting.kits.get(demand.variant_id)
    if kit is None:
        rest = inbound.take(demand.reference, demand.variant_id, missing, demand.location_ids, terms)
    else:
        rest = promise_kits(posting, KitsWanted(kit, demand.reference, missing, demand.location_ids), terms)
    if not rest:
        return None
    return Shortage(demand.reference, demand.variant_id, demand.quantity, demand.quantity - rest)


def cancel_backorders(context: Context, units: Sequence[BackorderUnits]) -> Outcome:
    """Takes promises back whose goods are no longer wanted; the inbound may be promised to others from then on.

    With a part of theirs, whole kits are taken back. Raises `InvalidStockRequest` where fewer units wait than asked for,
    `UnknownStock`.
    """
    check_quantities("quantity", [1 if u.quantity is None else u.quantity for u in units], smallest=1)

    def work(posting: Posting) -> None:
        rows = Backorder.objects.filter(
            merchant_id=posting.merchant_id, pk__in=[u.backorder_id for u in units]
        )
        places = {(row.variant_id, place) for row in rows for place in row.location_ids}
        posting.lock({v for v, _ in places}, {place for _, place in places})
        _cancel(lock_inbound(posting), units)

    return perform(context, "cancel_backorder", [asdict(each) for each in units], work)


def _cancel(inbound: Inbound, units: Sequence[BackorderUnits]) -> None:
    waiting = {promised.id: promised for promised in inbound.load([u.backorder_id for u in units])}
    if not waiting.keys() >= {u.backorder_id for u in units}:
        raise UnknownStock("The merchant has no such backorder.")
    for each in units:
        promised = waiting[each.backorder_id]
        quantity = promised.open if each.quantity is None else each.quantity
        if not 0 < quantity <= promised.open:
            raise InvalidStockRequest(
                "quantity",
                f"only {promised.open} units of {promised.reference} still wait. Cancel at most these; those that "
                "arrived are reserved and released there.",
            )
        promised.cancel(quantity)


def backorder_conflict(
    context: Context, conflict_id: int, terms: PromiseTerms, *, quantity: int | None = None
) -> Outcome:
    """Turns what an open conflict still owes into a promise from confirmed inbound; `quantity` None means all of it.

    Raises `InsufficientInbound`, `InvalidStockRequest` for a conflict that waits for no goods, `UnknownStock`.
    """
    if quantity is not None:
        check_quantities("quantity", [quantity], smallest=1)

    def work(posting: Posting) -> None:
        terms.check_day()
        conflict = Conflict.objects.filter(merchant_id=posting.merchant_id, pk=conflict_id).first()
        if conflict is None:
            raise UnknownStock("The merchant has no such conflict.")
        posting.kits |= current_kits(posting.merchant_id, [conflict.variant_id])
        inbound = _lock(posting, {(conflict.variant_id, place) for place in conflict.location_ids})
        debt = debt_of(posting, conflict)
        units = debt.open if quantity is None else quantity
        if not 0 < units <= debt.open:
            raise InvalidStockRequest(
                "quantity", f"only {debt.open} units are still owed. Ask for at most these."
            )
        posting.close(debt, units)
        kit, own = posting.kits.get(debt.variant_id), debt.reference
        if kit is None:
            rest = inbound.take(own, debt.variant_id, units, debt.location_ids, terms, besides=own)
        else:
            rest = promise_kits(posting, KitsWanted(kit, own, units, debt.location_ids, own), terms)
        if rest:
            raise InsufficientInbound([Shortage(debt.reference, debt.variant_id, units, units - rest)])

    request = [conflict_id, asdict(terms), quantity]
    return perform(context, "backorder", request, work)


_MISSED: Final = """
SELECT missed.merchant_id, array_agg(DISTINCT missed.line_id)
FROM (
    SELECT merchant_id, line_id FROM inventory_backorder
    WHERE open_quantity > 0 AND promised_on < %s ORDER BY promised_on LIMIT %s
) missed
GROUP BY missed.merchant_id
"""


def break_missed(*, limit: int = 1000) -> int:
    """Turns promises whose day is over into conflicts, up to about `limit` at once; returns on how many lines."""
    today = timezone.localdate()
    with connection.cursor() as cursor:
        cursor.execute(_MISSED, [today, limit])
        batches: list[tuple[int, list[int]]] = cursor.fetchall()
    for merchant_id, line_ids in batches:
        context = Context(merchant_id, key=f"missed:{uuid.uuid4()}", source="sweeper")
        perform(context, "miss_promises", line_ids, partial(_miss, line_ids=line_ids, today=today))
    return sum(len(line_ids) for _, line_ids in batches)


def _miss(posting: Posting, *, line_ids: Sequence[int], today: date) -> None:
    locked = lock_lines(posting, line_ids)
    fill_owed(posting)
    locked.inbound.break_late(locked.lines, not_before=today)
