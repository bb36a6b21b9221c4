"""What channels were told, and what their calls may spend; read-only."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from channels.admin.condition import condition_badge, condition_of
from channels.admin.rows import ChannelFilter, outcome_badge, short, with_channel
from channels.admin.waterfall import push_panel
from channels.models import AccessToken, BundleChange, ChannelHealth, Push, RateBucket
from config.admin_panels import Panel, duration, page_of
from config.admin_site import FactsAdmin


@admin.register(Push)
class PushAdmin(FactsAdmin):
    """Every attempt to tell a channel a number."""

    list_display = (
        "finished_at", "channel", "sku", "shown_outcome", "target", "quantity", "compared_with", "took", "what_failed",
    )  # fmt: skip
    list_filter = (ChannelFilter, "outcome")
    search_fields = ("listing_level__listing__sku__exact", "call_id__exact")
    search_help_text = "SKU or call id, in full"
    ordering = ("-id",)
    readonly_fields: ClassVar[tuple[str, ...]] = ("shelf", "shown_outcome", "took")
    fields = (
        "channel", "shelf", "shown_outcome", ("target", "quantity", "compared_with"), "wanted", "error",
        ("computed_at", "finished_at", "took"), ("call_id", "tracking_id"),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Push]:
        """Brings channel and listing along."""
        return with_channel(super().get_queryset(request), "listing_level__listing")

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Allows the link that leads here from a shelf."""
        return lookup == "listing_level__id__exact" or bool(super().lookup_allowed(lookup, value, request))

    @admin.display(description="SKU")
    def sku(self, push: Push) -> str:
        """Returns the SKU as the platform has it."""
        return push.listing_level.listing.sku

    @admin.display(description="shelf")
    def shelf(self, push: Push) -> str:
        """Leads to the shelf."""
        listing = push.listing_level.listing
        return page_of(push.listing_level, listing.sku or listing.external_id)

    @admin.display(description="outcome", ordering="outcome")
    def shown_outcome(self, push: Push) -> str:
        """Says how it ended."""
        return outcome_badge(push, "outcome")

    @admin.display(description="took")
    def took(self, push: Push) -> str:
        """Returns how long it took from computing the number to its end."""
        return duration(push.finished_at - push.computed_at)

    @admin.display(description="error")
    def what_failed(self, push: Push) -> str:
        """Returns the beginning of the error."""
        return short(push.error)

    def panels(self, request: HttpRequest, instance: Push) -> list[Panel]:
        """Shows how the number came about."""
        return [push_panel(instance)]


@admin.register(RateBucket)
class RateBucketAdmin(FactsAdmin):
    """What calls may spend."""

    list_display = (
        "name",
        "channel",
        "tokens",
        "capacity",
        "refill_per_second",
        "blocked_until",
        "updated_at",
    )
    list_filter = (ChannelFilter,)
    ordering = ("channel_id", "name")
    fields = ("name", "channel", ("tokens", "capacity", "refill_per_second"), "blocked_until", "updated_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[RateBucket]:
        """Brings the channel along."""
        return with_channel(super().get_queryset(request))


@admin.register(AccessToken)
class AccessTokenAdmin(FactsAdmin):
    """When short-lived tokens end; the tokens themselves are never read here."""

    list_display = ("channel", "expires_at")
    list_filter = (ChannelFilter,)
    ordering = ("channel_id",)
    fields = ("channel", "expires_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[AccessToken]:
        """Brings the channel along, and leaves the token closed."""
        return with_channel(super().get_queryset(request)).defer("token", "channel__credentials")


@admin.register(ChannelHealth)
class ChannelHealthAdmin(FactsAdmin):
    """What the last contacts with each channel showed."""

    list_display = (
        "channel", "state", "last_push_at", "last_webhook_at", "last_poll_at", "consecutive_failures",
        "breaker_open_until", "what_failed",
    )  # fmt: skip
    list_filter = (ChannelFilter,)
    ordering = ("channel_id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ChannelHealth]:
        """Brings the channel along."""
        return with_channel(super().get_queryset(request))

    @admin.display(description="state")
    def state(self, health: ChannelHealth) -> str:
        """Says in a word how the channel is doing."""
        channel = health.channel
        channel.health = health
        return condition_badge(condition_of(channel))

    @admin.display(description="last error")
    def what_failed(self, health: ChannelHealth) -> str:
        """Returns the beginning of the last error."""
        return short(health.last_error)


@admin.register(BundleChange)
class BundleChangeAdmin(FactsAdmin):
    """Changes of parts whose bundles have yet to be marked; empty but for moments."""

    list_display = ("created_at", "variant_id", "location_id", "available_delta", "available_after")
    ordering = ("-id",)
