"""The connector to a vendor's account at Amazon: retail purchase orders, direct fulfilment and its inventory."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from channels.connectors.amazon.client import SellingPartnerApi
from channels.connectors.amazon.plans import VENDOR_PLANS, read_limits
from channels.connectors.amazon_vendor import acknowledgements, direct, feed, inventory, listings, retail
from channels.connectors.amazon_vendor.account import VendorAccount, patience_of
from channels.connectors.amazon_vendor.identities import DIRECT, RETAIL, split
from channels.connectors.answers import readable
from channels.connectors.base import (
    AcceptedPush,
    Account,
    Acknowledged,
    AcknowledgementEnd,
    Address,
    Capabilities,
    Client,
    Connector,
    CredentialField,
    InboundMessage,
    InboundRequest,
    LimitReading,
    OrderPage,
    PlatformListing,
    PlatformLocation,
    PromisedLine,
    PushItem,
    PushResult,
    RateLimit,
    Response,
    ShelfNumber,
)
from channels.errors import BadMessage, BadSignature
from channels.events import ChannelEvent, OrderState, UnknownEvent


class AmazonVendorConnector(Connector):
    """A vendor code in one region: Amazon buys of it, or sells what it has and has it ship."""

    kind = "amazon_vendor"
    label = "Amazon (vendor)"
    capabilities: ClassVar[Capabilities] = Capabilities(
        push_batch_size=inventory.BATCH_SIZE,
        # Amazon announces nothing to vendors; every operation may be called ten times a second.
        poll_interval=timedelta(seconds=15),
        own_locations=True,
        asynchronous_push=True,
        acknowledges_orders=True,
        largest_quantity=inventory.LARGEST_QUANTITY,
        concurrency=4,
    )
    credential_fields = (
        CredentialField("client_id", "LWA client id", "Developer Central → your app → LWA credentials."),
        CredentialField("client_secret", "LWA client secret"),
        CredentialField("refresh_token", "Refresh token", "Developer Central → your app → Authorize app."),
    )
    settings_schema: ClassVar[Mapping[str, Any]] = {
        "vendor_code": ...,
        "marketplaces": ...,
        "takes_retail_orders": True,
        "warehouses": "",
        "acknowledges_orders": True,
        "shortage_hours": 12,
        "rejects_shortages": True,
        "base_url": "",
        "login_url": "https://api.amazon.com",
    }
    rate_limits: ClassVar[Mapping[str, RateLimit]] = VENDOR_PLANS
    #: Nothing comes in, so that nothing is signed.
    signed_with: ClassVar[str] = ""

    def __init__(self, account: Account, client: Client) -> None:
        super().__init__(account, client)
        self.api = SellingPartnerApi(account, client)

    @classmethod
    def read_limits(cls, bucket: str, response: Response) -> LimitReading | None:
        return read_limits(bucket, response)

    @property
    def _vendor(self) -> VendorAccount:
        """What the settings say. Raises `Misconfigured`."""
        return VendorAccount.of(self.account.settings)

    # -- inbound: there is none
    def verify(self, request: InboundRequest) -> None:
        raise BadSignature("Amazon posts nothing to vendors: their orders are polled.")

    def receive(self, request: InboundRequest) -> InboundMessage:
        raise BadMessage("Amazon posts nothing to vendors: their orders are polled.")

    def parse(self, topic: str, payload: Mapping[str, Any]) -> list[ChannelEvent]:
        return [UnknownEvent(topic)]

    # -- reading
    def check(self) -> str:
        """Looks at one page of each programme that the account takes part in: an app may have the role for one alone."""
        vendor = self._vendor
        now = datetime.now(UTC)
        with readable(self.label):
            for search in feed.searches_of(feed.Feed(now, now, now, until=now), vendor):
                self.api.read(search.path, {**search.parameters, "limit": "1"}, bucket=search.bucket)
        return f"{self.label} {vendor.vendor_code}"

    def fetch_orders(self, cursor: str) -> OrderPage:
        with readable(self.label):
            return feed.fetch_orders(self.api, self._vendor, cursor)

    def fetch_order(self, external_id: str) -> OrderState | None:
        programme, number = split(external_id)
        if programme == RETAIL:
            return retail.fetch_order(self.api, self._vendor, number)
        return direct.fetch_order(self.api, self._vendor, number) if programme == DIRECT else None

    def fetch_listings(self) -> Iterator[PlatformListing]:
        with readable(self.label):
            yield from listings.fetch(self.api, self._vendor)

    def fetch_levels(self) -> Iterator[ShelfNumber]:
        """Yields nothing: Amazon shows nobody what it was told of a warehouse."""
        yield from ()

    def read_levels(self, addresses: Sequence[Address]) -> list[ShelfNumber]:
        return [ShelfNumber(each.listing_external_id, each.location_external_id, None) for each in addresses]

    def fetch_locations(self) -> list[PlatformLocation]:
        return self._vendor.places()

    # -- writing
    def push(self, items: Sequence[PushItem], *, call_id: str) -> list[PushResult]:
        with readable(self.label):
            return inventory.push(self.api, self._vendor, items)

    def follow_push(self, pushes: Sequence[AcceptedPush]) -> dict[str, PushResult | None]:
        with readable(self.label):
            return inventory.follow(self.api, pushes)

    # -- our word on orders
    def acknowledge_order(self, external_id: str, lines: Sequence[PromisedLine]) -> Acknowledged:
        return acknowledgements.acknowledge(self.api, self._vendor, external_id, lines)

    def follow_acknowledgements(self, tracking_ids: Sequence[str]) -> dict[str, AcknowledgementEnd | None]:
        with readable(self.label):
            return acknowledgements.follow(self.api, tracking_ids)

    @classmethod
    def shortage_patience(cls, settings: Mapping[str, Any]) -> timedelta | None:
        return patience_of(settings)
