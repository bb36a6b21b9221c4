"""Rehearsals: what recorded events would have led to under other rules."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import URLPattern, path
from django.utils import timezone
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from channels.errors import InvalidPeriod
from channels.models import Channel, ListingLevel, Rehearsal, RuleSetVersion
from channels.models.rehearsals import RehearsalState
from channels.rehearsals import running
from channels.rehearsals.rules import digest_of
from config.admin_panels import Change, Panel, badge, duration, page_of
from config.admin_site import FactsAdmin, StateFilter, own_page, require

#: Seconds after which the page of a running rehearsal asks again.
_REFRESH: Final = 3

_TONES: Final = {"done": "good", "failed": "bad", "running": "warning", "waiting": "warning"}

#: Key of the figure → what it is called.
_FIGURES: Final = {
    "sold": "Units sold",
    "oversold": "Units oversold",
    "refused": "Units wanted, not offered",
    "stock_outs": "Times told that none is left",
    "pushes": "Numbers sent",
}


class RehearseForm(forms.Form):
    """Which rules, on which period."""

    version = forms.ModelChoiceField(
        RuleSetVersion.objects.select_related("rule_set").order_by("rule_set__name", "-number"),
        label="Version of a rule set",
        empty_label="Choose …",
        widget=UnfoldAdminSelectWidget,
        help_text="Rehearsed in place of what was in force of its set; other sets stay as they were.",
    )
    since = forms.DateTimeField(
        label="From (UTC)", widget=UnfoldAdminTextInputWidget({"placeholder": "2026-01-24 00:00"})
    )
    until = forms.DateTimeField(
        label="Until (UTC)", widget=UnfoldAdminTextInputWidget({"placeholder": "2026-01-31 00:00"})
    )


def rehearse_page(request: HttpRequest) -> HttpResponseBase:
    """Shows the form; a valid one is run as a job, whose page it leads to."""
    require(request, "channels.rehearse_rules")
    form = RehearseForm(request.POST) if request.method == "POST" else RehearseForm(initial=_initial(request))
    if request.method == "POST" and form.is_valid():
        try:
            asked = running.ask(**form.cleaned_data, asked_by=request.user.get_username())
        except InvalidPeriod as error:
            form.add_error(error.field, error.message)
        else:
            running.start(asked)
            return redirect("admin:channels_rehearsal_change", asked.pk)
    note = (
        "Replays what was recorded in this period as if the version had been in force, and changes nothing."
    )
    return own_page(
        request, "onecount/stock_form.html", "Rehearse rules", form=form, note=note, submit="Rehearse"
    )


def _initial(request: HttpRequest) -> dict[str, Any]:
    """Returns the last seven full days, and the version that a link asked for."""
    until = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    version = request.GET.get("version", "")
    given = {"version": version} if version.isdecimal() else {}
    return {**given, "since": _plain(until - timedelta(days=7)), "until": _plain(until)}


def _plain(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"


class RehearsalFilter(StateFilter):
    """How far a rehearsal is."""

    states = (
        ("open", "Waiting or running", lambda q: q.filter(state__in=["waiting", "running"])),
        ("done", "Done", lambda q: q.filter(state="done")),
        ("failed", "Failed", lambda q: q.filter(state="failed")),
    )


@admin.register(Rehearsal)
class RehearsalAdmin(FactsAdmin):
    """Results stay with the version that was rehearsed."""

    list_display = (
        "shown_version",
        "since",
        "until",
        "shown_state",
        "oversold",
        "refused",
        "asked_by",
        "asked_at",
    )
    list_display_links = ("shown_version",)
    list_filter = (RehearsalFilter, "version__rule_set")
    list_select_related = ("version__rule_set",)
    ordering = ("-id",)
    list_before_template = "onecount/rehearse_link.html"
    actions = ("run_again",)
    detail_actions = ("run_again",)
    readonly_fields: ClassVar[tuple[str, ...]] = ("shown_version", "shown_state", "progress", "took")
    fields = (
        "shown_version", ("since", "until"), ("shown_state", "progress", "took"), "error", ("asked_by", "asked_at"),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Rehearsal]:
        """Brings the version along."""
        queryset: QuerySet[Rehearsal] = super().get_queryset(request)
        return queryset.select_related("version__rule_set")

    def get_urls(self) -> list[URLPattern]:
        """Adds the form that asks for one."""
        form = path("new/", self.admin_site.admin_view(rehearse_page), name="channels_rehearse")
        return [form, *super().get_urls()]

    def change_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Shows one; while it runs, the page asks for itself again."""
        response: HttpResponse = super().change_view(request, *args, **kwargs)
        rehearsal = getattr(response, "context_data", {}).get("original")
        if rehearsal is not None and rehearsal.state in (RehearsalState.WAITING, RehearsalState.RUNNING):
            response["Refresh"] = str(_REFRESH)
        return response

    def has_rehearse_permission(self, request: HttpRequest) -> bool:
        """Returns whether whoever asks may rehearse."""
        return request.user.has_perm("channels.rehearse_rules")

    @admin.display(description="version", ordering="version")
    def shown_version(self, rehearsal: Rehearsal) -> str:
        """Names the version."""
        return str(rehearsal.version)

    @admin.display(description="state", ordering="state")
    def shown_state(self, rehearsal: Rehearsal) -> str:
        """Says where it stands."""
        return badge(rehearsal.get_state_display(), _TONES[rehearsal.state])

    @admin.display(description="oversold")
    def oversold(self, rehearsal: Rehearsal) -> str:
        """Returns the oversold units, as it happened and as it would have been."""
        return _both(rehearsal, "oversold")

    @admin.display(description="not offered")
    def refused(self, rehearsal: Rehearsal) -> str:
        """Returns the units that customers wanted and would not have been offered."""
        return str(rehearsal.result["total"]["rehearsed"]["refused"]) if rehearsal.result else ""

    @admin.display(description="events")
    def progress(self, rehearsal: Rehearsal) -> str:
        """Returns how many events are done."""
        return f"{rehearsal.events_done:,} of {rehearsal.events_total:,}"

    @admin.display(description="took")
    def took(self, rehearsal: Rehearsal) -> str:
        """Returns how long it ran."""
        if rehearsal.started_at is None or rehearsal.finished_at is None:
            return duration(None)
        return duration(rehearsal.finished_at - rehearsal.started_at)

    def offers(self, action: str, instance: Rehearsal) -> bool:
        """Offers to run again what has ended."""
        return instance.state in (RehearsalState.DONE, RehearsalState.FAILED)

    @admin.action(description="Run again", permissions=["rehearse"])
    def run_again(self, request: HttpRequest, queryset: QuerySet[Rehearsal]) -> None:
        """Replays the same period once more, with the version as it is now."""
        total = queryset.count()
        ended = queryset.filter(state__in=[RehearsalState.DONE, RehearsalState.FAILED])
        chosen = list(ended)
        for rehearsal in chosen:
            running.again(rehearsal.pk)
            running.start(rehearsal)
        left = {"still running": total - len(chosen)}
        self.report(request, len(chosen), "rehearsal{s} will be run again", left)

    def panels(self, request: HttpRequest, instance: Rehearsal) -> list[Panel]:
        """Shows what happened beside what would have."""
        if instance.result is None:
            return []
        return [_totals(instance), _by_channel(instance.result), _by_listing(instance.result)]


