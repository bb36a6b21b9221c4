"""Transfers: goods sent from one place of the merchant to another, received in parts, with what is missing or too many.

A transfer is drafted (`inventory.transfer_drafts`), sent, received once or several times, and closed. What happens to the
goods in between is told in `inventory.transit`.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final

from django.db import connection
from django.utils import timezone

from inventory import taking
from inventory.documents import lock_document
from inventory.errors import InsufficientStock, InvalidStockRequest, Shortage
from inventory.holds import fill_owed, release_expired
from inventory.ledger import Context, Outcome, perform
from inventory.locking import LockedLevel
from inventory.models import Transfer, TransferLine
from inventory.models.stock import MovementKind, Reason
from inventory.models.transfers import TransferState
from inventory.posting import Posting
from inventory.transfer_drafts import require_state
from inventory.transit import place_in_transit
from inventory.validation import check_quantities


@dataclass(frozen=True, slots=True)
class Arrival:
    """Units of a variant that arrived; positive."""

    variant_id: int
    quantity: int
    #: Units of them that cannot be sold.
    unavailable: int = 0


def send_transfer(context: Context, transfer_id: int) -> Outcome:
    """Sends what a draft says, from what is available. Raises `InsufficientStock` with every line that is short."""
    return _depart(context, "transfer_send", transfer_id, _check_available)


def record_departure(context: Context, transfer_id: int) -> Outcome:
    """Records that the goods of a draft have left. Never refused for want of stock.

    What is not available is taken from the newest reservations, which become conflicts, then from unavailable units; what
    is not even on record is added first, with a conflict that asks for a recount.
    """
    return _depart(context, "transfer_depart", transfer_id, _make_room)


def receive_transfer(context: Context, transfer_id: int, arrivals: Sequence[Arrival]) -> Outcome:
    """Records goods that arrived; the rest stays on the way. Never refused, not even after the transfer was closed.

    Units beyond those on the way are what was given up as missing, then a surplus. Open shortages are filled first.
    """
    _check_arrivals(arrivals)
    transit = place_in_transit(context.merchant_id)

    variants = {arrival.variant_id for arrival in arrivals}

    def work(posting: Posting) -> None:
        posting.refuse_kits()
        transfer, lines = _load(posting, transfer_id)
        require_state(transfer, TransferState.SENT, TransferState.CLOSED)
        pairs = {(variant, place) for variant in variants for place in (transfer.destination_id, transit)}
        posting.lock(variants, {transfer.destination_id, transit}, create=pairs)
        for arrival in arrivals:
            variant_id = arrival.variant_id
            line = lines.setdefault(
                variant_id, TransferLine(transfer=transfer, variant_id=variant_id, quantity=0)
            )
            here = posting.levels[variant_id, transfer.destination_id]
            _arrive(posting, line, arrival, here, posting.levels[variant_id, transit])
        fill_owed(posting)
        _save(posting, transfer, list(lines.values()))

    request = [transfer_id, [asdict(arrival) for arrival in arrivals]]
    return perform(_named(context, transfer_id), "transfer_arrive", request, work, variants=variants)


def close_transfer(context: Context, transfer_id: int) -> Outcome:
    """Gives up what is still on the way: it is written off as lost and stands on the transfer as missing."""
    transit = place_in_transit(context.merchant_id)

    def work(posting: Posting) -> None:
        transfer, lines = _load_on_the_way(posting, transfer_id)
        posting.lock({line.variant_id for line in lines}, {transit})
        for line in lines:
            level = posting.levels[line.variant_id, transit]
            units = line.in_transit
            posting.post(level, MovementKind.ADJUSTMENT, Reason.LOSS, on_hand=-units, unavailable=-units)
            line.missing_quantity += units
            line.unavailable_quantity = 0
        _save(posting, transfer, lines)

    return perform(_named(context, transfer_id), "transfer_close", [transfer_id], work)


def recall_transfer(context: Context, transfer_id: int) -> Outcome:
    """Takes what is still on the way back to where it came from, as it was; open shortages there are filled first."""
    transit = place_in_transit(context.merchant_id)

    def work(posting: Posting) -> None:
        transfer, lines = _load_on_the_way(posting, transfer_id)
        posting.lock({line.variant_id for line in lines}, {transfer.source_id, transit})
        for line in lines:
            units = line.in_transit
            home = posting.levels[line.variant_id, transfer.source_id]
            on_the_way = posting.levels[line.variant_id, transit]
            _come_in(posting, on_the_way, home, units, line.unavailable_quantity)
            line.recalled_quantity += units
            line.unavailable_quantity = 0
        fill_owed(posting)
        _save(posting, transfer, lines)

    return perform(_named(context, transfer_id), "transfer_recall", [transfer_id], work)


# Departure.

Check = Callable[[Posting, list[tuple[TransferLine, LockedLevel]]], None]


def _depart(context: Context, verb: str, transfer_id: int, check: Check) -> Outcome:
    transit = place_in_transit(context.merchant_id)

    def work(posting: Posting) -> None:
        transfer, lines = _load(posting, transfer_id)
        require_state(transfer, TransferState.DRAFT)
        pairs = {(variant, place) for variant in lines for place in (transfer.source_id, transit)}
        posting.lock(lines.keys(), {transfer.source_id, transit}, create=pairs)
        release_expired(posting)
        leaving = [
            (line, posting.levels[variant, transfer.source_id]) for variant, line in sorted(lines.items())
        ]
        check(posting, leaving)
        for line, level in leaving:
            on_the_way = posting.levels[line.variant_id, transit]
            line.unavailable_quantity = _set_out(posting, level, on_the_way, line.quantity)
            line.sent_quantity = line.quantity
        fill_owed(posting)
        transfer.sent_at = timezone.now()
        transfer.state = TransferState.SENT
        _save(posting, transfer, list(lines.values()))

    return perform(_named(context, transfer_id), verb, [transfer_id], work)


def _check_available(posting: Posting, leaving: list[tuple[TransferLine, LockedLevel]]) -> None:
    short = [
        Shortage(line.variant.sku, line.variant_id, line.quantity, level.available)
        for line, level in leaving
        if line.quantity > level.available
    ]
    if short:
        raise InsufficientStock(short)


def _make_room(posting: Posting, leaving: list[tuple[TransferLine, LockedLevel]]) -> None:
    """Adds what the record does not have, and breaks the newest reservations where goods lack."""
    for line, level in leaving:
        beyond = line.quantity - level.on_hand
        if beyond > 0:
            taking.add_beyond_record(posting, level, beyond, reference=f"TR-{line.transfer_id}")
    taking.make_room(posting, [(level, line.quantity) for line, level in leaving])


def _set_out(posting: Posting, place: LockedLevel, transit: LockedLevel, units: int) -> int:
    """Puts units on the way; returns how many of them could not be sold at the place."""
    unsalable = taking.lose_or_find(posting, place, -units, MovementKind.TRANSFER, Reason.TRANSFER)
    posting.post(transit, MovementKind.TRANSFER, Reason.TRANSFER, on_hand=units, unavailable=units)
    return unsalable


# Arrival.


def _check_arrivals(arrivals: Sequence[Arrival]) -> None:
    check_quantities("quantity", [arrival.quantity for arrival in arrivals], smallest=1)
    check_quantities("unavailable", [arrival.unavailable for arrival in arrivals], smallest=0)
    if any(arrival.unavailable > arrival.quantity for arrival in arrivals):
        raise InvalidStockRequest("unavailable", "is a part of what arrived, and cannot be more.")


def _arrive(
    posting: Posting, line: TransferLine, arrival: Arrival, place: LockedLevel, transit: LockedLevel
) -> None:
    """Takes what arrived from what is on the way, then from what was given up; the rest is a surplus."""
    expected = min(arrival.quantity, line.in_transit)
    late = min(arrival.quantity - expected, line.missing_quantity)
    surplus = arrival.quantity - expected - late
    line.received_quantity += expected + late
    line.missing_quantity -= late
    line.surplus_quantity += surplus
    unsalable = arrival.unavailable
    if expected:
        known = _come_in(posting, transit, place, expected, min(unsalable, expected))
        unsalable -= known
        line.unavailable_quantity = min(max(line.unavailable_quantity - known, 0), line.in_transit)
    for units, reason in ((late, Reason.CORRECTION), (surplus, Reason.SURPLUS)):
        if units:
            part = min(unsalable, units)
            unsalable -= part
            posting.post(place, MovementKind.ADJUSTMENT, reason, on_hand=units, unavailable=part)


def _come_in(
    posting: Posting, transit: LockedLevel, place: LockedLevel, units: int, unavailable: int = 0
) -> int:
    """Moves units from the way to a place; returns how many of them cannot be sold there."""
    posting.post(transit, MovementKind.TRANSFER, Reason.TRANSFER, on_hand=-units, unavailable=-units)
    posting.post(place, MovementKind.TRANSFER, Reason.TRANSFER, on_hand=units, unavailable=unavailable)
    return unavailable


# The document.


def _named(context: Context, transfer_id: int) -> Context:
    return replace(context, document=context.document or f"TR-{transfer_id}")


def _load(posting: Posting, transfer_id: int) -> tuple[Transfer, dict[int, TransferLine]]:
    """Locks a transfer and reads its lines, by variant."""
    transfer = lock_document(Transfer, posting.merchant_id, transfer_id)
    lines = transfer.lines.select_related("variant").order_by("id")
    return transfer, {line.variant_id: line for line in lines}


def _load_on_the_way(posting: Posting, transfer_id: int) -> tuple[Transfer, list[TransferLine]]:
    transfer, lines = _load(posting, transfer_id)
    require_state(transfer, TransferState.SENT)
    return transfer, [line for line in lines.values() if line.in_transit]


_SAVE_LINES: Final = """
INSERT INTO inventory_transferline AS kept
    (transfer_id, variant_id, quantity, sent_quantity, received_quantity, missing_quantity, recalled_quantity,
     surplus_quantity, unavailable_quantity)
