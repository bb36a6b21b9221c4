"""The surface that every connector offers, and the words it is described in.

A connector translates between a platform and our vocabulary (`channels.events`, the classes below). It holds
no state and touches no table; the `Client` it is given does all HTTP: tokens, limits, deadlines, logging.
"""

import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import Enum
from typing import Any, ClassVar, Protocol

from channels.connectors.warehousing import (
    OrderReport,
    Search,
    StatedGoods,
    WarehouseChanges,
    WarehouseRequest,
)
from channels.errors import Unsupported
from channels.events import ChannelEvent, OrderState


class Convention(Enum):
    """What a platform does with its own open orders when it shows the number we gave it."""

    #: It decremented its number itself at the sale: we publish what is available.
    EXCLUDES_OPEN_ORDERS = "excludes own open orders"
    #: It subtracts its open orders from our number: we publish available + its open units, and 0 at 0.
    INCLUDES_OPEN_ORDERS = "includes own open orders"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a platform can do, as shown by tests and the handbook; the rest raises `Unsupported`."""

    #: Listing levels in one push call; 0 for who is told no numbers.
    push_batch_size: int
    #: How often its orders are polled, from its rate budget and the vendor's guidance.
    poll_interval: timedelta
    convention: Convention = Convention.EXCLUDES_OPEN_ORDERS
    #: A push may name the number it expects to replace.
    compare_and_set: bool = False
    #: Parent products in one push, where a call can only hold listings of one (WooCommerce variations).
    parents_in_push: int | None = None
    #: The platform knows several locations.
    own_locations: bool = False
    order_webhooks: bool = False
    inventory_webhooks: bool = False
    #: We create, check and repair the subscriptions ourselves.
    manages_subscriptions: bool = False
    cancels_lines: bool = False
    #: A push is only accepted at first and has to be followed by `follow_push`.
    asynchronous_push: bool = False
    #: Its messages wait in a queue that we read (`take_messages`); nothing is posted to us.
    message_queue: bool = False
    #: It keeps goods of ours in a warehouse of its own, and says how many (`fetch_warehouse`).
    own_warehouse: bool = False
    #: Its orders wait for our word on what we deliver of them (`acknowledge_order`).
    acknowledges_orders: bool = False
    #: It may have the say over what lies at locations of ours (`fetch_stock`, `fetch_changes`); it is told no numbers.
    keeps_stock: bool = False
    #: It ships what it is asked to (`place_request` and the methods beside it).
    takes_requests: bool = False
    #: So many increases go together by `push_increases`, which is slow; fewer go one by one. None: it has no such call.
    bulk_increases: int | None = None
    #: Largest number the platform takes; None when it states none.
    largest_quantity: int | None = None
    #: Calls at the same time.
    concurrency: int = 4

    @property
    def sends_messages(self) -> bool:
        """Whether the platform tells us anything by itself; the others are only polled."""
        return self.order_webhooks or self.inventory_webhooks or self.message_queue


@dataclass(frozen=True, slots=True)
class CredentialField:
    """One secret a merchant has to enter."""

    name: str
    label: str
    help_text: str = ""
    is_required: bool = True
    #: Characters that it has at least, where people choose it.
    shortest: int = 0


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A limit of a platform, as assumed until its answers say better."""

    #: Calls (or cost points) that may go out at once.
    capacity: float
    refill_per_second: float


@dataclass(frozen=True, slots=True)
class LimitReading:
    """What one answer tells about the limit it was counted against; None where it says nothing."""

    capacity: float | None = None
    refill_per_second: float | None = None
    #: What is left at the platform.
    tokens: float | None = None
    #: What the call really cost.
    cost: float | None = None
    #: Seconds until the platform wants to hear from us again.
    blocked_for: float | None = None


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """An access token as the platform issued it."""

    value: str = field(repr=False)
    #: Seconds it is valid for.
    expires_in: float


