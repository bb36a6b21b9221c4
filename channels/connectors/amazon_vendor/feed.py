"""The feed of a vendor's orders: searches that one poll makes one after the other, and where it is among them.

Retail orders are searched by when they were placed and by when they changed, their statuses by when those changed. Orders of
direct fulfilment can only be searched by when they were placed: what was cancelled or shipped since is found by looking at
all of the last day anew once a minute, and at all of the last two weeks once an hour.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from channels.connectors.amazon.client import SellingPartnerApi
from channels.connectors.amazon_vendor import direct, retail
from channels.connectors.amazon_vendor.account import VendorAccount
from channels.connectors.amazon_vendor.identities import DIRECT, RETAIL, order_id
from channels.connectors.base import OrderGlimpse, OrderPage
from channels.connectors.messages import read_id, read_objects, read_part, read_text
from channels.errors import BadMessage, Rejected
from channels.events import OrderState

#: How far the first poll of an account looks back.
FIRST_REACH: Final = timedelta(minutes=10)
#: Changes this long before the last poll may have been missed by it.
OVERLAP: Final = timedelta(minutes=5)
#: How old orders of direct fulfilment are that are looked at anew, and how often that is done.
RECENT: Final = timedelta(days=1)
RECENT_EVERY: Final = timedelta(minutes=1)
LONG_AGO: Final = timedelta(days=14)
LONG_AGO_EVERY: Final = timedelta(hours=1)
#: No search covers more at once.
WINDOW: Final = timedelta(days=7)
PAGE_SIZE: Final = 100


@dataclass(frozen=True, slots=True)
class Search:
    """One search of a poll, in one window of time."""

    path: str
    bucket: str
    read: Callable[[Mapping[str, Any], VendorAccount], "_Found"]
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Feed:
    """The cursor: what changed up to `since` is known; `until`, `step` and `token` belong to a poll under way."""

    since: datetime
    #: When orders of direct fulfilment were looked at anew, recent ones and those of long ago.
    recent_at: datetime
    long_ago_at: datetime
    until: datetime | None = None
    step: int = 0
    token: str = ""

    @classmethod
    def load(cls, cursor: str) -> "Feed":
        """Reads a cursor; an empty one starts a little before now."""
        if not cursor:
            now = datetime.now(UTC)
            return cls(now - FIRST_REACH + OVERLAP, now - RECENT_EVERY, now)
        kept = json.loads(cursor)
        since, recent_at, long_ago_at = (
            datetime.fromisoformat(kept[name]) for name in ("since", "recent_at", "long_ago_at")
        )
        until = datetime.fromisoformat(kept["until"]) if kept["until"] else None
        return cls(since, recent_at, long_ago_at, until, kept["step"], kept["token"])

    def dump(self) -> str:
        """Returns the cursor to store."""
        kept = asdict(self)
        return json.dumps({n: v.isoformat() if isinstance(v, datetime) else v for n, v in kept.items()})

    def begun(self) -> "Feed":
        """Returns the cursor of a poll under way: this one's, or of one that begins now."""
        return self if self.until else replace(self, until=datetime.now(UTC), step=0, token="")

    @property
    def reach(self) -> timedelta | None:
        """How far back the poll looks at orders of direct fulfilment anew; None: it does not."""
        until = self.until or self.since
        if until - self.long_ago_at >= LONG_AGO_EVERY:
            return LONG_AGO
        return RECENT if until - self.recent_at >= RECENT_EVERY else None

    def behind(self, token: str, *, steps: int) -> "Feed":
        """Returns the cursor behind a page: on its next page, in the next search, or behind the whole poll."""
        if token and token != self.token:
            return replace(self, token=token)
        if self.step + 1 < steps:
            return replace(self, step=self.step + 1, token="")
        until = self.until or self.since
        return Feed(
            max(until, self.since),
            until if self.reach else self.recent_at,
            until if self.reach == LONG_AGO else self.long_ago_at,
        )


@dataclass(frozen=True, slots=True)
class _Found:
    """What one order of a page comes to: a state, or what leads to it; neither for what is not this channel's."""

    state: OrderState | None = None
    hint: str = ""
    glimpse: OrderGlimpse | None = None


