"""The WooCommerce connector: one shop, REST API v3."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar
from urllib.parse import urlsplit

from channels.connectors.api_connector import ApiConnector, Translators
from channels.connectors.base import (
    CancelEffects,
    CancelOutcome,
    Capabilities,
    CredentialField,
    InboundRequest,
    PushItem,
    PushResult,
    RateLimit,
    SubscriptionProblem,
)
from channels.connectors.woocommerce import listings, order_feed, pushing, subscriptions, webhooks
from channels.connectors.woocommerce.api import BUCKET, Shop
from channels.connectors.woocommerce.cancelling import cancel_line


class WooCommerceConnector(ApiConnector[Shop]):
    """A WooCommerce shop. It decrements its own number at a sale and takes any number without comparing."""

    kind = "woocommerce"
    label = "WooCommerce"
    capabilities: ClassVar[Capabilities] = Capabilities(
        # Half of what the shop takes: an item costs it about 15 ms, and the batch holds up what comes after.
        push_batch_size=50,
        poll_interval=timedelta(minutes=5),
        # One call each, one after the other.
        parents_in_push=4,
        order_webhooks=True,
        inventory_webhooks=True,
        manages_subscriptions=True,
        cancels_lines=True,
        concurrency=6,
    )
    credential_fields = (
        CredentialField("consumer_key", "Consumer key", "Settings → Advanced → REST API; read/write."),
        CredentialField("consumer_secret", "Consumer secret"),
        CredentialField("webhook_secret", "Webhook secret", "Made by OneCount.", is_required=False),
    )
    settings_schema: ClassVar[Mapping[str, Any]] = {
        "base_url": ...,
        "pays_back_cancellations": False,
    }
    settings_help: ClassVar[Mapping[str, str]] = {
        "base_url": "The shop's address, such as https://shop.example.",
        "pays_back_cancellations": "Cancelling a line also has the payment gateway pay the money back.",
    }
    chooses_webhook_secret: ClassVar[bool] = True
    #: WooCommerce has no limit of its own: `concurrency` holds us to what the shop manages, and a proxy's 429 blocks.
    rate_limits: ClassVar[Mapping[str, RateLimit]] = {BUCKET: RateLimit(capacity=100, refill_per_second=100)}
    translators = Translators(
        api=Shop,
        receive=webhooks.receive,
        parse=webhooks.parse,
        orders=order_feed.fetch_orders,
        order=order_feed.fetch_order,
        listings=listings.fetch_listings,
        levels=listings.fetch_levels,
        shelves=listings.read_levels,
    )

    # -- inbound
    def verify(self, request: InboundRequest) -> None:
        webhooks.verify(request, tuple(self.account.webhook_secrets))

    # -- reading
    def check(self) -> str:
        self.api.read("orders", {"per_page": "1", "_fields": "id"})
        index = self.api.read_index()
        name = index.get("name") if isinstance(index, dict) else ""
        return str(name or urlsplit(self.account.settings["base_url"]).hostname)

    # -- writing
    def push(self, items: Sequence[PushItem], *, call_id: str) -> list[PushResult]:
        return pushing.push(self.api, items)

    def cancel_line(
        self, order_external_id: str, line_external_id: str, quantity: int, *, call_id: str
    ) -> CancelOutcome:
        pays_back = bool(self.account.settings["pays_back_cancellations"])
        with self.reading():
            return cancel_line(
                self.api,
                order_external_id,
                line_external_id,
                quantity,
                call_id=call_id,
                pays_back=pays_back,
            )

    @classmethod
    def cancel_effects(cls, settings: Mapping[str, Any]) -> CancelEffects:
        return CancelEffects(refunds=bool(settings.get("pays_back_cancellations")))

    # -- subscriptions
    def register_webhooks(self, callback_url: str) -> dict[str, str]:
        with self.reading():
            return subscriptions.register(self.api, callback_url, self.kept_secret)

    def audit_webhooks(self, callback_url: str) -> list[SubscriptionProblem]:
        has_secret = bool(self.account.webhook_secrets)
        with self.reading():
            return subscriptions.audit(self.api, callback_url, has_secret=has_secret)
