"""What platforms sent and what was read of them; read-only, dead letters can be replayed."""

import json
from collections import Counter
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html

from channels import deliveries
from channels.admin.rows import ChannelFilter, outcome_badge, short, with_channel
from channels.models import PollFeed, ShelfObservation, WebhookDelivery
from channels.models.inbound import DeliveryState
from config.admin_panels import page_of
from config.admin_site import FactsAdmin, StateFilter


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(FactsAdmin):
    """Messages, each stored once; what was not authentic is not here."""

    list_display = (
        "received_at", "channel", "topic", "shown_state", "repeats", "attempts", "processed_at", "what_failed",
    )  # fmt: skip
    list_display_links = ("received_at", "topic")
    list_filter = (ChannelFilter, "state")
    search_fields = ("dedupe_key__exact", "topic__exact")
    search_help_text = "Dedupe key or topic, in full"
    ordering = ("-id",)
    actions = ("replay_deliveries", "replay_dead_letters")
    detail_actions = ("replay_deliveries",)
    readonly_fields: ClassVar[tuple[str, ...]] = ("shown_state", "shown_payload")
    fields = (
        "channel", "topic", "shown_state", "dedupe_key", ("received_at", "processed_at"),
        ("repeats", "attempts", "takes", "next_attempt_at"), "error", "shown_payload",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookDelivery]:
        """Brings the channel along."""
        return with_channel(super().get_queryset(request))

    @admin.display(description="state", ordering="state")
    def shown_state(self, delivery: WebhookDelivery) -> str:
        """Says what has become of it."""
        return outcome_badge(delivery, "state")

    @admin.display(description="error")
    def what_failed(self, delivery: WebhookDelivery) -> str:
        """Returns the beginning of the last error."""
        return short(delivery.error)

    @admin.display(description="payload")
    def shown_payload(self, delivery: WebhookDelivery) -> str:
        """Returns what was kept of the body, indented."""
        text = json.dumps(delivery.payload, indent=2, ensure_ascii=False)
        return format_html('<pre class="oc-pre">{}</pre>', text)

    def has_replay_permission(self, request: HttpRequest) -> bool:
        """Returns whether whoever asks may replay."""
        return request.user.has_perm("channels.replay_webhookdelivery")

    @admin.action(description="Replay", permissions=["replay"])
    def replay_deliveries(self, request: HttpRequest, queryset: QuerySet[WebhookDelivery]) -> None:
        """Has deliveries processed again; an order counts nothing twice, because it is a state."""
        self._replay(request, queryset, queryset.exclude(state=DeliveryState.RECEIVED), "waiting already")

    @admin.action(description="Replay dead letters only", permissions=["replay"])
    def replay_dead_letters(self, request: HttpRequest, queryset: QuerySet[WebhookDelivery]) -> None:
        """Has those processed again that were given up."""
        self._replay(request, queryset, queryset.filter(state=DeliveryState.DEAD), "not dead")

    def _replay(
        self,
        request: HttpRequest,
        queryset: QuerySet[WebhookDelivery],
        chosen: QuerySet[WebhookDelivery],
        reason: str,
    ) -> None:
        total = queryset.count()
        ids = list(chosen.filter(channel__is_active=True).values_list("pk", flat=True))
        skipped = Counter(
            {"of a channel that is off": chosen.count() - len(ids), reason: total - chosen.count()}
        )
        done = deliveries.replay(ids)
        self.report(request, done, "message{s} will be processed again", skipped)


class FeedFilter(StateFilter):
    """Whether a feed works."""

    states = (
        ("failing", "Failing", lambda q: q.filter(failures__gt=0)),
        ("due", "Due", lambda q: q.filter(next_poll_at__lte=timezone.now())),
    )


@admin.register(PollFeed)
class PollFeedAdmin(FactsAdmin):
    """How far each feed has been read."""

    list_display = ("feed", "channel", "last_polled_at", "next_poll_at", "polls", "failures", "what_failed")
    list_filter = (ChannelFilter, FeedFilter)
    ordering = ("channel_id", "name")
    readonly_fields: ClassVar[tuple[str, ...]] = ("feed",)
    fields = (
        "feed", "channel", "cursor", ("last_polled_at", "next_poll_at"), "leased_until", ("polls", "failures"),
        "last_error",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[PollFeed]:
        """Brings the channel along."""
        return with_channel(super().get_queryset(request))

    @admin.display(description="feed", ordering="name")
    def feed(self, feed: PollFeed) -> str:
        """Names the feed."""
        return feed.name

    @admin.display(description="last error")
    def what_failed(self, feed: PollFeed) -> str:
        """Returns the beginning of the last error."""
        return short(feed.last_error)


@admin.register(ShelfObservation)
class ShelfObservationAdmin(FactsAdmin):
    """Numbers that platforms said they show."""

    list_display = ("received_at", "channel", "sku", "quantity", "expected", "shown_verdict", "observed_at")
    list_filter = (ChannelFilter, "verdict")
    search_fields = ("listing_level__listing__sku__exact",)
    search_help_text = "SKU, in full"
    ordering = ("-id",)
    readonly_fields: ClassVar[tuple[str, ...]] = ("shelf", "shown_verdict")
    fields = (
        "channel", "shelf", ("quantity", "expected"), "shown_verdict", ("observed_at", "received_at", "judged_at"),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[ShelfObservation]:
        """Brings channel and listing along."""
        return with_channel(super().get_queryset(request), "listing_level__listing")

    @admin.display(description="SKU")
    def sku(self, observation: ShelfObservation) -> str:
        """Returns the SKU as the platform has it."""
        return observation.listing_level.listing.sku

    @admin.display(description="shelf")
    def shelf(self, observation: ShelfObservation) -> str:
        """Leads to the shelf."""
        listing = observation.listing_level.listing
        return page_of(observation.listing_level, listing.sku or listing.external_id)

    @admin.display(description="verdict", ordering="verdict")
    def shown_verdict(self, observation: ShelfObservation) -> Any:
        """Says what it turned out to be."""
        return outcome_badge(observation, "verdict")
