"""The one hook through which the rest of the program learns, inside the ledger's transaction, what changed.

Inventory does not know that channels exist: whoever listens runs after the level locks and before the commit, so that
"the ledger changed" and what follows from it are durable together or not at all.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LevelChange:
    """How one operation changed what is available of a variant at a location; in base units."""

    variant_id: int
    location_id: int
    #: 0 where an operation concerned the place without changing it.
    available_delta: int
    available_after: int
    #: How many units more or fewer of confirmed inbound may be promised there.
    inbound_delta: int = 0


Listener = Callable[[int, Sequence[LevelChange]], None]
CatalogueListener = Callable[[int, Collection[int]], None]

_listeners: list[Listener] = []
_catalogue_listeners: list[CatalogueListener] = []


def subscribe(listener: Listener) -> None:
    """Adds a listener, called with the merchant's id and the changes of each operation."""
    if listener not in _listeners:
        _listeners.append(listener)


def announce(merchant_id: int, changes: Sequence[LevelChange]) -> None:
    """Tells every listener what changed."""
    if changes:
        for listener in _listeners:
            listener(merchant_id, changes)


def subscribe_to_catalogue(listener: CatalogueListener) -> None:
    """Adds a listener, called with the merchant's id and the variants whose tags or category change."""
    if listener not in _catalogue_listeners:
        _catalogue_listeners.append(listener)


def announce_catalogue(merchant_id: int, variant_ids: Collection[int]) -> None:
    """Tells every listener whose tags or category changed; inside the transaction that changes them."""
    if variant_ids:
        for listener in _catalogue_listeners:
            listener(merchant_id, variant_ids)
