"""Who has the say over which location, what they say, what they were asked to ship, and what came in there."""

from typing import Any, ClassVar, Final

from django import forms
from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import HttpRequest

from channels.admin.rows import ChannelFilter, with_channel
from channels.models import Authority, ChannelLocation, StatedLevel, WarehouseArrival, WarehouseOrder
from channels.warehouses import marks
from channels.warehouses.authorities import Kept, give_say, keeping_kinds, refusal
from channels.warehouses.reading import differing
from config.admin_panels import Panel, list_of, page_of
from config.admin_site import FactsAdmin, HistoryAdmin, StateFilter
from inventory.models import Location, Variant

#: Rows that a panel shows.
_MOST: Final = 50


class AuthorityForm(forms.ModelForm):  # type: ignore[type-arg]
    """A location, and the place at a warehouse or ERP whose numbers count there."""

    class Meta:
        model = Authority
        fields = ("location", "place")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "location" in self.fields:
            self.fields["location"].queryset = Location.objects.filter(is_active=True)  # type: ignore[attr-defined]
        if "place" in self.fields:
            places = ChannelLocation.objects.filter(
                channel__kind__in=keeping_kinds(), channel__is_active=True
            )
            self.fields["place"].queryset = with_channel(places)  # type: ignore[attr-defined]
            self.fields[
                "place"
            ].help_text = "A warehouse of a channel that keeps stock. Connect the channel first."

    def clean(self) -> dict[str, Any]:
        """Refuses what cannot be, at the field that has to be changed."""
        cleaned: dict[str, Any] = super().clean() or {}
        location, place = cleaned.get("location"), cleaned.get("place")
        if location is not None and place is not None and (found := refusal(location, place)):
            self.add_error(*found)
        return cleaned


@admin.register(Authority)
class AuthorityAdmin(HistoryAdmin):
    """Who has the say over which location. Deleting one takes the say away; the ledger keeps what it holds."""

    form = AuthorityForm
    list_display = ("location", "channel_name", "place", "began_at")
    list_display_links = ("location",)
    fields = ("location", "place", "began_at")
    search_fields = ("location__code", "place__name")
    ordering = ("location__code", "id")
    actions = ("read_again",)
    detail_actions = actions

    def get_queryset(self, request: HttpRequest) -> QuerySet[Authority]:
        """Brings location, place and channel along."""
        return with_channel(super().get_queryset(request), "place", "location", channel="place__channel")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Leaves it as it was given: another one takes its place after it was taken away."""
        return ("began_at",) if obj is None else ("location", "place", "began_at")

    def save_model(self, request: HttpRequest, obj: Authority, form: Any, change: bool) -> None:
        """Gives the say."""
        if not change:
            obj.pk = give_say(obj.location, obj.place).pk
            obj.refresh_from_db()

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Names what is taken away. What the warehouse said goes with it, and is nobody's to keep."""
        named = [str(each) for each in objs]
        return named, {self.opts.verbose_name_plural: len(named)}, set(), []

    @admin.display(description="channel")
    def channel_name(self, authority: Authority) -> str:
        """Names the channel."""
        return authority.place.channel.name

    def has_read_permission(self, request: HttpRequest) -> bool:
        """Returns whether whoever asks may have goods read."""
        return request.user.has_perm("channels.change_authority")

    @admin.action(description="Read everything again", permissions=["read"])
    def read_again(self, request: HttpRequest, queryset: QuerySet[Authority]) -> None:
        """Has all goods of these locations read and counted."""
        channel_ids = sorted(set(queryset.values_list("place__channel", flat=True)))
        count = sum(marks.read_all(channel_id) for channel_id in channel_ids)
        self.report(request, count, "number{s} will be read again")

    def panels(self, request: HttpRequest, instance: Authority) -> list[Panel]:
        """Shows where ledger and warehouse disagree, and which numbers are not counted."""
        kept = Kept(instance.pk, instance.location_id, instance.place.external_id)
        found = sorted(differing(instance.place.channel, kept).items())[:_MOST]
        variants = Variant.objects.in_bulk([variant_id for variant_id, _ in found])
        rows = [(page_of(variants[pk]), on_hand, wanted) for pk, (on_hand, wanted) in found]
        not_counted = instance.stated.exclude(remark="").select_related("listing").order_by("id")[:_MOST]
        everything = list_of("channels.statedlevel", f"authority__id__exact={instance.pk}")
        return [
            Panel(
                "Ledger and warehouse differ",
                ("SKU", "on hand", "by the warehouse"),
                rows,
                empty="They agree.",
                note="It is read again by itself, and then counted; what people counted or adjusted here stands until then.",
                links=[(everything, "All that it says")],
            ),
            Panel(
                "Not counted",
                ("goods", "because"),
                [(each.listing.sku or each.listing.external_id, each.remark) for each in not_counted],
                empty="All its numbers are counted.",
            ),
        ]


