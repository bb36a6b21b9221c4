"""Where shops and authorities show other numbers than they should, and the runs that looked."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString

from channels.admin.decisions import BecauseForm, ask
from channels.admin.rows import ChannelFilter, short
from channels.models import Channel
from config.admin_panels import NOTHING, Panel, address_of, badge, duration, page_of, signed
from config.admin_site import FactsAdmin, StateFilter, require
from reconciliation import authority, discrepancies, runs
from reconciliation.errors import Refused
from reconciliation.models import Discrepancy, ReconciliationRun

_TONES = {
    "open": "bad",
    "held": "bad",
    "correcting": "warning",
    "corrected": "good",
    "failed": "bad",
    "running": "warning",
    "asked": "warning",
    "done": "good",
}


class DiscrepancyFilter(StateFilter):
    """What became of a discrepancy."""

    states = (
        (
            "open",
            "Waits for a person",
            lambda q: q.filter(closed_at__isnull=True, state__in=["open", "held"]),
        ),
        ("correcting", "Being corrected", lambda q: q.filter(closed_at__isnull=True, state="correcting")),
        ("closed", "Closed", lambda q: q.filter(closed_at__isnull=False)),
    )


@admin.register(Discrepancy)
class DiscrepancyAdmin(FactsAdmin):
    """Every difference that was certain, with its likely cause; what waits is decided here."""

    list_display = (
        "first_seen_at", "sku", "where", "shown", "expected", "shown_difference", "shown_value", "cause", "shown_state",
        "sightings", "last_seen_at",
    )  # fmt: skip
    list_filter = (ChannelFilter, DiscrepancyFilter, "cause")
    search_fields = ("listing_level__listing__sku__exact", "stock_level__variant__sku__exact")
    search_help_text = "SKU, in full"
    ordering = ("-id",)
    actions = ("correct_now", "look_again")
    detail_actions: ClassVar[tuple[str, ...]] = ("correct_now", "look_again")
    readonly_fields: ClassVar[tuple[str, ...]] = (
        "sku",
        "where",
        "shelf",
        "shown_difference",
        "shown_value",
        "shown_state",
    )
    fields = (
        ("sku", "where", "shelf"), ("shown", "expected", "shown_difference"), ("shown_value", "unit_price", "currency"),
        ("cause", "shown_state"), ("sightings", "first_seen_at", "last_seen_at"), "run", "mutation",
        ("closed_at", "closed_by"), "because",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Discrepancy]:
        """Brings along what names a row, and leaves credentials and long lists where they are."""
        queryset: QuerySet[Discrepancy] = super().get_queryset(request)
        related = queryset.select_related(
            "channel",
            "listing_level__listing",
            "listing_level__channel_location",
            "stock_level__variant",
            "stock_level__location",
            "mutation",
            "run",
        )
        return related.defer("channel__credentials", "mutation__listing_ids")

    def get_urls(self) -> list[URLPattern]:
        """Adds the page on which one is dismissed."""
        dismiss = self.admin_site.admin_view(self.dismiss_page)
        own = path("<int:pk>/dismiss/", dismiss, name="reconciliation_discrepancy_dismiss")
        return [own, *super().get_urls()]

    def object_links(self, request: HttpRequest, instance: Discrepancy) -> list[tuple[str, str]]:
        """Leads to where it is dismissed."""
        if not instance.is_open or not self.has_resolve_permission(request):
            return []
        return [(reverse("admin:reconciliation_discrepancy_dismiss", args=[instance.pk]), "Dismiss")]

    def offers(self, action: str, instance: Discrepancy) -> bool:
        """Offers what may change an open one."""
        return instance.is_open and (action != "look_again" or instance.listing_level_id is not None)

    def has_resolve_permission(self, request: HttpRequest) -> bool:
        """Returns whether whoever asks may decide."""
        return request.user.has_perm("reconciliation.resolve_discrepancy")

    def has_run_permission(self, request: HttpRequest) -> bool:
        """Returns whether whoever asks may have channels compared."""
        return request.user.has_perm("reconciliation.run_reconciliation")

    @admin.display(description="SKU")
    def sku(self, discrepancy: Discrepancy) -> str:
        """Returns the SKU."""
        if discrepancy.listing_level is not None:
            return discrepancy.listing_level.listing.sku or discrepancy.listing_level.listing.external_id
        return discrepancy.stock_level.variant.sku if discrepancy.stock_level else NOTHING

    @admin.display(description="where")
    def where(self, discrepancy: Discrepancy) -> str:
        """Names channel and place, or the location of ours."""
        if discrepancy.listing_level is not None and discrepancy.channel is not None:
            place = discrepancy.listing_level.channel_location
            named = place.name or place.external_id
            return f"{discrepancy.channel.name}, {named}" if named else discrepancy.channel.name
        return f"ledger, {discrepancy.stock_level.location.code}" if discrepancy.stock_level else NOTHING

    @admin.display(description="shelf")
    def shelf(self, discrepancy: Discrepancy) -> str:
        """Leads to the shelf or the level."""
        return page_of(discrepancy.listing_level or discrepancy.stock_level, "open")

    @admin.display(description="difference")
    def shown_difference(self, discrepancy: Discrepancy) -> str:
        """Returns the difference with its sign."""
        return signed(discrepancy.difference)

    @admin.display(description="value at stake")
    def shown_value(self, discrepancy: Discrepancy) -> str:
        """Returns what the difference is worth, where a price is known."""
        value = discrepancy.value
        return "unknown" if value is None else f"{value:,.2f} {discrepancy.currency}".strip()

    @admin.display(description="state", ordering="state")
    def shown_state(self, discrepancy: Discrepancy) -> SafeString:
        """Says what became of it."""
        return badge(discrepancy.get_state_display(), _TONES.get(discrepancy.state, "neutral"))

    @admin.action(description="Correct now", permissions=["resolve"])
    def correct_now(self, request: HttpRequest, queryset: QuerySet[Discrepancy]) -> None:
        """Has shops told their right numbers, and counts what authorities found into the ledger."""
        actor, chosen = request.user.get_username(), Discrepancy.objects.filter(pk__in=_keys(queryset))
        done = discrepancies.correct_chosen(chosen, actor=actor) + authority.count_in(chosen, actor=actor)
        left = {"closed or being corrected already": chosen.count() - done}
        self.report(request, done, "number{s} being corrected", left)

    @admin.action(description="Look again now", permissions=["run"])
    def look_again(self, request: HttpRequest, queryset: QuerySet[Discrepancy]) -> None:
        """Has these goods compared again."""
        rows = Discrepancy.objects.filter(
            pk__in=_keys(queryset), listing_level__listing__variant__isnull=False
        )
        wanted = set(rows.values_list("channel_id", "listing_level__listing__variant__sku"))
        channels = Channel.objects.defer("credentials").in_bulk({channel_id for channel_id, _ in wanted})
        done = 0
        for channel_id, sku in sorted(wanted):
            try:
                runs.ask(channels[channel_id], sku=sku, asked_by=request.user.get_username())
            except Refused:
                continue
            done += 1
        self.report(
            request, done, "SKU{s} will be compared", {"of a channel that is off": len(wanted) - done}
        )

    def dismiss_page(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """Asks why a difference may stay, and closes it."""
        require(request, "reconciliation.resolve_discrepancy")
        discrepancy = get_object_or_404(Discrepancy, pk=pk)
        form: forms.Form = BecauseForm(request.POST if request.method == "POST" else None)

        def dismiss(values: dict[str, Any]) -> str:
            chosen = Discrepancy.objects.filter(pk=pk)
            done = discrepancies.dismiss(chosen, actor=request.user.get_username(), because=values["because"])
            return "Dismissed." if done else "It is closed or being corrected already."

        return ask(
            request,
            form,
            dismiss,
            title="Dismiss a discrepancy",
            button="Dismiss",
            back=self.page_address(discrepancy.pk),
            note="Nothing is changed. It is told again when it is seen again.",
        )

    def panels(self, request: HttpRequest, instance: Discrepancy) -> list[Panel]:
        """Shows what speaks for the cause."""
        evidence = [(label, text) for label, text in sorted(instance.evidence.items())]
        return [Panel("Evidence", ("", ""), evidence), _earlier(instance)]


def _keys(queryset: QuerySet[Any]) -> list[int]:
    return list(queryset.values_list("pk", flat=True))


def _earlier(discrepancy: Discrepancy) -> Panel:
    same = Discrepancy.objects.filter(
        listing_level=discrepancy.listing_level_id, stock_level=discrepancy.stock_level_id
    ).exclude(pk=discrepancy.pk)
    rows = [
        (
            each.first_seen_at,
            each.shown,
            each.expected,
            each.get_cause_display(),
            page_of(each, each.get_state_display()),
        )
        for each in same.order_by("-id")[:20]
    ]
    return Panel(
        "Of the same shelf", ("seen", "shown", "expected", "cause", "state"), rows, empty="No other."
    )


@admin.register(ReconciliationRun)
class ReconciliationRunAdmin(FactsAdmin):
    """Every comparison that was asked for, and what it came to."""

    list_display = (
        "asked_at", "channel", "kind", "shown_scope", "shown_state", "took", "compared", "moving", "drifted",
        "shown_rate", "corrected", "flagged", "missing", "what_failed",
    )  # fmt: skip
    list_filter = (ChannelFilter, "kind", "state")
    ordering = ("-id",)
    readonly_fields: ClassVar[tuple[str, ...]] = ("shown_scope", "shown_state", "took", "shown_rate")
    fields = (
        ("channel", "kind", "shown_scope"), ("shown_state", "asked_by", "asked_at"), ("started_at", "finished_at", "took"),
        ("read", "compared", "moving"), ("drifted", "shown_rate"), ("corrected", "flagged", "closed", "missing"), "error",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[ReconciliationRun]:
        """Brings channel and tag along."""
        queryset: QuerySet[ReconciliationRun] = super().get_queryset(request)
        return queryset.select_related("channel", "tag").defer("channel__credentials")

    @admin.display(description="scope")
    def shown_scope(self, run: ReconciliationRun) -> str:
        """Says what was looked at."""
        return run.scope

    @admin.display(description="state", ordering="state")
    def shown_state(self, run: ReconciliationRun) -> SafeString:
        """Says where it stands."""
        return badge(run.get_state_display(), _TONES.get(run.state, "neutral"))

    @admin.display(description="took")
    def took(self, run: ReconciliationRun) -> str:
        """Returns how long it took."""
        return duration(run.finished_at - run.started_at if run.finished_at and run.started_at else None)

    @admin.display(description="drift rate")
    def shown_rate(self, run: ReconciliationRun) -> str:
        """Returns the share of the compared shelves that differed."""
        return NOTHING if run.drift_rate is None else f"{run.drift_rate:.2%}"

    @admin.display(description="error")
    def what_failed(self, run: ReconciliationRun) -> str:
        """Returns the beginning of the error."""
        return short(run.error)

    def panels(self, request: HttpRequest, instance: ReconciliationRun) -> list[Panel]:
        """Shows what it found first."""
        found = instance.discrepancies.select_related("listing_level__listing").order_by("-id")[:50]
        rows = [
            (
                page_of(each, each.listing_level.listing.sku if each.listing_level else each.pk),
                each.shown,
                each.expected,
                each.get_cause_display(),
                each.get_state_display(),
            )
            for each in found
        ]
        headers = ("SKU", "shown", "expected", "cause", "state")
        links = [(address_of("channels.channel", instance.channel_id), "The channel")]
        return [Panel("First seen by this run", headers, rows, empty="Nothing new.", links=links)]
