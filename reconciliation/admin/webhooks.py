"""Webhooks to the merchants' own systems: who is told of what, and what became of each message."""

import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from config.admin_panels import Panel, badge, list_of
from config.admin_site import FactsAdmin, HistoryAdmin, StateFilter
from reconciliation.admin.new_secrets import shown_once
from reconciliation.errors import Refused
from reconciliation.models import WebhookCursor, WebhookEvent, WebhookMessage, WebhookSubscription
from reconciliation.outgoing import replaying, subscriptions
from reconciliation.outgoing.event_types import ALL, EVENTS, FAMILIES, PATTERNS
from reconciliation.outgoing.leasing import message_id_of
from reconciliation.outgoing.subscriptions import Wish

if TYPE_CHECKING:
    ModelForm = forms.ModelForm[WebhookSubscription]
else:
    ModelForm = forms.ModelForm

#: How far back the button tells again what happened.
_LATELY = timedelta(hours=24)


def _label(pattern: str) -> str:
    """Says what a pattern stands for."""
    if pattern == ALL:
        return "*: everything, also what later versions add"
    return f"{pattern}: all of these" if pattern in FAMILIES else f"{pattern}: {EVENTS[pattern]}"


class SubscriptionForm(ModelForm):
    """Where a merchant's system is told of what."""

    events = forms.MultipleChoiceField(
        choices=[(pattern, _label(pattern)) for pattern in PATTERNS],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )

    class Meta:
        model = WebhookSubscription
        fields = ("merchant", "url", "description", "events")
        help_texts: ClassVar[dict[str, str]] = {
            "url": "https. Hosts in private networks must be named in ONECOUNT_PRIVATE_WEBHOOK_HOSTS.",
            "description": "Which system it is.",
        }

    def clean(self) -> dict[str, Any]:
        """Refuses addresses that messages may not be posted to."""
        cleaned: dict[str, Any] = super().clean() or {}
        if not self.errors:
            try:
                subscriptions.check(cleaned["url"], cleaned["events"])
            except Refused as error:
                self.add_error(error.field, str(error))
        return cleaned


class SubscriptionStateFilter(StateFilter):
    """Filters subscriptions by whether they are told something."""

    states = (
        ("active", "Active", lambda rows: rows.filter(is_active=True)),
        ("failing", "Failing now", lambda rows: rows.filter(is_active=True, failures__gt=0)),
        ("off", "Switched off by hand", lambda rows: rows.filter(is_active=False, gave_up=False)),
        ("gave_up", "Switched off for failing", lambda rows: rows.filter(gave_up=True)),
    )


