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


@dataclass(frozen=True, slots=True)
class HoldChange:
    """How one operation changed what a demand holds of a variant at a location; in base units, not both 0."""

    #: Whose demand it is, in the words of whoever asked.
    reference: str
    variant_id: int
    location_id: int
    #: Units held more (or less).
    held_delta: int
    #: Units that left for the demand; negative where a shipment was taken back.
    shipped_delta: int


Listener = Callable[[int, Sequence[LevelChange]], None]
CatalogueListener = Callable[[int, Collection[int]], None]
HoldListener = Callable[[int, Sequence[HoldChange]], None]

_listeners: list[Listener] = []
_catalogue_listeners: list[CatalogueListener] = []
_hold_listeners: list[HoldListener] = []


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


def subscribe_to_holds(listener: HoldListener) -> None:
    """Adds a listener, called with the merchant's id and what changed for the demands of each operation."""
    if listener not in _hold_listeners:
        _hold_listeners.append(listener)


def announce_holds(merchant_id: int, changes: Sequence[HoldChange]) -> None:
    """Tells every listener what demands hold more or less; before `announce`, whose listeners lock last."""
    if changes:
        for listener in _hold_listeners:
            listener(merchant_id, changes)


BundleListener = Callable[[int, Sequence[int]], None]

_bundle_listeners: list[BundleListener] = []


def subscribe_to_bundles(listener: BundleListener) -> None:
    """Adds a listener, called with the merchant's id and the variants that are made of something else from now on."""
    if listener not in _bundle_listeners:
        _bundle_listeners.append(listener)


def announce_bundles(merchant_id: int, variant_ids: Sequence[int]) -> None:
    """Tells every listener which bundles have changed, inside the transaction that changes them."""
    for listener in _bundle_listeners:
        listener(merchant_id, variant_ids)
