"""Shopify: Admin GraphQL API, several locations, compare-and-set, webhooks that we look after ourselves."""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any, ClassVar, Final
from uuid import NAMESPACE_URL, uuid5

from channels.connectors.api_connector import ApiConnector, Translators
from channels.connectors.base import (
    CancelOutcome,
    Capabilities,
    CredentialField,
    InboundRequest,
    LimitReading,
    PlatformLocation,
    PushItem,
    PushResult,
    RateLimit,
    Response,
    SubscriptionProblem,
)
from channels.connectors.shopify import catalogue, levels, orders, stock, subscriptions, webhooks
from channels.connectors.shopify.graphql import (
    BUCKET,
    DOWNLOAD_BUCKET,
    TOKEN_BUCKET,
    Api,
    Document,
    gid,
    read_limits,
    well_formed,
)
from channels.errors import Misconfigured, Rejected

_SHOP: Final = Document("shop")
_REFUND: Final = Document("refund", is_mutation=True)


class ShopifyConnector(ApiConnector[Api]):
    """A Shopify shop, spoken to for one account."""

    kind = "shopify"
    label = "Shopify"
    capabilities: ClassVar[Capabilities] = Capabilities(
        push_batch_size=stock.BATCH,
        poll_interval=timedelta(minutes=5),
        compare_and_set=True,
        own_locations=True,
        order_webhooks=True,
        inventory_webhooks=True,
        manages_subscriptions=True,
        cancels_lines=True,
        largest_quantity=1_000_000_000,
        concurrency=4,
    )
    credential_fields = (
        CredentialField("client_id", "Client ID", "Of the app in the Dev Dashboard.", is_required=False),
        CredentialField("client_secret", "Client secret", "Also signs the webhooks."),
        CredentialField(
            "access_token",
            "Admin API access token",
            "Only of a legacy custom app; others are issued by the client ID.",
            is_required=False,
        ),
    )
    settings_schema: ClassVar[Mapping[str, Any]] = {
        "shop_domain": ...,
        "base_url": "",
        "api_version": "2026-10",
    }
    settings_help: ClassVar[Mapping[str, str]] = {
        "shop_domain": "As your-shop.myshopify.com.",
        "base_url": "Empty: at the shop's domain.",
    }
    #: Assumed for the smallest plan; the first answer tells the shop's own.
    rate_limits: ClassVar[Mapping[str, RateLimit]] = {
        BUCKET: RateLimit(capacity=2000, refill_per_second=100),
        TOKEN_BUCKET: RateLimit(capacity=5, refill_per_second=0.5),
        # Files of bulk queries lie elsewhere; nobody fetches many.
        DOWNLOAD_BUCKET: RateLimit(capacity=5, refill_per_second=0.5),
    }
    signed_with = "client_secret"
    translators = Translators(
        api=Api,
        receive=webhooks.receive,
        parse=webhooks.parse,
        orders=orders.fetch_page,
        order=orders.fetch_one,
        listings=catalogue.stream_listings,
        levels=levels.stream_levels,
        shelves=levels.read_levels,
    )

    def reading(self) -> AbstractContextManager[None]:
        return well_formed()

    @classmethod
    def read_limits(cls, bucket: str, response: Response) -> LimitReading | None:
        return read_limits(response) if bucket == BUCKET else None

    # -- inbound
    def verify(self, request: InboundRequest) -> None:
        webhooks.verify(request, self.account.webhook_secrets, self.account.settings["shop_domain"])

    # -- reading
    def check(self) -> str:
        with self.reading():
            shop = self.api.run(_SHOP, {}, cost=1)["shop"]
            domain, name = str(shop["myshopifyDomain"]), str(shop["name"])
        if domain.lower() != self.account.settings["shop_domain"].lower():
            raise Misconfigured(f"The shop calls itself {domain}; enter that as its domain.")
        return name

    def fetch_locations(self) -> list[PlatformLocation]:
        with self.reading():
            return catalogue.read_locations(self.api)

    # -- writing
    def push(self, items: Sequence[PushItem], *, call_id: str) -> list[PushResult]:
        with well_formed(writes=True):
            return stock.push(self.api, items, call_id)

    def cancel_line(
        self, order_external_id: str, line_external_id: str, quantity: int, *, call_id: str
    ) -> CancelOutcome:
        """Takes units off an order, back on no shelf: there are none. The merchant refunds the money in Shopify."""
        line = line_external_id.partition("@")[0]
        part = {"lineItemId": gid("LineItem", line), "quantity": quantity, "restockType": "NO_RESTOCK"}
        intent = hashlib.sha256(f"{call_id} {order_external_id} {line} {quantity}".encode()).hexdigest()
        variables = {
            "input": {
                "orderId": gid("Order", order_external_id),
                "note": "Out of stock",
                "refundLineItems": [part],
            },
            "key": str(uuid5(NAMESPACE_URL, f"onecount:{intent}")),
        }
        with well_formed(writes=True):
            answer = self.api.run(_REFUND, variables, cost=12)["refundCreate"]
            errors = [str(error["message"])[:300] for error in answer["userErrors"]]
            tracking_id = "" if errors else str(answer["refund"]["id"])
        if errors:
            raise Rejected(f"Shopify does not cancel the line: {errors[0]}")
        return CancelOutcome(quantity, refunds=False, restocks=False, tracking_id=tracking_id)

    # -- subscriptions
    def register_webhooks(self, callback_url: str) -> dict[str, str]:
        with well_formed(writes=True):
            subscriptions.register(self.api, callback_url)
        return {}

    def audit_webhooks(self, callback_url: str) -> list[SubscriptionProblem]:
        with self.reading():
            return subscriptions.audit(self.api, callback_url)
