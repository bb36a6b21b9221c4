"""What the tortured merchant sells: few of most things, much of a little, kits that share a part, and a pool."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from channels.demo.catalogue import GiftSet, gtin13
from channels.demo.stocking import Goods

#: Where the goods lie; the third place of the demo stays empty.
FIRST, SECOND = "AMS", "RTM"
POOLED: Final = "POOL-1"
#: Units ring-fenced for the first channel.
POOL_UNITS: Final = 12
KIT_PARTS: Final[Mapping[str, Mapping[str, int]]] = {
    "KIT-A": {"PART-1": 1, "PART-2": 2},
    "KIT-B": {"PART-1": 1, "PART-3": 1},
}
_GTINS: Final = 210_000_000_000


@dataclass(frozen=True, slots=True)
class Assortment:
    """SKUs by how they sell, and their opening stock."""

    hot: tuple[str, ...]
    plain: tuple[str, ...]
    thin: tuple[str, ...]
    #: One unit of each.
    last: tuple[str, ...]
    goods: tuple[Goods, ...]

    @property
    def opening(self) -> dict[str, int]:
        """Units at the start, by SKU."""
        return {item.sku: sum(item.quantities.values()) for item in self.goods}

    @property
    def kits(self) -> list[GiftSet]:
        """The kits, as the demo makes them."""
        return [
            GiftSet(sku, gtin13(_GTINS + 900 + number), f"Set {sku}", Decimal("19.95"), dict(parts))
            for number, (sku, parts) in enumerate(KIT_PARTS.items())
        ]


def assortment(events: int, rushes: int) -> Assortment:
    """Returns goods for so many events: what is hot lasts for most of the run, what is thin does not."""
    hot = tuple(f"HOT-{number}" for number in range(1, 5))
    plain = tuple(f"PLAIN-{number}" for number in range(1, 21))
    thin = tuple(f"THIN-{number}" for number in range(1, 9))
    last = tuple(f"LAST-{number}" for number in range(1, rushes + 1))
    amounts = {sku: (max(40, events // 6), max(20, events // 12)) for sku in hot}
    amounts |= {sku: (max(8, events // 40), max(4, events // 80)) for sku in plain}
    amounts |= {sku: (3 + number, number % 3) for number, sku in enumerate(thin)}
    amounts |= dict.fromkeys(last, (1, 0))
    amounts |= {f"PART-{number}": (max(25, events // 20), max(10, events // 40)) for number in range(1, 4)}
    amounts[POOLED] = (max(30, events // 25), 0)
    kits = [
        Goods(sku, f"Set {sku}", f"Set {sku}", {}, gtin13(_GTINS + 900 + n))
        for n, sku in enumerate(KIT_PARTS)
    ]
    units = [
        Goods(sku, sku, sku, {FIRST: first, SECOND: second}, gtin13(_GTINS + number))
        for number, (sku, (first, second)) in enumerate(amounts.items())
    ]
    return Assortment(hot, plain, thin, last, (*units, *kits))


def in_parts(sku: str, quantity: int) -> dict[str, int]:
    """Returns the units that so many of an article take from the shelf, by SKU."""
    return {part: each * quantity for part, each in KIT_PARTS.get(sku, {sku: 1}).items()}
