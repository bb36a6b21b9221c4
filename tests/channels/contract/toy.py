"""A connector as a newcomer would write it: items, orders and signed messages. A test counts its lines."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar

from channels.connectors import base
from channels.connectors.api_connector import ApiConnector, Translators
from channels.connectors.messages import check_hmac, digest_of, read_instant, read_object
from channels.connectors.pushing import result_of
from channels.events import ChannelEvent, OrderLineState, OrderState, UnknownEvent


class ToyApi:
    def __init__(self, account: base.Account, client: base.Client) -> None:
        self.client, self.root = client, str(account.settings["base_url"])
        headers = {"Authorization": f"Bearer {account.credentials['key']}"}
        self.options: dict[str, Any] = {"bucket": "calls", "headers": headers}

    def call(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.client.request(method, self.root + path, json=body, **self.options)
        return None if answer.status == 404 else answer.json()

    def orders(self, cursor: str) -> base.OrderPage:
        return base.OrderPage(tuple(order_state(each) for each in self.call("GET", "/orders")))

    def order(self, order_id: str) -> OrderState | None:
        found = self.call("GET", f"/orders/{order_id}")
        return order_state(found) if found else None

    def listings(self) -> Iterator[base.PlatformListing]:
        return (base.PlatformListing(each["id"], each["sku"]) for each in self.call("GET", "/items"))

    def levels(self) -> Iterator[base.ShelfNumber]:
        return (base.ShelfNumber(each["id"], "", each["units"]) for each in self.call("GET", "/items"))

    def shelves(self, addresses: Sequence[base.Address]) -> list[base.ShelfNumber]:
        wanted = {address.listing_external_id for address in addresses}
        return [shelf for shelf in self.levels() if shelf.listing_external_id in wanted]

    def tell(self, item: base.PushItem) -> base.PushResult:
        told = self.call("PUT", f"/items/{item.address.listing_external_id}", {"units": item.quantity})
        return result_of(item, base.ItemOutcome.CONFIRMED if told else base.ItemOutcome.REJECTED)


def receive(request: base.InboundRequest) -> base.InboundMessage:
    read = read_object(request)
    order = {name: read.get(name) for name in ("topic", "id", "at", "lines")}
    return base.InboundMessage(str(order["topic"]), digest_of(request.body), order)


def parse(topic: str, payload: Mapping[str, Any]) -> list[ChannelEvent]:
    return [order_state(payload)] if topic == "order" else [UnknownEvent(topic)]


def order_state(order: Mapping[str, Any]) -> OrderState:
    at = read_instant(order, "at")
    lines = [OrderLineState(each["id"], each["id"], each["sku"], each["units"]) for each in order["lines"]]
    return OrderState(str(order["id"]), at, at, tuple(lines))


class ToyConnector(ApiConnector[ToyApi]):
    kind, label = "toy", "Toy platform"
    capabilities: ClassVar = base.Capabilities(20, timedelta(minutes=5), order_webhooks=True)
    credential_fields = (base.CredentialField("key", "Key"), base.CredentialField("webhook_secret", "Secret"))
    settings_schema: ClassVar[Mapping[str, Any]] = {"base_url": ...}
    rate_limits: ClassVar[Mapping[str, base.RateLimit]] = {"calls": base.RateLimit(20, 10)}
    translators = Translators(
        ToyApi, receive, parse, ToyApi.orders, ToyApi.order, ToyApi.listings, ToyApi.levels, ToyApi.shelves
    )

    def verify(self, request: base.InboundRequest) -> None:
        check_hmac(request.body, request.headers.get("x-toy-signature", ""), self.account.webhook_secrets)

    def check(self) -> str:
        return str(self.api.call("GET", "/name")["name"])

    def push(self, items: Sequence[base.PushItem], *, call_id: str) -> list[base.PushResult]:
        return [self.api.tell(item) for item in items]
