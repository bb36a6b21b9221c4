"""The WooCommerce connector: one shop, REST API v3."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar
from urllib.parse import urlsplit

from channels.connectors.answers import readable
from channels.connectors.base import (
    Account,
    Address,
    CancelEffects,
    CancelOutcome,
    Capabilities,
    Client,
    Connector,
    CredentialField,
    InboundMessage,
    InboundRequest,
    OrderPage,
    PlatformListing,
    PushItem,
    PushResult,
    RateLimit,
    ShelfNumber,
    SubscriptionProblem,
)
from channels.connectors.woocommerce import listings, order_feed, pushing, subscriptions, webhooks
from channels.connectors.woocommerce.api import BUCKET, NotThere, Shop
from channels.connectors.woocommerce.cancelling import cancel_line, read_order
from channels.connectors.woocommerce.orders import order_state
from channels.events import ChannelEvent, OrderState


class WooCommerceConnector(Connector):
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

    def __init__(self, account: Account, client: Client) -> None:
        super().__init__(account, client)
        self._shop = Shop(account, client)

    # -- inbound
    def verify(self, request: InboundRequest) -> None:
        webhooks.verify(request, tuple(self.account.webhook_secrets))

    def receive(self, request: InboundRequest) -> InboundMessage:
        return webhooks.receive(request)

    def parse(self, topic: str, payload: Mapping[str, Any]) -> list[ChannelEvent]:
        return webhooks.parse(topic, payload)

    # -- reading
    def check(self) -> str:
        self._shop.read("orders", {"per_page": "1", "_fields": "id"})
        index = self._shop.read_index()
        name = index.get("name") if isinstance(index, dict) else ""
        return str(name or urlsplit(self.account.settings["base_url"]).hostname)

    def fetch_orders(self, cursor: str) -> OrderPage:
        return order_feed.fetch_orders(self._shop, cursor)

    def fetch_order(self, external_id: str) -> OrderState | None:
        with readable(self.label):
            try:
                order, refunds = read_order(self._shop, external_id)
            except NotThere:
                return None
        return order_state(order, refunds)

    def fetch_listings(self) -> Iterator[PlatformListing]:
        with readable(self.label):
            yield from listings.fetch_listings(self._shop)

    def fetch_levels(self) -> Iterator[ShelfNumber]:
        with readable(self.label):
            yield from listings.fetch_levels(self._shop)

    def read_levels(self, addresses: Sequence[Address]) -> list[ShelfNumber]:
        with readable(self.label):
            return listings.read_levels(self._shop, addresses)

    # -- writing
    def push(self, items: Sequence[PushItem], *, call_id: str) -> list[PushResult]:
        return pushing.push(self._shop, items)

    def cancel_line(
        self, order_external_id: str, line_external_id: str, quantity: int, *, call_id: str
    ) -> CancelOutcome:
        pays_back = bool(self.account.settings["pays_back_cancellations"])
        with readable(self.label):
            return cancel_line(
                self._shop,
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
        secret = str(self.account.credentials.get("webhook_secret") or "")
        with readable(self.label):
            return subscriptions.register(self._shop, callback_url, secret)

    def audit_webhooks(self, callback_url: str) -> list[SubscriptionProblem]:
        has_secret = bool(self.account.webhook_secrets)
        with readable(self.label):
            return subscriptions.audit(self._shop, callback_url, has_secret=has_secret)
