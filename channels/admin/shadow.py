"""Shadow runs: a page that reports what we would have sent and what was oversold meanwhile, and the spans behind it."""

from typing import Any, ClassVar, Final

from django.contrib import admin
from django.db.models import F, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString

from channels.admin.rows import ChannelFilter, with_channel
from channels.models import Onboarding, ShadowRun, ShadowSpan
from channels.shadow.report import Report, report
from config.admin_panels import Figure, Panel, badge, duration, link, list_of
from config.admin_site import FactsAdmin, StateFilter

_UNTOLD: Final = (
    "Nothing of this was told: the channel's transport refuses every write while it is in shadow."
)


class RunFilter(StateFilter):
    """Whether a run goes on."""

    states = (
        ("open", "Going on", lambda q: q.filter(ended_at__isnull=True)),
        ("live", "Went live", lambda q: q.filter(outcome="live")),
        ("stopped", "Stopped", lambda q: q.filter(outcome="stopped")),
    )


@admin.register(ShadowRun)
class ShadowRunAdmin(FactsAdmin):
    """Reports of shadow mode, one a run."""

    list_display = ("channel_name", "state", "began_at", "ended_at", "began_by", "may_subscribe")
    list_filter = (RunFilter, ChannelFilter)
    ordering = ("-id",)
    readonly_fields: ClassVar[tuple[str, ...]] = ("channel_name", "state")
    fields = (
        ("channel_name", "state", "may_subscribe"), ("began_at", "began_by"), ("ended_at", "ended_by"), ("seen_at", "seen_by"),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[ShadowRun]:
        """Brings the channel along."""
        return with_channel(super().get_queryset(request))

    @admin.display(description="channel")
    def channel_name(self, run: ShadowRun) -> str:
        """Names the channel."""
        return run.channel.name

    @admin.display(description="state")
    def state(self, run: ShadowRun) -> SafeString:
        """Says whether it goes on."""
        return badge("going on", "warning") if run.ended_at is None else badge(run.get_outcome_display())

    def object_links(self, request: HttpRequest, instance: ShadowRun) -> list[tuple[str, str]]:
        """Leads to the channel's way, and to every single span."""
        return [
            (reverse("admin:channels_onboarding", args=[instance.channel_id]), "Onboarding"),
            (list_of("channels.shadowspan", f"run__id__exact={instance.pk}"), "All spans"),
        ]

    def panels(self, request: HttpRequest, instance: ShadowRun) -> list[Panel]:
        """Shows the report."""
        found = report(instance)
        return [_figures(found), _oversold(found), _lead(found), _differences(found)]


def _figures(found: Report) -> Panel:
    totals = found.totals
    hours = f"{found.since:%Y-%m-%d %H:%M} to {found.until:%Y-%m-%d %H:%M} UTC"
    rows: list[tuple[str, Any]] = [
        ("Shelves watched", totals.shelves),
        ("Of these, with a number that was read", totals.read),
        ("Differ now", totals.differ_now),
        ("Differed at some time", totals.differed),
        ("Of the time, they differed", Figure(f"{totals.share:.2%}")),
        ("Numbers that we would have sent", totals.would_have_sent),
        ("Units oversold meanwhile", found.oversold_units),
        ("Of these, our numbers would have prevented", found.prevented_units),
    ]
    return Panel("What was seen", ("", ""), rows, note=f"{hours}. {_UNTOLD}")


def _oversold(found: Report) -> Panel:
    rows = [
        (
            link(reverse("admin:channels_channelorder_change", args=[each.order_id]), each.order),
            each.channel,
            each.sku,
            each.ordered_at,
            each.quantity,
            each.units,
            each.would,
            each.prevented,
        )
        for each in found.oversold
    ]
    note = (
        "Units that an order was sold and that were not there. Prevented are those that our number would have kept from being "
        "sold on this channel; sales of other channels are named, and not judged by it."
    )
    headers = ("Order", "Channel", "SKU", "Bought", "Units", "Not there", "We would have shown", "Prevented")
    return Panel("Oversold meanwhile", headers, rows, empty="Nothing was oversold.", note=note)


def _lead(found: Report) -> Panel:
    lead = found.lead
    rows = [
        ("Until we would have sent it", duration(lead.ours_median), duration(lead.ours_p95)),
        ("Until their shelf showed it", duration(lead.theirs_median), duration(lead.theirs_p95)),
    ]
    note = (
        f"Of {lead.changes:,} numbers that changed, {lead.shown_already:,} were shown already: the shop had sold it itself; "
        f"{lead.followed:,} were shown later, and {lead.not_followed:,} never before they changed again."
    )
    return Panel("How fast a change arrives", ("", "Half of them", "95 of 100"), rows, note=note)


def _differences(found: Report) -> Panel:
    rows = [
        (
            link(
                reverse("admin:channels_listinglevel_change", args=[each.listing_level_id]),
                each.sku or "(none)",
            ),
            each.title,
            each.place or "the shop",
            each.shown,
            each.would,
            each.times,
            duration(each.seconds),
            each.most_above,
            each.most_below,
        )
        for each in found.differences
    ]
    headers = (
        "SKU",
        "Title",
        "Place",
        "Shows",
        "We would",
        "Times",
        "Differed for",
        "Most above",
        "Most below",
    )
    return Panel(
        "Where it differed", headers, rows, empty="No shelf differed.", note="The longest first, 100 at most."
    )


class SpanFilter(StateFilter):
    """What was the case in a span."""

    states = (
        ("open", "As it stands", lambda q: q.filter(ended_at__isnull=True)),
        (
            "differs",
            "Differed",
            lambda q: q.filter(~Q(would=F("shown")), would__isnull=False, shown__isnull=False),
        ),
        ("sent", "We would have sent", lambda q: q.filter(caused_at__isnull=False)),
    )


@admin.register(ShadowSpan)
class ShadowSpanAdmin(FactsAdmin):
    """What shelves showed, and what we would have shown, side by side over time."""

    list_display = ("shelf", "channel_name", "shown", "would", "began_at", "ended_at", "caused_at")
    list_display_links = ("shelf",)
    list_filter = (SpanFilter, type("_Channel", (ChannelFilter,), {"path": "run__channel"}))
    search_fields = ("listing_level__listing__sku__iexact",)
    search_help_text = "SKU, in full"
    ordering = ("-id",)
    fields = (
        ("run", "listing_level"),
        ("shown", "would"),
        ("began_at", "ended_at"),
        ("caused_at", "said_at"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[ShadowSpan]:
        """Brings shelf and channel along."""
        rows = super().get_queryset(request)
        return with_channel(rows, "run", "listing_level__listing", channel="run__channel")

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Lets the report lead to its spans."""
        return lookup == "run__id__exact" or bool(super().lookup_allowed(lookup, value, request))

    @admin.display(description="SKU")
    def shelf(self, span: ShadowSpan) -> str:
        """Names the listing."""
        return span.listing_level.listing.sku or span.listing_level.listing.external_id

    @admin.display(description="channel")
    def channel_name(self, span: ShadowSpan) -> str:
        """Names the channel."""
        return span.run.channel.name


@admin.register(Onboarding)
class OnboardingAdmin(FactsAdmin):
    """What platforms said of themselves when they were tested; the way of each channel is on its own page."""

    list_display = ("channel_name", "shop", "tested_at", "problem")
    ordering = ("-channel_id",)
    readonly_fields: ClassVar[tuple[str, ...]] = ("channel_name",)
    fields = ("channel_name", "shop", ("tested_at", "tested_by"), "limits", "problem")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Onboarding]:
        """Brings the channel along."""
        return with_channel(super().get_queryset(request))

    @admin.display(description="channel")
    def channel_name(self, onboarding: Onboarding) -> str:
        """Leads to the channel's way."""
        return link(reverse("admin:channels_onboarding", args=[onboarding.pk]), onboarding.channel.name)
