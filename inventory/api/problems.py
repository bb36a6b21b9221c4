"""How the inventory's errors and constraints are answered."""

from collections.abc import Sequence
from typing import Any, Final

from config.api.problems import (
    BUSY,
    FORGOTTEN,
    IN_PROGRESS,
    KEY_REUSED,
    NOT_FOUND,
    REFUSED,
    Problem,
    kind,
    refused,
    register,
    register_constraints,
)
from inventory.answers import StillRunning
from inventory.errors import (
    ChangesForgotten,
    IdempotencyConflict,
    InsufficientInbound,
    InsufficientStock,
    InvalidStockRequest,
    ReservationClosed,
    ReservationExpired,
    Shortage,
    StockBusy,
    StockError,
    UnknownStock,
)
from inventory.models import Variant

SHORT: Final = kind(
    "insufficient-stock",
    409,
    "There is less than asked for",
    "Ask for less, elsewhere, or with `allow_partial`.",
)
EXPIRED: Final = kind("reservation-expired", 409, "The reservation has expired", "Reserve again.")
CLOSED: Final = kind(
    "reservation-closed",
    409,
    "The reservation holds less than asked for",
    "Read it again; it was used up before.",
)

#: Constraint → the field it is about, and what it means that it is violated.
_CONSTRAINTS: Final = {
    "variant_sku_is_unique_per_merchant": ("sku", "A variant has this SKU already."),
    "location_code_is_unique_per_merchant": ("code", "A location has this code already."),
    "supplier_code_is_unique_per_merchant": ("code", "A supplier has this code already."),
    "purchase_order_number_is_unique_per_merchant": ("number", "A purchase order has this number already."),
}


def _of_shortages(error: Any) -> Problem:
    return Problem(SHORT, str(error), shortages=_shown(error.shortages))


def _shown(shortages: Sequence[Shortage]) -> list[dict[str, Any]]:
    skus = dict(Variant.objects.filter(pk__in={s.variant_id for s in shortages}).values_list("pk", "sku"))
    return [
        {
            "reference": each.reference,
            "sku": skus.get(each.variant_id, ""),
            "requested": each.requested,
            "available": each.available,
        }
        for each in shortages
    ]


register(StockError, lambda error: Problem(REFUSED, str(error)))
register(InsufficientStock, _of_shortages)
register(InsufficientInbound, _of_shortages)
register(ReservationExpired, lambda error: Problem(EXPIRED, str(error)))
register(ReservationClosed, lambda error: Problem(CLOSED, str(error)))
register(StockBusy, lambda error: Problem(BUSY, str(error), retry_after=1))
register(StillRunning, lambda error: Problem(IN_PROGRESS, str(error), retry_after=1))
register(IdempotencyConflict, lambda error: Problem(KEY_REUSED, str(error)))
register(InvalidStockRequest, lambda error: refused(str(error), error.field))
register(ChangesForgotten, lambda error: Problem(FORGOTTEN, str(error), field="cursor"))
register(UnknownStock, lambda error: Problem(NOT_FOUND, str(error)))
register_constraints(_CONSTRAINTS)
