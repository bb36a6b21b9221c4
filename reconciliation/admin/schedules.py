"""When channels are compared, what happens to differences, and who has the say over stock."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import ForeignKey, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from channels.admin.rows import ChannelFilter, with_channel
from channels.models import Authority, Channel
from config.admin_panels import Panel, badge, list_of
from config.admin_site import HistoryAdmin
from reconciliation import runs, schedules
from reconciliation.errors import Refused
from reconciliation.models import Discrepancy, ReconciliationPolicy, ReconciliationSchedule, StockAuthority
from reconciliation.models.discrepancies import RunKind


class OfChannels(HistoryAdmin):
    """A page whose rows name channels: these are read without their credentials."""

    def formfield_for_foreignkey(
        self, db_field: "ForeignKey[Any, Any]", request: HttpRequest, **kwargs: Any
    ) -> Any:
        """Offers channels by name."""
        if db_field.name == "channel":
            kwargs["queryset"] = Channel.objects.defer("credentials").order_by("name")
        return super().formfield_for_foreignkey(db_field, request, **kwargs)


class ScheduleForm(forms.ModelForm):  # type: ignore[type-arg]
    """A schedule; it says what is missing at the field that lacks it."""

    class Meta:
        model = ReconciliationSchedule
        fields = ("channel", "kind", "every_minutes", "hour", "tag", "is_active")

    def clean(self) -> dict[str, Any]:
        """Wants an interval or an hour, and a tag of the channel's own merchant."""
        cleaned: dict[str, Any] = super().clean() or {}
        interval, hour = cleaned.get("every_minutes"), cleaned.get("hour")
        if not self.errors and (interval is None) == (hour is None):
            self.add_error("every_minutes", "Enter either an interval in minutes or an hour of the day.")
        channel = self.instance.channel if self.instance.pk else cleaned.get("channel")
        tag = cleaned.get("tag")
        if tag is not None and channel is not None and tag.merchant_id != channel.merchant_id:
            self.add_error("tag", f"{tag} belongs to another merchant. Choose a tag of {channel}'s.")
        if tag is not None and cleaned.get("kind") == RunKind.FULL:
            self.add_error("tag", "A full run compares the whole channel. Leave this empty.")
        return cleaned


@admin.register(ReconciliationSchedule)
class ReconciliationScheduleAdmin(OfChannels):
    """Every channel is compared by these; the usual ones are added by themselves, and can be switched off."""

    form = ScheduleForm
    list_display = ("channel", "kind", "every_minutes", "hour", "tag", "shown_active", "next_run_at")
    list_filter = (ChannelFilter, "kind", "is_active")
    ordering = ("channel_id", "kind", "id")
    fields = ("channel", "kind", ("every_minutes", "hour"), "tag", "is_active", "next_run_at")
    readonly_fields = ("next_run_at",)
    actions = ("run_now",)
    detail_actions = ("run_now",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[ReconciliationSchedule]:
        """Brings channel and tag along."""
        return with_channel(super().get_queryset(request), "tag")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Leaves a schedule with its channel."""
        return ("next_run_at",) if obj is None else ("channel", "kind", "next_run_at")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Returns False for the usual ones, which would come back: switch them off."""
        is_usual = obj is not None and obj.tag_id is None
        return not is_usual and bool(super().has_delete_permission(request, obj))

    def has_run_permission(self, request: HttpRequest) -> bool:
        """Returns whether whoever asks may have channels compared."""
        return request.user.has_perm("reconciliation.run_reconciliation")

    def save_model(self, request: HttpRequest, obj: ReconciliationSchedule, form: Any, change: bool) -> None:
        """Plans the next run anew."""
        obj.next_run_at = schedules.next_run_of(obj, timezone.now())
        super().save_model(request, obj, form, change)

    @admin.display(description="active", ordering="is_active")
    def shown_active(self, schedule: ReconciliationSchedule) -> str:
        """Says whether it runs."""
        return badge("on", "good") if schedule.is_active else badge("off", "neutral")

    @admin.action(description="Run now", permissions=["run"])
    def run_now(self, request: HttpRequest, queryset: QuerySet[ReconciliationSchedule]) -> None:
        """Has the scope of schedules compared at once."""
        done = total = 0
        for schedule in queryset:
            total += 1
            try:
                runs.ask(
                    schedule.channel,
                    RunKind(schedule.kind),
                    tag=schedule.tag,
                    asked_by=request.user.get_username(),
                )
            except Refused:
                continue
            done += 1
        self.report(request, done, "comparison{s} asked for", {"of a channel that is off": total - done})


@admin.register(ReconciliationPolicy)
class ReconciliationPolicyAdmin(OfChannels):
    """What happens to differences; a channel without a row corrects up to ten units and flags the rest."""

    list_display = ("channel", "policy", "threshold_units")
    list_filter = (ChannelFilter, "policy")
    ordering = ("channel_id",)
    fields = ("channel", "policy", "threshold_units")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ReconciliationPolicy]:
        """Brings the channel along."""
        return with_channel(super().get_queryset(request))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Leaves a policy with its channel."""
        return () if obj is None else ("channel",)

    def panels(self, request: HttpRequest, instance: ReconciliationPolicy) -> list[Panel]:
        """Shows what was seen of late, and who keeps writing."""
        return [foreign_writers(instance.channel_id)]


def foreign_writers(channel_id: int) -> Panel:
    """Returns the shelves of a channel that somebody else keeps writing."""
    seen = Discrepancy.objects.filter(channel=channel_id, cause__in=["foreign_edit", "foreign_writer"])
    rows = [
        (
            each.last_seen_at,
            each.listing_level.listing.sku,
            each.shown,
            each.expected,
            each.get_cause_display(),
        )
        for each in seen.select_related("listing_level__listing").order_by("-id")[:20]
        if each.listing_level is not None
    ]
    return Panel(
        "Written by others",
        ("seen", "SKU", "they wrote", "should be", ""),
        rows,
        empty="Nobody else writes here.",
        note="A foreign writer is a shelf that was corrected three times within a day and differs again: it is not fought.",
        links=[
            (list_of("reconciliation.discrepancy", f"channel__id__exact={channel_id}"), "All discrepancies")
        ],
    )


class AuthorityForm(forms.ModelForm):  # type: ignore[type-arg]
    """Who has the say over a location of the same merchant, by files; a channel that has it is read by itself."""

    class Meta:
        model = StockAuthority
        fields = ("merchant", "location", "name", "policy", "threshold_units")

    def clean(self) -> dict[str, Any]:
        """Refuses a location of another merchant."""
        cleaned: dict[str, Any] = super().clean() or {}
        location, merchant = cleaned.get("location"), cleaned.get("merchant")
        if location is not None and merchant is not None and location.merchant_id != merchant.pk:
            self.add_error("location", f"{location} belongs to another merchant. Choose one of {merchant}'s.")
        elif location is not None and Authority.objects.filter(location=location).exists():
            self.add_error(
                "location", f"A channel has the say over {location} (Channels, Authorities) already."
            )
        return cleaned


@admin.register(StockAuthority)
class StockAuthorityAdmin(HistoryAdmin):
    """Who has the say over what lies where; `reconcile_stock` compares with what they say."""

    form = AuthorityForm
    list_display = ("name", "merchant", "location", "policy", "threshold_units")
    list_filter = ("merchant", "policy")
    list_select_related = ("merchant", "location")
    ordering = ("name", "id")
    fields = ("merchant", "location", "name", "policy", "threshold_units")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Leaves it with its location."""
        return () if obj is None else ("merchant", "location")
