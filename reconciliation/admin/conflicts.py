"""Conflicts with what this app knows of them: why, the timeline, and remedies to choose from."""

from datetime import UTC, datetime
from typing import Any, ClassVar
from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html

from channels.admin.rows import ChannelFilter
from config.admin_panels import NOTHING, Panel, badge, page_of
from config.admin_site import StateFilter
from inventory.admin.demands import ConflictAdmin
from inventory.models import Conflict
from reconciliation.admin.decisions import decide_many_page, decide_page
from reconciliation.causes import classify
from reconciliation.evidence import Evidence, gather
from reconciliation.models import CauseClass, ConflictCase, RemedyKind, Resolution, ResolutionState
from reconciliation.models.conflicts import OPEN_STATES
from reconciliation.remedies import Remedy, remedies_of
from reconciliation.timelines import timeline

RESOLVE = "reconciliation.resolve_conflict"

_ABOUT_IT = Resolution.objects.filter(conflict=OuterRef("pk"))
_IS_PENDING = Exists(_ABOUT_IT.filter(state__in=OPEN_STATES))
_IS_COUNTED = Exists(_ABOUT_IT.filter(remedy=RemedyKind.RECOUNT, state=ResolutionState.DONE))
_HAS_FAILED = Exists(_ABOUT_IT.filter(state=ResolutionState.FAILED))


class ConflictStateFilter(StateFilter):
    """Whether somebody has to decide."""

    states = (
        (
            "undecided",
            "To decide",
            lambda rows: rows.filter(~_IS_PENDING, ~_IS_COUNTED, open_quantity__gt=0),
        ),
        ("open", "Open", lambda rows: rows.filter(open_quantity__gt=0)),
        ("pending", "Being cancelled", lambda rows: rows.filter(_IS_PENDING)),
        ("failed", "A remedy failed", lambda rows: rows.filter(_HAS_FAILED, open_quantity__gt=0)),
        ("resolved", "Resolved", lambda rows: rows.filter(open_quantity=0)),
    )


class CauseClassFilter(admin.SimpleListFilter):
    """Filters by what made a conflict possible."""

    title = "what it came from"
    parameter_name = "class"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Returns all classes."""
        return [(each.value, each.label) for each in CauseClass]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Conflict]) -> QuerySet[Conflict]:
        """Returns the conflicts of the chosen class."""
        return queryset.filter(case__cause_class=self.value()) if self.value() else queryset


class ConflictChannelFilter(ChannelFilter):
    """Filters by the channel whose order is owed the units."""

    path = "case__channel"


admin.site.unregister(Conflict)


@admin.register(Conflict)
class ConflictDesk(ConflictAdmin):
    """The ledger's page of a conflict, with why it came about and what may end it."""

    list_display = (
        "id", "state", "sku", "came_from", "channel_name", "cause", "reference_link", "quantity", "open_quantity",
        "opened_at", "resolved_at",
    )  # fmt: skip
    list_filter = (ConflictStateFilter, CauseClassFilter, ConflictChannelFilter, "cause", "merchant")
    list_select_related = ("variant", "case__channel")
    actions = ("resolve_many",)
    readonly_fields: ClassVar[tuple[str, ...]] = ("reference_link", "state", "came_from", "why")
    fields = (
        "state", "variant", "cause", ("came_from", "why"), "reference_link", ("quantity", "open_quantity"),
        "opened_at", "resolved_at", "operation",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Conflict]:
        """Brings along what was judged, and whether somebody is at it."""
        queryset = super().get_queryset(request).select_related("case__channel")
        queryset = queryset.defer("case__channel__credentials", "case__channel__settings")
        return queryset.annotate(is_pending=_IS_PENDING, is_counted=_IS_COUNTED)

    def get_urls(self) -> list[URLPattern]:
        """Adds the pages on which a remedy is confirmed, for one conflict and for many."""
        one = self.admin_site.admin_view(decide_page)
        many = self.admin_site.admin_view(decide_many_page)
        return [
            path("<int:conflict_id>/resolve/", one, name="reconciliation_resolve"),
            path("resolve/", many, name="reconciliation_resolve_many"),
            *super().get_urls(),
        ]

    @admin.display(description="state")
    def state(self, conflict: Conflict) -> str:
        """Says whether units are still owed, and whether somebody is at it."""
        if not conflict.open_quantity:
            return badge("resolved", "good")
        if getattr(conflict, "is_pending", False):
            return badge("being cancelled", "warning")
        return badge("counted") if getattr(conflict, "is_counted", False) else badge("open", "bad")

    @admin.display(description="came from")
    def came_from(self, conflict: Conflict) -> str:
        """Names what made it possible."""
        case = _case_of(conflict)
        return case.get_cause_class_display() if case is not None else NOTHING

    @admin.display(description="because")
    def why(self, conflict: Conflict) -> str:
        """Returns the sentence that says why."""
        case = _case_of(conflict)
        return case.evidence if case is not None else classify(gather(conflict))[1]

    @admin.display(description="channel")
    def channel_name(self, conflict: Conflict) -> str:
        """Names the channel whose order is owed the units."""
        case = _case_of(conflict)
        return case.channel.name if case is not None and case.channel is not None else NOTHING

    # -- acting

    def has_resolve_permission(self, request: HttpRequest) -> bool:
        """Returns whether whoever asks may resolve conflicts."""
        return request.user.has_perm(RESOLVE)

    @admin.action(description="Resolve …", permissions=["resolve"])
    def resolve_many(self, request: HttpRequest, queryset: QuerySet[Conflict]) -> HttpResponseBase:
        """Leads to the page on which a remedy is chosen for all of them."""
        ids = ",".join(str(pk) for pk in queryset.order_by("pk").values_list("pk", flat=True))
        return redirect(f"{reverse('admin:reconciliation_resolve_many')}?{urlencode({'ids': ids})}")

    # -- the page of one conflict

    def panels(self, request: HttpRequest, instance: Conflict) -> list[Panel]:
        """Shows remedies, timeline, what channels had been told, and what was decided."""
        evidence = gather(instance)
        resolutions = list(instance.resolutions.order_by("id"))
        remedies = remedies_of(instance) if instance.open_quantity else []
        return [
            _remedies_panel(request, instance, remedies),
            _resolutions_panel(resolutions),
            _timeline_panel(evidence, resolutions),
            _told_panel(evidence),
        ]


