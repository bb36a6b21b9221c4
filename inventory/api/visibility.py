"""What a key may see: decided here and nowhere else.

Each model that the API shows is entered with the way from it to its merchant. Views get rows from `visible` alone, which
knows no way to ask for those of another merchant; a model that is not entered cannot be shown.
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from django.db.models import Model, QuerySet

from inventory.access import Caller
from inventory.models import (
    ApiKey,
    Backorder,
    Bundle,
    Change,
    CountSheet,
    CountSheetLine,
    CustomerReturn,
    ImportJob,
    Location,
    Product,
    PurchaseOrder,
    PurchaseOrderLine,
    Reservation,
    ReturnLine,
    StockLevel,
    StockMovement,
    Supplier,
    Transfer,
    TransferLine,
    Variant,
)

Row = TypeVar("Row", bound=Model)
#: Narrows rows for a test key.
Narrow = Callable[[QuerySet[Any], int], QuerySet[Any]]

_MERCHANT_OF: Final[dict[type[Model], str]] = {
    CountSheetLine: "sheet__merchant",
    ReturnLine: "customer_return__merchant",
    TransferLine: "transfer__merchant",
} | dict.fromkeys(
    (
        ApiKey,
        Backorder,
        Bundle,
        Change,
        CountSheet,
        CustomerReturn,
        ImportJob,
        Location,
        Product,
        PurchaseOrder,
        PurchaseOrderLine,
        Reservation,
        StockLevel,
        StockMovement,
        Supplier,
        Transfer,
        Variant,
    ),
    "merchant",
)


def _test_keys(rows: QuerySet[Any], merchant_id: int) -> QuerySet[Any]:
    return rows.filter(is_test=True)


_narrowed_for_tests: Final[dict[type[Model], Narrow]] = {ApiKey: _test_keys}


def enter(model: type[Model], merchant: str, *, for_tests: Narrow | None = None) -> None:
    """Has the API show a model; `merchant` is the way to its merchant, `for_tests` what test keys see of it."""
    _MERCHANT_OF[model] = merchant
    if for_tests is not None:
        _narrowed_for_tests[model] = for_tests


def visible(caller: Caller, model: type[Row]) -> QuerySet[Row]:
    """Returns the rows of a model that this key may see. Raises `KeyError` for a model that is not entered."""
    rows: QuerySet[Row] = model._default_manager.filter(**{_MERCHANT_OF[model]: caller.merchant_id})
    narrow = _narrowed_for_tests.get(model)
    return narrow(rows, caller.merchant_id) if caller.is_test and narrow is not None else rows
