"""Feeds and reports 2021-06-30: documents behind signed addresses, and work that is done later."""

import gzip
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from channels.sandbox.amazon_seller.listings import FBA, OWN, problems_of
from channels.sandbox.amazon_seller.rest import body_of, dumped, instant, invalid, listed, not_found, utc
from channels.sandbox.httpd import Answer, Request, json_answer

if TYPE_CHECKING:
    from channels.sandbox.amazon_seller.shop import AmazonSellerSandbox

FEED_TYPE: Final = "JSON_LISTINGS_FEED"
REPORT_TYPE: Final = "GET_MERCHANT_LISTINGS_ALL_DATA"
DOCUMENTS: Final = "/documents-store/"
MOST_MESSAGES: Final = 25_000
_COLUMNS: Final = (
    "item-name",
    "seller-sku",
    "price",
    "quantity",
    "asin1",
    "product-id",
    "fulfillment-channel",
    "status",
)


@dataclass(slots=True)
class Document:
    """Bytes behind a signed address."""

    content_type: str
    body: bytes = b""


@dataclass(slots=True)
class Work:
    """A feed or a report."""

    id: str
    type: str
    created_at: float = field(default_factory=time.time)
    status: str = "IN_QUEUE"
    document_id: str = ""


class Batches:
    """The feeds, the reports and their documents."""

    def __init__(self, shop: "AmazonSellerSandbox") -> None:
        self._shop = shop
        self._documents: dict[str, Document] = {}
        self.feeds: dict[str, Work] = {}
        self.reports: dict[str, Work] = {}

    def _next_id(self) -> str:
        return str(900_000_000 + self._shop.records.next_number())

    # -- documents
    def _add(self, document: Document) -> str:
        identity = f"amzn1.tortuga.4.eu.{self._next_id()}"
        self._documents[identity] = document
        return identity

    def _url(self, identity: str) -> str:
        return f"{self._shop.base_url}{DOCUMENTS}{identity}?X-Amz-Signature={self._shop.secret('', 16)}"

    def store(self, request: Request) -> Answer:
        """Takes or gives a document; a token is neither needed nor allowed."""
        document = self._documents.get(request.path.removeprefix(DOCUMENTS))
        if document is None or "x-amz-access-token" in request.headers:
            return Answer(
                403, b"<Error><Code>AccessDenied</Code></Error>", {"Content-Type": "application/xml"}
            )
        if request.method == "GET":
            return Answer(200, document.body, {"Content-Type": "binary/octet-stream"})
        if request.headers.get("content-type") != document.content_type:
            return Answer(
                403, b"<Error><Code>SignatureDoesNotMatch</Code></Error>", {"Content-Type": "application/xml"}
            )
        document.body = request.body
        return Answer(200, b"")

    def read_document(self, identity: str, *, kind: str) -> Answer:
        if identity not in self._documents:
            raise not_found("Document")
        data = {
            f"{kind}DocumentId": identity,
            "url": self._url(identity),
            "compressionAlgorithm": "GZIP",
        }
        return json_answer(200, data)

    # -- feeds
    def create_feed_document(self, request: Request) -> Answer:
        content_type = body_of(request).get("contentType")
        if not isinstance(content_type, str):
            raise invalid("contentType is required.")
        identity = self._add(Document(content_type))
        return json_answer(201, {"feedDocumentId": identity, "url": self._url(identity)})

    def create_feed(self, request: Request) -> Answer:
        data = body_of(request)
        document = self._documents.get(str(data.get("inputFeedDocumentId")))
        if document is None or not data.get("marketplaceIds"):
            raise invalid("inputFeedDocumentId and marketplaceIds are required.")
        work = Work(self._next_id(), str(data.get("feedType")))
        self.feeds[work.id] = work
        self._shop.later(self._shop.feed_seconds, lambda: self._process(work, document))
        return json_answer(202, {"feedId": work.id})

    def _process(self, work: Work, document: Document) -> None:
        """Does what a feed says, message by message; other types than listings in JSON have ended for good."""
        try:
            feed = json.loads(document.body)
            messages = feed["messages"]
        except (ValueError, KeyError, TypeError):
            messages = None
        if work.type != FEED_TYPE or not isinstance(messages, list) or len(messages) > MOST_MESSAGES:
            work.status = "FATAL"
        else:
            issues = [issue for message in messages for issue in self._do(message)]
            work.document_id = self._add(Document("", gzip.compress(dumped(_report(work, messages, issues)))))
            work.status = "DONE"
        self._shop.notifications.feed_finished(work.id, work.status)

    def _do(self, message: dict[str, Any]) -> list[dict[str, Any]]:
        item = self._shop.records.items.get(message.get("sku", ""))
        issues = problems_of(message) if item and message.get("operationType") == "PATCH" else []
        if item is None:
            issues = [{"code": "8541", "message": "The SKU is not known.", "severity": "ERROR"}]
        if item is not None and not issues:
            self._shop.listings.apply(item, int(message["patches"][-1]["value"][0]["quantity"]))
        return [
            {
                "messageId": message.get("messageId"),
                "sku": message.get("sku", ""),
                "code": issue["code"],
                "severity": issue["severity"],
                "message": issue["message"],
            }
            for issue in issues
        ]

    def list_feeds(self, request: Request) -> Answer:
        types, since = listed(request, "feedTypes"), request.query.get("createdSince", "")
        if not types:
            raise invalid("feedTypes is required.")
        found = [
            {
                "feedId": work.id,
                "feedType": work.type,
                "createdTime": utc(work.created_at),
                "processingStatus": work.status,
            }
            for work in self.feeds.values()
            if work.type in types and (not since or work.created_at >= instant(since, "createdSince"))
        ]
        return json_answer(200, {"feeds": found})

    def read_feed(self, identity: str) -> Answer:
        work = self.feeds.get(identity)
        if work is None:
            raise not_found("Feed")
        data: dict[str, Any] = {
            "feedId": work.id,
            "feedType": work.type,
            "createdTime": utc(work.created_at),
            "processingStatus": work.status,
        }
        if work.document_id:
            data["resultFeedDocumentId"] = work.document_id
        return json_answer(200, data)

    # -- reports
    def create_report(self, request: Request) -> Answer:
        data = body_of(request)
        if data.get("reportType") != REPORT_TYPE or not data.get("marketplaceIds"):
            raise invalid("reportType and marketplaceIds are required.")
        work = Work(self._next_id(), REPORT_TYPE)
        self.reports[work.id] = work
        self._shop.later(self._shop.report_seconds, lambda: self._write(work))
        return json_answer(202, {"reportId": work.id})

    def _write(self, work: Work) -> None:
        with self._shop.records.lock:
            rows = ["\t".join(_COLUMNS)]
            for item in self._shop.records.items.values():
                is_fba = item.source.is_fulfilled_by_channel
                cells = {
                    "item-name": item.source.title,
                    "seller-sku": item.sku,
                    "price": str(item.source.price),
                    "quantity": "" if is_fba else str(item.available),
                    "asin1": self._shop.listings.asin(item),
                    "product-id": item.source.gtin,
                    "fulfillment-channel": FBA if is_fba else OWN,
                    "status": "Active",
                }
                rows.append("\t".join(cells[name] for name in _COLUMNS))
        text = "\r\n".join(rows) + "\r\n"
        work.document_id = self._add(Document("", gzip.compress(text.encode())))
        work.status = "DONE"

    def list_reports(self, request: Request) -> Answer:
        statuses = listed(request, "processingStatuses")
        since = (
            instant(request.query["createdSince"], "createdSince") if "createdSince" in request.query else 0
        )
        found = [
            self._report_document(work)
            for work in self.reports.values()
            if work.created_at >= since and (not statuses or work.status in statuses)
        ]
        return json_answer(200, {"reports": found})

    def read_report(self, identity: str) -> Answer:
        work = self.reports.get(identity)
        if work is None:
            raise not_found("Report")
        return json_answer(200, self._report_document(work))

    def _report_document(self, work: Work) -> dict[str, Any]:
        data = {
            "reportId": work.id,
            "reportType": work.type,
            "createdTime": utc(work.created_at),
            "marketplaceIds": [self._shop.marketplace],
            "processingStatus": work.status,
        }
        return {**data, "reportDocumentId": work.document_id} if work.document_id else data


def _report(work: Work, messages: list[dict[str, Any]], issues: list[dict[str, Any]]) -> dict[str, Any]:
    invalid_ids = {issue["messageId"] for issue in issues}
    return {
        "header": {"sellerId": "SELLER", "version": "2.0", "feedId": work.id},
        "issues": issues,
        "summary": {
            "errors": len(issues),
            "warnings": 0,
            "messagesProcessed": len(messages),
            "messagesAccepted": len(messages) - len(invalid_ids),
            "messagesInvalid": len(invalid_ids),
        },
    }
