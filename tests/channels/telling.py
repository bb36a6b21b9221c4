"""A platform that can be told numbers, for tests of the engine: its shelves are a dict, and it fails on demand."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import count
from typing import Any, ClassVar, cast

import pytest

from channels import leases, sending
from channels.connectors import CONNECTORS
from channels.connectors.base import (
    AcceptedPush,
    Account,
    Address,
    Capabilities,
    Client,
    Connector,
    Convention,
    ItemOutcome,
    OrderPage,
    PushItem,
    PushResult,
    ShelfNumber,
)
from channels.desks import Done
from channels.leases import Lease, Turns
from channels.models import Channel, Listing, ListingLevel, Push
from tests.channels.shop import Shop
from tests.channels.simple_platform import Book, SimpleConnector

Key = tuple[str, str]
#: What a test has the platform do with an item instead of taking it in.
Reaction = Callable[[PushItem], PushResult | None]


@dataclass
class Shelves:
    """The shop behind the connector."""

    numbers: dict[Key, int] = field(default_factory=dict)
    calls: list[list[PushItem]] = field(default_factory=list)
    reads: list[list[Address]] = field(default_factory=list)
    #: Asked before each call, which it may have raise.
    before_call: Callable[[Sequence[PushItem]], None] = lambda items: None
    #: Asked after the numbers are in place: what it raises leaves them there.
    after_call: Callable[[Sequence[PushItem]], None] = lambda items: None
    reaction: Reaction = lambda item: None
    #: How many items each bulk call held.
    bulks: list[int] = field(default_factory=list)
    #: Everything that was asked after.
    followed: list[AcceptedPush] = field(default_factory=list)
    #: Accepted numbers that are not live yet, by tracking id.
    accepted: dict[str, PushItem] = field(default_factory=dict)
    _serial: Iterator[int] = field(default_factory=lambda: count(1))

    def sell(self, listing: Listing, units: int = 1, place: str = "") -> None:
        """A customer buys: the shop takes the units off its own number."""
        self.numbers[listing.external_id, place] -= units

    def number(self, listing: Listing, place: str = "") -> int | None:
        """Returns what the shop shows."""
        return self.numbers.get((listing.external_id, place))

    @property
    def told(self) -> list[tuple[str, int, int | None]]:
        """Everything that was sent: listing, number, what it was compared with."""
        return [(i.address.listing_external_id, i.quantity, i.compare_with) for c in self.calls for i in c]


class NoHttp:
    """The client of a platform that needs no HTTP."""

    @contextmanager
    def budget(self, seconds: float) -> Iterator[None]:
        yield


class TellingConnector(SimpleConnector):
    """Takes numbers into the shelves of the running test."""

    kind: ClassVar[str] = "telling"
    capabilities: ClassVar[Capabilities] = Capabilities(push_batch_size=10, poll_interval=timedelta(hours=1))
    shelves: ClassVar[Shelves]
    rate_limits: ClassVar[dict[str, Any]] = {}

    def __init__(self, account: Account, client: Client) -> None:
        super().__init__(Book())
        self.account = account
        self.client = cast(Client, NoHttp())

    def fetch_orders(self, cursor: str) -> OrderPage:
        return OrderPage(())

    def fetch_levels(self) -> Iterator[ShelfNumber]:
        for (listing, place), number in list(self.shelves.numbers.items()):
            yield ShelfNumber(listing, place, number)

    def read_levels(self, addresses: Sequence[Address]) -> list[ShelfNumber]:
        self.shelves.reads.append(list(addresses))
        return [ShelfNumber(*_key(address), self.shelves.numbers.get(_key(address))) for address in addresses]

    def push(self, items: Sequence[PushItem], *, call_id: str) -> list[PushResult]:
        self.shelves.calls.append(list(items))
        self.shelves.before_call(items)
        results = [self._take(item) for item in items]
        self.shelves.after_call(items)
        return results

    def _take(self, item: PushItem) -> PushResult:
        level_id, key = item.address.listing_level_id, _key(item.address)
        reaction = self.shelves.reaction(item)
        if reaction is not None:
            return reaction
        if item.compare_with is not None and self.shelves.numbers.get(key) != item.compare_with:
            return PushResult(level_id, ItemOutcome.STALE, "Another number stood there.")
        if self.capabilities.asynchronous_push:
            tracking_id = f"process-{next(self.shelves._serial)}"
            self.shelves.accepted[tracking_id] = item
            return PushResult(level_id, ItemOutcome.ACCEPTED, tracking_id=tracking_id)
        self.shelves.numbers[key] = item.quantity
        return PushResult(level_id, ItemOutcome.CONFIRMED)

    def push_increases(self, items: Sequence[PushItem], *, call_id: str) -> list[PushResult]:
        self.shelves.bulks.append(len(items))
        return self.push(items, call_id=call_id)

    def follow_push(self, pushes: Sequence[AcceptedPush]) -> dict[str, PushResult | None]:
        self.shelves.followed += pushes
        return {each.tracking_id: self._end_of(each.tracking_id) for each in pushes}

    def _end_of(self, tracking_id: str) -> PushResult | None:
        item = self.shelves.accepted.get(tracking_id)
        if item is None or self.shelves.numbers.get(_key(item.address)) != item.quantity:
            return None
        return PushResult(item.address.listing_level_id, ItemOutcome.CONFIRMED)


def _key(address: Address) -> Key:
    return address.listing_external_id, address.location_external_id


def use_platform(monkeypatch: pytest.MonkeyPatch, **capabilities: Any) -> Shelves:
    """Registers the platform under the kind `telling` for this test, and returns its shelves."""
    shelves = Shelves()
    able = replace(TellingConnector.capabilities, **capabilities)
    members: dict[str, Any] = {"capabilities": able, "shelves": shelves}
    connector = cast(type[Connector], type("TellingHere", (TellingConnector,), members))
    monkeypatch.setitem(cast(dict[str, type[Connector]], CONNECTORS), "telling", connector)
    return shelves


CAS: dict[str, Any] = {"compare_and_set": True}
INCLUDING: dict[str, Any] = {"convention": Convention.INCLUDES_OPEN_ORDERS}


def tell(shop: Shop, channel: Channel | None = None) -> Done:
    """Sends one batch of what is due."""
    return sending.push_batch((channel or shop.channel).pk, Turns())


def tell_all(shop: Shop, *, rounds: int = 20) -> None:
    """Sends until nothing is left that may be sent now."""
    for _ in range(rounds):
        if not tell(shop).count:
            return
    raise AssertionError("there is always more to tell")


def take_lease(channel: Channel, *, size: int = 10, **options: Any) -> Lease:
    """Leases what is due, of which there has to be something."""
    found = leases.lease(channel.pk, size=size, **options)
    assert found is not None
    return found


def fresh(level: ListingLevel) -> ListingLevel:
    """Reads a listing level again."""
    return ListingLevel.objects.get(pk=level.pk)


def outcomes(level: ListingLevel) -> list[str]:
    """Returns the outcomes of a level's pushes, oldest first."""
    return list(Push.objects.filter(listing_level=level).order_by("id").values_list("outcome", flat=True))
