"""A believable catalogue: a home and outdoor shop with 1,200 variants, gift sets among them, the same on every machine."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

#: (code, name, kind, country) of the places that hold the goods.
LOCATIONS: Final = (
    ("AMS", "Amsterdam warehouse", "warehouse", "NL"),
    ("RTM", "Rotterdam store", "store", "NL"),
    ("BER", "Berlin 3PL", "3pl", "DE"),
)

#: Category → (goods, price in cents from, to).
_GOODS: Final = {
    "Kitchen": (("Mug", "Bowl", "Plate", "Jug", "Teapot", "Bread Bin", "Tea Towel", "Apron"), 495, 5900),
    "Living": (
        ("Cushion", "Throw", "Lantern", "Vase", "Candle", "Picture Frame", "Basket", "Clock"),
        795,
        8900,
    ),
    "Garden": (("Planter", "Watering Can", "Bird Feeder", "Trowel", "Doormat", "Garden Stool"), 895, 12900),
    "Outdoor": (("Daypack", "Flask", "Head Torch", "Beanie", "Rain Jacket", "Trekking Socks"), 995, 18900),
    "Bath": (("Towel", "Bath Mat", "Soap Dish", "Robe", "Shower Curtain"), 695, 7900),
    "Paper": (("Notebook", "Planner", "Card Set", "Gift Wrap", "Calendar"), 295, 3900),
}
_RANGES: Final = (
    "Harbour",
    "Meadow",
    "Nordic",
    "Slate",
    "Orchard",
    "Dune",
    "Linden",
    "Atelier",
    "Fjord",
    "Terrace",
)
_COLOURS: Final = (("Ivory", "IV"), ("Forest", "FO"), ("Rust", "RU"), ("Navy", "NA"), ("Charcoal", "CH"))
_SIZES: Final = ((("S", "S"), ("M", "M"), ("L", "L")), (("", ""),))
_SIZED: Final = frozenset({"Rain Jacket", "Robe", "Beanie", "Trekking Socks", "Apron", "Throw", "Planter"})


@dataclass(frozen=True, slots=True)
class CatalogueVariant:
    """One variant of the demo with its opening stock."""

    sku: str
    gtin: str
    product: str
    category: str
    #: Colour and size, as a customer reads them.
    option: str
    price: Decimal
    #: Units by location code.
    quantities: dict[str, int]

    @property
    def title(self) -> str:
        """Product and option in one line."""
        return f"{self.product}, {self.option}"


@dataclass(frozen=True, slots=True)
class GiftSet:
    """A kit of the demo: several variants sold as one."""

    sku: str
    gtin: str
    title: str
    price: Decimal
    #: Units by the SKU of a variant, or of another gift set.
    parts: dict[str, int]


#: Gift sets beside the variants; the last of them contain others.
GIFT_SETS: Final = 24
_NESTED: Final = 4


def gift_sets(variants: Sequence[CatalogueVariant], *, seed: int = 7) -> list[GiftSet]:
    """Returns kits of two or three variants that are well in stock, and a few hampers made of two such kits."""
    source = random.Random(seed)  # noqa: S311 - a catalogue is no secret
    stocked = [variant for variant in variants if variant.quantities["AMS"] >= 40]
    sets: list[GiftSet] = []
    for number in range(GIFT_SETS - _NESTED):
        parts = source.sample(stocked, source.choice((2, 2, 3)))
        price = sum(part.price for part in parts) * Decimal("0.90")
        amounts = {part.sku: source.choice((1, 1, 1, 2)) for part in parts}
        sets.append(_gift_set(number, f"Gift Set {number + 1:02d}", price, amounts))
    for number in range(_NESTED):
        inner = source.sample(sets[: GIFT_SETS - _NESTED], 2)
        price = sum(each.price for each in inner) * Decimal("0.95")
        amounts = {each.sku: 1 for each in inner}
        sets.append(_gift_set(len(sets), f"Grand Hamper {number + 1}", price, amounts))
    return sets


def _gift_set(number: int, title: str, price: Decimal, parts: dict[str, int]) -> GiftSet:
    gtin = gtin13(200_000_900_000 + number)
    return GiftSet(f"GIFT-{number + 1:02d}", gtin, title, price.quantize(Decimal("0.01")), parts)


def catalogue(size: int = 1200, *, seed: int = 7) -> list[CatalogueVariant]:
    """Returns `size` variants; the same seed gives the same catalogue."""
    source = random.Random(seed)  # noqa: S311 - a catalogue is no secret
    variants: list[CatalogueVariant] = []
    for number, (product, category, cents, option, code) in enumerate(_forms(source)):
        if number == size:
            return variants
        variants.append(
            CatalogueVariant(
                sku=code,
                gtin=gtin13(200_000_000_000 + number),
                product=product,
                category=category,
                option=option,
                price=Decimal(cents) / 100,
                quantities=_opening_stock(source),
            )
        )
    raise ValueError(f"The demo catalogue has {len(variants)} variants, fewer than {size}.")


def _forms(source: random.Random) -> Iterator[tuple[str, str, int, str, str]]:
    """Every product in every form: (product, category, price in cents, option, SKU)."""
    for round_number in range(20):
        for line in _RANGES:
            for category, (goods, lowest, highest) in _GOODS.items():
                for good in goods:
                    suffix = "" if round_number == 0 else f" No. {round_number + 1}"
                    cents = source.randrange(lowest, highest, 5)
                    for option, code in _options(good, source):
                        stem = "".join(word[:4].upper() for word in f"{line} {good}".split())
                        yield (
                            f"{line} {good}{suffix}",
                            category,
                            cents,
                            option,
                            f"{stem}{round_number + 1:02d}-{code}",
                        )


def _options(good: str, source: random.Random) -> Iterator[tuple[str, str]]:
    colours = source.sample(_COLOURS, 2)
    for colour, colour_code in colours:
        for size, size_code in _SIZES[0] if good in _SIZED else _SIZES[1]:
            yield " / ".join(filter(None, (colour, size))), f"{colour_code}{size_code}"


def _opening_stock(source: random.Random) -> dict[str, int]:
    """Few bestsellers with deep stock, a long tail with a handful of pieces, some nearly gone."""
    depth = source.choices((400, 120, 40, 12, 3), weights=(5, 20, 40, 25, 10))[0]
    return {
        "AMS": source.randint(depth // 2, depth),
        "RTM": source.randint(0, max(depth // 8, 1)),
        "BER": source.randint(0, max(depth // 4, 1)),
    }


def gtin13(stem: int) -> str:
    """Returns a 13-digit GTIN with its check digit for a 12-digit number (GS1 General Specifications 7.9)."""
    digits = f"{stem:012d}"
    total = sum(int(digit) * (3 if position % 2 else 1) for position, digit in enumerate(digits))
    return digits + str(-total % 10)
