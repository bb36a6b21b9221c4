"""The one hook through which the rest of the program learns, inside the ledger's transaction, what changed.

Inventory does not know that channels exist: whoever listens runs after the level locks and before the commit, so that
"the ledger changed" and what follows from it are durable together or not at all.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LevelChange:
    """How one operation changed what is available of a variant at a location; in base units."""

    variant_id: int
    location_id: int
    #: 0 where an operation concerned the place without changing it.
    available_delta: int
    available_after: int


Listener = Callable[[int, Sequence[LevelChange]], None]

_listeners: list[Listener] = []


def subscribe(listener: Listener) -> None:
    """Adds a listener, called with the merchant's id and the changes of each operation."""
    if listener not in _listeners:
        _listeners.append(listener)


def announce(merchant_id: int, changes: Sequence[LevelChange]) -> None:
    """Tells every listener what changed."""
    if changes:
        for listener in _listeners:
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
