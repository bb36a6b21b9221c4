"""Destinations, subscriptions, and what is put into the queue: at least once, in any sequence."""

import json
import time
import uuid
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from channels.sandbox.amazon_seller.rest import Problem, body_of, invalid, not_found, utc_exact
from channels.sandbox.book import Item, Order
from channels.sandbox.httpd import Answer, Request, json_answer

if TYPE_CHECKING:
    from channels.sandbox.amazon_seller.shop import AmazonSellerSandbox

TYPES: Final = frozenset(
    {
        "ORDER_CHANGE",
        "LISTINGS_ITEM_MFN_QUANTITY_CHANGE",
        "LISTINGS_ITEM_STATUS_CHANGE",
        "LISTINGS_ITEM_ISSUES_CHANGE",
        "FBA_INVENTORY_AVAILABILITY_CHANGES",
        "FEED_PROCESSING_FINISHED",
        "REPORT_PROCESSING_FINISHED",
        "ANY_OFFER_CHANGED",
    }
)
#: How notifications spell the statuses of orders.
_STATUSES: Final = {
    "PENDING_AVAILABILITY": "PendingAvailability",
    "PENDING": "Pending",
    "UNSHIPPED": "Unshipped",
    "PARTIALLY_SHIPPED": "PartiallyShipped",
    "SHIPPED": "Shipped",
    "CANCELLED": "Canceled",
    "UNFULFILLABLE": "Unfulfillable",
}


@dataclass(frozen=True, slots=True)
class Subscription:
    """What is sent, and where to."""

    id: str
    topic: str
    version: str
    destination: str

    def document(self) -> dict[str, Any]:
        return {
            "subscriptionId": self.id,
            "payloadVersion": self.version,
            "destinationId": self.destination,
        }


