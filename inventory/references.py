"""References that belong to an app: whoever makes them says which of them are a merchant's.

Demands are named in the words of whoever asks (`cart-81`). An app that names demands itself keeps a beginning for that, such
as `order-line:`, and what it reads from such a name is believed. So no caller from outside may hold units under one, nor
ship for one that is not its own.
"""

from collections.abc import Callable, Collection, Iterable
from typing import Final

from inventory.errors import InvalidStockRequest

#: Takes a merchant and references of one beginning; returns those that are the merchant's.
Owned = Callable[[int, Collection[str]], Collection[str]]

#: Under such a name a promise of kits holds what is there of their parts; see `inventory.kit_backorders`.
PROMISED_KITS: Final = "kit-backorder:"


def _of_nobody(merchant_id: int, references: Collection[str]) -> Collection[str]:
    return ()


#: Nobody from outside speaks for a promise of kits.
_kept: dict[str, Owned] = {PROMISED_KITS: _of_nobody}


def reference_of_kits(kit_backorder_id: int) -> str:
    """Returns the name under which a promise of kits holds parts."""
    return f"{PROMISED_KITS}{kit_backorder_id}"


def kits_named(reference: str) -> int:
    """Returns which promise of kits holds parts under this name; 0: none."""
    number = reference.removeprefix(PROMISED_KITS)
    return int(number) if number != reference and number.isdecimal() else 0


def keep(beginning: str, owned: Owned) -> None:
    """Keeps references with this beginning for an app."""
    _kept[beginning] = owned


def is_kept(reference: str) -> bool:
    """Returns whether an app keeps a reference for its own."""
    return reference.startswith(tuple(_kept))


def check_free(references: Iterable[str]) -> None:
    """Refuses references of lines that an app keeps for its own. Raises `InvalidStockRequest` with the line."""
    for index, reference in enumerate(references):
        if is_kept(reference):
            message = f"{reference[:40]!r} is a name that OneCount gives itself; choose another one."
            raise InvalidStockRequest(f"lines[{index}].reference", message)


def strange(merchant_id: int, references: Iterable[str]) -> set[str]:
    """Returns those references that are kept, and not the merchant's; no statement where none is kept."""
    found: set[str] = set()
    wanted = set(references)
    for beginning, owned in _kept.items():
        kept = {reference for reference in wanted if reference.startswith(beginning)}
        if kept:
            found |= kept - set(owned(merchant_id, kept))
    return found
