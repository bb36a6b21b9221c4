"""The bol connector: one retailer account; offers v11, everything else v10."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar

from channels.connectors.api_connector import ApiConnector, Translators
from channels.connectors.base import (
    CancelEffects,
    CancelOutcome,
    Capabilities,
    Convention,
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
from channels.connectors.bol import events, offers, orders, processes, returns, signatures, subscriptions
from channels.connectors.bol.api import RATE_LIMITS, RetailerApi, read_limits
from channels.connectors.bol.cancelling import cancel_line
from channels.connectors.bol.returns import PlatformReturn


class BolConnector(ApiConnector[RetailerApi]):
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
    translators = Translators(
        api=RetailerApi,
        receive=events.receive,
        parse=events.parse,
        orders=orders.fetch_orders,
        order=orders.fetch_order,
        listings=offers.fetch_listings,
        levels=offers.fetch_levels,
        shelves=offers.read_levels,
    )

    @classmethod
    def read_limits(cls, bucket: str, response: Response) -> LimitReading | None:
        return read_limits(bucket, response)

    # -- inbound
    def verify(self, request: InboundRequest) -> None:
        signatures.verify(self.api, self.account, request)

    # -- reading
    def check(self) -> str:
        account = self.api.read("/retailer/retailers/current", bucket="account").body
        name = account.get("displayName") if isinstance(account, dict) else ""
        return str(name or self.label)

    def fetch_locations(self) -> list[PlatformLocation]:
        """Returns the merchant's own stock, and bol's warehouse, which is somebody else's."""
        own = PlatformLocation(external_id="", name="")
        return [
            own,
            PlatformLocation(offers.FULFILLED_BY_BOL, "bol's warehouse (FBB)", is_foreign=True),
        ]

    def fetch_open_returns(self) -> Iterator[PlatformReturn]:
        """Streams the returns to the merchant that are not handled yet."""
        with self.reading():
            yield from returns.fetch_open_returns(self.api)

    def fetch_return(self, return_id: str) -> PlatformReturn | None:
        """Reads one return; None when bol does not have it (any more)."""
        with self.reading():
            return returns.fetch_return(self.api, return_id)

    # -- writing
    def push(self, items: Sequence[PushItem], *, call_id: str) -> list[PushResult]:
        return offers.push(self.api, items)

    def cancel_line(
        self, order_external_id: str, line_external_id: str, quantity: int, *, call_id: str
    ) -> CancelOutcome:
        with self.reading():
            return cancel_line(self.api, order_external_id, line_external_id, quantity)

    @classmethod
    def cancel_effects(cls, settings: Mapping[str, Any]) -> CancelEffects:
        return CancelEffects(refunds=True, restocks=True, whole_lines=True)

    def is_process_open(self, tracking_id: str) -> bool:
        """Looks after a cancellation that bol had not decided; raises `Rejected` when it failed."""
        with self.reading():
            return processes.is_open(self.api, tracking_id)

    # -- subscriptions
    def register_webhooks(self, callback_url: str) -> dict[str, str]:
        with self.reading():
            return subscriptions.register(self.api, callback_url)

    def audit_webhooks(self, callback_url: str) -> list[SubscriptionProblem]:
        with self.reading():
            return subscriptions.audit(self.api, callback_url, signatures.kept_keys(self.account))