def fetch_orders(api: SellingPartnerApi, account: VendorAccount, cursor: str) -> OrderPage:
    """Reads the next page of the search under way."""
    feed = Feed.load(cursor).begun()
    searches = list(searches_of(feed, account))
    if not searches:
        # The clock was put back: nothing can have changed since.
        return OrderPage((), (), feed.behind("", steps=0).dump())
    search = searches[min(feed.step, len(searches) - 1)]
    try:
        body = api.read(search.path, _page(search, feed), bucket=search.bucket)
    except Rejected:
        if not feed.token:
            raise
        # The token has ended meanwhile: the search begins anew.
        return OrderPage((), (), replace(feed, token="").dump(), has_more=True)
    content = read_part(body, "payload") or body
    orders = [*read_objects(content, "orders"), *read_objects(content, "ordersStatus")]
    found = [search.read(order, account) for order in orders]
    behind = feed.behind(read_text(read_part(content, "pagination"), "nextToken"), steps=len(searches))
    return OrderPage(
        tuple(each.state for each in found if each.state),
        tuple(each.hint for each in found if each.hint),
        behind.dump(),
        has_more=behind.until is not None,
        glimpses=tuple(each.glimpse for each in found if each.glimpse),
    )


def _page(search: Search, feed: Feed) -> dict[str, str]:
    parameters = {**search.parameters, "limit": str(PAGE_SIZE)}
    return {**parameters, "nextToken": feed.token} if feed.token else parameters


# -- which searches there are


def searches_of(feed: Feed, account: VendorAccount) -> Iterator[Search]:
    """Yields the searches of the poll under way, always the same for the same cursor and account."""
    until = feed.until or feed.since
    since = feed.since - OVERLAP
    if account.takes_retail_orders:
        yield from _retail_searches(since, until, account)
    if account.warehouses:
        yield from _direct_searches(since, until, direct.NEW)
        if feed.reach:
            for status in (direct.CANCELLED, direct.SHIPPED):
                yield from _direct_searches(min(until - feed.reach, since), until, status)


def _retail_searches(since: datetime, until: datetime, account: VendorAccount) -> Iterator[Search]:
    ours = {"orderingVendorCode": account.vendor_code}
    for start, end in _windows(since, until):
        for by in ("created", "changed"):
            window = {f"{by}After": _utc(start), f"{by}Before": _utc(end)}
            yield Search(retail.ORDERS, retail.READ_ORDERS, _read_retail, ours | window)
        window = {"updatedAfter": _utc(start), "updatedBefore": _utc(end)}
        yield Search(retail.STATUSES, retail.READ_STATUSES, _read_status, ours | window)


def _direct_searches(since: datetime, until: datetime, status: str) -> Iterator[Search]:
    for start, end in _windows(since, until):
        window = {"createdAfter": _utc(start), "createdBefore": _utc(end), "status": status}
        yield Search(direct.ORDERS, direct.READ_ORDERS, _read_direct, {**window, "includeDetails": "true"})


def _windows(since: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
    start = since
    while start < until:
        end = min(start + WINDOW, until)
        yield start, end
        start = end


def _utc(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# -- what is read; an order that cannot be read is fetched: that says what is wrong with it, and holds up no other


def _read_retail(order: Mapping[str, Any], account: VendorAccount) -> _Found:
    try:
        if retail.is_new(order):
            return _Found(state=retail.order_state(order, {}, account))
        # What became of it stands in its status; that it is ordered otherwise is seen here.
        return _Found(glimpse=retail.ordered(order))
    except BadMessage:
        return _Found(hint=order_id(RETAIL, read_id(order, "purchaseOrderNumber")))


def _read_status(status: Mapping[str, Any], account: VendorAccount) -> _Found:
    try:
        return _Found(glimpse=retail.glimpse(status))
    except BadMessage:
        return _Found(hint=order_id(RETAIL, read_id(status, "purchaseOrderNumber")))


def _read_direct(order: Mapping[str, Any], account: VendorAccount) -> _Found:
    if not direct.is_ours(order, account):
        return _Found()
    try:
        return _Found(state=direct.order_state(order, account))
    except BadMessage:
        return _Found(hint=order_id(DIRECT, read_id(order, "purchaseOrderNumber")))
