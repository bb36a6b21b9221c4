"""Which of our locations stood behind which place, and when; kept by the database, changed by nobody."""

from typing import Any

from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest

from channels.models import ChannelLocation, SourceSpan
from config.admin_site import FactsAdmin
from inventory.models import Location


@admin.register(SourceSpan)
class SourceSpanAdmin(FactsAdmin):
    """Spans; one without an end lasts."""

    list_display = ("place", "location", "priority", "began_at", "ended_at")
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[SourceSpan]:
        """Names place and location, which may be gone."""
        places = ChannelLocation.objects.filter(pk=OuterRef("channel_location_id"))
        locations = Location.objects.filter(pk=OuterRef("location_id"))
        queryset: QuerySet[SourceSpan] = super().get_queryset(request)
        return queryset.annotate(
            place_name=Subquery(places.values("name")[:1]),
            location_code=Subquery(locations.values("code")[:1]),
        )

    @admin.display(description="place")
    def place(self, span: Any) -> str:
        """Returns the place's name."""
        return span.place_name or f"place {span.channel_location_id}"

    @admin.display(description="location")
    def location(self, span: Any) -> str:
        """Returns our location's code."""
        return span.location_code or f"location {span.location_id}"
