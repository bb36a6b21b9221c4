"""A simulated seller's account: its number falls with each order, changes are accepted first and live later."""

import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from channels.sandbox.amazon_seller.batches import DOCUMENTS, Batches
from channels.sandbox.amazon_seller.listings import Listings
from channels.sandbox.amazon_seller.notifications import Notifications
from channels.sandbox.amazon_seller.orders import Orders
from channels.sandbox.amazon_seller.rest import Plans, Problem, Tokens, not_found, too_many, unauthorized
from channels.sandbox.amazon_seller.sqs import Queue
from channels.sandbox.amazon_seller.warehouse import Warehouse
from channels.sandbox.book import Item, Order
from channels.sandbox.httpd import Answer, Request, json_answer
from channels.sandbox.shop import Picks, SandboxShop

_PREFIX: Final = "302"
_HALF: Final = 10_000_000
_ITEMS: Final = "/listings/2021-08-01/items"

#: Method and path → operation; the first that fits.
_ROUTES: Final = (
    ("GET", r"/sellers/v1/marketplaceParticipations", "getMarketplaceParticipations"),
    ("GET", r"/orders/2026-01-01/orders", "searchOrders"),
    ("GET", r"/orders/2026-01-01/orders/([^/]+)", "getOrder"),
    ("GET", rf"{_ITEMS}/([^/]+)", "searchListingsItems"),
    ("GET", rf"{_ITEMS}/([^/]+)/(.+)", "getListingsItem"),
    ("PATCH", rf"{_ITEMS}/([^/]+)/(.+)", "patchListingsItem"),
    ("GET", r"/fba/inventory/v1/summaries", "getInventorySummaries"),
    ("GET", r"/notifications/v1/destinations", "getDestinations"),
    ("POST", r"/notifications/v1/destinations", "createDestination"),
    ("GET", r"/notifications/v1/subscriptions/([^/]+)", "getSubscription"),
    ("POST", r"/notifications/v1/subscriptions/([^/]+)", "createSubscription"),
    ("DELETE", r"/notifications/v1/subscriptions/([^/]+)/([^/]+)", "deleteSubscriptionById"),
    ("POST", r"/feeds/2021-06-30/documents", "createFeedDocument"),
    ("GET", r"/feeds/2021-06-30/documents/([^/]+)", "getFeedDocument"),
    ("POST", r"/feeds/2021-06-30/feeds", "createFeed"),
    ("GET", r"/feeds/2021-06-30/feeds", "getFeeds"),
    ("GET", r"/feeds/2021-06-30/feeds/([^/]+)", "getFeed"),
    ("POST", r"/reports/2021-06-30/reports", "createReport"),
    ("GET", r"/reports/2021-06-30/reports", "getReports"),
    ("GET", r"/reports/2021-06-30/reports/([^/]+)", "getReport"),
    ("GET", r"/reports/2021-06-30/documents/([^/]+)", "getReportDocument"),
)
#: Which need no seller's consent, and take no token that has it.
_GRANTLESS: Final = frozenset({"getDestinations", "createDestination", "deleteSubscriptionById"})
_NOTIFICATIONS: Final = frozenset({*_GRANTLESS, "getSubscription", "createSubscription"})


