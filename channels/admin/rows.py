"""How rows are read for the back office: with the channel they belong to, and never with its credentials.

Credentials are opened when they are read; a list that read them would be slow, and would fail with every row of a channel
whose key is missing.
"""

from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.text import Truncator

from channels.models import Channel
from config.admin_panels import badge


def with_channel(queryset: QuerySet[Any], *paths: str, channel: str = "channel") -> QuerySet[Any]:
    """Returns the rows with their channel and what else is named, the credentials left out."""
    return queryset.select_related(channel, *paths).defer(f"{channel}__credentials")


class ChannelFilter(admin.SimpleListFilter):
    """Filters by channel; reads no more than the names."""

    title = "channel"
    parameter_name = "channel__id__exact"
    path = "channel"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Returns the channels by name."""
        return [(str(pk), name) for pk, name in Channel.objects.order_by("name").values_list("pk", "name")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Returns the rows of the chosen channel."""
        value = self.value() or ""
        return queryset.filter(**{f"{self.path}_id": int(value)}) if value.isdecimal() else queryset


#: Words of outcomes and states → how they stand out.
_TONES = {
    "confirmed": "good",
    "unchanged": "good",
    "processed": "good",
    "echo": "good",
    "explained": "good",
    "accepted": "warning",
    "stale": "warning",
    "unknown": "warning",
    "received": "warning",
    "open": "warning",
    "rejected": "bad",
    "failed": "bad",
    "dead": "bad",
    "foreign": "bad",
}


def outcome_badge(row: Model, field: str) -> SafeString:
    """Returns a choice of a row as a word that stands out."""
    text = getattr(row, f"get_{field}_display")()
    return badge(text, _TONES.get(getattr(row, field), "neutral"))


def short(text: str, length: int = 80) -> str:
    """Returns the beginning of a text."""
    return Truncator(text).chars(length)