@admin.register(WebhookSubscription)
class WebhookSubscriptionAdmin(HistoryAdmin):
    """Who is told of what."""

    form = SubscriptionForm
    list_display = ("url", "description", "merchant", "state", "event_list", "failing_since")
    list_filter = (SubscriptionStateFilter, "merchant")
    list_select_related = ("merchant",)
    search_fields = ("url", "description")
    autocomplete_fields = ("merchant",)
    ordering = ("-id",)
    actions = ("send_tests", "enable", "disable", "make_new_secrets", "replay_missing", "replay_lately")
    detail_actions = actions

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Leaves the secrets closed."""
        queryset: QuerySet[Any] = super().get_queryset(request)
        return queryset.select_related("merchant").defer("secrets")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Shows what is known of a subscription that exists."""
        asked = ("merchant", "url", "description", "events")
        known = ("state", "disabled_because", "failures", "failing_since", "paused_until")
        return asked if obj is None else (*asked, *known, "created_at", "created_by")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Leaves a subscription with its merchant."""
        known = ("state", "disabled_because", "failures", "failing_since", "paused_until")
        return () if obj is None else (*known, "created_at", "created_by", "merchant")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Returns False: what it was told stays; it is switched off instead."""
        return False

    def offers(self, action: str, instance: WebhookSubscription) -> bool:
        """Offers to switch off what is active, and everything else but switching on to what is active."""
        return (action == "enable") != instance.is_active

    def save_model(self, request: HttpRequest, obj: WebhookSubscription, form: Any, change: bool) -> None:
        """Makes the subscription, or saves what was changed of one."""
        if change:
            subscriptions.change(obj)
            return
        wish = Wish(obj.url, obj.events, obj.description)
        made, secret = subscriptions.subscribe(obj.merchant, wish, by=request.user.get_username())
        obj.pk = made.pk
        request._new_secrets = [(made, secret)]  # type: ignore[attr-defined]

    def response_add(
        self, request: HttpRequest, obj: WebhookSubscription, post_url_continue: Any = None
    ) -> HttpResponse:
        """Shows the secret, this once."""
        return shown_once(request, request._new_secrets)  # type: ignore[attr-defined]

    def panels(self, request: HttpRequest, instance: WebhookSubscription) -> list[Panel]:
        """Shows what it was told last."""
        told = instance.messages.select_related("event").defer("event__data", "event__facts")[:20]
        rows = [
            (each.created_at, each.event.type, each.event.subject, _state(each), each.attempts, each.error)
            for each in told
        ]
        address = list_of("reconciliation.webhookmessage", f"subscription__id__exact={instance.pk}")
        headers = ("When", "Event", "About", "State", "Attempts", "Error")
        return [Panel("Told last", headers, rows, links=[(address, "All messages")])]

    # -- actions

    @admin.action(description="Send a test", permissions=["change"])
    def send_tests(self, request: HttpRequest, queryset: QuerySet[WebhookSubscription]) -> None:
        """Sends a message that says that it is a test."""
        what = "test{s} on the way; see Webhook messages for what became of them"
        self._each(request, queryset, lambda each: bool(replaying.send_test(each)), what)

    @admin.action(description="Switch on", permissions=["change"])
    def enable(self, request: HttpRequest, queryset: QuerySet[WebhookSubscription]) -> None:
        """Has subscriptions told again, what waited first."""
        off = queryset.filter(is_active=False)

        def switch_on(subscription: WebhookSubscription) -> bool:
            subscriptions.enable(subscription)
            return True

        self._each(request, off, switch_on, "subscription{s} switched on")

    @admin.action(description="Switch off", permissions=["change"])
    def disable(self, request: HttpRequest, queryset: QuerySet[WebhookSubscription]) -> None:
        """Has subscriptions told nothing more."""
        because = f"Switched off in the back office by {request.user.get_username()}."
        done = 0
        for subscription in queryset.filter(is_active=True):
            subscriptions.disable(subscription, because=because)
            done += 1
        self.report(request, done, "subscription{s} switched off", {"off before": queryset.count() - done})

    @admin.action(description="New secret", permissions=["change"])
    def make_new_secrets(self, request: HttpRequest, queryset: QuerySet[WebhookSubscription]) -> HttpResponse:
        """Gives subscriptions new secrets and shows them once; those before sign along for a day."""
        return shown_once(request, [(each, subscriptions.renew_secret(each.pk)) for each in queryset])

    @admin.action(description="Send again what was given up", permissions=["change"])
    def replay_missing(self, request: HttpRequest, queryset: QuerySet[WebhookSubscription]) -> None:
        """Sends again what did not arrive in a day."""
        given_up = WebhookMessage.objects.filter(subscription__in=queryset, given_up_at__isnull=False)
        done = replaying.replay(list(given_up.values_list("pk", flat=True)))
        self.report(request, done, "message{s} will be sent again")

    @admin.action(description="Tell the last 24 hours again", permissions=["change"])
    def replay_lately(self, request: HttpRequest, queryset: QuerySet[WebhookSubscription]) -> None:
        """Tells again what happened in the last day, also what arrived."""
        since = timezone.now() - _LATELY
        counts: list[int] = []

        def tell_again(subscription: WebhookSubscription) -> bool:
            counts.append(replaying.replay_since(subscription, since))
            return True

        what = "subscription{s} will be told again"
        self._each(request, queryset, tell_again, what)
        messages.info(request, f"{sum(counts)} messages are on the way.")

    def _each(
        self,
        request: HttpRequest,
        queryset: QuerySet[WebhookSubscription],
        act: Callable[[WebhookSubscription], bool],
        what: str,
    ) -> None:
        done = 0
        for subscription in queryset:
            try:
                done += act(subscription)
            except Refused as error:
                messages.error(request, f"{subscription}: {error}")
        self.report(request, done, what)

    # -- columns

    @admin.display(description="state")
    def state(self, subscription: WebhookSubscription) -> str:
        """Says whether it is told something, and takes it."""
        if not subscription.is_active:
            return badge("switched off for failing", "bad") if subscription.gave_up else badge("off")
        return badge("failing", "warning") if subscription.failures else badge("active", "good")

    @admin.display(description="is told")
    def event_list(self, subscription: WebhookSubscription) -> str:
        """Names what it is told."""
        return ", ".join(subscription.events)


class MessageFilter(StateFilter):
    """What became of messages."""

    states = (
        ("waiting", "Waiting", lambda rows: rows.filter(next_attempt_at__isnull=False)),
        (
            "failing",
            "Failed so far",
            lambda rows: rows.filter(next_attempt_at__isnull=False).exclude(error=""),
        ),
        ("arrived", "Arrived", lambda rows: rows.filter(arrived_at__isnull=False)),
        ("given_up", "Given up", lambda rows: rows.filter(given_up_at__isnull=False)),
    )


