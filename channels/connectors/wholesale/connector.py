"""The wholesale connector: one portal, or one buyers' system, that speaks our own small interface."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar, Final
from urllib.parse import quote

from channels.connectors.api_connector import ApiConnector, Translators
from channels.connectors.base import (
    CancelOutcome,
    Capabilities,
    CredentialField,
    InboundRequest,
    PushItem,
    PushResult,
    RateLimit,
    SubscriptionProblem,
)
from channels.connectors.messages import read_count, read_text
from channels.connectors.wholesale import orders, stock, webhooks
from channels.connectors.wholesale.api import BUCKET, BuyersApi
from channels.standard_webhooks import new_secret

#: Shorter keys of buyers could be guessed.
SHORTEST_KEY: Final = 24


class WholesaleConnector(ApiConnector[BuyersApi]):
    """Buyers who order by machine. Their side takes what they order off its number itself."""

    kind = "wholesale"
    label = "Wholesale portal"
    capabilities: ClassVar[Capabilities] = Capabilities(
        push_batch_size=100,
        poll_interval=timedelta(minutes=5),
        order_webhooks=True,
        manages_subscriptions=True,
        cancels_lines=True,
        concurrency=2,
    )
    credential_fields = (
        CredentialField("api_key", "API key of the portal", "What OneCount identifies itself with there."),
        CredentialField(
            "buyer_key",
            "Key for the buyers",
            f"What the buyers' system sends to order and to ask for stock here; {SHORTEST_KEY} characters at least. "
            "Empty: it may do neither.",
            is_required=False,
            shortest=SHORTEST_KEY,
        ),
        CredentialField("webhook_secret", "Webhook secret", "Made by OneCount.", is_required=False),
    )
    settings_schema: ClassVar[Mapping[str, Any]] = {
        "base_url": ...,
        "shows_spans": False,
    }
    settings_help: ClassVar[Mapping[str, str]] = {
        "base_url": "Where the portal's side of the interface begins.",
        "shows_spans": "Buyers who ask for stock are told spans (1-5, 6-20, 20+) instead of numbers.",
    }
    rate_limits: ClassVar[Mapping[str, RateLimit]] = {BUCKET: RateLimit(capacity=20, refill_per_second=10)}
    chooses_webhook_secret: ClassVar[bool] = True
    translators = Translators(
        api=BuyersApi,
        receive=webhooks.receive,
        parse=webhooks.parse,
        orders=orders.fetch_orders,
        order=orders.fetch_order,
        listings=stock.fetch_listings,
        levels=stock.fetch_levels,
        shelves=stock.read_levels,
    )

    @classmethod
    def new_webhook_secret(cls) -> str:
        return new_secret()

    # -- inbound
    def verify(self, request: InboundRequest) -> None:
        webhooks.verify(request, tuple(self.account.webhook_secrets))

    # -- reading
    def check(self) -> str:
        with self.reading():
            return read_text(self.api.read("/account"), "name") or self.label

    # -- writing
    def push(self, items: Sequence[PushItem], *, call_id: str) -> list[PushResult]:
        with self.reading():
            return stock.push(self.api, self.account, items, call_id=call_id)

    def cancel_line(
        self, order_external_id: str, line_external_id: str, quantity: int, *, call_id: str
    ) -> CancelOutcome:
        with self.reading():
            path = f"/orders/{quote(order_external_id, safe='')}/cancellations"
            body = {"line_id": line_external_id, "quantity": quantity, "reason": "out_of_stock"}
            answer = self.api.write("POST", path, body, key=call_id)
            return CancelOutcome(read_count(answer, "cancelled"), refunds=False, restocks=False)

    # -- subscriptions
    def register_webhooks(self, callback_url: str) -> dict[str, str]:
        with self.reading():
            webhooks.register(self.api, callback_url, self.account.webhook_secrets)
        return {}

    def audit_webhooks(self, callback_url: str) -> list[SubscriptionProblem]:
        with self.reading():
            return webhooks.audit(self.api, callback_url, has_secret=bool(self.account.webhook_secrets))
