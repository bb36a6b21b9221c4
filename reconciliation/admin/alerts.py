"""Alerts: what is wrong and what to do; acknowledged, muted or ended with a reason."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, ClassVar, Final

from django import forms
from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from unfold.widgets import UnfoldAdminSelectWidget

from channels.admin.decisions import BecauseForm, ask
from channels.admin.rows import short, with_channel
from config.admin_panels import NOTHING, Panel, badge, duration, list_of, page_of, shown
from config.admin_site import FactsAdmin, StateFilter, require
from reconciliation import alerts
from reconciliation.admin.recipients import delivery_state
from reconciliation.models import Alert, Severity
from reconciliation.models.alerts import IS_OPEN

PERMISSION: Final = "reconciliation.answer_alert"
TONES: Final = {Severity.WARNING: "warning", Severity.CRITICAL: "bad", Severity.EMERGENCY: "bad"}

#: Hours → what people call them.
_HOURS: Final = (("1", "1 hour"), ("4", "4 hours"), ("24", "1 day"), ("168", "1 week"), ("720", "30 days"))


class MuteForm(BecauseForm):
    """Asks for how long, and why."""

    hours = forms.ChoiceField(label="For", choices=_HOURS, initial="24", widget=UnfoldAdminSelectWidget)
    field_order = ("hours", "because")


class AlertFilter(StateFilter):
    """Whether it is over, and whether somebody sees to it."""

    states = (
        ("open", "Open", lambda q: q.filter(IS_OPEN)),
        ("new", "Open, seen to by nobody", lambda q: q.filter(IS_OPEN, acknowledged_at__isnull=True)),
        ("muted", "Muted", lambda q: q.filter(muted_until__gt=timezone.now())),
        ("over", "Over", lambda q: q.exclude(IS_OPEN)),
    )


class KindFilter(admin.SimpleListFilter):
    """What is wrong."""

    title = "kind"
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Returns the kinds of open alerts."""
        kinds = Alert.objects.filter(IS_OPEN).order_by("kind").values_list("kind", flat=True).distinct()
        return [(kind, kind_label(kind)) for kind in kinds]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Returns the alerts of the chosen kind."""
        return queryset.filter(kind=self.value()) if self.value() else queryset


def kind_label(kind: str) -> str:
    """Returns the words of a kind of alert."""
    return kind.replace("_", " ").capitalize()


def severity_badge(alert: Alert) -> str:
    """Returns how bad it is, as it stands out."""
    return badge(alert.get_severity_display(), TONES.get(Severity(alert.severity), "neutral"))


@admin.register(Alert)
class AlertAdmin(FactsAdmin):
    """What is or was wrong; the open ones first, the worst of them on top."""

    list_display = ("title", "shown_severity", "state", "opened_at", "lasted", "seen_to_by", "what_to_do")
    list_filter = (AlertFilter, "severity", KindFilter)
    search_fields = ("title",)
    ordering = ("-resolved_at", "-severity", "-id")
    list_disable_select_all = False
    actions = ("acknowledge", "mute", "unmute", "resolve")
    detail_actions = ("acknowledge", "mute", "unmute", "resolve")
    readonly_fields: ClassVar[Sequence[str]] = (
        "shown_severity",
        "state",
        "channel_name",
        "shown_kind",
        "lasted",
    )
    fields = (
        "title", ("shown_severity", "state"), "detail", "remedy", ("merchant", "channel_name"),
        ("shown_kind", "subject"), ("opened_at", "last_seen_at", "occurrences", "lasted"), "escalated_at",
        ("acknowledged_at", "acknowledged_by"), "acknowledged_because", ("muted_until", "muted_by"), "muted_because",
        ("resolved_at", "resolved_by"), "resolved_because",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Alert]:
        """Brings merchant and channel along."""
        return with_channel(super().get_queryset(request), "merchant")

    def get_urls(self) -> list[URLPattern]:
        """Adds the page that asks for the reason."""
        view = self.admin_site.admin_view(answer_page)
        return [path("answer/<str:verb>/", view, name="reconciliation_answer_alert"), *super().get_urls()]

    def has_answer_permission(self, request: HttpRequest) -> bool:
        """Returns whether whoever asks may see to alerts."""
        return request.user.has_perm(PERMISSION)

    @admin.display(description="severity", ordering="severity")
    def shown_severity(self, alert: Alert) -> str:
        """Says how bad it is."""
        return severity_badge(alert)

    @admin.display(description="state")
    def state(self, alert: Alert) -> str:
        """Says whether it is over, muted, seen to or new."""
        if alert.resolved_at:
            return badge("over", "good")
        if alerts.is_muted(alert):
            return badge("muted")
        return badge("acknowledged", "warning") if alert.acknowledged_at else badge("open", "bad")

    @admin.display(description="kind")
    def shown_kind(self, alert: Alert) -> str:
        """Names what is wrong."""
        return kind_label(alert.kind)

    @admin.display(description="lasted")
    def lasted(self, alert: Alert) -> str:
        """Returns for how long it is or was wrong."""
        return duration((alert.resolved_at or timezone.now()) - alert.opened_at)

    @admin.display(description="channel", empty_value=NOTHING)
    def channel_name(self, alert: Alert) -> str | None:
        """Leads to the channel."""
        return page_of(alert.channel) if alert.channel else None

    @admin.display(description="seen to by", empty_value=NOTHING)
    def seen_to_by(self, alert: Alert) -> str | None:
        """Names who acknowledged or ended it."""
        return alert.resolved_by or alert.acknowledged_by or None

    @admin.display(description="what to do")
    def what_to_do(self, alert: Alert) -> str:
        """Returns the beginning of the remedy."""
        return short(alert.remedy)

    def offers(self, action: str, instance: Alert) -> bool:
        """Offers what makes sense for an alert as it is."""
        is_open, is_muted = instance.resolved_at is None, alerts.is_muted(instance)
        return {
            "acknowledge": is_open and instance.acknowledged_at is None,
            "mute": is_open and not is_muted,
            "unmute": is_muted,
            "resolve": is_open,
        }[action]

    def object_links(self, request: HttpRequest, instance: Alert) -> list[tuple[str, str]]:
        """Leads to the page that shows more, and to the channel's failures."""
        links = [(instance.link, "Look there")] if instance.link else []
        if instance.channel_id:
            query = f"channel__id__exact={instance.channel_id}"
            links.append((list_of("channels.errorentry", query), "Error log"))
        return links

    def panels(self, request: HttpRequest, instance: Alert) -> list[Panel]:
        """Shows the evidence, and who was told."""
        return [_evidence_panel(instance), _told_panel(instance)]

    @admin.action(description="Acknowledge", permissions=["answer"])
    def acknowledge(self, request: HttpRequest, queryset: QuerySet[Alert]) -> HttpResponseBase:
        """Asks why; alerts that somebody sees to become no worse by themselves."""
        return _ask_for_reason("acknowledge", queryset)

    @admin.action(description="Mute", permissions=["answer"])
    def mute(self, request: HttpRequest, queryset: QuerySet[Alert]) -> HttpResponseBase:
        """Asks for how long and why; nobody is told of muted alerts."""
        return _ask_for_reason("mute", queryset)

    @admin.action(description="Unmute", permissions=["answer"])
    def unmute(self, request: HttpRequest, queryset: QuerySet[Alert]) -> None:
        """Has people told again."""
        chosen = queryset.count()
        done = alerts.unmute(list(queryset.values_list("pk", flat=True)))
        self.report(request, done, "alert{s} no longer muted", {"not muted": chosen - done})

    @admin.action(description="End by hand", permissions=["answer"])
    def resolve(self, request: HttpRequest, queryset: QuerySet[Alert]) -> HttpResponseBase:
        """Asks why; what is still wrong opens again when it is next noticed."""
        return _ask_for_reason("resolve", queryset)


