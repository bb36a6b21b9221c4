"""Square's numbers: what is in stock of a variation at a location, read and set.

Square keeps a history and reckons by when things happened, not by when it heard of them. A count that says when it was
made, the instant at which our number was computed, therefore takes nothing away from sales that Square committed since and
that we have not imported, and a till that was offline takes nothing off a count made after its sales.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from channels.connectors.base import Address, ItemOutcome, PushItem, PushResult, ShelfNumber
from channels.connectors.messages import read_id, read_instant, read_objects, read_text
from channels.connectors.pushing import push_in_calls, result_of
from channels.connectors.square.api import Refused, SquareApi
from channels.connectors.square.quantities import floor, read_amount, rfc3339
from channels.errors import OutcomeUnknown, TransientError

#: The one state that is for sale; Square has others for what is sold online, wasted or on its way.
IN_STOCK: Final = "IN_STOCK"
#: Changes that Square takes in one call.
LARGEST_BATCH: Final = 100
_PAGE: Final = 1000
_COUNTS: Final = "/v2/inventory/counts/batch-retrieve"
_CHANGES: Final = "/v2/inventory/changes/batch-create"
_NAMED: Final = re.compile(r"changes\[([0-9]{1,3})\]")


# -- reading


def shelf_of(count: Mapping[str, Any]) -> ShelfNumber | None:
    """Returns what a count says of a shelf; None for what is not for sale."""
    if read_text(count, "state") != IN_STOCK:
        return None
    return ShelfNumber(
        listing_external_id=read_id(count, "catalog_object_id"),
        location_external_id=read_id(count, "location_id"),
        quantity=floor(read_amount(count, "quantity")),
        observed_at=read_instant(count, "calculated_at") if count.get("calculated_at") else None,
    )


def fetch_levels(api: SquareApi) -> Iterator[ShelfNumber]:
    """Streams the numbers of all variations at all locations."""
    return _shelves(api.search_all(_COUNTS, "counts", {"states": [IN_STOCK], "limit": _PAGE}))


def read_levels(api: SquareApi, addresses: Sequence[Address]) -> list[ShelfNumber]:
    """Reads these shelves; one that Square never counted is not in its answer."""
    if not addresses:
        return []
    body = {
        "catalog_object_ids": sorted({address.listing_external_id for address in addresses}),
        "location_ids": sorted({address.location_external_id for address in addresses}),
        "states": [IN_STOCK],
        "limit": _PAGE,
    }
    wanted = {(address.listing_external_id, address.location_external_id) for address in addresses}
    found = _shelves(api.search_all(_COUNTS, "counts", body))
    return [each for each in found if (each.listing_external_id, each.location_external_id) in wanted]


def _shelves(counts: Iterable[Mapping[str, Any]]) -> Iterator[ShelfNumber]:
    return (shelf for count in counts if (shelf := shelf_of(count)) is not None)


# -- telling


def push(api: SquareApi, items: Sequence[PushItem], *, call_id: str) -> list[PushResult]:
    """Counts these shelves anew; one result an item. The same `call_id` is done once by Square."""
    calls = [items[start : start + LARGEST_BATCH] for start in range(0, len(items), LARGEST_BATCH)]
    return push_in_calls(
        calls, lambda batch: _push_batch(api, batch, key=f"{call_id}-{batch[0].address.listing_level_id}")
    )


def _push_batch(api: SquareApi, items: Sequence[PushItem], *, key: str) -> list[PushResult]:
    """Sends one batch. Square takes all of it or nothing: what it names as wrong is left out, and the rest sent again."""
    body = {
        "idempotency_key": key,
        # Square would leave out what is as at the last *count*, whatever was sold since.
        "ignore_unchanged_counts": False,
        "changes": [_count(item, reference=key) for item in items],
    }
    try:
        answer = api.write("POST", _CHANGES, body)
    except Refused as refusal:
        return _without_refused(api, items, refusal, key=key)
    shown = {
        (s.listing_external_id, s.location_external_id) for s in _shelves(read_objects(answer, "counts"))
    }
    return [_judge(item, shown) for item in items]


def _count(item: PushItem, *, reference: str) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {
        "type": "PHYSICAL_COUNT",
        "physical_count": {
            "reference_id": reference,
            "catalog_object_id": item.address.listing_external_id,
            "state": IN_STOCK,
            "location_id": item.address.location_external_id,
            "quantity": str(item.quantity),
            "occurred_at": rfc3339(min(item.as_of or now, now)),
        },
    }


def _judge(item: PushItem, shown: set[tuple[str, str]]) -> PushResult:
    """Reads what became of an item: Square answers with what it reckons now, later sales taken off."""
    if (item.address.listing_external_id, item.address.location_external_id) in shown:
        return result_of(item, ItemOutcome.CONFIRMED)
    return result_of(item, ItemOutcome.UNKNOWN, "Square's answer leaves this item out.")


def _without_refused(
    api: SquareApi, items: Sequence[PushItem], refusal: Refused, *, key: str
) -> list[PushResult]:
    """Ends the items that Square names as wrong, and sends the others; where it names none, each half by itself."""
    if refusal.is_about("IDEMPOTENCY_KEY_REUSED"):
        raise OutcomeUnknown("Square knows this call with other numbers; it is made anew.") from refusal
    if refusal.is_about("INVALID_TIME"):
        raise TransientError(f"Square's clock and that of this server differ: {refusal}") from refusal
    if len(items) == 1:
        return [result_of(items[0], ItemOutcome.REJECTED, str(refusal))]
    named = _named(refusal, len(items))
    parts: list[Sequence[PushItem]]
    if named:
        rest = [item for position, item in enumerate(items) if position not in named]
        refused = [result_of(items[at], ItemOutcome.REJECTED, why) for at, why in named.items()]
        parts = [rest] if rest else []
    else:
        refused, parts = [], [items[: len(items) // 2], items[len(items) // 2 :]]
    for number, part in enumerate(parts):
        refused += _push_batch(api, part, key=f"{key}.{number}")
    return refused


def _named(refusal: Refused, count: int) -> dict[int, str]:
    """Returns the positions of the changes that a refusal is about, with what is wrong."""
    found = {}
    for fault in refusal.faults:
        match = _NAMED.search(fault.field)
        if match and int(match[1]) < count:
            found[int(match[1])] = str(fault)
    return found