@dataclass(frozen=True, slots=True)
class Account:
    """Whose account a connector speaks for: settings as checked, credentials in clear."""

    channel_id: int
    settings: Mapping[str, Any]
    credentials: Mapping[str, Any] = field(repr=False)
    #: Live webhook secrets, newest first; an old one stays for its overlap.
    webhook_secrets: Sequence[str] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class InboundRequest:
    """A webhook call as it arrived."""

    #: Lower-case names.
    headers: Mapping[str, str]
    #: Raw bytes; signatures are computed over these.
    body: bytes = field(repr=False)
    received_at: datetime
    #: Where it is sent to, as we tell platforms: some sign it too. What the caller says of the host does not matter.
    url: str = ""
    #: It was taken from the platform's queue, and not posted to us.
    is_queued: bool = False


@dataclass(frozen=True, slots=True)
class QueuedMessage:
    """A message that waits in a queue until it is acknowledged."""

    body: bytes = field(repr=False)
    #: What acknowledges it.
    receipt: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class InboundMessage:
    """An authentic message, reduced to what may be stored."""

    topic: str
    dedupe_key: str
    #: Allow-listed fields only: no customer data.
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class OrderGlimpse:
    """What a list says of an order: enough to see whether it is as we know it already."""

    external_id: str
    #: Units ordered, cancelled and fulfilled of each line that the list names, by the platform's id; None: it does not say.
    lines: Mapping[str, tuple[int, int | None, int | None]]


@dataclass(frozen=True, slots=True)
class OrderPage:
    """One page of an incremental order feed."""

    orders: tuple[OrderState, ...]
    #: Orders of which only ids are known; they are fetched one by one.
    hints: tuple[str, ...] = ()
    #: Where to go on; stored, and opaque to the engine. Applied only after the page was applied.
    cursor: str = ""
    has_more: bool = False
    #: Orders of which a little is known; those that we know otherwise are fetched.
    glimpses: tuple[OrderGlimpse, ...] = ()


@dataclass(frozen=True, slots=True)
class PlatformLocation:
    """A place as the platform knows it."""

    external_id: str
    name: str
    #: Whether its stock is sold online from there.
    is_sellable: bool = True
    #: A fulfilment service or channel-owned warehouse: somebody else's stock.
    is_foreign: bool = False


@dataclass(frozen=True, slots=True)
class PlatformListing:
    """Something the platform sells."""

    external_id: str
    sku: str
    title: str = ""
    gtin: str = ""
    parent_external_id: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    #: What a person should know: not tracked, sells below zero, duplicate SKU, fulfilled by the channel.
    warnings: tuple[str, ...] = ()
    is_active: bool = True
    #: The number that its shelf showed, where the platform says so in the same answer and has no places of its own.
    shown: int | None = None


@dataclass(frozen=True, slots=True)
class Address:
    """Where a number belongs at the platform."""

    listing_level_id: int
    listing_external_id: str
    parent_external_id: str = ""
    location_external_id: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PushItem:
    """One number to tell."""

    address: Address
    quantity: int
    #: The number it should replace; None: replace whatever is there. Only with `compare_and_set`.
    compare_with: int | None = None
    #: When it was computed: what is sold later is not in it.
    as_of: datetime | None = None


class ItemOutcome(Enum):
    """What the platform made of one item."""

    CONFIRMED = "confirmed"
    #: Taken in, not live yet; `tracking_id` leads to its end.
    ACCEPTED = "accepted"
    #: Another number stood there than `compare_with`.
    STALE = "stale"
    #: Refused for good, with a reason.
    REJECTED = "rejected"
    #: Worth trying again.
    RETRY = "retry"
    #: Nothing was tried: the calls before it used up the limit, or failed. It stays due as it was.
    NOT_SENT = "not_sent"
    #: It may have been applied.
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class PushResult:
    """The outcome of one item."""

    listing_level_id: int
    outcome: ItemOutcome
    reason: str = ""
    tracking_id: str = ""


