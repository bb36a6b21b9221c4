"""What connectors to a platform's API share: a table says which function translates what, the base does the rest.

Such a connector declares itself, names its translators, and writes only what differs from platform to platform: how a
message is authentic, who the account is, and what the platform is told.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from channels.connectors.answers import readable
from channels.connectors.base import (
    Account,
    Address,
    Client,
    Connector,
    InboundMessage,
    InboundRequest,
    OrderPage,
    PlatformListing,
    ShelfNumber,
)
from channels.events import ChannelEvent, OrderState

A = TypeVar("A")


@dataclass(frozen=True, slots=True)
class Translators(Generic[A]):
    """The functions that speak one platform's language; all but the first three get the API of the account."""

    #: Makes the API of an account, which knows addresses, tokens and errors.
    api: Callable[[Account, Client], A]
    receive: Callable[[InboundRequest], InboundMessage]
    parse: Callable[[str, Mapping[str, Any]], list[ChannelEvent]]
    #: The next page of changed orders, from a cursor.
    orders: Callable[[A, str], OrderPage]
    #: One order in full. What cannot be read in it is this order's fault (`BadMessage`), and not the channel's.
    order: Callable[[A, str], OrderState | None]
    listings: Callable[[A], Iterator[PlatformListing]]
    levels: Callable[[A], Iterator[ShelfNumber]]
    #: The numbers of some shelves.
    shelves: Callable[[A, Sequence[Address]], list[ShelfNumber]]


class ApiConnector(Connector, Generic[A]):
    """A platform with an API, spoken to for one account."""

    #: Which functions translate what.
    translators: Translators[A]

    def __init__(self, account: Account, client: Client) -> None:
        super().__init__(account, client)
        self.api = self.translators.api(account, client)

    def reading(self) -> AbstractContextManager[None]:
        """Turns an answer that cannot be read into a failure of the call that it answers."""
        return readable(self.label)

    @property
    def kept_secret(self) -> str:
        """The webhook secret that is kept; empty where there is none."""
        return str(self.account.credentials.get("webhook_secret") or "")

    # -- inbound
    def receive(self, request: InboundRequest) -> InboundMessage:
        return self.translators.receive(request)

    def parse(self, topic: str, payload: Mapping[str, Any]) -> list[ChannelEvent]:
        return self.translators.parse(topic, payload)

    # -- reading
    def fetch_orders(self, cursor: str) -> OrderPage:
        with self.reading():
            return self.translators.orders(self.api, cursor)

    def fetch_order(self, external_id: str) -> OrderState | None:
        return self.translators.order(self.api, external_id)

    def fetch_listings(self) -> Iterator[PlatformListing]:
        with self.reading():
            yield from self.translators.listings(self.api)

    def fetch_levels(self) -> Iterator[ShelfNumber]:
        with self.reading():
            yield from self.translators.levels(self.api)

    def read_levels(self, addresses: Sequence[Address]) -> list[ShelfNumber]:
        with self.reading():
            return self.translators.shelves(self.api, addresses)
