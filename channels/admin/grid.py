"""The stock grid: variants down, locations and channels across, with what each channel was told."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from django.core.paginator import Paginator
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from unfold.paginator import InfinitePaginator

from channels.exposure import targets
from channels.models import Channel, ListingLevel
from config.admin_panels import address_of
from config.admin_site import own_page, require
from inventory.models import Location, StockLevel, Variant

ROWS: Final = 50
#: More columns than people can read; the rest is reached by a merchant of its own.
COLUMNS: Final = 40


@dataclass(frozen=True, slots=True)
class Shelf:
    """What a channel shows of a variant, over all its places."""

    address: str
    told: int | None
    #: Empty where all is well, else what is not.
    trouble: str


@dataclass(frozen=True, slots=True)
class Row:
    """One variant."""

    variant: Variant
    address: str
    on_hand: int
    available: int
    #: What is available at each location; None where it was never kept.
    places: list[int | None]
    shelves: list[Shelf | None]


def stock_grid(request: HttpRequest) -> HttpResponse:
    """Shows fifty variants, in seven statements whatever their number."""
    require(request, "inventory.view_stocklevel", "channels.view_listinglevel")
    search = request.GET.get("q", "").strip()
    page = _paginator(search).get_page(request.GET.get("page"))
    variants = list(page.object_list)
    locations = list(Location.objects.filter(is_active=True).order_by("code")[:COLUMNS])
    channels = list(Channel.objects.order_by("name").only("id", "name", "is_active")[:COLUMNS])
    return own_page(
        request,
        "onecount/stock_grid.html",
        "Stock grid",
        search=search,
        locations=locations,
        channels=channels,
        rows=rows_of(variants, locations, channels),
        page=page,
        has_next=len(variants) == ROWS,
    )


def _paginator(search: str) -> "Paginator[Variant]":
    variants = Variant.objects.filter(is_active=True).select_related("product").order_by("sku", "id")
    if search:
        variants = variants.filter(Q(sku__icontains=search) | Q(title__icontains=search) | Q(gtin=search))
    paginator: Paginator[Variant] = InfinitePaginator(variants, ROWS)
    return paginator


def rows_of(
    variants: Sequence[Variant], locations: Sequence[Location], channels: Sequence[Channel]
) -> list[Row]:
    """Returns the grid's rows; four statements."""
    levels = _levels(variants)
    shelves = _shelves(variants)
    wanted = targets([level.pk for each in shelves.values() for level in each])
    return [
        Row(
            variant,
            address_of("inventory.variant", variant.pk),
            sum(level.on_hand for level in levels[variant.pk].values()),
            sum(level.available for level in levels[variant.pk].values()),
            [_available(levels[variant.pk].get(location.pk)) for location in locations],
            [shelf_of(shelves[variant.pk, channel.pk], wanted) for channel in channels],
        )
        for variant in variants
    ]


def _levels(variants: Sequence[Variant]) -> dict[int, dict[int, StockLevel]]:
    found: dict[int, dict[int, StockLevel]] = defaultdict(dict)
    for level in StockLevel.objects.filter(variant__in=variants):
        found[level.variant_id][level.location_id] = level
    return found


def _available(level: StockLevel | None) -> int | None:
    return None if level is None else level.available


def _shelves(variants: Sequence[Variant]) -> dict[tuple[int, int], list[ListingLevel]]:
    found: dict[tuple[int, int], list[ListingLevel]] = defaultdict(list)
    levels = ListingLevel.objects.filter(listing__variant__in=variants, listing__is_active=True)
    for level in levels.select_related("listing").order_by("id"):
        found[level.listing.variant_id or 0, level.channel_id].append(level)
    return found


def shelf_of(levels: Sequence[ListingLevel], wanted: Mapping[int, int]) -> Shelf | None:
    """Sums what a channel confirmed at its places, and names what is wrong; None where it does not list the variant."""
    if not levels:
        return None
    known = [level.published_quantity for level in levels if level.published_quantity is not None]
    troubles = [(words, level) for level in levels if (words := trouble_of(level, wanted.get(level.pk)))]
    trouble, shown = troubles[0] if troubles else ("", levels[0])
    return Shelf(address_of("channels.listinglevel", shown.pk), sum(known) if known else None, trouble)


def trouble_of(level: ListingLevel, wanted: int | None) -> str:
    """Says in what the shelf differs from the number it should be told now; empty where it does not."""
    if level.dead_at is not None:
        return "dead letter"
    if level.is_due:
        return "to be told"
    if level.published_quantity is None:
        return "never told"
    if level.sent_quantity != level.published_quantity:
        return f"sent {level.sent_quantity}, not confirmed"
    if wanted is not None and level.expected != wanted:
        return f"should be {wanted}"
    return ""
