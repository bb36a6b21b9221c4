"""What channels let us do about their conflicts without asking."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from channels.admin.rows import ChannelFilter, with_channel
from channels.models import Channel
from config.admin_panels import NOTHING, badge, list_of
from config.admin_site import HistoryAdmin
from reconciliation.models import ConflictPolicy


@admin.register(ConflictPolicy)
class ConflictPolicyAdmin(HistoryAdmin):
    """One for each channel; without one, or switched off, every conflict waits for a person."""

    list_display = ("channel", "state", "remedies", "largest_units", "after_minutes")
    list_filter = (ChannelFilter, "is_active")
    search_fields = ("channel__name",)
    ordering = ("channel__name",)
    fields = (
        "channel", "is_active", "after_minutes", "largest_units", "may_serve", ("may_backorder", "backorder_days"),
        "may_cancel",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[ConflictPolicy]:
        """Brings the channel along."""
        return with_channel(super().get_queryset(request))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Leaves a policy with its channel."""
        return () if obj is None else ("channel",)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Offers channels that have no policy, read without their credentials."""
        channels = Channel.objects.defer("credentials").filter(conflict_policy__isnull=True)
        return super().formfield_for_foreignkey(
            db_field, request, queryset=channels.order_by("name"), **kwargs
        )

    @admin.display(description="state", ordering="is_active")
    def state(self, policy: ConflictPolicy) -> str:
        """Says whether it is in force."""
        return badge("in force", "good") if policy.is_active else badge("off")

    @admin.display(description="without asking")
    def remedies(self, policy: ConflictPolicy) -> str:
        """Names what may be done, in the order in which it is tried."""
        named = (
            (policy.may_serve, "another location"),
            (policy.may_backorder, f"backorder up to {policy.backorder_days} days"),
            (policy.may_cancel, "cancel at the platform"),
        )
        return ", ".join(text for may, text in named if may) or NOTHING

    def object_links(self, request: HttpRequest, instance: ConflictPolicy) -> list[tuple[str, str]]:
        """Leads to what it has done."""
        query = f"channel__id__exact={instance.channel_id}&is_automatic__exact=1"
        return [(list_of("reconciliation.resolution", query), "What it did")]
