"""Sends webhooks as each platform does: its credentials, its signature, an order message of its kind."""

import base64
import hashlib
import hmac
import json
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from channels.accounts import webhook_url
from channels.connectors import CONNECTORS
from channels.connectors.base import InboundRequest
from channels.deliveries import accept
from channels.errors import BadMessage, BadSignature
from channels.models import Channel
from tests.channels.shop import Shop

#: Stands in every customer field of the messages below; must never reach the database.
CUSTOMER = "Wilhelmina Customer"
CUSTOMER_FIELDS = {
    "first_name": CUSTOMER,
    "last_name": CUSTOMER,
    "email": f"{CUSTOMER}@example.com",
    "phone": CUSTOMER,
    "address_1": CUSTOMER,
    "address1": CUSTOMER,
    "city": CUSTOMER,
    "country": "NL",
    "country_code": "NL",
}


class Sender(ABC):
    """One platform's way to send."""

    kind: str
    topic: str

    @abstractmethod
    def connect(self, shop: Shop) -> None:
        """Gives the shop's channel this kind, with settings and secrets."""

    @abstractmethod
    def headers(self, body: bytes) -> dict[str, str]:
        """Returns the headers that make this body authentic."""

    @abstractmethod
    def message(self, quantity: Any = 2, *, order_id: Any = 1001) -> dict[str, Any]:
        """Returns the body of an order message, customer data and all."""

    #: Whether `message` is a full snapshot of the order.
    tells_states = True
    #: Whether it is about orders of its own customers at all.
    brings_orders = True
    #: Where it is delivered to, if that is signed, too.
    address = ""
    #: Whether its messages wait in a queue, without headers and a signature of their own.
    is_queued = False

    def send(
        self, client: Client, channel: Channel, body: bytes | Mapping[str, Any], **headers: str
    ) -> HttpResponse:
        """Posts a body, signed unless the headers given say otherwise."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        content_type = headers.pop("content_type", "application/json")
        signed = {**self.headers(raw), **headers}
        sent = client.post(
            f"/webhooks/{channel.public_id}/", data=raw, content_type=content_type, headers=signed
        )
        return cast(HttpResponse, sent)


def _hmac(body: bytes, secret: str) -> str:
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()


class WooSender(Sender):
    kind = "woocommerce"
    topic = "order.updated"
    secret = "the woo secret"

    def connect(self, shop: Shop) -> None:
        shop.channel.kind = self.kind
        shop.channel.settings = {"base_url": "http://127.0.0.1:1"}
        shop.channel.credentials = {
            "consumer_key": "ck",
            "consumer_secret": "cs",
            "webhook_secret": self.secret,
        }
        shop.channel.save()

    def headers(self, body: bytes) -> dict[str, str]:
        return {
            "X-WC-Webhook-Signature": _hmac(body, self.secret),
            "X-WC-Webhook-Topic": self.topic,
            "X-WC-Webhook-Resource": "order",
            "X-WC-Webhook-Event": "updated",
            "X-WC-Webhook-ID": "7",
            "X-WC-Webhook-Delivery-ID": "0123456789abcdef",
        }

    def message(self, quantity: Any = 2, *, order_id: Any = 1001) -> dict[str, Any]:
        return {
            "id": order_id,
            "number": str(order_id),
            "status": "processing",
            "currency": "EUR",
            "date_created_gmt": "2026-11-21T12:00:00",
            "date_modified_gmt": "2026-11-21T12:00:00",
            "billing": CUSTOMER_FIELDS,
            "shipping": CUSTOMER_FIELDS,
            "customer_note": CUSTOMER,
            "line_items": [
                {
                    "id": 1,
                    "name": "Mug",
                    "product_id": 11,
                    "variation_id": 0,
                    "quantity": quantity,
                    "sku": "MUG",
                    "price": 9.5,
                    "meta_data": [{"key": "Engraving", "value": CUSTOMER}],
                }
            ],
            "refunds": [],
        }


class ShopifySender(Sender):
    kind = "shopify"
    topic = "orders/create"
    secret = "the shopify secret"

    def connect(self, shop: Shop) -> None:
        shop.channel.kind = self.kind
        shop.channel.settings = {"shop_domain": "mugs.myshopify.com", "base_url": "http://127.0.0.1:1"}
        shop.channel.credentials = {"client_id": "id", "client_secret": self.secret}
        shop.channel.save()

    def headers(self, body: bytes) -> dict[str, str]:
        return {
            "X-Shopify-Hmac-Sha256": _hmac(body, self.secret),
            "X-Shopify-Topic": self.topic,
            "X-Shopify-Shop-Domain": "mugs.myshopify.com",
            "X-Shopify-API-Version": "2026-10",
            "X-Shopify-Webhook-Id": hashlib.sha256(body).hexdigest()[:32],
            "X-Shopify-Event-Id": "e1",
            "X-Shopify-Triggered-At": "2026-11-21T12:00:01Z",
        }

    def message(self, quantity: Any = 2, *, order_id: Any = 1001) -> dict[str, Any]:
        return {
            "id": order_id,
            "admin_graphql_api_id": f"gid://shopify/Order/{order_id}",
            "name": f"#{order_id}",
            "created_at": "2026-11-21T12:00:00Z",
            "updated_at": "2026-11-21T12:00:00Z",
            "cancelled_at": None,
            "currency": "EUR",
            "financial_status": "paid",
            "test": False,
            "email": CUSTOMER,
            "customer": CUSTOMER_FIELDS,
            "billing_address": CUSTOMER_FIELDS,
            "shipping_address": CUSTOMER_FIELDS,
            "line_items": [
                {
                    "id": 1,
                    "variant_id": 21,
                    "product_id": 11,
                    "sku": "MUG",
                    "quantity": quantity,
                    "current_quantity": quantity,
                    "fulfillable_quantity": quantity,
                    "price": "9.50",
                    "title": "Mug",
                    "properties": [{"name": "Engraving", "value": CUSTOMER}],
                }
            ],
            "refunds": [],
            "fulfillments": [],
        }


@cache
def _key() -> rsa.RSAPrivateKey:
    """Made once: that takes longer than most tests with it."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class BolSender(Sender):
    """Bol signs with a key that is fetched from it, so that a small server stands behind this sender."""

    kind = "bol"
    topic = "ORDER"
    tells_states = False

    def __init__(self) -> None:
        self.key = _key()
        self.url = ""

    def public_key(self) -> str:
        der = self.key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return base64.b64encode(der).decode()

    def connect(self, shop: Shop) -> None:
        shop.channel.kind = self.kind
        shop.channel.settings = {"base_url": self.url, "login_url": self.url}
        shop.channel.credentials = {"client_id": "id", "client_secret": "secret"}
        shop.channel.save()

    def headers(self, body: bytes) -> dict[str, str]:
        signature = base64.b64encode(self.key.sign(body, padding.PKCS1v15(), hashes.SHA256())).decode()
        return {"Signature": f'keyId=0, algorithm="rsa-sha256", signature={signature}'}

    def message(self, quantity: Any = 2, *, order_id: Any = 1001) -> dict[str, Any]:
        return {
            "retailerId": "1",
            "timestamp": "2026-11-21T12:00:00Z",
            "event": {"resource": "ORDER", "type": "UPDATE_ORDER", "resourceId": str(order_id)},
        }

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Answers token and signature key calls while the block runs."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), _bol_handler(self.public_key()))
        self.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def _bol_handler(public_key: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _answer(self, content: dict[str, Any]) -> None:
            raw = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/vnd.retailer.v10+json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def do_POST(self) -> None:
            self._answer({"access_token": "token", "token_type": "Bearer", "expires_in": 299})

        def do_GET(self) -> None:
            self._answer({"signatureKeys": [{"id": "0", "type": "RSA", "publicKey": public_key}]})

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    return Handler


class SquareSender(Sender):
    kind = "square"
    topic = "order.updated"
    tells_states = False
    secret = "the square signature key"

    def connect(self, shop: Shop) -> None:
        shop.channel.kind = self.kind
        shop.channel.settings = {"base_url": "http://127.0.0.1:1"}
        shop.channel.credentials = {"access_token": "token", "webhook_secret": self.secret}
        shop.channel.save()
        self.address = webhook_url(shop.channel)

    def headers(self, body: bytes) -> dict[str, str]:
        return {"X-Square-HmacSha256-Signature": _hmac(self.address.encode() + body, self.secret)}

    def message(self, quantity: Any = 2, *, order_id: Any = 1001) -> dict[str, Any]:
        details = {"order_id": order_id, "version": 3, "location_id": "L1", "state": "OPEN", "note": CUSTOMER}
        return {
            "merchant_id": "M1",
            "type": self.topic,
            "event_id": f"event-{order_id}-{quantity}",
            "created_at": "2026-11-21T12:00:00Z",
            "data": {"type": "order", "id": order_id, "object": {"order_updated": details}},
        }


class WholesaleSender(Sender):
    kind = "wholesale"
    topic = "order.changed"
    key = b"0123456789abcdef0123456789abcdef"

    def connect(self, shop: Shop) -> None:
        shop.channel.kind = self.kind
        shop.channel.settings = {"base_url": "http://127.0.0.1:1"}
        secret = f"whsec_{base64.b64encode(self.key).decode()}"
        shop.channel.credentials = {"api_key": "key", "webhook_secret": secret}
        shop.channel.save()

    def headers(self, body: bytes) -> dict[str, str]:
        message_id, timestamp = hashlib.sha256(body).hexdigest()[:32], str(int(time.time()))
        signed = hmac.new(self.key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
        return {
            "Webhook-Id": message_id,
            "Webhook-Timestamp": timestamp,
            "Webhook-Signature": f"v1,{base64.b64encode(signed).decode()}",
        }

    def message(self, quantity: Any = 2, *, order_id: Any = 1001) -> dict[str, Any]:
        order = {
            "external_id": order_id,
            "number": "PO 1001",
            "ordered_at": "2026-11-21T12:00:00Z",
            "updated_at": "2026-11-21T12:00:00Z",
            "country": "NL",
            "currency": "EUR",
            "buyer": CUSTOMER_FIELDS,
            "lines": [
                {"external_id": "1", "sku": "MUG", "title": "Mug", "quantity": quantity, "note": CUSTOMER}
            ],
        }
        return {"type": self.topic, "timestamp": "2026-11-21T12:00:01Z", "data": order}


class AmazonSender(Sender):
    """Amazon posts nothing: what it puts into the queue goes through the same door. Whatever has headers is posted."""

    kind = "amazon_seller"
    topic = "ORDER_CHANGE"
    is_queued = True
    seller_id = "A1SELLER"
    subscription_id = "7d2b0a1c-order-changes"

    def connect(self, shop: Shop) -> None:
        shop.channel.kind = self.kind
        shop.channel.settings = {
            "seller_id": self.seller_id,
            "marketplaces": "DE",
            "base_url": "http://127.0.0.1:1",
            "login_url": "http://127.0.0.1:1",
            "queue_url": "http://127.0.0.1:1/123456789012/queue",
        }
        shop.channel.credentials = {
            "client_id": "id",
            "client_secret": "secret",
            "refresh_token": "refresh",
            "aws_access_key_id": "AKIA",
            "aws_secret_access_key": "aws",
            "subscriptions": json.dumps({"ORDER_CHANGE": self.subscription_id}),
        }
        shop.channel.save()

    def headers(self, body: bytes) -> dict[str, str]:
        return {"X-Amz-Sns-Message-Type": "Notification"}

    def send(
        self, client: Client, channel: Channel, body: bytes | Mapping[str, Any], **headers: str
    ) -> HttpResponse:
        if headers:
            return super().send(client, channel, body, **headers)
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = InboundRequest({"content-type": "application/json"}, raw, timezone.now(), is_queued=True)
        try:
            accept(channel, request)
        except BadSignature as error:
            return HttpResponse(str(error), status=401)
        except BadMessage as error:
            return HttpResponse(str(error), status=400)
        return HttpResponse("OK")

    def message(self, quantity: Any = 2, *, order_id: Any = 1001) -> dict[str, Any]:
        item = {
            "OrderItemId": "1",
            "SellerSKU": "MUG",
            "SupplySourceId": None,
            "Quantity": quantity,
            "QuantityShipped": 0,
            "GiftMessage": CUSTOMER,
        }
        change = {
            "NotificationLevel": "OrderLevel",
            "SellerId": self.seller_id,
            "AmazonOrderId": order_id,
            "OrderChangeType": "OrderStatusChange",
            "OrderChangeTrigger": {"TimeOfOrderChange": "2026-11-21T12:00:00.284Z", "ChangeReason": "Placed"},
            "Summary": {
                "MarketplaceId": "A1PA6795UKMFR9",
                "OrderStatus": "Pending",
                "PurchaseDate": "2026-11-21T12:00:00.284Z",
                "DestinationPostalCode": CUSTOMER,
                "FulfillmentType": "MFN",
                "OrderType": "StandardOrder",
                "OrderItems": [item],
                "BuyerName": CUSTOMER,
            },
        }
        return {
            "NotificationVersion": "1.0",
            "NotificationType": self.topic,
            "PayloadVersion": "1.0",
            "EventTime": "2026-11-21T12:00:01.109Z",
            "Payload": {"OrderChangeNotification": change},
            "NotificationMetadata": {
                "ApplicationId": "app",
                "SubscriptionId": self.subscription_id,
                "PublishTime": "2026-11-21T12:00:01.109Z",
                "NotificationId": f"notification of {order_id}",
            },
        }


class PicqerSender(Sender):
    """A warehouse: its messages are about the orders that it was given."""

    kind = "picqer"
    topic = "orders.status_changed"
    tells_states = False
    brings_orders = False
    secret = "the picqer secret"

    def connect(self, shop: Shop) -> None:
        shop.channel.kind = self.kind
        shop.channel.settings = {"base_url": "http://127.0.0.1:1"}
        shop.channel.credentials = {"api_key": "key", "webhook_secret": self.secret}
        shop.channel.save()

    def headers(self, body: bytes) -> dict[str, str]:
        return {"X-Picqer-Signature": _hmac(body, self.secret)}

    def message(self, quantity: Any = 2, *, order_id: Any = 1001) -> dict[str, Any]:
        return {
            "idhook": 7,
            "name": "OneCount",
            "event": self.topic,
            "event_triggered_at": "2026-11-21 13:00:00",
            "data": {
                "idorder": order_id,
                "status": "processing",
                "reference": "OC-0123456789ab-1",
                "deliveryname": CUSTOMER,
                "emailaddress": CUSTOMER,
                "products": [{"idproduct": 1, "remarks": CUSTOMER}],
            },
        }


#: One for every registered platform; a new connector without a sender fails the tests.
SENDERS: dict[str, type[Sender]] = {
    each.kind: each
    for each in (
        ShopifySender,
        WooSender,
        BolSender,
        SquareSender,
        WholesaleSender,
        AmazonSender,
        PicqerSender,
    )
}


@contextmanager
def sender_of(kind: str) -> Iterator[Sender]:
    """Makes the sender of a platform, with the server it may need."""
    sender = SENDERS[kind]()
    if isinstance(sender, BolSender):
        with sender.serving():
            yield sender
    else:
        yield sender


#: Platforms that send anything.
KINDS = sorted(kind for kind, each in CONNECTORS.items() if each.capabilities.sends_messages)
