"""The Square connector: the tills of one account, and its online sales."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar

from channels.connectors.answers import readable
from channels.connectors.base import (
    Account,
    Address,
    Capabilities,
    Client,
    Connector,
    CredentialField,
    InboundMessage,
    InboundRequest,
    OrderPage,
    PlatformListing,
    PlatformLocation,
    PushItem,
    PushResult,
    RateLimit,
    ShelfNumber,
    SubscriptionProblem,
)
from channels.connectors.messages import read_part, read_text
from channels.connectors.square import catalogue, orders, stock, subscriptions, webhooks
from channels.connectors.square.api import BUCKET, SquareApi
from channels.events import ChannelEvent, OrderState


class SquareConnector(Connector):
    """A Square account. It lowers its number itself at a sale, and reckons counts in by when they were made."""

    kind = "square"
    label = "Square"
    capabilities: ClassVar[Capabilities] = Capabilities(
        push_batch_size=stock.LARGEST_BATCH,
        poll_interval=timedelta(minutes=2),
        own_locations=True,
        order_webhooks=True,
        inventory_webhooks=True,
        manages_subscriptions=True,
        concurrency=4,
    )
    credential_fields = (
        CredentialField(
            "access_token",
            "Access token",
            "Developer Console → your application → Production → Access token.",
        ),
        CredentialField("webhook_secret", "Signature key", "Made by Square.", is_required=False),
    )
    settings_schema: ClassVar[Mapping[str, Any]] = {"base_url": "https://connect.squareup.com"}
    #: Square publishes no numbers; its 429 blocks for a while.
    rate_limits: ClassVar[Mapping[str, RateLimit]] = {BUCKET: RateLimit(capacity=20, refill_per_second=10)}

    def __init__(self, account: Account, client: Client) -> None:
        super().__init__(account, client)
        self._api = SquareApi(account, client)

    # -- inbound
    def verify(self, request: InboundRequest) -> None:
        webhooks.verify(request, tuple(self.account.webhook_secrets))

    def receive(self, request: InboundRequest) -> InboundMessage:
        return webhooks.receive(request)

    def parse(self, topic: str, payload: Mapping[str, Any]) -> list[ChannelEvent]:
        return webhooks.parse(topic, payload)

    # -- reading
    def check(self) -> str:
        with readable(self.label):
            merchant = read_part(self._api.read("/v2/merchants/me").body, "merchant")
            return read_text(merchant, "business_name") or self.label

    def fetch_orders(self, cursor: str) -> OrderPage:
        with readable(self.label):
            return orders.fetch_orders(self._api, cursor)

    def fetch_order(self, external_id: str) -> OrderState | None:
        return orders.fetch_order(self._api, external_id)

    def fetch_locations(self) -> list[PlatformLocation]:
        with readable(self.label):
            return catalogue.fetch_locations(self._api)

    def fetch_listings(self) -> Iterator[PlatformListing]:
        with readable(self.label):
            yield from catalogue.fetch_listings(self._api)

    def fetch_levels(self) -> Iterator[ShelfNumber]:
        with readable(self.label):
            yield from stock.fetch_levels(self._api)

    def read_levels(self, addresses: Sequence[Address]) -> list[ShelfNumber]:
        with readable(self.label):
            return stock.read_levels(self._api, addresses)

    # -- writing
    def push(self, items: Sequence[PushItem], *, call_id: str) -> list[PushResult]:
        return stock.push(self._api, items, call_id=call_id)

    # -- subscriptions
    def register_webhooks(self, callback_url: str) -> dict[str, str]:
        with readable(self.label):
            return subscriptions.register(self._api, callback_url, self._kept_secret)

    def audit_webhooks(self, callback_url: str) -> list[SubscriptionProblem]:
        with readable(self.label):
            return subscriptions.audit(self._api, callback_url, self._kept_secret)

    @property
    def _kept_secret(self) -> str:
        return str(self.account.credentials.get("webhook_secret") or "")