@dataclass(frozen=True, slots=True)
class AcceptedPush:
    """A number that the platform took in and that is not known to be live yet."""

    tracking_id: str
    address: Address
    quantity: int
    sent_at: datetime
    #: Units that the channel sold of this listing since, by the orders that have come.
    sold_since: int = 0


@dataclass(frozen=True, slots=True)
class WarehouseCount:
    """Units of ours in a platform's own warehouse: free ones, and those held for orders that it will ship."""

    listing_external_id: str
    sku: str
    location_external_id: str
    quantity: int


@dataclass(frozen=True, slots=True)
class ShelfNumber:
    """What a shelf shows, read from the platform; `quantity` None when it does not track or know it."""

    listing_external_id: str
    location_external_id: str
    quantity: int | None
    observed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SubscriptionProblem:
    """Something wrong with a webhook subscription, and what mends it."""

    topic: str
    problem: str
    remedy: str


@dataclass(frozen=True, slots=True)
class CancelEffects:
    """What cancelling a line at the platform will do, as far as it is known before."""

    #: The platform pays the customer back.
    refunds: bool = False
    #: The platform puts the units on its own number again.
    restocks: bool = False
    #: All open units of a line are cancelled together, or none.
    whole_lines: bool = False


@dataclass(frozen=True, slots=True)
class CancelOutcome:
    """What cancelling a line at the platform did."""

    cancelled: int
    refunds: bool
    restocks: bool
    tracking_id: str = ""


@dataclass(frozen=True, slots=True)
class PromisedLine:
    """What we can deliver of one line of an order that waits for our word; all counts in units."""

    external_id: str
    listing_external_id: str
    sku: str
    #: Units still to be delivered, as the order was when the others were counted.
    wanted: int
    #: Of these, units that are held for it.
    held: int
    #: Of these, units promised out of what is to come, and the day for which all of them are confirmed.
    backordered: int = 0
    expected_on: date | None = None
    #: Whether anybody knows what is meant.
    is_known: bool = True
    #: Whether it is still sold.
    is_sold: bool = True

    @property
    def is_short(self) -> bool:
        """Whether units are wanted that are not held."""
        return self.held < self.wanted


@dataclass(frozen=True, slots=True)
class AcknowledgedLine:
    """What the platform was told of one line; all counts in units."""

    external_id: str
    accepted: int
    backordered: int = 0
    rejected: int = 0
    #: Why units are rejected, in the platform's words.
    reason: str = ""


class AcknowledgementStep(Enum):
    """What became of telling a platform what we deliver of an order."""

    #: Taken in, not in force yet; `tracking_id` leads to its end.
    SENT = "sent"
    #: The platform waits for our word no more, or does not have the order: nothing was sent.
    NOT_AWAITED = "not awaited"
    #: The order is not as it was when the units were counted: nothing was sent.
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The outcome of telling a platform what we deliver of an order."""

    step: AcknowledgementStep
    tracking_id: str = ""
    lines: tuple[AcknowledgedLine, ...] = ()


@dataclass(frozen=True, slots=True)
class AcknowledgementEnd:
    """How an acknowledgement ended that was taken in."""

    is_in_force: bool
    reason: str = ""


class Client(Protocol):
    """The HTTP of one channel: `channels.transport.HttpClient`, with limits, deadline and logging."""

    def request(
        self,
        method: str,
        url: str,
        *,
        bucket: str,
        cost: float = 1.0,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        json: Any = None,
        data: bytes | Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        writes: bool | None = None,
    ) -> "Response":
        """Sends one call and returns its answer, whatever the status, unless it is one that is raised.

        `writes` says whether it can change something; None: all but GET and HEAD can. Raises `Throttled`,
        `TransientError`, `OutcomeUnknown` (of a write), `Misconfigured`.
        """

    def download(
        self, url: str, *, bucket: str, seconds: float, largest: int
    ) -> AbstractContextManager[Iterable[bytes]]:
        """Fetches a file that needs no credentials to disk, and hands out its lines; it is gone at the end.

        `largest` is how many bytes it may have. Raises what `request` raises.
        """

    def token(self, issue: Callable[[], IssuedToken], *, rejected: str = "") -> str:
        """Returns the account's access token, shared by all processes; `issue` asks for a new one.

        `rejected` is a token that the platform just refused: it is replaced once, whoever asks first.
        """

    def budget(self, seconds: float) -> AbstractContextManager[None]:
        """Has all calls inside share one total deadline, on top of each one's own."""