class StatedFilter(StateFilter):
    """What is to be done with a number."""

    states = (
        ("due", "To be read", lambda q: q.filter(wanted__gt=F("done"))),
        ("not_counted", "Not counted", lambda q: q.exclude(remark="")),
    )


@admin.register(StatedLevel)
class StatedLevelAdmin(FactsAdmin):
    """What warehouses say of goods."""

    list_display = ("sku", "authority", "free", "stock", "stated_at", "is_due", "remark")
    list_filter = (StatedFilter,)
    search_fields = ("listing__sku__exact",)
    search_help_text = "SKU, in full"
    ordering = ("-id",)
    readonly_fields: ClassVar[tuple[str, ...]] = ("sku", "is_due")
    fields = (
        "sku",
        "authority",
        ("free", "stock"),
        "stated_at",
        "remark",
        ("is_due", "wanted", "done", "next_read_at"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[StatedLevel]:
        """Brings goods, location and place along."""
        queryset: QuerySet[StatedLevel] = super().get_queryset(request)
        return queryset.select_related("listing", "authority__location", "authority__place")

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Allows the link that leads here from an authority."""
        return lookup == "authority__id__exact" or bool(super().lookup_allowed(lookup, value, request))

    @admin.display(description="SKU")
    def sku(self, stated: StatedLevel) -> str:
        """Leads to the goods as the warehouse lists them."""
        return page_of(stated.listing, stated.listing.sku or stated.listing.external_id)

    @admin.display(description="to be read", boolean=True)
    def is_due(self, stated: StatedLevel) -> bool:
        """Tells whether it waits to be read."""
        return stated.wanted > stated.done


@admin.register(WarehouseOrder)
class WarehouseOrderAdmin(FactsAdmin):
    """Orders that warehouses keep for our requests."""

    list_display = (
        "reference",
        "channel",
        "external_id",
        "shown_request",
        "status",
        "placed_at",
        "ended_at",
        "looked_at",
    )
    list_filter = (ChannelFilter,)
    search_fields = ("reference__exact", "external_id__exact")
    search_help_text = "Our reference or their id, in full"
    ordering = ("-id",)
    readonly_fields: ClassVar[tuple[str, ...]] = ("shown_request",)
    fields = (
        "reference", "channel", "external_id", "shown_request", "status", ("goods", "shipped"),
        ("placed_at", "ended_at"), ("looked_at", "wanted", "done"),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[WarehouseOrder]:
        """Brings channel and request along."""
        return with_channel(super().get_queryset(request), "request__order", "request__location")

    @admin.display(description="request")
    def shown_request(self, order: WarehouseOrder) -> str:
        """Leads to the request."""
        return page_of(order.request)


@admin.register(WarehouseArrival)
class WarehouseArrivalAdmin(FactsAdmin):
    """Lines of receipts and returns at warehouses that the ledger knows of."""

    list_display = ("recorded_at", "channel", "kind", "document", "units")
    list_filter = (ChannelFilter, "kind")
    search_fields = ("document__exact",)
    search_help_text = "Number of the document, in full"
    ordering = ("-id",)
    fields = ("channel", "kind", ("document", "external_id"), "units", "recorded_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[WarehouseArrival]:
        """Brings the channel along."""
        return with_channel(super().get_queryset(request))
