"""What was decided about conflicts, and how far it is."""

from collections.abc import Callable
from typing import Any, ClassVar, Final

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html

from channels.admin.rows import ChannelFilter, short, with_channel
from config.admin_panels import NOTHING, badge, duration, page_of
from config.admin_site import FactsAdmin, StateFilter
from reconciliation.admin.conflicts import RESOLVE
from reconciliation.models import ConflictCase, Resolution, ResolutionState
from reconciliation.models.conflicts import OPEN_STATES
from reconciliation.resolving import done_by_hand, drop, try_again

_TONES: Final = {
    ResolutionState.DONE: "good",
    ResolutionState.FAILED: "bad",
    ResolutionState.CHECKLIST: "bad",
    ResolutionState.DROPPED: "neutral",
}


class ResolutionFilter(StateFilter):
    """Who has to do something."""

    states = (
        ("person", "Waiting for a person", lambda q: q.filter(state__in=["checklist", "failed"])),
        ("open", "On the way", lambda q: q.filter(state__in=OPEN_STATES)),
        ("failed", "Failed", lambda q: q.filter(state="failed")),
        ("done", "Done", lambda q: q.filter(state="done")),
        ("dropped", "Dropped", lambda q: q.filter(state="dropped")),
    )


@admin.register(Resolution)
class ResolutionAdmin(FactsAdmin):
    """Every decision about a conflict, whoever made it."""

    list_display = (
        "requested_at", "shown_state", "remedy", "shown_conflict", "quantity", "channel", "actor", "is_automatic",
        "handling", "what_failed",
    )  # fmt: skip
    list_filter = (ResolutionFilter, "remedy", ChannelFilter, "is_automatic", "merchant")
    search_fields = ("conflict__reference__exact", "conflict__variant__sku__exact", "actor__exact")
    search_help_text = "Reference, SKU or name, in full"
    ordering = ("-id",)
    actions = ("say_done", "retry", "give_up")
    detail_actions = ("say_done", "retry", "give_up")
    readonly_fields: ClassVar[tuple[str, ...]] = ("shown_state", "shown_conflict", "steps", "handling")
    fields = (
        "shown_conflict", ("remedy", "quantity"), "summary", "shown_state", "steps", ("refunds", "restocks"), "error",
        ("actor", "is_automatic", "handling"), "note", ("requested_at", "finished_at"), "operation",
        ("attempts", "next_attempt_at", "tracking_id", "call_id"),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Resolution]:
        """Brings conflict and channel along."""
        return with_channel(super().get_queryset(request), "conflict__variant", "operation")

    @admin.display(description="state", ordering="state")
    def shown_state(self, resolution: Resolution) -> str:
        """Says how far it is."""
        tone = _TONES.get(ResolutionState(resolution.state), "warning")
        return badge(resolution.get_state_display(), tone)

    @admin.display(description="conflict")
    def shown_conflict(self, resolution: Resolution) -> str:
        """Leads to the conflict."""
        return page_of(resolution.conflict, resolution.conflict.variant.sku)

    @admin.display(description="to do at the platform")
    def steps(self, resolution: Resolution) -> str:
        """Lists what a person has to do."""
        return (
            format_html('<pre class="oc-pre">{}</pre>', resolution.checklist)
            if resolution.checklist
            else NOTHING
        )

    @admin.display(description="handled in")
    def handling(self, resolution: Resolution) -> str:
        """Returns how long a person took."""
        return duration(resolution.handling_seconds)

    @admin.display(description="error")
    def what_failed(self, resolution: Resolution) -> str:
        """Returns the beginning of the error."""
        return short(resolution.error)

    # -- acting

    def has_resolve_permission(self, request: HttpRequest) -> bool:
        """Returns whether whoever asks may resolve conflicts."""
        return request.user.has_perm(RESOLVE)

    def offers(self, action: str, instance: Any) -> bool:
        """Offers what the state allows."""
        allowed: dict[str, bool] = {
            "say_done": instance.state == ResolutionState.CHECKLIST,
            "retry": instance.state == ResolutionState.FAILED and instance.call_id is not None,
            "give_up": instance.state == ResolutionState.CHECKLIST
            or (instance.state == ResolutionState.WANTED and not instance.attempts),
        }
        return allowed[action]

    @admin.action(description="Done at the platform", permissions=["resolve"])
    def say_done(self, request: HttpRequest, queryset: QuerySet[Resolution]) -> None:
        """Notes that a person has cancelled there; the order is fetched, and the ledger follows it."""
        self._run(request, queryset, done_by_hand, "cancellation{s} awaited from the platform's order")

    @admin.action(description="Try again", permissions=["resolve"])
    def retry(self, request: HttpRequest, queryset: QuerySet[Resolution]) -> None:
        """Has failed cancellations told again."""
        self._run(request, queryset, try_again, "cancellation{s} told again")

    @admin.action(description="Drop", permissions=["resolve"])
    def give_up(self, request: HttpRequest, queryset: QuerySet[Resolution]) -> None:
        """Gives cancellations up that no platform was told; their units can be resolved otherwise."""
        self._run(request, queryset, drop, "cancellation{s} dropped")

    def _run(
        self,
        request: HttpRequest,
        queryset: QuerySet[Resolution],
        step: Callable[[Resolution], bool],
        what: str,
    ) -> None:
        chosen = list(queryset)
        done = sum(step(each) for each in chosen)
        self.report(request, done, what, {"in another state": len(chosen) - done})


@admin.register(ConflictCase)
class ConflictCaseAdmin(FactsAdmin):
    """What each conflict was judged to come from."""

    list_display = ("examined_at", "shown_conflict", "cause_class", "channel", "evidence")
    list_display_links = ("examined_at",)
    list_filter = ("cause_class", ChannelFilter, "merchant")
    search_fields = ("conflict__variant__sku__exact",)
    search_help_text = "SKU, in full"
    ordering = ("-conflict_id",)
    readonly_fields: ClassVar[tuple[str, ...]] = ("shown_conflict",)
    fields = ("shown_conflict", "channel", "cause_class", "evidence", "examined_at")

    def get_queryset(self, request: HttpRequest) -> QuerySet[ConflictCase]:
        """Brings conflict and channel along."""
        return with_channel(super().get_queryset(request), "conflict__variant")

    @admin.display(description="conflict")
    def shown_conflict(self, case: ConflictCase) -> str:
        """Leads to the conflict."""
        return page_of(case.conflict, case.conflict.variant.sku)
