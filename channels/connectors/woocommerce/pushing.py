"""Tells a WooCommerce shop its numbers, in batches, and believes only what the answer shows.

Batches answer 200 whatever became of their items and check no values, so values are checked here, errors are
read item by item, and a number counts as told when the answer shows it. Stock management is never switched on:
a quantity for a product without it is ignored by the shop, and reported as rejected.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from channels.connectors.base import ItemOutcome, PushItem, PushResult
from channels.connectors.pushing import push_in_calls, result_of
from channels.connectors.woocommerce.api import Shop, error_for, read_error
from channels.connectors.woocommerce.listings import by_parent, chunks, is_kept_by_parent, stock_quantity
from channels.errors import OutcomeUnknown, PermanentError

#: The shop's own limit for one batch is 100 items.
LARGEST_BATCH: Final = 100
#: WordPress keeps ids and stock in signed 32 and 64 bit columns; a shelf holds less than this.
LARGEST_QUANTITY: Final = 1_000_000_000


def push(shop: Shop, items: Sequence[PushItem]) -> list[PushResult]:
    """Tells the shop these numbers; one result an item. Setting a number again is harmless."""
    refused = {id(item): reason for item in items if (reason := _fault(item))}
    sound = [item for item in items if id(item) not in refused]
    calls = [
        chunk
        for _, siblings in by_parent(sound, lambda item: item.address)
        for chunk in chunks(siblings, LARGEST_BATCH)
    ]
    rejected = [
        result_of(item, ItemOutcome.REJECTED, refused[id(item)]) for item in items if id(item) in refused
    ]
    return rejected + push_in_calls(calls, lambda batch: _push_batch(shop, batch))


def _fault(item: PushItem) -> str:
    """Says why an item cannot be sent; empty when it can."""
    address = item.address
    for number in filter(None, (address.listing_external_id, address.parent_external_id)):
        if not (number.isascii() and number.isdecimal()):
            return f"{number[:40]} is not the id of a product."
    if not address.listing_external_id:
        return "The listing has no id."
    if type(item.quantity) is not int or not 0 <= item.quantity <= LARGEST_QUANTITY:
        return f"{item.quantity} is not a number of units from 0 to {LARGEST_QUANTITY}."
    return ""


def _push_batch(shop: Shop, items: Sequence[PushItem]) -> list[PushResult]:
    parent_id = items[0].address.parent_external_id
    path = f"products/{parent_id}/variations/batch" if parent_id else "products/batch"
    updates = [
        {"id": int(item.address.listing_external_id), "stock_quantity": item.quantity} for item in items
    ]
    answer = shop.write("POST", path, {"update": updates})
    entries = answer.get("update") if isinstance(answer, dict) else None
    if not isinstance(entries, list):
        raise OutcomeUnknown("The shop's answer to a batch names no items.")
    told = {str(entry.get("id")): entry for entry in entries if isinstance(entry, dict)}
    return [_judge(item, told.get(item.address.listing_external_id)) for item in items]


def _judge(item: PushItem, entry: Mapping[str, Any] | None) -> PushResult:
    """Reads what became of one item."""
    if entry is None:
        return result_of(item, ItemOutcome.UNKNOWN, "The shop's answer leaves this item out.")
    if "error" in entry:
        return _judge_error(item, entry["error"])
    if stock_quantity(entry) == item.quantity:
        return result_of(item, ItemOutcome.CONFIRMED)
    if is_kept_by_parent(entry):
        reason = "The shop keeps the stock of this variation at its parent product; map the parent instead."
        return result_of(item, ItemOutcome.REJECTED, reason)
    if entry.get("manage_stock") is not True:
        reason = "The shop does not keep stock for this product; switch on “Manage stock?” there."
        return result_of(item, ItemOutcome.REJECTED, reason)
    shown = entry.get("stock_quantity")
    return result_of(item, ItemOutcome.RETRY, f"The shop shows {shown} after it was told {item.quantity}.")


def _judge_error(item: PushItem, error: Any) -> PushResult:
    code, message, status = read_error(error)
    meaning = error_for(status, code, message)
    is_final = isinstance(meaning, PermanentError)
    return result_of(item, ItemOutcome.REJECTED if is_final else ItemOutcome.RETRY, str(meaning))
