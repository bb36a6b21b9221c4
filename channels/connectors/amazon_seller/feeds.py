"""Many increases in one document (JSON_LISTINGS_FEED): slow, but not bound to five listings a second.

Feeds of a seller queue one behind the other, often for half an hour, so that decreases never go by feed. What a feed
brings may come after a newer number was told meanwhile: whoever follows it has those listings told again.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

from channels.connectors.amazon import documents
from channels.connectors.amazon.client import Call, SellingPartnerApi
from channels.connectors.amazon_seller import listings
from channels.connectors.base import AcceptedPush, ItemOutcome, PushItem, PushResult
from channels.connectors.messages import parse_json, read_objects, read_text
from channels.connectors.pushing import result_of
from channels.errors import BadMessage, ConnectorError, OutcomeUnknown, Throttled, TransientError

FEED_TYPE: Final = "JSON_LISTINGS_FEED"
#: Amazon's staff advise a feed from about so many listings on.
WORTHWHILE: Final = 1500

_PATH: Final = "/feeds/2021-06-30"
_CONTENT_TYPE: Final = "application/json; charset=UTF-8"
#: How far Amazon's clock may be behind ours.
_LEEWAY: Final = timedelta(seconds=5)
#: Tracking ids of feeds: `feed:<feed>:<message>`.
_PREFIX: Final = "feed:"
_NO_INCREASE: Final = "It is no increase by what Amazon shows now; decreases do not go by feed."


def push(api: SellingPartnerApi, items: Sequence[PushItem]) -> list[PushResult]:
    """Hands in one feed with these numbers, after a look at who ships each listing and what it shows.

    What is no increase by that is not sent.
    """
    screened = listings.screen(api, items)
    increases = [item for item in screened.items if _is_increase(item, screened.shown(item))]
    others = [item for item in screened.items if not _is_increase(item, screened.shown(item))]
    results = [*screened.refusals, *(result_of(item, ItemOutcome.NOT_SENT, _NO_INCREASE) for item in others)]
    if not increases:
        return results
    feed_id = _create(api, _document(api, increases, screened))
    return results + [
        PushResult(
            item.address.listing_level_id, ItemOutcome.ACCEPTED, tracking_id=f"{_PREFIX}{feed_id}:{number}"
        )
        for number, item in enumerate(increases, 1)
    ]


def _is_increase(item: PushItem, shown: int | None) -> bool:
    return shown is not None and shown < item.quantity


def _document(api: SellingPartnerApi, items: Sequence[PushItem], screened: listings.Screened) -> bytes:
    messages = [
        {
            "messageId": number,
            "sku": item.address.listing_external_id,
            "operationType": "PATCH",
            "productType": screened.product_type(item),
            "patches": listings.patches(item.quantity),
        }
        for number, item in enumerate(items, 1)
    ]
    header = {"sellerId": str(api.account.settings["seller_id"]), "version": "2.0", "issueLocale": "en_US"}
    return json.dumps({"header": header, "messages": messages}, separators=(",", ":")).encode()


def _create(api: SellingPartnerApi, document: bytes) -> str:
    """Stores the document and hands it in; only the last of the three calls has an effect."""
    made = api.call(
        Call(
            "POST",
            f"{_PATH}/documents",
            "create-feed-document",
            body={"contentType": _CONTENT_TYPE},
            writes=False,
        )
    )
    documents.upload(api, read_text(made, "url"), document, _CONTENT_TYPE)
    body = {
        "feedType": FEED_TYPE,
        "marketplaceIds": list(api.marketplace_ids),
        "inputFeedDocumentId": read_text(made, "feedDocumentId"),
    }
    began_at = datetime.now(UTC)
    try:
        feed_id = read_text(api.call(Call("POST", f"{_PATH}/feeds", "create-feed", body=body)), "feedId")
        if not feed_id:
            raise OutcomeUnknown("Amazon took the feed in, but named no feed to follow.")
    except OutcomeUnknown:
        # It may lie in the queue, and would bring its numbers when newer ones have been told.
        feed_id = _handed_in_since(api, began_at)
        if not feed_id:
            raise
    return feed_id


def _handed_in_since(api: SellingPartnerApi, instant: datetime) -> str:
    """Returns the one feed that has been handed in since; empty where there is none, several, or nobody says so now."""
    parameters = {
        "feedTypes": FEED_TYPE,
        "createdSince": (instant - _LEEWAY).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "pageSize": "10",
    }
    try:
        found = read_objects(api.read(f"{_PATH}/feeds", parameters, bucket="get-feeds"), "feeds")
    except ConnectorError:
        return ""
    return read_text(found[0], "feedId") if len(found) == 1 else ""


def is_feed(push: AcceptedPush) -> bool:
    """Tells whether a number went out by feed."""
    return push.tracking_id.startswith(_PREFIX)


def follow(api: SellingPartnerApi, pushes: Sequence[AcceptedPush]) -> dict[str, PushResult | None]:
    """Asks after each feed once; when it is done its report says which messages were refused."""
    by_feed: defaultdict[str, list[AcceptedPush]] = defaultdict(list)
    for each in pushes:
        by_feed[each.tracking_id.split(":")[1]].append(each)
    ends: dict[str, PushResult | None] = {}
    for feed_id, members in by_feed.items():
        try:
            ends |= _ends(api, feed_id, members)
        except Throttled:
            break
    return ends


def _ends(
    api: SellingPartnerApi, feed_id: str, members: Sequence[AcceptedPush]
) -> dict[str, PushResult | None]:
    feed = api.read(f"{_PATH}/feeds/{quote(feed_id, safe='')}", bucket="get-feed")
    status = read_text(feed, "processingStatus")
    if status in ("IN_QUEUE", "IN_PROGRESS"):
        return {}
    if status != "DONE":
        reason = f"The feed {feed_id} ended {status}."
        return {each.tracking_id: _result(each, ItemOutcome.RETRY, reason) for each in members}
    ends = listings.follow(api, members)
    if all(_is_good(ends.get(each.tracking_id)) for each in members):
        return ends
    # Its report is asked for only where it is needed: Amazon gives ten, and then one in 45 seconds.
    try:
        refused = _refused(api, feed)
    except Throttled:
        return {name: end for name, end in ends.items() if _is_good(end)}
    for each in members:
        reason = refused.get(int(each.tracking_id.split(":")[2]), "")
        if reason and not _is_good(ends.get(each.tracking_id)):
            ends[each.tracking_id] = _result(each, ItemOutcome.REJECTED, reason)
    return ends


def _is_good(end: PushResult | None) -> bool:
    return end is not None and end.outcome is ItemOutcome.CONFIRMED


def _refused(api: SellingPartnerApi, feed: Mapping[str, Any]) -> dict[int, str]:
    """Reads which messages of a feed were refused, and why: that it is done does not say that all were taken."""
    document_id = read_text(feed, "resultFeedDocumentId")
    if not document_id:
        return {}
    described = api.read(f"{_PATH}/documents/{quote(document_id, safe='')}", bucket="get-feed-document")
    try:
        report = parse_json(documents.download(api, described))
    except BadMessage as error:
        raise TransientError("The feed's report cannot be read.") from error
    refused: dict[int, str] = {}
    for issue in read_objects(report, "issues") if isinstance(report, dict) else []:
        number = issue.get("messageId")
        if isinstance(number, int) and read_text(issue, "severity") == "ERROR":
            text = f"{read_text(issue, 'message')} ({read_text(issue, 'code')})"
            refused[number] = f"{refused[number]}; {text}" if number in refused else text
    return {number: text[:1000] for number, text in refused.items()}


def _result(push: AcceptedPush, outcome: ItemOutcome, reason: str) -> PushResult:
    return PushResult(push.address.listing_level_id, outcome, reason)
