"""Who is told of alerts, and what became of telling them."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html

from channels.errors import Misconfigured
from channels.transport import check_receiver_url
from config.admin_panels import Panel, badge
from config.admin_site import FactsAdmin, HistoryAdmin, StateFilter
from config.jobs import wake
from reconciliation.admin.new_secrets import shown_once
from reconciliation.alert_messages import SEND, send_test
from reconciliation.alert_sending import renew_secret, send_again
from reconciliation.models import AlertDelivery, AlertRecipient
from reconciliation.models.alerts import RecipientKind

if TYPE_CHECKING:
    ModelForm = forms.ModelForm[AlertRecipient]
else:
    ModelForm = forms.ModelForm


class RecipientForm(ModelForm):
    """Checks that the address can be written to."""

    def clean(self) -> dict[str, Any]:
        """Refuses what is no address of its kind."""
        cleaned: dict[str, Any] = super().clean() or {}
        kind = cleaned.get("kind") or self.instance.kind
        address = cleaned.get("address", "")
        if address and kind == RecipientKind.EMAIL:
            self._check_mail(address)
        elif address:
            self._check_url(address)
        return cleaned

    def _check_mail(self, address: str) -> None:
        try:
            validate_email(address)
        except ValidationError:
            self.add_error("address", "This is no e-mail address. Enter one such as ops@example.com.")

    def _check_url(self, address: str) -> None:
        try:
            check_receiver_url(address)
        except Misconfigured as error:
            self.add_error(
                "address", f"{error} Enter one that begins with https:// and leads to the internet."
            )


@admin.register(AlertRecipient)
class AlertRecipientAdmin(HistoryAdmin):
    """Who is told, of whose alerts, from which severity on."""

    form = RecipientForm
    list_display = ("address", "kind", "merchant", "minimum_severity", "is_active")
    list_filter = ("kind", "is_active", "minimum_severity")
    list_select_related = ("merchant",)
    search_fields = ("address",)
    ordering = ("kind", "address", "id")
    fields = ("kind", "address", "merchant", "minimum_severity", "is_active")
    actions = ("send_test_message", "make_new_secret")
    detail_actions = ("send_test_message", "make_new_secret")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Leaves the secrets closed."""
        queryset: QuerySet[Any] = super().get_queryset(request)
        return queryset.select_related("merchant").defer("secrets")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Sequence[str]:
        """Keeps the kind of a recipient: another kind is another recipient."""
        return ("kind",) if obj else ()

    def save_model(self, request: HttpRequest, obj: AlertRecipient, form: Any, change: bool) -> None:
        """Makes a secret for a new webhook."""
        super().save_model(request, obj, form, change)
        if not change and obj.kind == RecipientKind.WEBHOOK:
            request._new_secrets = [(obj, renew_secret(obj.pk))]  # type: ignore[attr-defined]

    def response_add(
        self, request: HttpRequest, obj: AlertRecipient, post_url_continue: Any = None
    ) -> HttpResponse:
        """Shows the secret of a new webhook, this once."""
        made = getattr(request, "_new_secrets", None)
        response: HttpResponse = (
            shown_once(request, made) if made else super().response_add(request, obj, post_url_continue)
        )
        return response

    def offers(self, action: str, instance: AlertRecipient) -> bool:
        """Offers a secret to webhooks alone."""
        return action != "make_new_secret" or instance.kind == RecipientKind.WEBHOOK

    @admin.action(description="Send a test", permissions=["change"])
    def send_test_message(self, request: HttpRequest, queryset: QuerySet[AlertRecipient]) -> None:
        """Sends a message that says that it is a test."""
        active = queryset.filter(is_active=True)
        done = len([send_test(recipient) for recipient in active])
        what = "test{s} on the way; see Alert messages for what became of them"
        self.report(request, done, what, {"switched off": queryset.count() - done})

    @admin.action(description="New secret", permissions=["change"])
    def make_new_secret(
        self, request: HttpRequest, queryset: QuerySet[AlertRecipient]
    ) -> HttpResponse | None:
        """Gives webhooks a new secret and shows it; the one before signs along for a day."""
        made = [(each, renew_secret(each.pk)) for each in queryset.filter(kind=RecipientKind.WEBHOOK)]
        self.report(request, len(made), "secret{s} made", {"no webhook": queryset.count() - len(made)})
        return shown_once(request, made) if made else None

    def panels(self, request: HttpRequest, instance: AlertRecipient) -> list[Panel]:
        """Shows what it was told last."""
        told = instance.deliveries.select_related("alert")[:20]
        rows = [
            (each.created_at, each.get_event_display(), each.alert, delivery_state(each), each.error)
            for each in told
        ]
        return [Panel("Told last", ("When", "What", "Alert", "State", "Error"), rows)]


class DeliveryFilter(StateFilter):
    """Whether it arrived."""

    states = (
        ("waiting", "Waiting", lambda q: q.filter(next_attempt_at__isnull=False)),
        ("sent", "Arrived", lambda q: q.filter(sent_at__isnull=False)),
        ("dead", "Given up", lambda q: q.filter(dead_at__isnull=False)),
    )


def delivery_state(delivery: AlertDelivery) -> str:
    """Says in a word what became of a message."""
    if delivery.sent_at:
        return badge("arrived", "good")
    return badge("given up", "bad") if delivery.dead_at else badge("waiting", "warning")


@admin.register(AlertDelivery)
class AlertDeliveryAdmin(FactsAdmin):
    """Every message about an alert."""

    list_display = ("created_at", "event", "alert", "recipient", "state", "attempts", "sent_at", "error")
    list_filter = (DeliveryFilter, "event")
    ordering = ("-id",)
    actions = ("send_again",)
    detail_actions = ("send_again",)
    readonly_fields: ClassVar[Sequence[str]] = ("state", "shown_payload")
    fields = (
        "alert", "recipient", ("event", "state"), "message_id", ("created_at", "sent_at"),
        ("attempts", "next_attempt_at", "dead_at"), "error", "shown_payload",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Brings alert and recipient along, and leaves the secrets closed."""
        queryset: QuerySet[Any] = super().get_queryset(request)
        return queryset.select_related("alert", "recipient").defer("recipient__secrets")

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Allows the link that leads here from an alert."""
        return lookup == "alert__id__exact" or bool(super().lookup_allowed(lookup, value, request))

    def has_answer_permission(self, request: HttpRequest) -> bool:
        """Returns whether whoever asks may see to alerts."""
        return request.user.has_perm("reconciliation.answer_alert")

    def offers(self, action: str, instance: AlertDelivery) -> bool:
        """Offers to send again what was given up."""
        return instance.dead_at is not None

    @admin.display(description="state")
    def state(self, delivery: AlertDelivery) -> str:
        """Says whether it arrived."""
        return delivery_state(delivery)

    @admin.display(description="what is told")
    def shown_payload(self, delivery: AlertDelivery) -> str:
        """Returns what is told, indented."""
        text = json.dumps(delivery.payload, indent=2, ensure_ascii=False)
        return format_html('<pre class="oc-pre">{}</pre>', text)

    @admin.action(description="Send again", permissions=["answer"])
    def send_again(self, request: HttpRequest, queryset: QuerySet[AlertDelivery]) -> None:
        """Has messages sent again that were given up."""
        chosen = queryset.count()
        done = send_again(list(queryset.values_list("pk", flat=True)))
        if done:
            wake(SEND)
        self.report(request, done, "message{s} will be sent again", {"not given up": chosen - done})