class Response(Protocol):
    """An answer of a platform."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def body(self) -> bytes:
        """The body as it came."""

    def json(self) -> Any:
        """The body as JSON; raises `TransientError` when it is something else (HTML, nothing)."""


class Connector(ABC):
    """One platform, spoken to for one account."""

    kind: ClassVar[str]
    label: ClassVar[str]
    capabilities: ClassVar[Capabilities]
    credential_fields: ClassVar[tuple[CredentialField, ...]]
    #: Settings keys with their defaults; `...` marks a required one.
    settings_schema: ClassVar[Mapping[str, Any]]
    #: What a person should know to fill settings in.
    settings_help: ClassVar[Mapping[str, str]] = {}
    #: The platform's limits by bucket name; every call names one of them.
    rate_limits: ClassVar[Mapping[str, RateLimit]]
    #: Which credential the platform signs its webhooks with.
    signed_with: ClassVar[str] = "webhook_secret"
    #: We choose the secret that the platform signs with (`new_webhook_secret`).
    chooses_webhook_secret: ClassVar[bool] = False

    def __init__(self, account: Account, client: Client) -> None:
        self.account = account
        self.client = client

    @classmethod
    def read_limits(cls, bucket: str, response: Response) -> LimitReading | None:
        """Returns what an answer tells about the platform's limits; None when nothing."""
        return None

    @classmethod
    def new_webhook_secret(cls) -> str:
        """Returns a secret to sign with, where we choose it: letters, digits, - and _, which every platform takes."""
        return secrets.token_urlsafe(32)

    # -- inbound: no HTTP, except for keys that are fetched once and kept
    @abstractmethod
    def verify(self, request: InboundRequest) -> None:
        """Checks that the message is authentic. Raises `BadSignature`."""

    @abstractmethod
    def receive(self, request: InboundRequest) -> InboundMessage:
        """Reads and reduces a verified message. Raises `BadMessage`."""

    @abstractmethod
    def parse(self, topic: str, payload: Mapping[str, Any]) -> list[ChannelEvent]:
        """Translates a reduced message; what it does not know becomes `UnknownEvent`."""

    # -- reading
    @abstractmethod
    def check(self) -> str:
        """Asks the platform who we are; returns the shop's own name. Raises `Unauthorised`."""

    @abstractmethod
    def fetch_orders(self, cursor: str) -> OrderPage:
        """Reads the next page of changed orders; an empty cursor starts now, less the overlap."""

    @abstractmethod
    def fetch_order(self, external_id: str) -> OrderState | None:
        """Reads one order in full; None when the platform has no such order (any more)."""

    @abstractmethod
    def fetch_listings(self) -> Iterator[PlatformListing]:
        """Streams everything the account sells."""

    @abstractmethod
    def fetch_levels(self) -> Iterator[ShelfNumber]:
        """Streams the numbers of all shelves."""

    @abstractmethod
    def read_levels(self, addresses: Sequence[Address]) -> list[ShelfNumber]:
        """Reads the numbers of these shelves, at most `push_batch_size`."""

    def fetch_locations(self) -> list[PlatformLocation]:
        """Reads the platform's places; one nameless place where it has none."""
        return [PlatformLocation(external_id="", name="")]

    def fetch_warehouse(self, since: datetime | None) -> Iterator[WarehouseCount]:
        """Streams what the platform's own warehouse holds: all of it, or what changed `since`."""
        raise Unsupported

    # -- warehouses and ERPs (`channels.connectors.keeper`)
    def fetch_stock(self, goods: Sequence[str]) -> list[StatedGoods]:
        """Reads what lies there of these goods, at most 100; those that are gone are missing in the answer."""
        raise Unsupported

    def fetch_changes(self, cursor: str) -> WarehouseChanges:
        """Reads what happened since the cursor; an empty one begins now."""
        raise Unsupported

    def place_request(self, request: WarehouseRequest) -> OrderReport:
        """Writes an order down at the warehouse, as a draft. It may be there although the call failed: `find_requests`."""
        raise Unsupported

    def confirm_request(self, external_id: str) -> None:
        """Makes a draft binding: its goods are reserved there from then on. Repeating it is harmless."""
        raise Unsupported

    def find_requests(self, search: Search) -> list[OrderReport]:
        """Reads the orders that we made under such references."""
        raise Unsupported

    def fetch_request(self, external_id: str) -> OrderReport | None:
        """Reads an order; None when the warehouse has no such order."""
        raise Unsupported

    def cancel_request(self, external_id: str) -> bool:
        """Takes an order back; False when it is too late. Repeating it is harmless."""
        raise Unsupported

    # -- messages in a queue
    def take_messages(self, *, seconds: float) -> list[QueuedMessage]:
        """Takes messages that wait, after at most so many seconds; those not acknowledged come again.

        Raises `Unsupported` where the channel has no queue.
        """
        raise Unsupported

    def acknowledge(self, receipts: Sequence[str]) -> None:
        """Has messages not come again: what they say is stored."""
        raise Unsupported

    # -- writing
    @abstractmethod
    def push(self, items: Sequence[PushItem], *, call_id: str) -> list[PushResult]:
        """Tells the platform these numbers; one result an item. The same `call_id` is the same intent."""

    def push_increases(self, items: Sequence[PushItem], *, call_id: str) -> list[PushResult]:
        """Tells the platform many larger numbers in one call that may take long; one result an item."""
        raise Unsupported

    def follow_push(self, pushes: Sequence[AcceptedPush]) -> dict[str, PushResult | None]:
        """Asks what became of accepted pushes, by tracking id; None while still open."""
        raise Unsupported

    def cancel_line(
        self, order_external_id: str, line_external_id: str, quantity: int, *, call_id: str
    ) -> CancelOutcome:
        """Cancels units of a line for want of stock."""
        raise Unsupported

    @classmethod
    def cancel_effects(cls, settings: Mapping[str, Any]) -> CancelEffects:
        """Returns what cancelling a line does under these settings of a channel."""
        return CancelEffects()

    def is_process_open(self, tracking_id: str) -> bool:
        """Returns whether the platform has yet to decide on a cancellation. Raises `Rejected` when it refused."""
        return False

    # -- our word on orders
    def acknowledge_order(self, external_id: str, lines: Sequence[PromisedLine]) -> Acknowledged:
        """Tells the platform what we deliver of an order, after a look at whether it still waits to hear that.

        Said again, it is the same word: an outcome that is not known is settled by saying it once more.
        """
        raise Unsupported

    def follow_acknowledgements(self, tracking_ids: Sequence[str]) -> dict[str, AcknowledgementEnd | None]:
        """Asks what became of acknowledgements, by tracking id; None while still open."""
        raise Unsupported

    @classmethod
    def shortage_patience(cls, settings: Mapping[str, Any]) -> timedelta | None:
        """Returns how long an order that we cannot deliver in full waits for goods or people; None: until people decide."""
        return timedelta(0)

    # -- subscriptions
    def register_webhooks(self, callback_url: str) -> dict[str, str]:
        """Creates what is missing; returns credentials to keep (a new webhook secret), if any."""
        raise Unsupported

    def audit_webhooks(self, callback_url: str) -> list[SubscriptionProblem]:
        """Compares the subscriptions with what we need; empty when all is well."""
        raise Unsupported
