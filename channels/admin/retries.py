"""Work that others were in the way of: what waits, what was given up, and what is done since."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from channels.admin.rows import ChannelFilter, with_channel
from channels.models import Retry
from channels.models.retry_queue import RetryState
from channels.retried_work import try_again
from config.admin_panels import badge, duration
from config.admin_site import FactsAdmin

_TONES = {"waiting": "warning", "exhausted": "bad", "done": "good", "returned": "neutral"}


@admin.register(Retry)
class RetryAdmin(FactsAdmin):
    """Lock timeouts, deadlocks and serialisation failures, and what became of the work that met them."""

    list_display = (
        "last_at", "kind", "key", "channel", "shown_state", "reason", "attempts", "took", "next_attempt_at",
    )  # fmt: skip
    list_display_links = ("last_at", "key")
    list_filter = (ChannelFilter, "state", "kind", "reason")
    search_fields = ("key__exact",)
    search_help_text = "Key, in full"
    ordering = ("-id",)
    actions = ("try_again",)
    detail_actions = ("try_again",)
    readonly_fields: ClassVar[tuple[str, ...]] = ("shown_state", "took")
    fields = (
        "kind", "key", "channel", "shown_state", ("reason", "attempts"), ("first_at", "last_at", "took"),
        ("next_attempt_at", "ended_at"),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Retry]:
        """Brings the channel along."""
        return with_channel(super().get_queryset(request))

    @admin.display(description="state", ordering="state")
    def shown_state(self, retry: Retry) -> str:
        """Says what has become of it."""
        return badge(retry.get_state_display(), _TONES.get(retry.state, "neutral"))

    @admin.display(description="since the first attempt")
    def took(self, retry: Retry) -> str:
        """Returns how long others were in the way."""
        return duration((retry.ended_at or retry.last_at) - retry.first_at)

    def has_replay_permission(self, request: HttpRequest) -> bool:
        """Returns whether whoever asks may have work done again."""
        return request.user.has_perm("channels.replay_webhookdelivery")

    def offers(self, action: str, instance: Any) -> bool:
        """Offers to try again what was given up."""
        return bool(instance.state == RetryState.EXHAUSTED)

    @admin.action(description="Try again now", permissions=["replay"])
    def try_again(self, request: HttpRequest, queryset: QuerySet[Retry]) -> None:
        """Begins given up work anew; it counts nothing twice."""
        chosen = list(queryset)
        done = try_again(chosen)
        self.report(request, done, "piece{s} of work begun again", {"not given up": len(chosen) - done})
