"""Listings, and their shelves: what each channel should be told, was told, and shows."""

from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import F, Q, QuerySet
from django.http import HttpRequest
from django.urls import URLPattern, path, reverse

from channels.admin.grid import stock_grid
from channels.admin.mapping import map_line_page, map_listing_page, unmapped_page
from channels.admin.pools import pin_page
from channels.admin.rows import ChannelFilter, outcome_badge, short, with_channel
from channels.admin.waterfall import why_panel
from channels.admin.why import listing_why_page
from channels.arrival_texts import arrival_texts
from channels.importing import follow_switch
from channels.models import Listing, ListingLevel
from channels.models.listings import Lane
from channels.pushes import mark_listing_levels, replay
from config.admin_panels import Panel, badge, duration, list_of, moment, page_of
from config.admin_site import FactsAdmin, HistoryAdmin, StateFilter
from inventory.models import Variant

_PUSH_HEADERS = ("Finished", "Outcome", "Target", "Sent", "Compared with", "Took", "Error", "")


#: Nothing is due, and yet the number last sent is not the one that was confirmed.
_DIFFERS = Q(wanted=F("done")) & ~Q(published_quantity=F("sent_quantity"))


class MappingFilter(StateFilter):
    """Whether a listing is linked to a variant."""

    title = "mapping"
    parameter_name = "mapping"
    states = (
        ("mapped", "Mapped", lambda q: q.filter(variant__isnull=False)),
        ("unmapped", "Unmapped", lambda q: q.filter(variant__isnull=True)),
    )


@admin.register(Listing)
class ListingAdmin(HistoryAdmin):
    """What channels sell; they come from the platform, people say which variant each is."""

    list_display = ("shown_sku", "title", "channel", "variant", "is_active", "external_id")
    list_filter = (ChannelFilter, MappingFilter, "is_active")
    search_fields = ("sku", "external_id__exact", "variant__sku", "title")
    search_help_text = "SKU or title; the platform's id in full"
    ordering = ("channel_id", "sku", "id")
    fields = (
        "channel",
        "sku",
        "title",
        "variant",
        "is_active",
        "is_switched_off",
        "external_id",
        "parent_external_id",
        "gtin",
        "data",
    )
    readonly_fields: ClassVar[tuple[str, ...]] = tuple(name for name in fields if name != "is_switched_off")
    actions = ("push_now",)
    detail_actions = ("push_now",)

    def save_model(self, request: HttpRequest, obj: Listing, form: Any, change: bool) -> None:
        """Stops or resumes what is told of it."""
        super().save_model(request, obj, form, change)
        if "is_switched_off" in form.changed_data:
            follow_switch(obj)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Listing]:
        """Brings channel and variant along."""
        return with_channel(super().get_queryset(request), "variant")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Returns False: listings are read from the platform."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Returns False: one that is gone is switched off, what it was told stays."""
        return False

    @admin.display(description="SKU", ordering="sku")
    def shown_sku(self, listing: Listing) -> str:
        """Returns the SKU as the platform has it."""
        return listing.sku or "(none)"

    def get_urls(self) -> list[URLPattern]:
        """Adds the pages on which SKUs are mapped, and that of how its number came about."""
        view = self.admin_site.admin_view
        return [
            path("<int:listing_id>/why/", view(listing_why_page), name="channels_listing_why"),
            path("unmapped/", view(unmapped_page), name="channels_unmapped"),
            path("<int:listing_id>/map/", view(map_listing_page), name="channels_map_listing"),
            path("lines/<int:line_id>/map/", view(map_line_page), name="channels_map_line"),
            *super().get_urls(),
        ]

    def object_links(self, request: HttpRequest, instance: Listing) -> list[tuple[str, str]]:
        """Leads to how its number came about, to the mapping for whoever may, and to the variant's movements."""
        links = [(reverse("admin:channels_listing_why", args=[instance.pk]), "Why this number, then?")]
        if request.user.has_perm("channels.map_listing"):
            links.append((reverse("admin:channels_map_listing", args=[instance.pk]), "Map to a variant"))
        if instance.variant_id:
            links.append(
                (reverse("admin:inventory_variant_movements", args=[instance.variant_id]), "Movements")
            )
        return links

    def has_push_permission(self, request: HttpRequest) -> bool:
        """Returns whether whoever asks may push now."""
        return request.user.has_perm("channels.push_listinglevel")

    @admin.action(description="Push now", permissions=["push"])
    def push_now(self, request: HttpRequest, queryset: QuerySet[Listing]) -> None:
        """Has the numbers of listings told again."""
        levels = ListingLevel.objects.filter(listing__in=queryset.values("pk"))
        push_levels(self.report, request, levels)

    def panels(self, request: HttpRequest, instance: Listing) -> list[Panel]:
        """Shows the listing's shelves."""
        levels = instance.levels.select_related("channel_location").order_by("id")
        rows = [
            (
                page_of(
                    level,
                    str(level.channel_location.name or level.channel_location.external_id or "the shop"),
                ),
                level_badge(level),
                level.published_quantity,
                level.sent_quantity,
                level.expected,
                level.confirmed_at,
            )
            for level in levels
        ]
        headers = ("Place", "State", "Confirmed", "Sent", "Should show", "Confirmed at")
        arrives = arrival_texts(instance.channel, [instance.variant_id] if instance.variant_id else [])
        return [
            Panel(
                "Shelves",
                headers,
                rows,
                empty="No place of this channel has stock of yours behind it yet.",
                note=f"Arrives: {text}." if (text := arrives.get(instance.variant_id or 0)) else "",
            )
        ]