class Notifications:
    """The `/notifications/v1` resources and what is sent."""

    def __init__(self, shop: "AmazonSellerSandbox") -> None:
        self._shop = shop
        #: Id → ARN.
        self.destinations: dict[str, tuple[str, str]] = {}
        self.subscriptions: dict[str, Subscription] = {}

    # -- the resources
    def list_destinations(self) -> Answer:
        return json_answer(200, {"payload": [self._destination(each) for each in self.destinations]})

    def create_destination(self, request: Request) -> Answer:
        data = body_of(request)
        arn = ((data.get("resourceSpecification") or {}).get("sqs") or {}).get("arn")
        if not arn or not data.get("name"):
            raise invalid("name and resourceSpecification are required.")
        if arn != self._shop.queue.arn:
            raise invalid("Amazon has no permission to send to this queue.")
        if any(known == arn for _, known in self.destinations.values()):
            raise Problem(409, "Conflict", "The destination already exists.")
        identity = str(uuid.uuid4())
        self.destinations[identity] = (str(data["name"]), arn)
        return json_answer(200, {"payload": self._destination(identity)})

    def _destination(self, identity: str) -> dict[str, Any]:
        name, arn = self.destinations[identity]
        return {"name": name, "destinationId": identity, "resource": {"sqs": {"arn": arn}}}

    def read_subscription(self, topic: str) -> Answer:
        found = self.subscriptions.get(topic)
        if found is None:
            raise not_found("Subscription")
        return json_answer(200, {"payload": found.document()})

    def create_subscription(self, request: Request, topic: str) -> Answer:
        data = body_of(request)
        if topic not in TYPES:
            raise invalid(f"{topic} is no notification type.")
        if data.get("destinationId") not in self.destinations or not data.get("payloadVersion"):
            raise invalid("destinationId and payloadVersion are required.")
        if topic == "ORDER_CHANGE" and not data.get("processingDirective"):
            raise invalid("ORDER_CHANGE needs a processingDirective.")
        if topic in self.subscriptions:
            raise Problem(409, "Conflict", "The subscription already exists.")
        made = Subscription(str(uuid.uuid4()), topic, data["payloadVersion"], data["destinationId"])
        self.subscriptions[topic] = made
        return json_answer(200, {"payload": made.document()})

    def delete_subscription(self, topic: str, identity: str) -> Answer:
        found = self.subscriptions.get(topic)
        if found is None or found.id != identity:
            raise not_found("Subscription")
        del self.subscriptions[topic]
        return json_answer(200, {})

    # -- what is sent
    def order_changed(self, order: Order) -> None:
        """Sends the order as it is, with all of its items."""
        shop = self._shop
        items = [
            {
                "OrderItemId": shop.orders.item_id(line),
                "SellerSKU": line.sku,
                "SupplySourceId": None,
                "Quantity": line.quantity,
                "QuantityShipped": line.fulfilled,
                "IsBuyerRequestedCancel": line.is_cancellation_requested,
            }
            for line in order.lines
        ]
        summary = {
            "MarketplaceId": shop.marketplace,
            "OrderStatus": _STATUSES[order.status],
            "PurchaseDate": utc_exact(order.committed_at),
            "DestinationPostalCode": order.customer.postcode,
            "FulfillmentType": "AFN" if shop.is_amazons(order) else "MFN",
            "OrderType": "StandardOrder",
            "NumberOfItemsShipped": sum(line.fulfilled for line in order.lines),
            "NumberOfItemsUnshipped": sum(line.open_units for line in order.lines),
            "OrderItems": items,
        }
        change = {
            "NotificationLevel": "OrderLevel",
            "SellerId": shop.seller_id,
            "AmazonOrderId": shop.order_id(order),
            "OrderChangeType": "OrderStatusChange",
            "OrderChangeTrigger": {
                "TimeOfOrderChange": utc_exact(order.updated_at),
                "ChangeReason": "Order status changed",
            },
            "Summary": summary,
        }
        self.send("ORDER_CHANGE", {"OrderChangeNotification": change})

    def number_changed(self, item: Item) -> None:
        """Sends a listing's number, as customers see it; what Amazon ships is told otherwise."""
        shop = self._shop
        if item.source.is_fulfilled_by_channel:
            self._warehouse_changed(item)
            return
        payload = {
            "SellerId": shop.seller_id,
            "FulfillmentChannelCode": "DEFAULT",
            "Sku": item.sku,
            "Quantity": item.available,
        }
        self.send("LISTINGS_ITEM_MFN_QUANTITY_CHANGE", payload)

    def _warehouse_changed(self, item: Item) -> None:
        shop = self._shop
        inventory = {
            "InboundQuantityBreakdown": {"Working": 0, "Shipped": 0, "Receiving": 0},
            "Fulfillable": item.available,
            "Unfulfillable": 0,
            "Researching": 0,
            "ReservedQuantityBreakdown": {
                "WarehouseProcessing": 0,
                "WarehouseTransfer": 0,
                "PendingCustomerOrder": shop.warehouse.pending(item),
            },
            "FutureSupplyBuyable": 0,
            "PendingCustomerOrderInTransit": 0,
        }
        payload = {
            "SellerId": shop.seller_id,
            "FNSKU": shop.warehouse.fnsku(item),
            "ASIN": shop.listings.asin(item),
            "SKU": item.sku,
            "FulfillmentInventoryByMarketplace": [
                {
                    "MarketplaceId": shop.marketplace,
                    "ItemName": item.source.title,
                    "FulfillmentInventory": inventory,
                }
            ],
        }
        self.send("FBA_INVENTORY_AVAILABILITY_CHANGES", payload, has_metadata=False)

    def feed_finished(self, feed_id: str, status: str) -> None:
        """Sends that a feed has ended; this type spells its names otherwise."""
        inner = {
            "sellerId": self._shop.seller_id,
            "accountId": f"amzn1.merchant.o.{self._shop.seller_id}",
            "feedId": feed_id,
            "feedType": "JSON_LISTINGS_FEED",
            "processingStatus": status,
        }
        self.send("FEED_PROCESSING_FINISHED", {"feedProcessingFinishedNotification": inner}, is_camel=True)

    def send(
        self, topic: str, payload: dict[str, Any], *, has_metadata: bool = True, is_camel: bool = False
    ) -> None:
        """Puts a notification into the queue, with the shop's faults; nothing without a subscription."""
        subscription = self.subscriptions.get(topic)
        if subscription is None:
            return
        shop = self._shop
        message: dict[str, Any] = {
            "NotificationVersion": "1.0",
            "NotificationType": topic,
            "PayloadVersion": subscription.version,
            "EventTime": utc_exact(time.time()),
            "Payload": payload,
        }
        if has_metadata:
            message["NotificationMetadata"] = {
                "ApplicationId": "amzn1.sellerapps.app.sandbox",
                "SubscriptionId": subscription.id,
                "PublishTime": message["EventTime"],
                "NotificationId": str(uuid.uuid4()),
            }
        if is_camel:
            message = _camel(message)
        text = json.dumps(message)
        if shop.happens(shop.faults.webhook_bad_signature_rate):
            text = text.replace(shop.seller_id, "ASOMEBODYELSE")
        shop.send_webhook(partial(self._deliver, text))

    def _deliver(self, text: str) -> None:
        self._shop.queue.put(text)
        self._shop.count_sent()


def _camel(message: dict[str, Any]) -> dict[str, Any]:
    """Begins the outer names with small letters."""
    return {
        name[0].lower() + name[1:]: {n[0].lower() + n[1:]: v for n, v in value.items()}
        if isinstance(value, dict)
        else value
        for name, value in message.items()
    }
