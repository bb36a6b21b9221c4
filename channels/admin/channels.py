"""Channels: how they are connected, what they are offered, how they are doing."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables

from channels import buyers, feeds, onboarding, own_systems
from channels.accounts import webhook_url
from channels.admin.channel_actions import ChannelActions
from channels.admin.channel_form import (
    CREDENTIAL,
    DELIVERY,
    EXPIRY,
    EXPOSURE,
    ROUTING,
    SETTING,
    ChannelForm,
    connector_of,
    form_for,
    shown_settings,
)
from channels.admin.condition import condition_badge, condition_of, health_of
from channels.admin.key_swap import swap_page
from channels.admin.onboarding import onboarding_urls
from channels.connectors import CONNECTORS
from channels.errors import ChannelError
from channels.models import Channel
from channels.signing_secrets import with_new
from channels.tuning import tell_anew
from config.admin_panels import NOTHING, Figure, Panel, link, list_of, page_of
from config.admin_site import HistoryAdmin, own_page


@admin.register(Channel)
class ChannelAdmin(ChannelActions, HistoryAdmin):
    """Accounts at platforms; one that ends is switched off, not deleted: its orders stay."""

    list_display = (
        "name", "kind_label", "state", "last_push_at", "last_webhook_at", "last_poll_at", "merchant", "way",
    )  # fmt: skip
    list_filter = ("is_active", "is_paused", "merchant")
    search_fields = ("name",)
    autocomplete_fields = ("merchant",)
    form = ChannelForm

    def get_queryset(self, request: HttpRequest) -> QuerySet[Channel]:
        """Leaves the credentials closed, and brings health and merchant along."""
        queryset: QuerySet[Channel] = super().get_queryset(request)
        return queryset.defer("credentials").select_related("merchant", "health")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Returns False: its orders and what it was told stay."""
        return False

    def get_urls(self) -> list[URLPattern]:
        """Adds the page on which keys are swapped, and the guided way of a new channel."""
        wrap = self.admin_site.admin_view
        keys = path("<int:pk>/keys/", wrap(swap_page), name="channels_swap_keys")
        return [keys, *onboarding_urls(wrap), *super().get_urls()]

    def may_connect(self, request: HttpRequest) -> bool:
        """Returns whether whoever asks may enter settings and credentials."""
        return request.user.has_perm("channels.connect_channel")

    def may_tune(self, request: HttpRequest) -> bool:
        """Returns whether whoever asks may set what the channel is offered."""
        return request.user.has_perm("channels.tune_channel")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Returns whether whoever asks may connect a new channel."""
        return bool(super().has_add_permission(request)) and self.may_connect(request)

    # -- the form

    @method_decorator(sensitive_post_parameters())
    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, *args: Any, **kwargs: Any
    ) -> Any:
        """Asks for the kind of a new channel first; hides what was posted from error reports."""
        if (
            object_id is None
            and request.GET.get("kind") not in CONNECTORS
            and self.has_add_permission(request)
        ):
            kinds = [(kind, connector.label) for kind, connector in CONNECTORS.items()]
            return own_page(request, "onecount/channel_kinds.html", "Connect a channel", kinds=kinds)
        return super().changeform_view(request, object_id, *args, **kwargs)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """Builds the form of the channel's kind."""
        if obj is None and request.GET.get("kind") not in CONNECTORS:
            raise Http404
        kwargs["form"] = form_for(_kind_of(request, obj)) if self.may_connect(request) else ChannelForm
        return super().get_form(request, obj, change, **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Groups the inputs: account, connection, secrets, what the channel is offered."""
        declared = form_for(_kind_of(request, obj)).declared_fields if self.may_connect(request) else {}
        connection = [name for name in declared if name.startswith(SETTING)]
        secrets = [name for name in declared if name.startswith(CREDENTIAL)]
        account = ["merchant", "name", "kind_label", "is_active"]
        sets: list[tuple[str | None, dict[str, Any]]] = [
            (None, {"fields": [*account, "state"] if obj else account})
        ]
        beside = ["poll_interval"] if secrets else ["poll_interval", EXPIRY]
        sets.append(("Connection", {"fields": [*(connection or ["settings_shown"]), *beside]}))
        if secrets:
            described = {"fields": [*secrets, EXPIRY], "description": "Written, never shown again."}
            sets.append(("Credentials", described))
        sets.append(("What the channel is offered", {"fields": list(EXPOSURE)}))
        sets.append(("From where its orders are served", {"fields": list(ROUTING)}))
        sets.append(("When goods arrive at the customer", {"fields": list(DELIVERY)}))
        return sets

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Leaves each role the inputs that are its own."""
        fields: tuple[str, ...] = ("kind_label", "state", "settings_shown")
        if obj is not None:
            fields += ("merchant",)
        if not self.may_connect(request):
            fields += ("merchant", "name", "is_active", "poll_interval", EXPIRY)
        return fields if self.may_tune(request) else (*fields, *EXPOSURE, *ROUTING, *DELIVERY)

    @admin.display(description="platform", ordering="kind")
    def kind_label(self, channel: Channel) -> str:
        """Names the platform."""
        connector = connector_of(channel.kind)
        if channel.kind == own_systems.KIND:
            return own_systems.LABEL
        return connector.label if connector else f"{channel.kind or 'new'} (no connector speaks it)"

    @admin.display(description="settings")
    def settings_shown(self, channel: Channel) -> str:
        """Returns the settings for those who may not change them."""
        return shown_settings(channel.settings)

    @sensitive_variables()
    def save_model(self, request: HttpRequest, obj: Channel, form: Any, change: bool) -> None:
        """Keeps settings and newly entered secrets; what else is stored stays, whoever else writes meanwhile."""
        with transaction.atomic():
            obj.kind = obj.kind or _kind_of(request, None)
            obj.settings = form.entered_settings() if form.connector else obj.settings
            entered = form.entered_credentials()
            if form.connector and (entered or not change):
                stored = _locked_credentials(obj) if change else {}
                obj.credentials = with_new(
                    stored, entered, now=timezone.now(), signed_with=form.connector.signed_with
                )
            is_new = form.connector is not None and not change
            # Told nothing before somebody has looked at what it would be told.
            obj.is_paused = obj.is_paused or is_new
            super().save_model(request, obj, form, change)
            if is_new:
                onboarding.begin(obj)
            if change and {*EXPOSURE, "may_split"} & set(form.changed_data):
                tell_anew(obj)
        if obj.is_active:
            feeds.ensure_feeds()

    def response_add(self, request: HttpRequest, obj: Channel, post_url_continue: str | None = None) -> Any:
        """Leads a new channel to its way, unless another button was pressed."""
        response = super().response_add(request, obj, post_url_continue)
        if obj.kind in CONNECTORS and "_addanother" not in request.POST and "_continue" not in request.POST:
            return redirect("admin:channels_onboarding", obj.pk)
        return response

    # -- the list

    @admin.display(description="onboarding")
    def way(self, channel: Channel) -> str:
        """Leads to the channel's way to being live."""
        if channel.kind not in CONNECTORS:
            return NOTHING
        return link(reverse("admin:channels_onboarding", args=[channel.pk]), "Onboarding")

    @admin.display(description="state")
    def state(self, channel: Channel) -> str:
        """Says in a word how the channel is doing."""
        return condition_badge(condition_of(channel))

    @admin.display(description="last push", empty_value="never")
    def last_push_at(self, channel: Channel) -> Any:
        """Returns when it was last told a number."""
        return health_of(channel).last_push_at

    @admin.display(description="last webhook", empty_value="never")
    def last_webhook_at(self, channel: Channel) -> Any:
        """Returns when it was last heard of."""
        return health_of(channel).last_webhook_at

    @admin.display(description="last poll", empty_value="never")
    def last_poll_at(self, channel: Channel) -> Any:
        """Returns when it was last read."""
        return health_of(channel).last_poll_at

    # -- the page of one channel

    def offers(self, action: str, instance: Channel) -> bool:
        """Offers to pause what runs, and to resume what is paused."""
        may_resume = instance.is_paused and not instance.in_shadow
        return {"pause": not instance.is_paused, "resume": may_resume}.get(action, True)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> Any:
        """Shows those who connect channels where platform and buyers send to."""
        channel: Channel | None = context.get("original")
        if channel is not None and self.may_connect(request) and _is_posted_to(channel):
            context["banner"] = "onecount/webhook_address.html"
            context["webhook_address"] = webhook_url(channel)
            if channel.kind == buyers.KIND:
                context["buyers_address"] = buyers.address_of(channel)
        return super().render_change_form(request, context, *args, **kwargs)

    def object_links(self, request: HttpRequest, instance: Channel) -> list[tuple[str, str]]:
        """Leads to what belongs to the channel."""
        query = f"channel__id__exact={instance.pk}"
        models = (
            ("listing", "Listings"),
            ("channelorder", "Orders"),
            ("channellocation", "Places"),
            ("push", "Pushes"),
        )
        links = [(list_of(f"channels.{model}", query), text) for model, text in models]
        if instance.kind in CONNECTORS:
            links.append((reverse("admin:channels_onboarding", args=[instance.pk]), "Onboarding"))
        if self.may_connect(request) and instance.kind in CONNECTORS:
            links.append((reverse("admin:channels_swap_keys", args=[instance.pk]), "Swap keys"))
        return links

    def panels(self, request: HttpRequest, instance: Channel) -> list[Panel]:
        """Shows how it is doing: contacts, subscriptions, feeds, limits."""
        return [
            _health_panel(instance),
            _problems_panel(instance),
            _feeds_panel(instance),
            _buckets_panel(instance),
        ]


def _is_posted_to(channel: Channel) -> bool:
    """Tells whether its platform posts anything to us: some put their messages into a queue."""
    connector = connector_of(channel.kind)
    return connector is not None and not connector.capabilities.message_queue


def _kind_of(request: HttpRequest, channel: Channel | None) -> str:
    return channel.kind if channel is not None else request.GET.get("kind", "")


@sensitive_variables()
def _locked_credentials(channel: Channel) -> dict[str, Any]:
    """Returns what is stored, under the row's lock; nothing where no key opens it, so that it can be entered anew."""
    rows = Channel.objects.select_for_update().filter(pk=channel.pk)
    try:
        stored: Any = rows.values_list("credentials", flat=True).get()
    except ChannelError:
        return {}
    return dict(stored or {})


def _health_panel(channel: Channel) -> Panel:
    health = health_of(channel)
    rows: Iterable[tuple[str, Any]] = (
        ("State", condition_badge(condition_of(channel))),
        ("Last push", health.last_push_at),
        ("Last webhook", health.last_webhook_at),
        ("Last poll", health.last_poll_at),
        ("Last success", health.last_success_at),
        ("Last error", health.last_error_at),
        ("What it said", health.last_error),
        ("Failures in a row", str(health.consecutive_failures)),
        ("Breaker open until", health.breaker_open_until),
        ("Because", health.breaker_reason),
    )
    return Panel("Health", ("", ""), list(rows))


def _problems_panel(channel: Channel) -> Panel:
    health = health_of(channel)
    problems = [p for p in health.subscription_problems if isinstance(p, dict)]
    rows = [(p.get("topic"), p.get("problem"), p.get("remedy")) for p in problems]
    audited = health.subscriptions_audited_at
    empty = "Nothing was wrong at the last audit." if audited else "Not audited yet."
    note = f"Audited {audited:%Y-%m-%d %H:%M:%S} UTC." if audited else ""
    return Panel("Webhook subscriptions", ("Topic", "Problem", "Remedy"), rows, empty=empty, note=note)


def _feeds_panel(channel: Channel) -> Panel:
    rows = [
        (
            page_of(feed, feed.name),
            feed.last_polled_at,
            feed.next_poll_at,
            feed.polls,
            feed.failures,
            feed.last_error,
        )
        for feed in channel.feeds.order_by("name")
    ]
    return Panel("Polls", ("Feed", "Last", "Next", "Polls", "Failures in a row", "Last error"), rows)


def _buckets_panel(channel: Channel) -> Panel:
    rows = [
        (
            bucket.name,
            round(bucket.tokens),
            round(bucket.capacity),
            Figure(f"{bucket.refill_per_second:g}"),
            bucket.blocked_until,
        )
        for bucket in channel.buckets.order_by("name")
    ]
    return Panel("Limits", ("Bucket", "Left", "Of", "Back each second", "Blocked until"), rows)
