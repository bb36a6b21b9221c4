"""The bol connector: one retailer account; offers v11, everything else v10."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar

from channels.connectors.answers import readable
from channels.connectors.base import (
    Account,
    Address,
    CancelEffects,
    CancelOutcome,
    Capabilities,
    Client,
    Connector,
    Convention,
    CredentialField,
    InboundMessage,
    InboundRequest,
    LimitReading,
    OrderPage,
    PlatformListing,
    PlatformLocation,
    PushItem,
    PushResult,
    RateLimit,
    Response,
    ShelfNumber,
    SubscriptionProblem,
)
from channels.connectors.bol import events, offers, orders, processes, returns, signatures, subscriptions
from channels.connectors.bol.api import RATE_LIMITS, RetailerApi, read_limits
from channels.connectors.bol.cancelling import cancel_line
from channels.connectors.bol.returns import PlatformReturn
from channels.events import ChannelEvent, OrderState


class BolConnector(Connector):
    """A bol retailer account. bol subtracts its open orders from the number it was given."""

    kind = "bol"
    label = "bol"
    capabilities: ClassVar[Capabilities] = Capabilities(
        # One offer a call: a push is a few calls in a row, and several pushes run at once.
        push_batch_size=4,
        # bol's own example: an interval of two minutes, polled every minute.
        poll_interval=timedelta(minutes=1),
        convention=Convention.INCLUDES_OPEN_ORDERS,
        # Its own warehouse (FBB) is a place beside the merchant's.
        own_locations=True,
        order_webhooks=True,
        manages_subscriptions=True,
        cancels_lines=True,
        largest_quantity=offers.LARGEST_QUANTITY,
        concurrency=6,
    )
    credential_fields = (
        CredentialField("client_id", "Client id", "Seller dashboard → Settings → Services → API settings."),
        CredentialField("client_secret", "Client secret"),
    )
    settings_schema: ClassVar[Mapping[str, Any]] = {
        "base_url": "https://api.bol.com",
        "login_url": "https://login.bol.com",
    }
    rate_limits: ClassVar[Mapping[str, RateLimit]] = RATE_LIMITS
    #: Signed with bol's own keys: no secret is shared.
    signed_with: ClassVar[str] = ""

    def __init__(self, account: Account, client: Client) -> None:
        super().__init__(account, client)
        self._api = RetailerApi(account, client)

    @classmethod
    def read_limits(cls, bucket: str, response: Response) -> LimitReading | None:
        return read_limits(bucket, response)

    # -- inbound
    def verify(self, request: InboundRequest) -> None:
        signatures.verify(self._api, self.account, request)

    def receive(self, request: InboundRequest) -> InboundMessage:
        return events.receive(request)

    def parse(self, topic: str, payload: Mapping[str, Any]) -> list[ChannelEvent]:
        return events.parse(topic, payload)

    # -- reading
    def check(self) -> str:
        account = self._api.read("/retailer/retailers/current", bucket="account").body
        name = account.get("displayName") if isinstance(account, dict) else ""
        return str(name or self.label)

    def fetch_orders(self, cursor: str) -> OrderPage:
        with readable(self.label):
            return orders.fetch_orders(self._api, cursor)

    def fetch_order(self, external_id: str) -> OrderState | None:
        return orders.fetch_order(self._api, external_id)

    def fetch_locations(self) -> list[PlatformLocation]:
        """Returns the merchant's own stock, and bol's warehouse, which is somebody else's."""
        own = PlatformLocation(external_id="", name="")
        return [
            own,
            PlatformLocation(offers.FULFILLED_BY_BOL, "bol's warehouse (FBB)", is_foreign=True),
        ]

    def fetch_listings(self) -> Iterator[PlatformListing]:
        with readable(self.label):
            yield from offers.fetch_listings(self._api)

    def fetch_levels(self) -> Iterator[ShelfNumber]:
        with readable(self.label):
            yield from offers.fetch_levels(self._api)

    def read_levels(self, addresses: Sequence[Address]) -> list[ShelfNumber]:
        with readable(self.label):
            return offers.read_levels(self._api, addresses)

    def fetch_open_returns(self) -> Iterator[PlatformReturn]:
        """Streams the returns to the merchant that are not handled yet."""
        with readable(self.label):
            yield from returns.fetch_open_returns(self._api)

    def fetch_return(self, return_id: str) -> PlatformReturn | None:
        """Reads one return; None when bol does not have it (any more)."""
        with readable(self.label):
            return returns.fetch_return(self._api, return_id)

    # -- writing
    def push(self, items: Sequence[PushItem], *, call_id: str) -> list[PushResult]:
        return offers.push(self._api, items)

    def cancel_line(
        self, order_external_id: str, line_external_id: str, quantity: int, *, call_id: str
    ) -> CancelOutcome:
        with readable(self.label):
            return cancel_line(self._api, order_external_id, line_external_id, quantity)

    @classmethod
    def cancel_effects(cls, settings: Mapping[str, Any]) -> CancelEffects:
        return CancelEffects(refunds=True, restocks=True, whole_lines=True)

    def is_process_open(self, tracking_id: str) -> bool:
        """Looks after a cancellation that bol had not decided; raises `Rejected` when it failed."""
        with readable(self.label):
            return processes.is_open(self._api, tracking_id)

    # -- subscriptions
    def register_webhooks(self, callback_url: str) -> dict[str, str]:
        with readable(self.label):
            return subscriptions.register(self._api, callback_url)

    def audit_webhooks(self, callback_url: str) -> list[SubscriptionProblem]:
        with readable(self.label):
            return subscriptions.audit(self._api, callback_url, signatures.kept_keys(self.account))
