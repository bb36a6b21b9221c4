"""Our word on orders that wait for it: seen by everybody, hurried and said again by operations."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import HttpRequest

from channels import acknowledgements
from channels.admin.rows import ChannelFilter, short, with_channel
from channels.models import ChannelOrderLine, OrderAcknowledgement
from config.admin_panels import Panel, address_of, badge, page_of
from config.admin_site import FactsAdmin, StateFilter

_TONES = {"in force": "good", "given up": "bad", "settled elsewhere": "neutral"}
_DUE = {"wanted__gt": F("done"), "dead_at__isnull": True}


class WordFilter(StateFilter):
    """How far our word is."""

    states = (
        ("open", "Not heard yet", lambda q: q.filter(wanted__gt=F("done"))),
        ("waiting", "Waiting for goods or people", lambda q: q.filter(**_DUE).exclude(waits_for="")),
        ("due", "To be said", lambda q: q.filter(**_DUE, tracking_id="", waits_for="")),
        ("sent", "On its way", lambda q: q.filter(**_DUE).exclude(tracking_id="")),
        ("dead", "Given up", lambda q: q.filter(dead_at__isnull=False)),
        ("over", "Heard", lambda q: q.filter(wanted=F("done"))),
    )


@admin.register(OrderAcknowledgement)
class OrderAcknowledgementAdmin(FactsAdmin):
    """One row an order that its platform waits to hear of."""

    list_display = (
        "asked_at",
        "shown_order",
        "channel",
        "shown_progress",
        "why_it_waits",
        "due_at",
        "what_failed",
    )
    list_display_links = ("asked_at", "shown_order")
    list_filter = (ChannelFilter, WordFilter)
    search_fields = ("order__number__exact", "order__external_id__exact")
    search_help_text = "Number of the order, in full"
    ordering = ("-id",)
    actions = ("say_now", "say_again")
    detail_actions = actions
    readonly_fields: ClassVar[tuple[str, ...]] = ("shown_order", "shown_progress")
    fields = (
        "shown_order", "channel", "shown_progress", "waits_for", ("asked_at", "due_at"), ("sent_at", "in_force_at"),
        ("wanted", "done", "sent"), "tracking_id", "is_hurried", ("attempts", "dead_at"), "last_error",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[OrderAcknowledgement]:
        """Brings channel and order along."""
        return with_channel(super().get_queryset(request), "order")

    @admin.display(description="order")
    def shown_order(self, word: OrderAcknowledgement) -> str:
        """Names the order."""
        return str(word.order)

    @admin.display(description="progress")
    def shown_progress(self, word: OrderAcknowledgement) -> str:
        """Says how far it is."""
        return badge(word.progress, _TONES.get(word.progress, "warning"))

    @admin.display(description="waits for")
    def why_it_waits(self, word: OrderAcknowledgement) -> str:
        """Returns the beginning of what it waits for."""
        return short(word.waits_for)

    @admin.display(description="error")
    def what_failed(self, word: OrderAcknowledgement) -> str:
        """Returns the beginning of the last error."""
        return short(word.last_error)

    def has_say_permission(self, request: HttpRequest) -> bool:
        """Returns whether whoever asks may have our word said."""
        return request.user.has_perm("channels.say_orderacknowledgement")

    def offers(self, action: str, instance: OrderAcknowledgement) -> bool:
        """Offers what changes something."""
        if action == "say_again":
            return instance.dead_at is not None
        return instance.is_due and not instance.tracking_id and instance.dead_at is None

    @admin.action(description="Say now, by what is held", permissions=["say"])
    def say_now(self, request: HttpRequest, queryset: QuerySet[OrderAcknowledgement]) -> None:
        """Has orders answered that wait for goods."""
        total = queryset.count()
        done = acknowledgements.hurry(list(queryset.values_list("pk", flat=True)))
        self.report(request, done, "order{s} will be answered now", {"not waiting": total - done})

    @admin.action(description="Say again what was given up", permissions=["say"])
    def say_again(self, request: HttpRequest, queryset: QuerySet[OrderAcknowledgement]) -> None:
        """Has words said again that were given up."""
        total = queryset.count()
        done = acknowledgements.replay(list(queryset.values_list("pk", flat=True)))
        self.report(request, done, "order{s} will be answered again", {"not given up": total - done})

    def panels(self, request: HttpRequest, instance: OrderAcknowledgement) -> list[Panel]:
        """Shows what was said of each line."""
        return [word_panel(instance)]

    def object_links(self, request: HttpRequest, instance: OrderAcknowledgement) -> list[tuple[str, str]]:
        """Leads to the order."""
        return [(address_of("channels.channelorder", instance.order_id), "Order")]


def word_panel(word: OrderAcknowledgement) -> Panel:
    """Shows what a platform was told last of the lines of an order."""
    lines = ChannelOrderLine.objects.filter(order=word.order_id).order_by("id")[:200]
    rows = [_row(line, word.lines[line.external_id]) for line in lines if line.external_id in word.lines]
    headers = ("SKU", "Ordered", "Accepted", "Backordered", "Rejected", "Reason")
    note = "What was said last; in units, as the platform's quantities are kept here."
    return Panel("What was said", headers, rows, empty="Nothing was said yet.", note=note)


def _row(line: ChannelOrderLine, said: dict[str, Any]) -> tuple[Any, ...]:
    counts = (said.get(name, 0) for name in ("accepted", "backordered", "rejected"))
    return (page_of(line, line.sku or line.external_id), line.quantity, *counts, said.get("reason", ""))


def words_panel(order_id: int) -> Panel:
    """Shows how far our word on an order is, where its platform waits for one."""
    found = OrderAcknowledgement.objects.filter(order=order_id).select_related("order")
    rows = [
        (
            page_of(each, each.progress),
            each.asked_at,
            each.sent_at or "",
            each.in_force_at or "",
            short(each.waits_for or each.last_error),
        )
        for each in found
    ]
    headers = ("Progress", "Asked", "Said", "In force", "Why")
    return Panel("Our word on it", headers, rows, empty="The platform waits for no word of ours.")