def _case_of(conflict: Conflict) -> ConflictCase | None:
    case: ConflictCase | None = getattr(conflict, "case", None)
    return case


def _remedies_panel(request: HttpRequest, conflict: Conflict, remedies: list[Remedy]) -> Panel:
    may = request.user.has_perm(RESOLVE)
    rows = [
        (
            _button(conflict, each) if may and each.is_feasible else each.title,
            each.units,
            each.price or NOTHING,
            _effects(each),
            each.obstacle or each.by_hand or "yes",
        )
        for each in remedies
    ]
    empty = (
        "What is owed is being cancelled, or has been counted."
        if conflict.open_quantity
        else "Nothing is owed."
    )
    return Panel(
        "Remedies",
        ("Remedy", "Units", "What it costs", "Refund and restock", "Possible"),
        rows,
        empty=empty,
        note="The best first. Each is confirmed on the next page. Stock that arrives ends a conflict by itself.",
    )


def _button(conflict: Conflict, remedy: Remedy) -> str:
    query = urlencode(
        {"kind": remedy.kind.value, "target": remedy.target, "seen": int(datetime.now(UTC).timestamp())}
    )
    address = f"{reverse('admin:reconciliation_resolve', args=[conflict.pk])}?{query}"
    return format_html('<a class="oc-button" href="{}">{}</a>', address, remedy.title)


def _effects(remedy: Remedy) -> str:
    if remedy.kind is not RemedyKind.CANCEL or remedy.by_hand or not remedy.target:
        return NOTHING
    refund = "refunds" if remedy.effects.refunds else "does not refund"
    restock = "restocks" if remedy.effects.restocks else "does not restock"
    return f"{refund}, {restock}"


def _resolutions_panel(resolutions: list[Resolution]) -> Panel:
    rows = [
        (
            page_of(each, each.summary),
            each.quantity,
            each.get_state_display(),
            each.actor,
            each.requested_at,
            each.finished_at,
            each.error,
        )
        for each in resolutions
    ]
    headers = ("Remedy", "Units", "State", "By", "Decided", "Ended", "Error")
    return Panel("Decided so far", headers, rows, empty="Nothing yet.")


def _timeline_panel(evidence: Evidence, resolutions: list[Resolution]) -> Panel:
    rows = [
        (event.at, event.what, badge("late", "warning") if event.is_late else "")
        for event in timeline(evidence, resolutions)
    ]
    return Panel("Timeline", ("When", "What", ""), rows)


def _told_panel(evidence: Evidence) -> Panel:
    rows = [
        (
            shelf.channel,
            shelf.place,
            shelf.sent,
            shelf.sent_at,
            shelf.confirmed,
            shelf.confirmed_at,
            shelf.shown,
        )
        for shelf in evidence.shelves
    ]
    headers = ("Channel", "Place", "Sent", "At", "Confirmed", "At", "Showed")
    at = "" if evidence.sale is None else f"As of {evidence.sale.sold_at:%Y-%m-%d %H:%M:%S} UTC."
    return Panel(
        "What each channel had been told when it was sold",
        headers,
        rows,
        empty="No channel lists it.",
        note=at,
    )
