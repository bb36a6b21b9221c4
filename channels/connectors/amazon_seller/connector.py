"""The connector to a seller's account at Amazon: Orders 2026-01-01, Listings Items, feeds, FBA stock, SQS."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final

from channels.connectors.amazon import envelopes, queue, subscriptions
from channels.connectors.amazon.client import SellingPartnerApi
from channels.connectors.amazon.plans import SELLER_PLANS, read_limits
from channels.connectors.amazon.subscriptions import Wanted
from channels.connectors.amazon_seller import events, feeds, listings, orders, warehouse
from channels.connectors.api_connector import ApiConnector, Translators
from channels.connectors.base import (
    AcceptedPush,
    Capabilities,
    CredentialField,
    InboundRequest,
    LimitReading,
    PlatformLocation,
    PushItem,
    PushResult,
    QueuedMessage,
    RateLimit,
    Response,
    SubscriptionProblem,
    WarehouseCount,
)
from channels.connectors.messages import read_objects, read_part, read_text
from channels.errors import Misconfigured

#: With which credential the subscriptions' ids are kept.
_SUBSCRIPTIONS: Final = "subscriptions"
_ORDER_CHANGES: Final = {
    "eventFilter": {
        "eventFilterType": "ORDER_CHANGE",
        "orderChangeTypes": ["OrderStatusChange", "BuyerRequestedChange"],
    }
}
WANTED: Final = (
    Wanted("ORDER_CHANGE", directive=_ORDER_CHANGES),
    Wanted("LISTINGS_ITEM_MFN_QUANTITY_CHANGE"),
    Wanted("LISTINGS_ITEM_STATUS_CHANGE"),
    Wanted("FBA_INVENTORY_AVAILABILITY_CHANGES"),
)


class AmazonSellerConnector(ApiConnector[SellingPartnerApi]):
    """A seller's account in one region. Amazon lowers its number itself, from the moment an order is pending."""

    kind = "amazon_seller"
    label = "Amazon (seller)"
    capabilities: ClassVar[Capabilities] = Capabilities(
        # One listing a call, five calls a second: a push is a second of it.
        push_batch_size=5,
        # One search in 179 seconds is what the usage plan gives for good.
        poll_interval=timedelta(minutes=3),
        # Amazon's own warehouse (FBA) is a place beside the merchant's.
        own_locations=True,
        order_webhooks=True,
        inventory_webhooks=True,
        manages_subscriptions=True,
        asynchronous_push=True,
        message_queue=True,
        own_warehouse=True,
        bulk_increases=feeds.WORTHWHILE,
        largest_quantity=listings.LARGEST_QUANTITY,
        concurrency=4,
    )
    credential_fields = (
        CredentialField("client_id", "LWA client id", "Developer Central → your app → LWA credentials."),
        CredentialField("client_secret", "LWA client secret"),
        CredentialField("refresh_token", "Refresh token", "Developer Central → your app → Authorize app."),
        CredentialField(
            "aws_access_key_id", "AWS access key id", "Of a user who may read the queue.", is_required=False
        ),
        CredentialField("aws_secret_access_key", "AWS secret access key", is_required=False),
    )
    settings_schema: ClassVar[Mapping[str, Any]] = {
        "seller_id": ...,
        "marketplaces": ...,
        "queue_url": "",
        "base_url": "",
        "login_url": "https://api.amazon.com",
    }
    settings_help: ClassVar[Mapping[str, str]] = {
        "seller_id": "Seller Central → Account info → Merchant token.",
        "marketplaces": "Countries or ids, such as DE, NL; all of one region of Amazon.",
        "queue_url": "The SQS queue that Amazon sends its notifications to. Empty: orders are polled alone.",
        "base_url": "Empty: where the region of the marketplaces is served.",
    }
    rate_limits: ClassVar[Mapping[str, RateLimit]] = SELLER_PLANS
    #: Nothing is signed: the queue's policy lets only Amazon in, and messages name our subscriptions.
    signed_with: ClassVar[str] = ""
    translators = Translators(
        api=SellingPartnerApi,
        receive=events.receive,
        parse=events.parse,
        orders=orders.fetch_orders,
        order=orders.fetch_order,
        listings=listings.fetch_listings,
        levels=listings.fetch_levels,
        shelves=listings.read_levels,
    )

    @classmethod
    def read_limits(cls, bucket: str, response: Response) -> LimitReading | None:
        return read_limits(bucket, response)

    # -- inbound
    def verify(self, request: InboundRequest) -> None:
        envelopes.check(
            request,
            seller_id=str(self.account.settings["seller_id"]),
            subscription_ids=self._kept_subscriptions().values(),
        )

    # -- messages in a queue
    def take_messages(self, *, seconds: float) -> list[QueuedMessage]:
        return queue.take(self.account, seconds=seconds)

    def acknowledge(self, receipts: Sequence[str]) -> None:
        queue.acknowledge(self.account, receipts)

    # -- reading
    def check(self) -> str:
        """Returns the shop's name; raises `Misconfigured` for a marketplace in which the seller does not take part."""
        with self.reading():
            found = self.api.read("/sellers/v1/marketplaceParticipations", bucket="participations")
            stores = {
                read_text(read_part(each, "marketplace"), "id"): read_text(each, "storeName")
                for each in read_objects(found, "payload")
                if read_part(each, "participation").get("isParticipating") is True
            }
        missing = [each for each in self.api.marketplace_ids if each not in stores]
        if missing:
            raise Misconfigured(
                f"The seller does not sell in {', '.join(missing)}; correct the marketplaces."
            )
        return stores[self.api.marketplace_ids[0]] or self.label

    def fetch_locations(self) -> list[PlatformLocation]:
        return warehouse.places()

    def fetch_warehouse(self, since: datetime | None) -> Iterator[WarehouseCount]:
        with self.reading():
            yield from warehouse.fetch(self.api, since)

    # -- writing
    def push(self, items: Sequence[PushItem], *, call_id: str) -> list[PushResult]:
        with self.reading():
            return listings.push(self.api, items)

    def push_increases(self, items: Sequence[PushItem], *, call_id: str) -> list[PushResult]:
        with self.reading():
            return feeds.push(self.api, items)

    def follow_push(self, pushes: Sequence[AcceptedPush]) -> dict[str, PushResult | None]:
        with self.reading():
            by_feed = [each for each in pushes if feeds.is_feed(each)]
            alone = [each for each in pushes if not feeds.is_feed(each)]
            ends = listings.follow(self.api, alone) if alone else {}
            return ends | feeds.follow(self.api, by_feed) if by_feed else ends

    # -- subscriptions
    def register_webhooks(self, callback_url: str) -> dict[str, str]:
        """Subscribes the queue; returns the subscriptions' ids, to be kept with the credentials."""
        with self.reading():
            return {_SUBSCRIPTIONS: json.dumps(subscriptions.register(self.api, WANTED), sort_keys=True)}

    def audit_webhooks(self, callback_url: str) -> list[SubscriptionProblem]:
        with self.reading():
            return subscriptions.audit(self.api, WANTED, self._kept_subscriptions())

    def _kept_subscriptions(self) -> dict[str, str]:
        return envelopes.kept_subscriptions(self.account.credentials.get(_SUBSCRIPTIONS))
