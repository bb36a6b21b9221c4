"""The Picqer connector: a warehouse that counts, picks and ships."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar

from channels.connectors.answers import readable
from channels.connectors.base import (
    Account,
    Capabilities,
    Client,
    CredentialField,
    InboundMessage,
    InboundRequest,
    LimitReading,
    PlatformListing,
    PlatformLocation,
    RateLimit,
    Response,
    SubscriptionProblem,
)
from channels.connectors.keeper import KeeperConnector
from channels.connectors.picqer import changes, hooks, orders, products, webhooks
from channels.connectors.picqer.api import BUCKET, CALLS_A_MINUTE, PicqerApi, limit_of, read_limits
from channels.connectors.warehousing import (
    OrderReport,
    Search,
    StatedGoods,
    WarehouseChanges,
    WarehouseRequest,
)
from channels.events import ChannelEvent


class PicqerConnector(KeeperConnector):
    """A Picqer account: its free stock counts, and what we ask for it ships."""

    kind = "picqer"
    label = "Picqer"
    capabilities: ClassVar[Capabilities] = Capabilities(
        push_batch_size=0,
        poll_interval=timedelta(minutes=1),
        own_locations=True,
        inventory_webhooks=True,
        manages_subscriptions=True,
        keeps_stock=True,
        takes_requests=True,
        concurrency=2,
    )
    credential_fields = (
        CredentialField("api_key", "API key", "Settings → API, one for OneCount alone."),
        CredentialField("webhook_secret", "Webhook secret", "Made by OneCount.", is_required=False),
    )
    settings_schema: ClassVar[Mapping[str, Any]] = {
        #: `https://<account>.picqer.com`.
        "base_url": ...,
        #: Whom Picqer may write to about our calls: it wants an address with each.
        "contact": "",
        #: The zone of Picqer's times.
        "time_zone": "Europe/Amsterdam",
        #: For orders of which the platform tells no country.
        "default_country": "NL",
    }
    rate_limits: ClassVar[Mapping[str, RateLimit]] = {BUCKET: limit_of(CALLS_A_MINUTE)}
    chooses_webhook_secret: ClassVar[bool] = True

    def __init__(self, account: Account, client: Client) -> None:
        super().__init__(account, client)
        self.api = PicqerApi(account, client)

    @classmethod
    def read_limits(cls, bucket: str, response: Response) -> LimitReading | None:
        return read_limits(response)

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
            names = [place.name for place in products.fetch_warehouses(self.api)]
            return f"{self.label} ({', '.join(names) or 'no warehouse'})"

    def fetch_locations(self) -> list[PlatformLocation]:
        with readable(self.label):
            return products.fetch_warehouses(self.api)

    def fetch_listings(self) -> Iterator[PlatformListing]:
        with readable(self.label):
            yield from products.fetch_listings(self.api)

    def fetch_stock(self, goods: Sequence[str]) -> list[StatedGoods]:
        with readable(self.label):
            return products.fetch_stock(self.api, goods)

    def fetch_changes(self, cursor: str) -> WarehouseChanges:
        with readable(self.label):
            return changes.fetch_changes(self.api, cursor)

    # -- requests
    def place_request(self, request: WarehouseRequest) -> OrderReport:
        with readable(self.label):
            return orders.place(self.api, request, country=str(self.account.settings["default_country"]))

    def confirm_request(self, external_id: str) -> None:
        with readable(self.label):
            orders.confirm(self.api, external_id)

    def find_requests(self, search: Search) -> list[OrderReport]:
        with readable(self.label):
            return orders.find(self.api, search)

    def fetch_request(self, external_id: str) -> OrderReport | None:
        with readable(self.label):
            return orders.fetch(self.api, external_id)

    def cancel_request(self, external_id: str) -> bool:
        with readable(self.label):
            return orders.cancel(self.api, external_id)

    # -- subscriptions
    def register_webhooks(self, callback_url: str) -> dict[str, str]:
        with readable(self.label):
            hooks.register(self.api, callback_url, self.account.webhook_secrets)
        return {}

    def audit_webhooks(self, callback_url: str) -> list[SubscriptionProblem]:
        with readable(self.label):
            return hooks.audit(self.api, callback_url, has_secret=bool(self.account.webhook_secrets))