class AmazonSellerSandbox(SandboxShop):
    """A seller's account in one marketplace, with an SQS queue of its own."""

    kind = "amazon_seller"
    webhook_threads = 4
    #: Seconds in which an order is pending; at Amazon half an hour.
    pending_seconds = 30.0
    #: Seconds that a feed and a report take; at Amazon half an hour and minutes.
    feed_seconds = 0.2
    report_seconds = 0.05

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.seller_id = self.secret("A", 12).upper()
        self.marketplace = "A1PA6795UKMFR9"
        self._keys = {
            "client_id": self.secret("amzn1.application-oa2-client.", 32),
            "client_secret": self.secret("amzn1.oa2-cs.v1.", 40),
            "refresh_token": self.secret("Atzr|", 48),
            "aws_access_key_id": self.secret("AKIA", 16).upper(),
            "aws_secret_access_key": self.secret("", 40),
        }
        self.tokens = Tokens(self._keys)
        self.queue = Queue(self.base_url, self._keys)
        self.plans = Plans(is_generous=self.limits == "generous")
        self.listings = Listings(self)
        self.orders = Orders(self)
        self.warehouse = Warehouse(self)
        self.notifications = Notifications(self)
        self.batches = Batches(self)
        #: Operations for which the app has no role.
        self.forbidden: set[str] = set()
        #: Whether anybody asked for what needs a role for personal data.
        self.asked_for_personal_data = False

    def stop(self) -> None:
        self.queue.close()
        super().stop()

    def credentials(self) -> dict[str, str]:
        return dict(self._keys)

    def settings(self) -> dict[str, object]:
        return {
            "seller_id": self.seller_id,
            "marketplaces": "DE",
            "queue_url": self.queue.url,
            "base_url": self.base_url,
            "login_url": self.base_url,
        }

    def is_idle(self) -> bool:
        """Tells whether nothing is due and nobody has left a message in the queue."""
        return super().is_idle() and not self.queue.waiting

    def count_sent(self) -> None:
        """Counts a notification."""
        with self._counting:
            self.webhooks_sent += 1

    def processing_seconds(self) -> float:
        """How long Amazon takes for what it only accepts at first."""
        return self._chances.uniform(*self.profile.webhook_seconds) + self.faults.processing_delay_seconds

    # -- selling
    def order_id(self, order: Order) -> str:
        return f"{_PREFIX}-{order.number // _HALF:07d}-{order.number % _HALF:07d}"

    def order_number(self, order_id: str) -> int:
        found = re.fullmatch(rf"{_PREFIX}-(\d{{7}})-(\d{{7}})", order_id, re.ASCII)
        return int(found[1]) * _HALF + int(found[2]) if found else 0

    def is_amazons(self, order: Order) -> bool:
        """Tells whether Amazon ships the order."""
        return any(line.location == "FBA" for line in order.lines)

    def new_status(self) -> str:
        return "PENDING"

    def take(self, order: Order) -> None:
        for line in order.lines:
            if line.item is None:
                continue
            if line.item.source.is_fulfilled_by_channel:
                line.location = "FBA"
                self.warehouse.promise(line.item, line.quantity)
            else:
                line.item.levels[""].available -= line.quantity
                line.item.updated_at = time.time()
            self.announce_stock(line.item, "")
        self.later(self.pending_seconds, lambda: self._release(order))

    def _release(self, order: Order) -> None:
        """Ends the time in which an order is pending."""
        with self.records.lock:
            if order.status == "PENDING":
                order.status = "UNSHIPPED"
                self.records.touch(order)
                self.announce_order(order, "released")

    def cancel_units(self, order: Order, picks: Picks) -> None:
        for line, units in picks:
            line.cancelled += units
            if line.item is None:
                continue
            if line.location == "FBA":
                self.warehouse.promise(line.item, -units)
            else:
                line.item.levels[""].available += units
                line.item.updated_at = time.time()
            self.announce_stock(line.item, "")
        self._changed(order)

    def fulfil_units(self, order: Order, picks: Picks) -> None:
        for line, units in picks:
            line.fulfilled += units
            if line.location == "FBA" and line.item is not None:
                self.warehouse.ship(line.item, units)
                self.announce_stock(line.item, "")
        self._changed(order)

    def _changed(self, order: Order) -> None:
        """Sets the status by what has become of the items."""
        shipped = sum(line.fulfilled for line in order.lines)
        is_open = any(line.open_units for line in order.lines)
        if not is_open:
            order.status = "SHIPPED" if shipped else "CANCELLED"
        elif shipped:
            order.status = "PARTIALLY_SHIPPED"
        else:
            # Part of it was cancelled: that is seen of an order that is no longer pending.
            order.status = "UNSHIPPED"
        self.records.touch(order)
        self.announce_order(order, "changed")

    def return_units(self, order: Order, picks: Picks, *, restock: bool) -> None:
        """Notes a return; orders do not show it, and the number is the merchant's to raise."""
        for line, units in picks:
            line.returned += units
        self.records.touch(order)

    def request_cancellation(self, order_id: str, sku: str) -> None:
        """Has the buyer ask to cancel; nothing is cancelled by that."""
        with self.records.lock:
            order = self.find_order(order_id)
            for line in order.lines:
                line.is_cancellation_requested |= line.sku == sku
            self.records.touch(order)
            self.announce_order(order, "changed")

    # -- notifications
    def announce_order(self, order: Order, what: str) -> None:
        self.notifications.order_changed(order)

    def announce_stock(self, item: Item, code: str) -> None:
        self.notifications.number_changed(item)

    # -- the API
    def written_items(self, request: Request) -> list[Item]:
        operation, named = _operation(request)
        item = self.records.items.get(named[1]) if operation == "patchListingsItem" else None
        return [item] if item is not None else []

    def endpoint_of(self, request: Request) -> str:
        if Queue.is_meant(request):
            return request.headers["x-amz-target"]
        if request.path == "/auth/o2/token":
            return "POST token"
        if request.path.startswith(DOCUMENTS):
            return f"{request.method} document"
        return _operation(request)[0] or "unknown"

    def answer(self, request: Request) -> Answer:
        if Queue.is_meant(request):
            return self.queue.answer(request)
        if request.path.startswith(DOCUMENTS):
            return self.batches.store(request)
        try:
            if request.path == "/auth/o2/token" and request.method == "POST":
                return self.tokens.answer(request)
            return self._operate(request)
        except Problem as problem:
            if problem.status == 429:
                self.count_throttled()
            return problem.answer()

    def _operate(self, request: Request) -> Answer:
        operation, named = _operation(request)
        if not operation:
            raise not_found("Resource")
        self.tokens.check(request, is_sellers=operation not in _GRANTLESS)
        if operation in self.forbidden:
            raise unauthorized("The application has no role for this operation.")
        headers = self.plans.take("notifications" if operation in _NOTIFICATIONS else operation)
        if operation.endswith("ListingsItem") or operation == "searchListingsItems":
            if named[0] != self.seller_id:
                raise not_found("Seller")
            named = named[1:]
        with self.records.lock:
            answer = self._handlers(request, named)[operation]()
        return Answer(answer.status, answer.body, {**answer.headers, **headers})

    def _handlers(self, request: Request, named: tuple[str, ...]) -> Mapping[str, Callable[[], Answer]]:
        first, second = (*named, "", "")[:2]
        return {
            "getMarketplaceParticipations": self._participations,
            "searchOrders": lambda: self.orders.search(request),
            "getOrder": lambda: self.orders.read(request, first),
            "searchListingsItems": lambda: self.listings.search(request),
            "getListingsItem": lambda: self.listings.read(request, first),
            "patchListingsItem": lambda: self.listings.patch(request, first),
            "getInventorySummaries": lambda: self.warehouse.summaries(request),
            "getDestinations": self.notifications.list_destinations,
            "createDestination": lambda: self.notifications.create_destination(request),
            "getSubscription": lambda: self.notifications.read_subscription(first),
            "createSubscription": lambda: self.notifications.create_subscription(request, first),
            "deleteSubscriptionById": lambda: self.notifications.delete_subscription(first, second),
            "createFeedDocument": lambda: self.batches.create_feed_document(request),
            "getFeedDocument": lambda: self.batches.read_document(first, kind="feed"),
            "createFeed": lambda: self.batches.create_feed(request),
            "getFeeds": lambda: self.batches.list_feeds(request),
            "getFeed": lambda: self.batches.read_feed(first),
            "createReport": lambda: self.batches.create_report(request),
            "getReports": lambda: self.batches.list_reports(request),
            "getReport": lambda: self.batches.read_report(first),
            "getReportDocument": lambda: self.batches.read_document(first, kind="report"),
        }

    def _participations(self) -> Answer:
        marketplace = {
            "id": self.marketplace,
            "name": "Amazon.de",
            "countryCode": "DE",
            "defaultCurrencyCode": "EUR",
            "defaultLanguageCode": "de_DE",
            "domainName": "www.amazon.de",
        }
        participation = {"isParticipating": True, "hasSuspendedListings": False}
        row = {"marketplace": marketplace, "participation": participation, "storeName": self.name}
        return json_answer(200, {"payload": [row]})

    # -- faults
    def error_answer(self, status: int) -> Answer:
        return Problem(
            status, "InternalFailure", "We encountered an internal error. Please try again."
        ).answer()

    def throttled_answer(self) -> Answer:
        return too_many().answer()

    def error_in_200(self) -> Answer:
        answer = self.error_answer(500)
        return Answer(200, answer.body, answer.headers)


def _operation(request: Request) -> tuple[str, tuple[str, ...]]:
    """Returns the operation that a call means, and what its path names."""
    for method, pattern, operation in _ROUTES:
        found = re.fullmatch(pattern, request.path) if method == request.method else None
        if found:
            return operation, found.groups()
    return "", ()