def _ask_for_reason(verb: str, queryset: QuerySet[Alert]) -> HttpResponseBase:
    ids = ",".join(str(pk) for pk in queryset.values_list("pk", flat=True))
    return redirect(f"{reverse('admin:reconciliation_answer_alert', args=[verb])}?ids={ids}")


_TITLES: Final = {"acknowledge": "Acknowledge", "mute": "Mute", "resolve": "End by hand"}
_NOTES: Final = {
    "acknowledge": "You see to it: the alert stays open until it is over, but becomes no worse by itself.",
    "mute": "Nobody is told of it meanwhile, also where it is over and comes again. It stays in the list.",
    "resolve": "For what nobody else can end. What is still wrong opens again within a minute.",
}


def answer_page(request: HttpRequest, verb: str) -> HttpResponseBase:
    """Asks for the reason, and acknowledges, mutes or ends the chosen alerts."""
    require(request, PERMISSION)
    ids = [int(each) for each in request.GET.get("ids", "").split(",") if each.isdecimal()]
    if verb not in _TITLES or not ids:
        return HttpResponse(status=404)
    chosen = Alert.objects.filter(Q(pk__in=ids)).order_by("-severity", "opened_at")
    rows = [(each.title, severity_badge(each), each.opened_at) for each in chosen[:50]]
    form_class = MuteForm if verb == "mute" else BecauseForm
    actor = request.user.get_username()

    def run(entered: dict[str, Any]) -> str:
        return _answer(verb, ids, actor, entered)

    return ask(
        request,
        form_class(request.POST or None),
        run,
        title=_TITLES[verb],
        button=_TITLES[verb],
        back=list_of("reconciliation.alert", "state=open"),
        note=_NOTES[verb],
        panels=[Panel("Alerts", ("Alert", "Severity", "Since"), rows)],
    )


def _answer(verb: str, ids: list[int], actor: str, entered: dict[str, Any]) -> str:
    because = entered["because"]
    if verb == "acknowledge":
        done = alerts.acknowledge(ids, actor=actor, because=because)
    elif verb == "mute":
        until = timezone.now() + timedelta(hours=int(entered["hours"]))
        done = alerts.mute(ids, until=until, actor=actor, because=because)
    else:
        done = alerts.resolve_by_hand(ids, actor=actor, because=because)
    word = {"acknowledge": "acknowledged", "mute": "muted", "resolve": "ended"}[verb]
    left = f" {len(ids) - done} were so already or are over." if done < len(ids) else ""
    return f"{done} alert{'' if done == 1 else 's'} {word}.{left}"


def _evidence_panel(alert: Alert) -> Panel:
    rows = [(name.replace("_", " "), shown(_plain(value))) for name, value in alert.evidence.items()]
    links = [(alert.link, "Look there")] if alert.link else []
    return Panel("Evidence", ("What", "Found"), rows, empty="None beyond the title.", links=links)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return ", ".join(f"{name}: {inner}" for name, inner in value.items())
    if isinstance(value, list):
        return "; ".join(str(_plain(each)) for each in value)
    return value


def _told_panel(alert: Alert) -> Panel:
    rows = [
        (
            each.created_at,
            each.get_event_display(),
            each.recipient.address,
            delivery_state(each),
            each.error,
        )
        for each in alert.deliveries.select_related("recipient").defer("recipient__secrets")[:50]
    ]
    headers = ("When", "What", "Who", "State", "Error")
    return Panel("Who was told", headers, rows, empty="Nobody: see Who is told in the engine room.")
