"""Drafts of transfers: what shall go where. Nothing moves, and nothing is held."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from django.db import transaction

from inventory.documents import check_places_of_goods, lock_document
from inventory.errors import InvalidStockRequest
from inventory.ledger import domain_errors
from inventory.models import Transfer, TransferLine
from inventory.models.transfers import TransferState
from inventory.validation import check_quantities, check_text


@dataclass(frozen=True, slots=True)
class TransferPlan:
    """What shall go where; quantities by variant, in base units, positive."""

    source_id: int
    destination_id: int
    quantities: Mapping[int, int]
    reference: str = ""
    expected_on: date | None = None


def draft_transfer(merchant_id: int, plan: TransferPlan, *, key: uuid.UUID) -> Transfer:
    """Makes a draft, once for its key; nothing moves."""
    _check_plan(merchant_id, plan)
    with domain_errors(), transaction.atomic():
        transfer, is_new = Transfer.objects.get_or_create(
            merchant_id=merchant_id, key=key, defaults=_header(plan)
        )
        if is_new:
            _plan_lines(transfer, plan)
    return transfer


def change_draft(merchant_id: int, transfer_id: int, plan: TransferPlan) -> Transfer:
    """Replaces what a draft says. Raises `InvalidStockRequest` once it has been sent."""
    _check_plan(merchant_id, plan)
    with domain_errors(), transaction.atomic():
        transfer = lock_document(Transfer, merchant_id, transfer_id)
        require_state(transfer, TransferState.DRAFT)
        for field, value in _header(plan).items():
            setattr(transfer, field, value)
        transfer.save()
        transfer.lines.all().delete()
        _plan_lines(transfer, plan)
    return transfer


def cancel_transfer(merchant_id: int, transfer_id: int) -> None:
    """Gives a draft up. One that was sent is closed or taken back instead."""
    with domain_errors(), transaction.atomic():
        transfer = lock_document(Transfer, merchant_id, transfer_id)
        require_state(transfer, TransferState.DRAFT)
        transfer.state = TransferState.CANCELLED
        transfer.save()


def require_state(transfer: Transfer, *states: TransferState) -> None:
    """Refuses a step that does not fit the state of a transfer. Raises `InvalidStockRequest`."""
    if transfer.state not in states:
        allowed = " or ".join(state.label.lower() for state in states)
        raise InvalidStockRequest(
            "state",
            f"{transfer} is {transfer.get_state_display().lower()}; this needs one that is {allowed}.",
        )


def _check_plan(merchant_id: int, plan: TransferPlan) -> None:
    if plan.source_id == plan.destination_id:
        raise InvalidStockRequest("destination", "the goods are there already; choose another place.")
    check_quantities("quantity", list(plan.quantities.values()), smallest=1)
    check_text("reference", plan.reference)
    check_places_of_goods(
        merchant_id, plan.quantities.keys(), source=[plan.source_id], destination=[plan.destination_id]
    )


def _header(plan: TransferPlan) -> dict[str, object]:
    return {
        "source_id": plan.source_id,
        "destination_id": plan.destination_id,
        "reference": plan.reference,
        "expected_on": plan.expected_on,
    }


def _plan_lines(transfer: Transfer, plan: TransferPlan) -> None:
    TransferLine.objects.bulk_create(
        TransferLine(transfer=transfer, variant_id=variant_id, quantity=quantity)
        for variant_id, quantity in plan.quantities.items()
    )
