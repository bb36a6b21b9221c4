"""Amazon's own warehouse (FBA): what it holds of ours. Nothing is ever written there.

It is a place of the channel beside the merchant's own stock: orders that Amazon ships draw on it alone.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from channels.connectors.amazon.client import SellingPartnerApi
from channels.connectors.base import PlatformLocation, WarehouseCount
from channels.connectors.messages import read_count, read_objects, read_part, read_text
from channels.errors import Rejected, TransientError, Unauthorised

#: Amazon's warehouse as a place of the channel.
AMAZONS_WAREHOUSE: Final = "FBA"
#: Fulfilment channel code of stock that the merchant ships.
OWN_STOCK: Final = "DEFAULT"
#: The codes of Amazon's own networks begin so: AMAZON_NA, AMAZON_EU …
_AMAZONS: Final = "AMAZON"

_PATH: Final = "/fba/inventory/v1/summaries"
_BUCKET: Final = "fba-inventory"
#: Amazon looks no further back for changes.
_LONGEST_REACH: Final = timedelta(days=500)
#: Pages of one walk; a token that leads in a circle must not keep it for ever.
_MOST_PAGES: Final = 20_000

#: Walks begun in one reading, where tokens end too soon.
_MOST_WALKS: Final = 3


def is_amazons(code: str) -> bool:
    """Tells whether a fulfilment channel code stands for Amazon's own warehouse."""
    return code.upper().startswith(_AMAZONS)


def places() -> list[PlatformLocation]:
    """Returns the merchant's own stock, and Amazon's warehouse, which is somebody else's."""
    return [
        PlatformLocation(external_id="", name=""),
        PlatformLocation(AMAZONS_WAREHOUSE, "Amazon's warehouse (FBA)", is_foreign=True),
    ]


def fetch(api: SellingPartnerApi, since: datetime | None) -> Iterator[WarehouseCount]:
    """Streams what the warehouse holds, or what changed since; one page straight after the other.

    The token to the next page ends after 30 seconds. Of several marketplaces the first one counts: they show the same
    units.
    """
    marketplace = api.marketplace_ids[0]
    parameters = {
        "granularityType": "Marketplace",
        "granularityId": marketplace,
        "marketplaceIds": marketplace,
        "details": "true",
    }
    if since is not None:
        earliest = max(since, datetime.now(UTC) - _LONGEST_REACH).astimezone(UTC)
        parameters["startDateTime"] = earliest.strftime("%Y-%m-%dT%H:%M:%SZ")
    for body in _pages(api, parameters):
        for row in read_objects(read_part(body, "payload"), "inventorySummaries"):
            if read_text(row, "sellerSku"):
                yield _counted(row)


def _pages(api: SellingPartnerApi, parameters: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    token, walks = "", 1
    for _ in range(_MOST_PAGES):
        try:
            body = _page(api, {**parameters, "nextToken": token} if token else parameters)
        except Rejected:
            if not token or walks == _MOST_WALKS:
                raise
            # The token ended before its page was read: the walk begins anew, and what comes twice is as it is now.
            token, walks = "", walks + 1
            continue
        yield body
        token = read_text(read_part(body, "pagination"), "nextToken")
        if not token:
            return
    raise TransientError("Amazon's list of what its warehouse holds does not end.")


def _page(api: SellingPartnerApi, parameters: Mapping[str, str]) -> dict[str, Any]:
    """Reads one page; an app without the role for it is no reason to stop the whole channel."""
    try:
        return api.read(_PATH, parameters, bucket=_BUCKET)
    except Unauthorised as error:
        raise Rejected(
            f"Amazon does not show what its warehouse holds; see the app's roles: {error}"
        ) from error


def _counted(row: Mapping[str, Any]) -> WarehouseCount:
    """Free units and those of orders to come: what is damaged, on its way or looked for is no stock."""
    details = read_part(row, "inventoryDetails")
    free = read_count(details, "fulfillableQuantity", 0)
    for_orders = read_count(read_part(details, "reservedQuantity"), "pendingCustomerOrderQuantity", 0)
    sku = read_text(row, "sellerSku")
    return WarehouseCount(sku, sku, AMAZONS_WAREHOUSE, free + for_orders)