class ShelfFilter(StateFilter):
    """What a shelf is waiting for."""

    states = (
        ("due", "To be told", lambda q: q.filter(wanted__gt=F("done"), dead_at__isnull=True)),
        ("dead", "Dead letters", lambda q: q.filter(dead_at__isnull=False)),
        ("failing", "Failing", lambda q: q.filter(attempts__gt=0, dead_at__isnull=True)),
        ("unknown", "May have arrived unseen", lambda q: q.filter(is_outcome_unknown=True)),
        ("differs", "Sent, not confirmed", lambda q: q.filter(_DIFFERS)),
    )


def level_badge(level: ListingLevel) -> str:
    """Says in a word where a shelf stands."""
    if level.dead_at:
        return badge("dead letter", "bad")
    if level.attempts:
        return badge(f"failing, {level.attempts}×", "bad")
    if level.is_due:
        return badge("to be told", "warning")
    return badge("told", "good") if level.confirmed_at else badge("never told")


def push_levels(report: Callable[..., None], request: HttpRequest, levels: QuerySet[ListingLevel]) -> None:
    """Marks those shelves that can be pushed, and reports those that cannot."""
    skipped: Counter[str] = Counter()
    ids = []
    rows = levels.order_by("id").values_list(
        "id",
        "dead_at",
        "listing__variant_id",
        "listing__is_active",
        "channel__is_active",
        "channel__is_paused",
    )
    for pk, dead_at, variant_id, is_listed, is_channel_on, is_paused in rows:
        if variant_id is None or not is_listed:
            skipped["unmapped or no longer listed"] += 1
        elif not is_channel_on or is_paused:
            skipped["of a channel that is paused or off"] += 1
        elif dead_at is not None:
            skipped["in the dead letters (replay them)"] += 1
        else:
            ids.append(pk)
    mark_listing_levels(ids, lane=Lane.DECREASE, read_first=True)
    report(request, len(ids), "number{s} will be told again", skipped)


