"""A platform for tests that need none of a real one's ways: it answers from what the test put into it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar, TypeVar, cast

from channels.connectors.base import (
    Account,
    Address,
    Capabilities,
    Client,
    Connector,
    CredentialField,
    InboundMessage,
    InboundRequest,
    OrderPage,
    PlatformListing,
    PushItem,
    PushResult,
    ShelfNumber,
)
from channels.errors import BadSignature, Unsupported
from channels.events import ChannelEvent, OrderState

T = TypeVar("T")
#: The simple platform answers by itself, without HTTP.
NO_CLIENT = cast(Client, None)


@dataclass
class Book:
    """What the platform will answer: pages by cursor, orders by id; an exception is raised instead."""

    pages: dict[str, OrderPage | Exception] = field(default_factory=dict)
    orders: dict[str, OrderState | Exception | None] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)


class SimpleConnector(Connector):
    """Answers from its book."""

    kind: ClassVar[str] = "simple"
    label: ClassVar[str] = "Simple platform"
    capabilities: ClassVar[Capabilities] = Capabilities(
        push_batch_size=10, poll_interval=timedelta(minutes=5)
    )
    credential_fields: ClassVar[tuple[CredentialField, ...]] = ()
    settings_schema: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, book: Book) -> None:
        super().__init__(Account(channel_id=0, settings={}, credentials={}), NO_CLIENT)
        self.book = book

    def verify(self, request: InboundRequest) -> None:
        raise BadSignature

    def receive(self, request: InboundRequest) -> InboundMessage:
        raise Unsupported

    def parse(self, topic: str, payload: Mapping[str, Any]) -> list[ChannelEvent]:
        raise Unsupported

    def check(self) -> str:
        return "Simple shop"

    def fetch_orders(self, cursor: str) -> OrderPage:
        self.book.calls.append(f"page {cursor}")
        return _answer(self.book.pages[cursor])

    def fetch_order(self, external_id: str) -> OrderState | None:
        self.book.calls.append(f"order {external_id}")
        return _answer(self.book.orders.get(external_id))

    def fetch_listings(self) -> Iterator[PlatformListing]:
        return iter(())

    def fetch_levels(self) -> Iterator[ShelfNumber]:
        return iter(())

    def read_levels(self, addresses: Sequence[Address]) -> list[ShelfNumber]:
        return []

    def push(self, items: Sequence[PushItem], *, call_id: str) -> list[PushResult]:
        raise Unsupported


def _answer(answer: T | Exception) -> T:
    if isinstance(answer, Exception):
        raise answer
    return answer
