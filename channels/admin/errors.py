"""The error log of all channels, and the signs of life of the processes; read-only."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import NoReverseMatch
from django.utils import timezone

from channels.admin.rows import ChannelFilter, short, with_channel
from channels.error_log import REMEDIES
from channels.models import ErrorEntry, Heartbeat
from config.admin_panels import NOTHING, address_of, badge, link
from config.admin_site import FactsAdmin, StateFilter

#: Codes that a person has to see to; the others pass or are tried again.
_FOR_A_PERSON = frozenset({"unauthorised", "misconfigured", "rejected", "bad_signature", "failed"})


class AgeFilter(StateFilter):
    """How long ago it was."""

    title = "when"
    parameter_name = "since"
    states = (
        ("hour", "In the last hour", lambda q: q.filter(at__gte=timezone.now() - timedelta(hours=1))),
        ("day", "In the last day", lambda q: q.filter(at__gte=timezone.now() - timedelta(days=1))),
        ("week", "In the last week", lambda q: q.filter(at__gte=timezone.now() - timedelta(days=7))),
    )


class AnswerFilter(StateFilter):
    """What the platform answered."""

    title = "answer"
    parameter_name = "answer"
    states = (
        ("none", "None", lambda q: q.filter(status__isnull=True)),
        ("refused", "4xx", lambda q: q.filter(status__gte=400, status__lt=500)),
        ("failed", "5xx", lambda q: q.filter(status__gte=500)),
    )


class CodeFilter(admin.SimpleListFilter):
    """What kind of failure it was."""

    title = "code"
    parameter_name = "code"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Returns the codes that there are, without asking the log."""
        return [(code, code.replace("_", " ")) for code in REMEDIES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Returns the failures of the chosen code."""
        return queryset.filter(code=self.value()) if self.value() in REMEDIES else queryset


@admin.register(ErrorEntry)
class ErrorEntryAdmin(FactsAdmin):
    """What went wrong, across all channels: call, code, time, remedy, and a link to what it is about."""

    list_display = ("at", "channel", "job", "shown_code", "status", "call", "what", "what_to_do", "about")
    list_filter = (ChannelFilter, AgeFilter, CodeFilter, "job", AnswerFilter)
    search_fields = ("message", "call")
    search_help_text = "Words of the message or of the call"
    ordering = ("-id",)
    readonly_fields: ClassVar[Sequence[str]] = ("shown_code", "about")
    fields = ("channel", "at", "job", ("shown_code", "status"), "call", "message", "remedy", "about")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ErrorEntry]:
        """Brings the channel along."""
        return with_channel(super().get_queryset(request))

    @admin.display(description="code", ordering="code")
    def shown_code(self, entry: ErrorEntry) -> str:
        """Names the kind of failure; red where a person has to see to it."""
        return badge(entry.code.replace("_", " "), "bad" if entry.code in _FOR_A_PERSON else "warning")

    @admin.display(description="message")
    def what(self, entry: ErrorEntry) -> str:
        """Returns the beginning of the message."""
        return short(entry.message)

    @admin.display(description="what to do")
    def what_to_do(self, entry: ErrorEntry) -> str:
        """Returns the beginning of the remedy."""
        return short(entry.remedy)

    @admin.display(description="about")
    def about(self, entry: ErrorEntry) -> str:
        """Leads to what it is about."""
        if entry.object_id is None:
            return NOTHING
        words = f"{entry.object_label.rpartition('.')[2]} {entry.object_id}"
        try:
            return link(address_of(entry.object_label, entry.object_id), words)
        except NoReverseMatch:
            return words


@admin.register(Heartbeat)
class HeartbeatAdmin(FactsAdmin):
    """When the pusher and the jobs last did their work."""

    list_display = ("name", "beat_at")
    ordering = ("name",)
    fields = ("name", "beat_at")
