"""Places as platforms know them, and our locations behind them."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db import transaction
from django.db.models import ForeignKey, QuerySet
from django.forms import BaseInlineFormSet
from django.http import HttpRequest
from unfold.admin import TabularInline

from channels.admin.rows import ChannelFilter, with_channel
from channels.models import ChannelLocation, ChannelLocationSource
from channels.tuning import tell_place_anew
from channels.warehouses.authorities import keeps_stock
from config.admin_site import FactsAdmin, OperatorAdmin
from inventory.models import Location
from inventory.models.catalogue import LocationKind


class SourceFormSet(BaseInlineFormSet):  # type: ignore[type-arg]
    """The rows of a place together."""

    def clean(self) -> None:
        """Refuses a platform's own warehouse that another channel sells from already."""
        super().clean()
        chosen = {
            form.cleaned_data["location"].pk: form
            for form in self.forms
            if getattr(form, "cleaned_data", {}).get("location") and not form.cleaned_data.get("DELETE")
        }
        elsewhere = ChannelLocationSource.objects.filter(
            location__in=chosen, location__kind=LocationKind.CHANNEL_OWNED
        ).exclude(channel_location__channel=self.instance.channel_id)
        for source in elsewhere.select_related("location", "channel_location__channel"):
            channel = source.channel_location.channel
            message = f"{source.location} is {channel}'s own warehouse; it can serve no other channel."
            chosen[source.location_id].add_error("location", message)


class SourceInline(TabularInline):
    """Our locations behind a place, in the order in which they are drawn on."""

    model = ChannelLocationSource
    formset = SourceFormSet
    fields = ("location", "priority", "is_active")
    extra = 1
    verbose_name = "location of yours behind it"
    verbose_name_plural = "locations of yours behind it"

    def get_queryset(self, request: HttpRequest) -> QuerySet[ChannelLocationSource]:
        """Brings the locations along."""
        queryset: QuerySet[ChannelLocationSource] = super().get_queryset(request)
        return queryset.select_related("location", "channel_location")

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        """Remembers whose place it is."""
        request.place = obj  # type: ignore[attr-defined]
        return super().get_formset(request, obj, **kwargs)

    def formfield_for_foreignkey(
        self, db_field: "ForeignKey[Any, Any]", request: HttpRequest, **kwargs: Any
    ) -> Any:
        """Offers the merchant's own locations, read once for all rows of the form."""
        if db_field.name == "location":
            place = getattr(request, "place", None)
            own = Location.objects.filter(is_active=True)
            kwargs["queryset"] = own.filter(merchant=place.channel.merchant_id) if place else own
        field = super().formfield_for_foreignkey(db_field, request, **kwargs)
        field.choices = list(field.choices)
        return field


@admin.register(ChannelLocation)
class ChannelLocationAdmin(OperatorAdmin):
    """Mapping of places; they come from the platform, people say what is behind them."""

    list_display = ("title", "channel", "external_id", "behind", "is_active")
    list_filter = (ChannelFilter, "is_active")
    search_fields = ("name", "external_id")
    fields = ("channel", "external_id", "name", "is_active")
    inlines = (SourceInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ChannelLocation]:
        """Brings channel and locations along."""
        queryset: QuerySet[ChannelLocation] = super().get_queryset(request)
        return with_channel(queryset).prefetch_related("sources__location")

    def get_inlines(self, request: HttpRequest, obj: Any = None) -> Any:
        """Offers no locations behind a place of a warehouse: it may have the say over one (Authorities)."""
        return () if obj is not None and keeps_stock(obj.channel.kind) else self.inlines

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Leaves places of warehouses switched off: nothing is sold there."""
        fields: tuple[str, ...] = ("channel", "external_id")
        return (*fields, "is_active") if obj is not None and keeps_stock(obj.channel.kind) else fields

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Returns False: places are read from the platform."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Returns False: one that is gone is switched off."""
        return False

    @admin.display(description="place", ordering="name")
    def title(self, place: ChannelLocation) -> str:
        """Names the place; platforms without places have one nameless."""
        return place.name or place.external_id or "the shop"

    @admin.display(description="locations of yours behind it")
    def behind(self, place: ChannelLocation) -> str:
        """Lists our locations in order; says so where there are none."""
        sources = sorted(place.sources.all(), key=lambda source: (source.priority, source.pk))
        codes = (f"{source.location.code}{'' if source.is_active else ' (off)'}" for source in sources)
        return ", ".join(codes) or "none: nothing is told here"

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Has the numbers of the place told, and the orders applied that waited for it."""
        with transaction.atomic():
            super().save_related(request, form, formsets, change)
            if any(formset.has_changed() for formset in formsets) or form.has_changed():
                tell_place_anew(form.instance)


@admin.register(ChannelLocationSource)
class ChannelLocationSourceAdmin(FactsAdmin):
    """Which location stands behind which place, as one list; edited on the place."""

    list_display = ("channel_name", "channel_location", "location", "priority", "is_active")
    list_display_links: ClassVar[Any] = ("channel_location",)
    search_fields = ("location__code",)
    ordering = ("channel_location_id", "priority", "id")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ChannelLocationSource]:
        """Brings place, channel and location along."""
        queryset: QuerySet[ChannelLocationSource] = super().get_queryset(request)
        return with_channel(queryset, "location", channel="channel_location__channel")

    @admin.display(description="channel")
    def channel_name(self, source: ChannelLocationSource) -> str:
        """Names the channel."""
        return source.channel_location.channel.name
