"""Bulk queries: Shopify works a whole catalogue off by itself and leaves the answer as lines of JSON in a file.

A query is started once and ready later. Whoever finds it not ready in time comes back, and takes up the one that was
started a short while ago. The file is fetched to disk and read line by line, so that memory does not grow with the shop.

Source: shopify.dev, "Perform bulk operations with the GraphQL Admin API": five queries at once per shop and app, results for
seven days, children as lines of their own (`__parentId`), no `url` for an empty result.
"""

import json
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from channels.connectors.shopify.graphql import DOWNLOAD_BUCKET, Api, Document
from channels.errors import Misconfigured, Rejected, TransientError

_RUN: Final = Document("bulk_run", is_mutation=True, only_reads=True)
_STATE: Final = Document("bulk_state")
_RECENT: Final = Document("bulk_recent")
#: A query that was started no longer ago is taken instead of a new one.
_YOUNG: Final = timedelta(minutes=20)
_RECENT_ONES: Final = 10
#: Seconds between looks, within the lease of whoever reads the listings.
_WAITS: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
#: Seconds after which one that is not ready is asked after again.
_COME_BACK: Final = 30.0
#: Seconds that the file may take, and bytes of it: a million listings.
_DOWNLOAD_SECONDS: Final = 50.0
_LARGEST: Final = 2 * 1024**3
_UNDER_WAY: Final = frozenset({"CREATED", "RUNNING"})


def stream(api: Api, query: Document) -> Iterator[Mapping[str, Any]]:
    """Yields the objects of a query's answer, one a line; raises `TransientError` while it is not ready."""
    url = _ready(api, query)
    if url is None:
        return
    with api.client.download(
        url, bucket=DOWNLOAD_BUCKET, seconds=_DOWNLOAD_SECONDS, largest=_LARGEST
    ) as lines:
        for line in lines:
            if line.strip():
                yield json.loads(line)


def _ready(api: Api, query: Document) -> str | None:
    """Returns where the answer lies; None where it is empty."""
    identity = _young(api, query) or _started(api, query)
    for wait in (0.0, *_WAITS):
        time.sleep(wait)
        found = api.run(_STATE, {"id": identity}, cost=2)["bulkOperation"]
        if found is None:
            raise TransientError("Shopify does not know its bulk query any more.")
        status = str(found["status"])
        if status == "COMPLETED":
            return str(found["url"]) if found["url"] else None
        if status not in _UNDER_WAY:
            raise _failed(status, found["errorCode"])
    raise TransientError("Shopify's bulk query is not ready yet.", retry_after=_COME_BACK)


def _young(api: Api, query: Document) -> str | None:
    """Returns the newest run of this query that is ready or on its way; None where there is none."""
    after = datetime.now(UTC) - _YOUNG
    nodes = api.run(_RECENT, {"first": _RECENT_ONES}, cost=2.0 + _RECENT_ONES)["bulkOperations"]["nodes"]
    for node in nodes:
        is_ours = _words(node["query"]) == _words(query.text)
        is_alive = node["status"] in {*_UNDER_WAY, "COMPLETED"}
        if is_ours and is_alive and datetime.fromisoformat(node["createdAt"]) > after:
            return str(node["id"])
    return None


def _started(api: Api, query: Document) -> str:
    answer = api.run(_RUN, {"query": query.text}, cost=12)["bulkOperationRunQuery"]
    errors = answer["userErrors"]
    if errors:
        codes = {str(error["code"]) for error in errors}
        message = str(errors[0]["message"])[:300]
        if codes <= {"OPERATION_IN_PROGRESS", "LIMIT_REACHED"}:
            raise TransientError(f"Shopify starts no further bulk query: {message}", retry_after=_COME_BACK)
        raise Rejected(f"Shopify refuses the bulk query: {message}")
    return str(answer["bulkOperation"]["id"])


def _failed(status: str, code: str | None) -> Misconfigured | TransientError:
    if code == "ACCESS_DENIED":
        return Misconfigured("The app lacks an access scope for reading products (ACCESS_DENIED).")
    return TransientError(f"Shopify's bulk query ended as {status} ({code or 'no reason'}).")


def _words(text: str) -> list[str]:
    """Returns a document without its layout, which Shopify may change."""
    return text.split()
