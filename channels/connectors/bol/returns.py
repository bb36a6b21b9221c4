"""Returns that bol has registered.

The list has no filter for changes, so the caller keeps the set of open ids: what is new on the list of open
returns was announced, and what is no longer on it is read by its id to see how it ended.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from channels.connectors.bol.api import NotThere, RetailerApi
from channels.connectors.messages import read_count, read_id, read_instant, read_objects, read_text

PAGE_SIZE: Final = 50
_BUCKET: Final = "returns"


@dataclass(frozen=True, slots=True)
class ReturnLine:
    """Units of one product that a customer sends back."""

    rma_id: str
    order_id: str
    ean: str
    #: Units announced, and units that were received and judged.
    expected: int
    processed: int
    is_handled: bool
    #: bol's words for what was decided, as they stand.
    results: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PlatformReturn:
    """A return as bol has it; nothing of the customer is kept."""

    external_id: str
    registered_at: datetime
    #: FBR: it comes to the merchant. FBB: to bol's warehouse.
    fulfilment: str
    lines: tuple[ReturnLine, ...]


def fetch_open_returns(api: RetailerApi) -> Iterator[PlatformReturn]:
    """Streams the returns to the merchant that are not handled yet, oldest first."""
    page = 1
    while True:
        parameters = {"page": str(page), "handled": "false", "fulfilment-method": "FBR"}
        returns = read_objects(api.read("/retailer/returns", parameters, bucket=_BUCKET).body, "returns")
        yield from map(_return, returns)
        if len(returns) < PAGE_SIZE:
            return
        page += 1


def fetch_return(api: RetailerApi, return_id: str) -> PlatformReturn | None:
    """Reads one return; None when bol does not have it (any more)."""
    try:
        return _return(api.read(f"/retailer/returns/{quote(return_id, safe='')}", bucket=_BUCKET).body)
    except NotThere:
        return None


def _return(found: Mapping[str, Any]) -> PlatformReturn:
    return PlatformReturn(
        external_id=read_id(found, "returnId"),
        registered_at=read_instant(found, "registrationDateTime"),
        fulfilment=read_text(found, "fulfilmentMethod"),
        lines=tuple(_line(item) for item in read_objects(found, "returnItems")),
    )


def _line(item: Mapping[str, Any]) -> ReturnLine:
    results = read_objects(item, "processingResults")
    return ReturnLine(
        rma_id=read_id(item, "rmaId"),
        order_id=read_id(item, "orderId"),
        ean=read_text(item, "ean"),
        expected=read_count(item, "expectedQuantity"),
        processed=sum(read_count(result, "quantity", 0) for result in results),
        is_handled=item.get("handled") is True,
        results=tuple(read_text(result, "processingResult") for result in results),
    )