SELECT %s, * FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[],
                         %s::bigint[], %s::bigint[])
ON CONFLICT (transfer_id, variant_id) DO UPDATE
SET sent_quantity = excluded.sent_quantity, received_quantity = excluded.received_quantity,
    missing_quantity = excluded.missing_quantity, recalled_quantity = excluded.recalled_quantity,
    surplus_quantity = excluded.surplus_quantity, unavailable_quantity = excluded.unavailable_quantity
"""


def _save(posting: Posting, transfer: Transfer, lines: Sequence[TransferLine]) -> None:
    """Writes what became of a transfer; one with nothing left on the way is closed."""
    rows = [
        (
            line.variant_id,
            line.quantity,
            line.sent_quantity,
            line.received_quantity,
            line.missing_quantity,
            line.recalled_quantity,
            line.surplus_quantity,
            line.unavailable_quantity,
        )
        for line in lines
    ]
    with connection.cursor() as cursor:
        cursor.execute(_SAVE_LINES, [transfer.pk, *(list(column) for column in zip(*rows, strict=True))])
    if transfer.state == TransferState.SENT and not any(line.in_transit for line in lines):
        transfer.state, transfer.closed_at = TransferState.CLOSED, timezone.now()
    transfer.save()
    transfer.operations.add(posting.operation_id)
