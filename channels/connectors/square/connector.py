"""The Square connector: the tills of one account, and its online sales."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar

from channels.connectors.api_connector import ApiConnector, Translators
from channels.connectors.base import (
    Capabilities,
    CredentialField,
    InboundRequest,
    PlatformLocation,
    PushItem,
    PushResult,
    RateLimit,
    SubscriptionProblem,
)
from channels.connectors.messages import read_part, read_text
from channels.connectors.square import catalogue, orders, stock, subscriptions, webhooks
from channels.connectors.square.api import BUCKET, SquareApi


class SquareConnector(ApiConnector[SquareApi]):
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
    translators = Translators(
        api=SquareApi,
        receive=webhooks.receive,
        parse=webhooks.parse,
        orders=orders.fetch_orders,
        order=orders.fetch_order,
        listings=catalogue.fetch_listings,
        levels=stock.fetch_levels,
        shelves=stock.read_levels,
    )

    # -- inbound
    def verify(self, request: InboundRequest) -> None:
        webhooks.verify(request, tuple(self.account.webhook_secrets))

    # -- reading
    def check(self) -> str:
        with self.reading():
            merchant = read_part(self.api.read("/v2/merchants/me").body, "merchant")
            return read_text(merchant, "business_name") or self.label

    def fetch_locations(self) -> list[PlatformLocation]:
        with self.reading():
            return catalogue.fetch_locations(self.api)

    # -- writing
    def push(self, items: Sequence[PushItem], *, call_id: str) -> list[PushResult]:
        return stock.push(self.api, items, call_id=call_id)

    # -- subscriptions
    def register_webhooks(self, callback_url: str) -> dict[str, str]:
        with self.reading():
            return subscriptions.register(self.api, callback_url, self.kept_secret)

    def audit_webhooks(self, callback_url: str) -> list[SubscriptionProblem]:
        with self.reading():
            return subscriptions.audit(self.api, callback_url, self.kept_secret)
