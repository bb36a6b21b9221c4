"""What becomes of a purchase order: placed, confirmed, dated anew, received, cancelled.

Receiving is one operation of the ledger with the movements of the goods. What an order had promised to somebody and will
not bring in time becomes a conflict in the same operation.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta

from django.db import transaction
from django.db.models.functions import Coalesce
from django.utils import timezone

from inventory.documents import check_places_of_goods
from inventory.errors import InvalidStockRequest, LineRefused, UnknownStock
from inventory.holds import fill, fill_owed
from inventory.inbound import Inbound
from inventory.inbound_locks import lock_lines
from inventory.inbound_rows import InboundLine
from inventory.ledger import Context, Outcome, domain_errors, perform
from inventory.locking import keep_recipes
from inventory.models import PurchaseOrder, PurchaseOrderLine
from inventory.models.purchasing import InboundEventKind, PurchaseOrderState
from inventory.models.stock import MovementKind, Reason
from inventory.posting import Posting
from inventory.validation import check_quantities


@dataclass(frozen=True, slots=True)
class LineReceipt:
    """Units of a line that arrived; positive."""

    line_id: int
    quantity: int
    #: Whether nothing more will come of the line: the rest is cancelled.
    is_last: bool = False


@dataclass(frozen=True, slots=True)
class LineConfirmation:
    """What the supplier says of the units still to come: so many on that day; 0 takes a confirmation back."""

    line_id: int
    quantity: int
    on: date | None


@dataclass(frozen=True, slots=True)
class LineCancellation:
    """Units of a line that will not come; `quantity` None means all that are still to come."""

    line_id: int
    quantity: int | None = None


@dataclass(frozen=True, slots=True)
class LineDate:
    """The day on which what is still to come of a line is due now."""

    line_id: int
    on: date


Request = LineReceipt | LineConfirmation | LineCancellation | LineDate


def place(merchant_id: int, order_id: int) -> bool:
    """Sends a draft on its way: its lines are fixed and may be confirmed and received. False where it was placed before."""
    with domain_errors(), transaction.atomic():
        # A kit has nothing to come: none is made of the goods while it is found out that they are none.
        keep_recipes(merchant_id)
        order = _lock_order(merchant_id, order_id)
        if not order.is_draft:
            return False
        if not order.lines.exists():
            raise InvalidStockRequest("lines", f"{order} has no line yet. Add at least one, then place it.")
        variants = set(order.lines.values_list("variant_id", flat=True))
        check_places_of_goods(merchant_id, variants, location=[order.location_id])
        order.state = PurchaseOrderState.ORDERED
        order.ordered_on = order.ordered_on or timezone.localdate()
        due_on = order.ordered_on + timedelta(days=order.supplier.lead_time_days)
        order.lines.update(location=order.location_id, expected_on=Coalesce("expected_on", due_on))
        order.save()
        return True


def _lock_order(merchant_id: int, order_id: int) -> PurchaseOrder:
    order = PurchaseOrder.objects.select_for_update(no_key=True).filter(merchant_id=merchant_id, pk=order_id)
    for found in order:
        return found
    raise UnknownStock("The merchant has no such purchase order.")


def receive_lines(context: Context, receipts: Sequence[LineReceipt]) -> Outcome:
    """Records goods that arrived on these lines: open shortages get them first, then who was promised them, then others.

    More than ordered is received all the same. Raises `LineRefused` for a cancelled line, `UnknownStock`.
    """
    check_quantities("quantity", [receipt.quantity for receipt in receipts], smallest=1)

    def work(posting: Posting) -> None:
        locked = lock_lines(posting, [each.line_id for each in receipts])
        for receipt in receipts:
            _receive(posting, locked.inbound, locked.line(receipt.line_id), receipt)
        fill(posting, locked.owed)
        locked.inbound.fill(first=[line.id for line in locked.lines])
        locked.inbound.break_excess(locked.lines)

    return _perform(context, "receive_order", receipts, work)


def _receive(posting: Posting, inbound: Inbound, line: InboundLine, receipt: LineReceipt) -> None:
    if line.cancelled == line.quantity:
        raise LineRefused(
            line.id,
            "the line was cancelled. Order the goods anew, or receive them on the variant's page, without an order.",
        )
    level = posting.levels[line.variant_id, line.location_id]
    posting.post(level, MovementKind.RECEIPT, Reason.PURCHASE, on_hand=receipt.quantity)
    line.received += receipt.quantity
    line.confirmed = max(line.confirmed - receipt.quantity, 0)
    line.limit_confirmed()
    inbound.remember(line, InboundEventKind.RECEIPT, receipt.quantity)
    if receipt.is_last and line.outstanding:
        _cancel(inbound, line, line.outstanding)


def confirm_lines(context: Context, confirmations: Sequence[LineConfirmation]) -> Outcome:
    """Notes what the supplier says of the units still to come. What had been promised for an earlier day, or is no longer
    confirmed, becomes a conflict. Raises `LineRefused`, `UnknownStock`.
    """
    check_quantities("quantity", [each.quantity for each in confirmations], smallest=0)
    if any(each.quantity and each.on is None for each in confirmations):
        raise InvalidStockRequest(
            "on", "confirmed units need a day. Enter the day on which they will arrive."
        )

    def work(posting: Posting) -> None:
        # Of a repeat the day may be over by now.
        _check_days(each.on for each in confirmations if each.on is not None)
        locked = lock_lines(posting, [each.line_id for each in confirmations])
        fill_owed(posting)
        for confirmation in confirmations:
            line = locked.line(confirmation.line_id)
            _confirm(locked.inbound, line, confirmation.quantity, confirmation.on)
        locked.inbound.break_late(locked.lines)
        locked.inbound.break_excess(locked.lines)

    return _perform(context, "confirm_order", confirmations, work)


def _confirm(inbound: Inbound, line: InboundLine, quantity: int, on: date | None) -> None:
    if quantity > line.outstanding:
        raise LineRefused(
            line.id,
            f"only {line.outstanding} units are still to come. Confirm at most these, and order the others anew.",
            field="quantity",
        )
    line.confirmed = quantity
    line.confirmed_on = on or line.confirmed_on
    inbound.remember(line, InboundEventKind.CONFIRMATION, quantity, line.confirmed_on if quantity else None)


def _check_days(days: Iterable[date]) -> None:
    if any(day < timezone.localdate() for day in days):
        raise InvalidStockRequest(
            "on", "lies in the past. Units still to come arrive today or later; receive those that are there."
        )


def slip_lines(context: Context, line_ids: Sequence[int], to: date) -> Outcome:
    """Moves what is still to come of these lines to another day: what is confirmed, or else what is expected.

    What had been promised for an earlier day becomes a conflict. Lines of which nothing is to come are passed over.
    """
    if not line_ids:
        raise InvalidStockRequest("lines", "at least one line is needed.")
    moved = [LineDate(line_id, to) for line_id in line_ids]

    def work(posting: Posting) -> None:
        _check_days([to])
        locked = lock_lines(posting, line_ids)
        fill_owed(posting)
        for line in locked.lines:
            if line.confirmed:
                _confirm(locked.inbound, line, line.confirmed, to)
            elif line.outstanding:
                line.expected_on = to
                locked.inbound.remember(line, InboundEventKind.EXPECTATION, line.outstanding, to)
        locked.inbound.break_late(locked.lines)

    return _perform(context, "slip_order", moved, work)


def cancel_lines(context: Context, cancellations: Sequence[LineCancellation]) -> Outcome:
    """Gives up units that will not come, unconfirmed ones first. What had been promised of them becomes a conflict, the
    newest promise first. Raises `LineRefused`, `UnknownStock`.
    """
    check_quantities(
        "quantity", [1 if each.quantity is None else each.quantity for each in cancellations], smallest=1
    )

    def work(posting: Posting) -> None:
        locked = lock_lines(posting, [each.line_id for each in cancellations])
        fill_owed(posting)
        for each in cancellations:
            line = locked.line(each.line_id)
            _cancel(locked.inbound, line, line.outstanding if each.quantity is None else each.quantity)
        locked.inbound.break_excess(locked.lines)

    return _perform(context, "cancel_order", cancellations, work)


def _cancel(inbound: Inbound, line: InboundLine, quantity: int) -> None:
    if not 0 < quantity <= line.outstanding:
        raise LineRefused(
            line.id,
            f"{line.outstanding} units are still to come, so that no more can be cancelled. Enter at most these.",
            field="quantity",
        )
    line.cancelled += quantity
    line.limit_confirmed()
    inbound.remember(line, InboundEventKind.CANCELLATION, quantity)


def cancel_order(context: Context, order_id: int) -> Outcome | None:
    """Gives up everything that is still to come of an order; a draft is only marked, and None returned.

    Raises `InvalidStockRequest` where nothing is to come any more.
    """
    with domain_errors(), transaction.atomic():
        order = _lock_order(context.merchant_id, order_id)
        if order.is_draft:
            order.state = PurchaseOrderState.CANCELLED
            order.save()
            return None
    lines = PurchaseOrderLine.objects.filter(order=order).order_by("id")
    to_come = [LineCancellation(line.pk) for line in lines if line.outstanding]
    if not to_come:
        raise InvalidStockRequest(
            "order", f"nothing is still to come of {order}, so nothing can be cancelled."
        )
    return cancel_lines(context, to_come)


def _perform(
    context: Context, verb: str, requests: Sequence[Request], work: Callable[[Posting], None]
) -> Outcome:
    named = [request.line_id for request in requests]
    if len(set(named)) < len(named):
        raise InvalidStockRequest("line_id", "the same line is named twice. Add its units up.")
    return perform(context, verb, [asdict(request) for request in requests], work)
