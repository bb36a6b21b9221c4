"""What warehouses and ERPs have in common: they sell nothing and are told no numbers."""

from collections.abc import Iterator, Sequence

from channels.connectors.base import Address, Connector, OrderPage, PushItem, PushResult, ShelfNumber
from channels.errors import Unsupported
from channels.events import OrderState


class KeeperConnector(Connector):
    """A connector to somebody who keeps stock: it says what lies where, and may ship what it is asked to.

    Its goods are listings, mapped to variants like all others; none of its places is offered anything.
    """

    def fetch_orders(self, cursor: str) -> OrderPage:
        """It has no customers of its own."""
        return OrderPage(orders=(), cursor=cursor)

    def fetch_order(self, external_id: str) -> OrderState | None:
        """It has no customers of its own."""
        raise Unsupported

    def fetch_levels(self) -> Iterator[ShelfNumber]:
        """It shows nothing to customers."""
        return iter(())

    def read_levels(self, addresses: Sequence[Address]) -> list[ShelfNumber]:
        """It shows nothing to customers."""
        return []

    def push(self, items: Sequence[PushItem], *, call_id: str) -> list[PushResult]:
        """It is told no numbers: its own count."""
        raise Unsupported
