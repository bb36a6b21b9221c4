"""What wholesale buyers carry and are told: their assortment, and numbers in signed messages."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from channels.connectors.base import (
    Account,
    Address,
    ItemOutcome,
    PlatformListing,
    PushItem,
    PushResult,
    ShelfNumber,
)
from channels.connectors.messages import read_id, read_integer, read_objects, read_text
from channels.connectors.pushing import result_of
from channels.connectors.wholesale.api import BuyersApi
from channels.errors import Misconfigured, Rejected
from channels.standard_webhooks import signed_headers


def fetch_listings(api: BuyersApi) -> Iterator[PlatformListing]:
    """Streams the assortment."""
    for item in api.read_all("/items", "items"):
        yield PlatformListing(
            external_id=read_id(item, "id"),
            sku=read_text(item, "sku"),
            title=read_text(item, "title"),
            gtin=read_text(item, "gtin"),
            is_active=item.get("is_active") is not False,
        )


def fetch_levels(api: BuyersApi) -> Iterator[ShelfNumber]:
    """Streams the numbers that buyers are shown."""
    yield from map(_shelf, api.read_all("/stock", "stock"))


def read_levels(api: BuyersApi, addresses: Sequence[Address]) -> list[ShelfNumber]:
    """Reads the numbers of these items."""
    if not addresses:
        return []
    ids = ",".join(address.listing_external_id for address in addresses)
    return [_shelf(each) for each in api.read_all("/stock", "stock", {"items": ids})]


def _shelf(entry: Mapping[str, Any]) -> ShelfNumber:
    is_known = entry.get("available") is not None
    return ShelfNumber(read_id(entry, "id"), "", read_integer(entry, "available") if is_known else None)


def push(api: BuyersApi, account: Account, items: Sequence[PushItem], *, call_id: str) -> list[PushResult]:
    """Tells the numbers in one message; where it is refused as a whole, each half by itself.

    The id of the message is the same for the same intent, so that a receiver counts a repeat once, and `as_of` says which of
    two numbers is the newer one.
    """
    if not account.webhook_secrets:
        raise Misconfigured("There is no secret to sign numbers with; register the webhooks.")
    now = datetime.now(UTC)
    told = [
        {
            "id": item.address.listing_external_id,
            "available": item.quantity,
            "as_of": (item.as_of or now).isoformat(),
        }
        for item in items
    ]
    message = {"type": "stock.offered", "timestamp": now.isoformat(), "data": {"items": told}}
    body = json.dumps(message, separators=(",", ":")).encode()
    try:
        headers = signed_headers(account.webhook_secrets, call_id, now, body)
    except ValueError as error:
        raise Misconfigured(str(error)) from error
    try:
        answer = api.post_signed("/stock", body, headers)
    except Rejected as refusal:
        if len(items) == 1:
            return [result_of(items[0], ItemOutcome.REJECTED, str(refusal))]
        halves = (items[: len(items) // 2], items[len(items) // 2 :])
        return [
            result
            for number, half in enumerate(halves)
            for result in push(api, account, half, call_id=f"{call_id}-{number}")
        ]
    refused = _refused(answer)
    return [_judge(item, refused.get(item.address.listing_external_id)) for item in items]


def _refused(answer: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Returns what an answer says of the items that were not taken."""
    results = read_objects(answer, "items")
    return {read_id(each, "id"): each for each in results if each.get("ok") is False}


def _judge(item: PushItem, refusal: Mapping[str, Any] | None) -> PushResult:
    if refusal is None:
        return result_of(item, ItemOutcome.CONFIRMED)
    outcome = ItemOutcome.RETRY if refusal.get("retry") is True else ItemOutcome.REJECTED
    return result_of(item, outcome, read_text(refusal, "reason") or "Refused without a reason.")
