"""Reading what Shopify's shelves show: `available`, by inventory item and location."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from channels.connectors.base import Address, ShelfNumber
from channels.connectors.shopify.graphql import Api, Document, gid, number_of, pages

_READ: Final = Document("read_levels")
_LEVELS: Final = Document("levels")
_ITEM: Final = Document("item_levels")
#: Items of one page and places of one item: 25 × (3 + 10 × 3) points.
_ITEMS: Final = 25
_PLACES: Final = 10


def read_levels(api: Api, addresses: Sequence[Address]) -> list[ShelfNumber]:
    """Reads these shelves, one call a location; a shelf that does not exist shows None."""
    found: list[ShelfNumber] = []
    for location, group in _by_location(addresses).items():
        ids = [gid("InventoryItem", address.listing_external_id) for address in group]
        variables = {"ids": ids, "location": gid("Location", location)}
        nodes = api.run(_READ, variables, cost=3.0 * len(ids))["nodes"]
        found += [
            _shelf(address.listing_external_id, location, node or {}, (node or {}).get("inventoryLevel"))
            for address, node in zip(group, nodes, strict=True)
        ]
    return found


def stream_levels(api: Api) -> Iterator[ShelfNumber]:
    """Streams the numbers of all shelves."""
    variables = {"first": _ITEMS, "places": _PLACES, "query": None}
    cost = 2.0 + _ITEMS * (3 + _PLACES * 3)
    for node in pages(api, _LEVELS, ("inventoryItems",), variables, cost=cost):
        item = number_of(node["id"])
        for level in _all_levels(api, node):
            yield _shelf(item, number_of(level["location"]["id"]), node, level)


def _all_levels(api: Api, node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if not node["inventoryLevels"]["pageInfo"]["hasNextPage"]:
        yield from node["inventoryLevels"]["nodes"]
        return
    variables = {"id": node["id"], "first": 250}
    yield from pages(api, _ITEM, ("inventoryItem", "inventoryLevels"), variables, cost=3 + 250 * 3)


def _shelf(item: str, location: str, node: Mapping[str, Any], level: Mapping[str, Any] | None) -> ShelfNumber:
    """Returns what a shelf shows; None where the item is not tracked or not stocked there."""
    quantities = level["quantities"] if level and node.get("tracked") else []
    if not quantities:
        return ShelfNumber(item, location, None)
    shown = quantities[0]
    at = shown.get("updatedAt")
    return ShelfNumber(item, location, int(shown["quantity"]), datetime.fromisoformat(at) if at else None)


def _by_location(addresses: Sequence[Address]) -> dict[str, list[Address]]:
    found: dict[str, list[Address]] = {}
    for address in addresses:
        found.setdefault(address.location_external_id, []).append(address)
    return found
