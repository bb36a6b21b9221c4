"""Puts a catalogue and its opening stock into a merchant's books."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from django.db import transaction

from channels.demo.catalogue import LOCATIONS
from inventory.ledger import Context
from inventory.models import Location, Merchant, Product, Variant
from inventory.models.stock import Reason
from inventory.stock import StockLine, receive

#: Lines of one opening receipt.
BATCH = 500
_ROWS_AT_ONCE = 5_000


@dataclass(frozen=True, slots=True)
class Goods:
    """A variant to be, with its opening stock by location code."""

    sku: str
    product: str
    title: str
    quantities: dict[str, int]
    gtin: str = ""
    category: str = ""


@transaction.atomic
def open_merchant(name: str, slug: str) -> Merchant:
    """Returns the merchant with the demo's locations; creates what is missing."""
    merchant, _ = Merchant.objects.get_or_create(slug=slug, defaults={"name": name})
    for code, title, kind, country in LOCATIONS:
        defaults = {"name": title, "kind": kind, "country": country}
        Location.objects.get_or_create(merchant=merchant, code=code, defaults=defaults)
    return merchant


def stock_up(merchant: Merchant, goods: Sequence[Goods]) -> None:
    """Creates the variants that are missing and receives the opening stock once, however often it is called."""
    _create_variants(merchant, goods)
    variant_ids = dict(Variant.objects.filter(merchant=merchant).values_list("sku", "id"))
    location_ids = dict(Location.objects.filter(merchant=merchant).values_list("code", "id"))
    lines = [
        StockLine(variant_ids[item.sku], location_ids[code], quantity)
        for item in goods
        for code, quantity in item.quantities.items()
        if quantity > 0
    ]
    for number, batch in enumerate(_batches(lines)):
        context = Context(
            merchant.pk, f"opening:{number}", actor="demo", source="demo", document="Opening stock"
        )
        receive(context, batch, reason=Reason.OPENING)


@transaction.atomic
def _create_variants(merchant: Merchant, goods: Sequence[Goods]) -> None:
    known = set(Variant.objects.filter(merchant=merchant).values_list("sku", flat=True))
    new = [item for item in goods if item.sku not in known]
    titles = {item.product: item.category for item in new}
    products = Product.objects.bulk_create(
        [
            Product(merchant=merchant, title=name[:300], category=category)
            for name, category in titles.items()
        ],
        batch_size=_ROWS_AT_ONCE,
    )
    by_title = dict(zip(titles, products, strict=True))
    variants = [
        Variant(
            merchant=merchant,
            product=by_title[item.product],
            sku=item.sku,
            gtin=item.gtin,
            title=item.title[:300],
        )
        for item in new
    ]
    Variant.objects.bulk_create(variants, batch_size=_ROWS_AT_ONCE)


def _batches(lines: Iterable[StockLine]) -> Iterator[list[StockLine]]:
    iterator = iter(lines)
    while batch := list(islice(iterator, BATCH)):
        yield batch
