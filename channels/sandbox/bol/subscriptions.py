"""Event subscriptions: ids only, signed with RSA, ten attempts in ten minutes, then switched off.

Header form and answer window as seen in third parties' code; the vendor documents the envelope and the retries.
"""

import base64
import json
import time
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from channels.sandbox.bol.processes import Process
from channels.sandbox.bol.rest import V10, body_of, moment, not_found, versioned, violation
from channels.sandbox.httpd import Answer, Request

if TYPE_CHECKING:
    from channels.sandbox.bol.shop import BolSandbox

RESOURCES: Final = frozenset(
    {
        "PROCESS_STATUS",
        "SHIPMENT",
        "PRICE_STAR_BOUNDARY",
        "COMPETING_OFFER",
        "OFFER_FOR_SALE",
        "OFFER_NOT_FOR_SALE",
        "ORDER",
    }
)
_TYPES: Final = frozenset({"WEBHOOK", "GCP_PUBSUB", "AWS_SQS"})
MOST_RETRIES: Final = 10
RETRY_WAIT: Final = 60.0
_KEY_BITS: Final = 2048


@dataclass(slots=True)
class Subscription:
    """Where events are sent."""

    number: int
    resources: list[str]
    url: str
    type: str
    is_enabled: bool

    def document(self) -> dict[str, Any]:
        return {
            "id": str(self.number),
            "resources": self.resources,
            "url": self.url,
            "subscriptionType": self.type,
            "enabled": self.is_enabled,
        }


class Subscriptions:
    """The `/retailer/subscriptions` resource and what is sent."""

    def __init__(self, shop: "BolSandbox") -> None:
        self._shop = shop
        self._count = 0
        self.by_number: dict[int, Subscription] = {}
        self._key_id = "0"

    @cached_property
    def _key(self) -> rsa.RSAPrivateKey:
        """Made when it is asked for: that takes a twentieth of a second, and most shops never sign anything."""
        return rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)

    # -- the resource
    def listing(self) -> Answer:
        return versioned(200, {"subscriptions": [each.document() for each in self.by_number.values()]}, V10)

    def read(self, number: int) -> Answer:
        return versioned(200, self._find(number).document(), V10)

    def signature_keys(self) -> Answer:
        """The public keys by id: DER SubjectPublicKeyInfo in base64."""
        public = self._key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        keys = [{"id": self._key_id, "type": "RSA", "publicKey": base64.b64encode(public).decode()}]
        return versioned(200, {"signatureKeys": keys}, V10)

    def rotate_key(self) -> None:
        """Begins to sign with a new key under a new id; the old one is no longer served."""
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
        self._key_id = str(int(self._key_id) + 1)

    def create(self, request: Request) -> Answer:
        data = _checked(body_of(request))

        def do(process: Process) -> str:
            self._count += 1
            made = Subscription(self._count, [], "", "WEBHOOK", True)
            _fill(made, data)
            self.by_number[made.number] = made
            process.entity_id = str(made.number)
            return ""

        return self._shop.processes.accept("CREATE_SUBSCRIPTION", "Create a subscription.", do)

    def write(self, request: Request, number: int) -> Answer:
        subscription = self._find(number)
        data = _checked(body_of(request))

        def do(process: Process) -> str:
            _fill(subscription, data)
            return ""

        return self._accept("UPDATE_SUBSCRIPTION", "Update a subscription.", do, number)

    def delete(self, number: int) -> Answer:
        self._find(number)

        def do(process: Process) -> str:
            self.by_number.pop(number, None)
            return ""

        return self._accept("DELETE_SUBSCRIPTION", "Delete a subscription.", do, number)

    def test(self, number: int) -> Answer:
        subscription = self._find(number)

        def do(process: Process) -> str:
            self._send_to(subscription, "TEST", "TEST", "0")
            return ""

        return self._accept("SEND_SUBSCRIPTION_TST_MSG", "Send a test message.", do, number)

    def _accept(self, event_type: str, description: str, do: Any, number: int) -> Answer:
        return self._shop.processes.accept(event_type, description, do, entity_id=str(number))

    def _find(self, number: int) -> Subscription:
        if number not in self.by_number:
            raise not_found(f"subscription with id {number}")
        return self.by_number[number]

    # -- sending
    def send(self, resource: str, kind: str, resource_id: str) -> None:
        """Sends an event to whoever subscribed to its resource."""
        for subscription in list(self.by_number.values()):
            if (
                subscription.is_enabled
                and subscription.type == "WEBHOOK"
                and resource in subscription.resources
            ):
                self._send_to(subscription, resource, kind, resource_id)

    def _send_to(self, subscription: Subscription, resource: str, kind: str, resource_id: str) -> None:
        envelope = {
            "retailerId": self._shop.retailer_id,
            "timestamp": moment(time.time()),
            "event": {"resource": resource, "type": kind, "resourceId": resource_id},
        }
        body = json.dumps(envelope).encode()
        self._shop.send_webhook(partial(self._attempt, subscription, body, 0))

    def headers(self, body: bytes) -> dict[str, str]:
        """Returns the headers of a message, its signature among them."""
        signed = body
        if self._shop.happens(self._shop.faults.webhook_bad_signature_rate):
            signed = body + b" "
        signature = base64.b64encode(self._key.sign(signed, padding.PKCS1v15(), hashes.SHA256())).decode()
        value = f'keyId={self._key_id}, algorithm="rsa-sha256", signature={signature}'
        return {"Content-Type": "application/json", "Signature": value}

    def _attempt(self, subscription: Subscription, body: bytes, retries: int) -> None:
        if not subscription.is_enabled or subscription.number not in self.by_number:
            return
        if 200 <= self._shop.post(subscription.url, self.headers(body), body) < 300:
            return
        if retries == MOST_RETRIES:
            subscription.is_enabled = False
            return
        wait = RETRY_WAIT / self._shop.faults.retry_speed
        self._shop.later(wait, partial(self._attempt, subscription, body, retries + 1))


def _checked(data: dict[str, Any]) -> dict[str, Any]:
    """Refuses what bol would; http is only taken towards this machine, where the sandbox lives."""
    resources = data.get("resources")
    if not isinstance(resources, list) or not resources or not RESOURCES.issuperset(resources):
        raise violation("resources", f"must be of {', '.join(sorted(RESOURCES))}")
    if data.get("subscriptionType") not in _TYPES:
        raise violation("subscriptionType", f"must be one of {', '.join(sorted(_TYPES))}")
    url = data.get("url")
    if not isinstance(url, str) or not url.startswith(("https://", "http://127.0.0.1:", "http://localhost:")):
        raise violation("url", "must be a valid https URL")
    return data


def _fill(subscription: Subscription, data: dict[str, Any]) -> None:
    subscription.resources = list(data["resources"])
    subscription.url = data["url"]
    subscription.type = data["subscriptionType"]
    subscription.is_enabled = data.get("enabled", True) is not False
