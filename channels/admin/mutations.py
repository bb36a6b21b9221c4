"""Changes of many listings: what the fuse let pass, and what waits for a person."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest

from channels import fuse, mutations
from channels.errors import RuleRefused
from channels.models import Mutation, MutationFuse
from config.admin_panels import Panel, badge, list_of
from config.admin_site import FactsAdmin, HistoryAdmin, StateFilter

_TONES = {"waiting": "bad", "refused": "warning", "withdrawn": "neutral"}


class MutationFilter(StateFilter):
    """What became of a change."""

    states = (
        ("waiting", "Waits for a decision", lambda q: q.filter(state="waiting")),
        ("applied", "Applied", lambda q: q.filter(state__in=["applied", "confirmed"])),
        ("refused", "Rolled back", lambda q: q.filter(state="refused")),
    )


@admin.register(Mutation)
class MutationAdmin(FactsAdmin):
    """What changed many listings at once; what waits is confirmed or rolled back here."""

    list_display = ("summary", "kind", "shown_state", "listings", "changed_before", "allowed", "actor", "at")
    list_filter = (MutationFilter, "kind")
    search_fields = ("summary",)
    ordering = ("-id",)
    actions = ("confirm", "refuse")
    detail_actions = ("confirm", "refuse")
    fields = (
        "summary", "kind", "shown_state", "channel_name", "version", ("listings", "changed_before", "allowed"),
        ("actor", "at"), "because", ("decided_by", "decided_at"), "decided_because",
    )  # fmt: skip
    readonly_fields = ("shown_state", "channel_name")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Mutation]:
        """Leaves the long lists of listings where they are."""
        queryset: QuerySet[Mutation] = super().get_queryset(request)
        related = queryset.select_related("channel", "version__rule_set")
        return related.defer("listing_ids", "channel__credentials")

    def has_decide_permission(self, request: HttpRequest) -> bool:
        """Returns whether whoever asks may decide."""
        return request.user.has_perm("channels.decide_mutation")

    @admin.display(description="state")
    def shown_state(self, mutation: Mutation) -> str:
        """Says what became of it."""
        return badge(mutation.get_state_display(), _TONES.get(mutation.state, "good"))

    @admin.display(description="channel", empty_value="–")
    def channel_name(self, mutation: Mutation) -> str | None:
        """Names the channel."""
        return mutation.channel.name if mutation.channel else None

    def offers(self, action: str, instance: Mutation) -> bool:
        """Offers a decision on what waits."""
        return instance.state == "waiting"

    @admin.action(description="Confirm and apply", permissions=["decide"])
    def confirm(self, request: HttpRequest, queryset: QuerySet[Mutation]) -> None:
        """Applies what waits."""
        self._decide(request, queryset, mutations.confirm, "mass change{s} confirmed")

    @admin.action(description="Roll back", permissions=["decide"])
    def refuse(self, request: HttpRequest, queryset: QuerySet[Mutation]) -> None:
        """Leaves everything as it was."""
        self._decide(request, queryset, mutations.refuse, "mass change{s} rolled back")

    def _decide(
        self, request: HttpRequest, chosen: QuerySet[Mutation], run: Callable[..., Any], what: str
    ) -> None:
        done = skipped = 0
        for pk in chosen.order_by("id").values_list("pk", flat=True):
            try:
                with transaction.atomic():
                    run(pk, actor=request.user.get_username(), because="Decided in the back office.")
            except RuleRefused as error:
                messages.warning(request, str(error))
                skipped += 1
            else:
                done += 1
        self.report(request, done, what, {"that waited no more": skipped})


@admin.register(MutationFuse)
class MutationFuseAdmin(HistoryAdmin):
    """How many listings may change in ten minutes before somebody has to look."""

    list_display = ("merchant", "floor", "percent")
    list_select_related = ("merchant",)
    ordering = ("merchant_id",)
    fields = ("merchant", "floor", "percent")
    readonly_fields = ("merchant",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Returns False: every merchant gets its fuse by itself."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Returns False: a merchant has a fuse."""
        return False

    def panels(self, request: HttpRequest, instance: MutationFuse) -> list[Panel]:
        """Shows how far it is used up."""
        now = fuse.count(instance)
        waiting = Mutation.objects.filter(merchant=instance.merchant_id, state="waiting").count()
        rows = [
            ("Listings changed in the last ten minutes", now.changed_before),
            ("Pass without a person", now.allowed),
            ("Changes that wait for a decision", waiting),
        ]
        links = [(list_of("channels.mutation", "state=waiting"), "What waits")]
        return [Panel("Now", ("", ""), rows, links=links)]