def _state(message: WebhookMessage) -> str:
    """Says in a word what became of a message."""
    tone = {"arrived": "good", "given_up": "bad"}.get(message.state, "warning")
    return badge(message.state.replace("_", " "), tone)


@admin.register(WebhookMessage)
class WebhookMessageAdmin(FactsAdmin):
    """The log of what merchants' systems were told."""

    list_display = (
        "created_at",
        "event",
        "subscription",
        "shown_state",
        "attempts",
        "status",
        "arrived_at",
        "error",
    )
    list_filter = (MessageFilter, "merchant")
    search_fields = ("event__subject__exact", "event__type__exact")
    search_help_text = "What it is about (order:42), or the type of the event"
    ordering = ("-id",)
    actions = ("send_again",)
    detail_actions = ("send_again",)
    readonly_fields: ClassVar[Sequence[str]] = ("shown_state", "shown_id", "shown_data")
    fields = (
        "merchant", "subscription", "event", "shown_id", "shown_state", ("created_at", "wanted_at", "next_attempt_at"),
        ("arrived_at", "given_up_at"), ("attempts", "status"), "error", "shown_data",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Brings along what was told to whom, and leaves the secrets closed."""
        queryset: QuerySet[Any] = super().get_queryset(request)
        related = queryset.select_related("merchant", "event", "subscription")
        return related.defer("subscription__secrets", "event__facts", "event__data")

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Allows the link that leads here from a subscription."""
        return lookup == "subscription__id__exact" or bool(super().lookup_allowed(lookup, value, request))

    def has_replay_permission(self, request: HttpRequest) -> bool:
        """Returns whether whoever asks may send messages again."""
        return request.user.has_perm("reconciliation.replay_webhookmessage")

    def panels(self, request: HttpRequest, instance: WebhookMessage) -> list[Panel]:
        """Shows the latest attempts."""
        rows = [
            (
                each["at"][:19].replace("T", " "),
                f"{each['milliseconds']} ms",
                each["status"] or "",
                each["error"],
            )
            for each in reversed(instance.log)
        ]
        return [Panel("Attempts", ("When (UTC)", "Took", "Answer", "Error"), rows)]

    @admin.display(description="state")
    def shown_state(self, message: WebhookMessage) -> str:
        """Says whether it arrived."""
        return _state(message)

    @admin.display(description="webhook-id")
    def shown_id(self, message: WebhookMessage) -> str:
        """Returns the id that it carries."""
        return message_id_of(message.event.event_id)

    @admin.display(description="what is told")
    def shown_data(self, message: WebhookMessage) -> str:
        """Returns what is told, indented."""
        return _indented(message.event.data)

    @admin.action(description="Send again", permissions=["replay"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[WebhookMessage]) -> None:
        """Sends messages again under the same ids, whatever became of them."""
        chosen = queryset.count()
        done = replaying.replay(list(queryset.values_list("pk", flat=True)))
        self.report(request, done, "message{s} will be sent again", {"switched off": chosen - done})


@admin.register(WebhookEvent)
class WebhookEventAdmin(FactsAdmin):
    """What happened that somebody wanted to be told of."""

    list_display = ("occurred_at", "type", "subject", "version", "merchant", "made_at")
    list_filter = ("type", "merchant")
    list_select_related = ("merchant",)
    search_fields = ("subject__exact",)
    search_help_text = "What it is about, such as order:42"
    ordering = ("-id",)
    readonly_fields: ClassVar[Sequence[str]] = ("shown_id", "shown_data")
    fields = ("merchant", "shown_id", "type", "subject", "version", ("occurred_at", "made_at"), "shown_data")

    @admin.display(description="webhook-id")
    def shown_id(self, event: WebhookEvent) -> str:
        """Returns the id that its messages carry."""
        return message_id_of(event.event_id)

    @admin.display(description="what is told")
    def shown_data(self, event: WebhookEvent) -> str:
        """Returns what is told, indented."""
        return _indented(event.data)


@admin.register(WebhookCursor)
class WebhookCursorAdmin(FactsAdmin):
    """How far each merchant's changes of stock have become events."""

    list_display = ("merchant", "position", "moved_at")
    list_select_related = ("merchant",)
    ordering = ("merchant_id",)
    fields = ("merchant", "position", "moved_at")


def _indented(data: object) -> str:
    return format_html('<pre class="oc-pre">{}</pre>', json.dumps(data, indent=2, ensure_ascii=False))