def rehearsals_panel(version: RuleSetVersion) -> Panel:
    """Shows what a version's rehearsals came to, the newest first."""
    rows = [
        (
            page_of(each, f"{_plain(each.since)} to {_plain(each.until)}"),
            badge(each.get_state_display(), _TONES[each.state]),
            _both(each, "oversold"),
            _both(each, "refused"),
            _both(each, "pushes"),
            each.asked_by,
        )
        for each in Rehearsal.objects.filter(version=version).order_by("-id")[:20]
    ]
    headers = ("Period", "State", "Oversold", "Not offered", "Sent", "By")
    return Panel("Rehearsals: happened → would have", headers, rows, empty="Not rehearsed yet.")


def _both(rehearsal: Rehearsal, figure: str) -> str:
    if not rehearsal.result:
        return ""
    total = rehearsal.result["total"]
    return f"{total['happened'][figure]} → {total['rehearsed'][figure]}"


def _totals(rehearsal: Rehearsal) -> Panel:
    result: dict[str, Any] = rehearsal.result or {}
    happened, would = result["total"]["happened"], result["total"]["rehearsed"]
    rows: list[tuple[Any, ...]] = [
        (name, happened[key], would[key], Change(would[key] - happened[key]))
        for key, name in _FIGURES.items()
    ]
    rows.append(("Units there and not shown, on average", _hidden(happened), _hidden(would), ""))
    notes = [
        f"{result['operations']:,} operations and {result['told']:,} numbers told were replayed; "
        f"{result['differing']:,} of these numbers would have been others."
    ]
    if result["not_judged"]:
        notes.append(
            f"{result['not_judged']:,} units were sold from nobody knows which shelf, and are sold here as well."
        )
    if rehearsal.rules_digest != digest_of(rehearsal.version):
        notes.append("The version has been edited since: run it again.")
    notes.append(
        "Customers who saw too little and bought nothing left no trace: more than was sold is never sold here."
    )
    headers = ("", "Happened", "Would have", "Difference")
    return Panel("What happened, and what would have", headers, rows, note=" ".join(notes))


def _hidden(figures: Mapping[str, int]) -> str:
    return f"{figures['hidden_milliunits'] / 1000:,.1f}"


def _by_channel(result: Mapping[str, Any]) -> Panel:
    names = dict(
        Channel.objects.filter(pk__in=[e["channel"] for e in result["channels"]]).values_list("pk", "name")
    )
    keys = ("oversold", "refused", "stock_outs", "pushes")
    rows = [
        (
            names.get(each["channel"], each["channel"]),
            each["happened"]["sold"],
            *(f"{each['happened'][key]:,} → {each['rehearsed'][key]:,}" for key in keys),
            f"{_hidden(each['happened'])} → {_hidden(each['rehearsed'])}",
        )
        for each in result["channels"]
    ]
    headers = ("Channel", "Sold", "Oversold", "Not offered", "None left", "Sent", "Hidden on average")
    return Panel("By channel: happened → would have", headers, rows)


def _by_listing(result: Mapping[str, Any]) -> Panel:
    ids = [each["listing_level"] for each in result["listings"]]
    levels = (
        ListingLevel.objects.select_related("listing", "channel").defer("channel__credentials").in_bulk(ids)
    )
    rows = [
        (
            page_of(level, level.listing.sku or level.listing.external_id),
            level.channel.name,
            each["refused"],
            f"{each['oversold']} → {each['oversold_rehearsed']}",
        )
        for each in result["listings"]
        if (level := levels.get(each["listing_level"])) is not None
    ]
    headers = ("Listing", "Channel", "Not offered", "Oversold")
    return Panel("Listings that differ most", headers, rows, empty="No listing sold anything else.")