@admin.register(ListingLevel)
class ListingLevelAdmin(FactsAdmin):
    """Shelves: a listing at a place of its channel."""

    list_display = (
        "sku", "channel", "place", "state", "lane", "published_quantity", "sent_quantity", "expected", "due_since",
        "confirmed_at",
    )  # fmt: skip
    list_filter = (ChannelFilter, ShelfFilter, "lane")
    search_fields = ("listing__sku__exact", "listing__external_id__exact", "listing__variant__sku__exact")
    search_help_text = "SKU or the platform's id, in full"
    ordering = ("id",)
    actions = ("push_now", "replay_dead")
    detail_actions = ("push_now", "replay_dead")
    readonly_fields: ClassVar[tuple[str, ...]] = ("sku", "shown_listing", "shown_variant", "place", "state")
    fields = (
        "shown_listing", "shown_variant", "channel", "place", "state", ("published_quantity", "confirmed_at"),
        ("sent_quantity", "sent_at"), "expected", ("seen_quantity", "seen_expected", "seen_at"),
        ("wanted", "done", "lane"), ("due_since", "next_attempt_at"),
        ("attempts", "is_outcome_unknown", "dead_at"), "last_error",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[ListingLevel]:
        """Brings along what a shelf is shown with."""
        return with_channel(super().get_queryset(request), "listing__variant", "channel_location")

    @admin.display(description="SKU", ordering="listing__sku")
    def sku(self, level: ListingLevel) -> str:
        """Returns the SKU as the platform has it."""
        return level.listing.sku or level.listing.external_id

    @admin.display(description="listing")
    def shown_listing(self, level: ListingLevel) -> str:
        """Leads to the listing."""
        return page_of(level.listing, level.listing.sku or level.listing.external_id)

    @admin.display(description="variant")
    def shown_variant(self, level: ListingLevel) -> str:
        """Leads to the variant."""
        variant: Variant | None = level.listing.variant
        return page_of(variant) if variant else badge("unmapped", "bad")

    @admin.display(description="place")
    def place(self, level: ListingLevel) -> str:
        """Names the place."""
        return level.channel_location.name or level.channel_location.external_id or "the shop"

    @admin.display(description="state")
    def state(self, level: ListingLevel) -> str:
        """Says in a word where it stands."""
        return level_badge(level)

    def get_urls(self) -> list[URLPattern]:
        """Adds the stock grid, and the page on which a number is pinned."""
        view = self.admin_site.admin_view
        return [
            path("grid/", view(stock_grid), name="channels_stock_grid"),
            path("<int:level_id>/pin/", view(pin_page), name="channels_pin_level"),
            *super().get_urls(),
        ]

    def object_links(self, request: HttpRequest, instance: ListingLevel) -> list[tuple[str, str]]:
        """Leads to how its number came about, the variant's movements and, for whoever may, to the page that pins it."""
        variant_id = instance.listing.variant_id
        links = [
            (reverse("admin:channels_listing_why", args=[instance.listing_id]), "Why this number, then?")
        ]
        if request.user.has_perm("channels.pin_listinglevel"):
            links.append((reverse("admin:channels_pin_level", args=[instance.pk]), "Pin"))
        if variant_id:
            links.append((reverse("admin:inventory_variant_movements", args=[variant_id]), "Movements"))
        return links

    def offers(self, action: str, instance: ListingLevel) -> bool:
        """Offers a push to what is alive, and a replay to what is dead."""
        return (instance.dead_at is not None) == (action == "replay_dead")

    def has_push_permission(self, request: HttpRequest) -> bool:
        """Returns whether whoever asks may push now."""
        return request.user.has_perm("channels.push_listinglevel")

    @admin.action(description="Push now", permissions=["push"])
    def push_now(self, request: HttpRequest, queryset: QuerySet[ListingLevel]) -> None:
        """Has the numbers of shelves told again."""
        push_levels(self.report, request, queryset)

    @admin.action(description="Replay dead letters", permissions=["push"])
    def replay_dead(self, request: HttpRequest, queryset: QuerySet[ListingLevel]) -> None:
        """Tries again to tell shelves that were given up."""
        total = queryset.count()
        done = replay(list(queryset.filter(dead_at__isnull=False).values_list("pk", flat=True)))
        self.report(request, done, "dead letter{s} will be tried again", {"not dead": total - done})

    def panels(self, request: HttpRequest, instance: ListingLevel) -> list[Panel]:
        """Answers "Why this number?", and shows what the channel was told and said."""
        return [why_panel(instance), _push_log(instance), _observations(instance)]


def _push_log(level: ListingLevel) -> Panel:
    rows = [
        (
            moment(push.finished_at),
            outcome_badge(push, "outcome"),
            push.target,
            push.quantity,
            push.compared_with,
            duration(push.finished_at - push.computed_at),
            short(push.error),
            page_of(push, "Why"),
        )
        for push in level.pushes.order_by("-id")[:50]
    ]
    everything = list_of("channels.push", f"listing_level__id__exact={level.pk}")
    return Panel("Push log", _PUSH_HEADERS, rows, empty="Never told.", links=[(everything, "All of them")])


def _observations(level: ListingLevel) -> Panel:
    rows = [
        (each.received_at, each.quantity, each.expected, outcome_badge(each, "verdict"), each.observed_at)
        for each in level.observations.order_by("-id")[:20]
    ]
    headers = ("Received", "Showed", "Expected", "Verdict", "By their clock")
    return Panel("What the shop said it shows", headers, rows, empty="It has not said.")
