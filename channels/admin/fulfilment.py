"""What locations are asked to ship: seen by everybody, answered by operations where no warehouse answers itself."""

from collections import Counter
from typing import ClassVar

from django.contrib import admin, messages
from django.db.models import F, QuerySet
from django.http import HttpRequest

from channels import fulfilment_requests
from channels.admin.rows import ChannelFilter, short, with_channel
from channels.errors import ChannelError
from channels.models import FulfilmentLine, FulfilmentRequest
from channels.models.fulfilment import IS_OPEN, RequestState
from channels.request_states import may_move
from channels.warehouses.authorities import answered_by_warehouse
from config.admin_panels import Panel, address_of, badge, page_of
from config.admin_site import FactsAdmin, StateFilter
from inventory.errors import StockError

_TONES = {
    RequestState.NEW: "warning",
    RequestState.REFUSED: "bad",
    RequestState.SHIPPED: "good",
}


class RequestFilter(StateFilter):
    """How far a request is."""

    states = (
        ("open", "Open", lambda q: q.filter(IS_OPEN)),
        *((s.value, s.label, lambda q, s=s: q.filter(state=s)) for s in RequestState),
        ("due", "Waiting to be told", lambda q: q.filter(wanted__gt=F("done"), dead_at__isnull=True)),
        ("dead", "Given up", lambda q: q.filter(dead_at__isnull=False)),
    )


@admin.register(FulfilmentRequest)
class FulfilmentRequestAdmin(FactsAdmin):
    """One request an order and location."""

    list_display = (
        "created_at", "shown_order", "location", "channel", "shown_state", "units", "shipped_units", "to_be_told",
        "what_failed",
    )  # fmt: skip
    list_display_links = ("created_at", "shown_order")
    list_filter = (ChannelFilter, RequestFilter, "location")
    search_fields = ("order__number__exact", "order__external_id__exact", "lines__variant__sku__exact")
    search_help_text = "Number of the order, or a SKU, in full"
    ordering = ("-id",)
    actions = ("accept", "pick", "ship", "refuse", "replay_requests")
    detail_actions = actions
    readonly_fields: ClassVar[tuple[str, ...]] = ("shown_order", "shown_state", "to_be_told")
    fields = (
        "shown_order", "location", "channel", "shown_state", "reason", ("units", "shipped_units"),
        ("created_at", "asked_at", "closed_at"), ("key", "number", "external_id"),
        ("to_be_told", "wanted", "done"), ("attempts", "next_attempt_at", "dead_at"), "last_error",
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[FulfilmentRequest]:
        """Brings channel, order and location along."""
        return with_channel(super().get_queryset(request), "order", "location")

    @admin.display(description="order")
    def shown_order(self, request: FulfilmentRequest) -> str:
        """Names the order."""
        return str(request.order)

    @admin.display(description="state", ordering="state")
    def shown_state(self, request: FulfilmentRequest) -> str:
        """Says how far it is."""
        state = RequestState(request.state)
        return badge(state.label, _TONES.get(state, "neutral"))

    @admin.display(description="to be told", boolean=True)
    def to_be_told(self, request: FulfilmentRequest) -> bool:
        """Tells whether the warehouse has yet to be told something."""
        return request.is_due

    @admin.display(description="error")
    def what_failed(self, request: FulfilmentRequest) -> str:
        """Returns the beginning of the last error."""
        return short(request.last_error)

    def has_answer_permission(self, request: HttpRequest) -> bool:
        """Returns whether whoever asks may answer for a location."""
        return request.user.has_perm("channels.answer_fulfilmentrequest")

    def offers(self, action: str, instance: FulfilmentRequest) -> bool:
        """Offers the steps that the request can take."""
        if action == "replay_requests":
            return instance.dead_at is not None
        if answered_by_warehouse([instance.location_id]):
            return False
        to = _STEPS[action]
        return instance.is_open and may_move(RequestState(instance.state), to)

    @admin.action(description="Accepted", permissions=["answer"])
    def accept(self, request: HttpRequest, queryset: QuerySet[FulfilmentRequest]) -> None:
        """Notes that the location will ship it."""
        self._answer(request, queryset, "accept", "request{s} accepted")

    @admin.action(description="Picked", permissions=["answer"])
    def pick(self, request: HttpRequest, queryset: QuerySet[FulfilmentRequest]) -> None:
        """Notes that its goods lie ready."""
        self._answer(request, queryset, "pick", "request{s} picked")

    @admin.action(description="Shipped", permissions=["answer"])
    def ship(self, request: HttpRequest, queryset: QuerySet[FulfilmentRequest]) -> None:
        """Takes all its units out of the ledger there."""
        self._answer(request, queryset, "ship", "request{s} shipped")

    @admin.action(description="Refused", permissions=["answer"])
    def refuse(self, request: HttpRequest, queryset: QuerySet[FulfilmentRequest]) -> None:
        """Has other locations serve its units, or opens conflicts."""
        reason = f"Refused by {request.user.get_username()} in the back office."
        self._answer(request, queryset, "refuse", "request{s} refused", reason=reason)

    @admin.action(description="Tell again what was given up", permissions=["answer"])
    def replay_requests(self, request: HttpRequest, queryset: QuerySet[FulfilmentRequest]) -> None:
        """Has requests told again that were given up."""
        total = queryset.count()
        done = fulfilment_requests.replay(list(queryset.values_list("pk", flat=True)))
        self.report(request, done, "request{s} will be told again", {"not given up": total - done})

    def _answer(
        self,
        request: HttpRequest,
        queryset: QuerySet[FulfilmentRequest],
        action: str,
        what: str,
        reason: str = "",
    ) -> None:
        skipped: Counter[str] = Counter()
        done = 0
        found = list(queryset.order_by("pk").values_list("pk", "state", "location"))
        elsewhere = answered_by_warehouse({location_id for *_, location_id in found})
        for pk, state, location_id in found:
            if location_id in elsewhere:
                skipped["answered by its warehouse"] += 1
                continue
            if not may_move(RequestState(state), _STEPS[action]) or state == RequestState.CANCELLED:
                skipped[f"{RequestState(state).label.lower()} already"] += 1
                continue
            try:
                fulfilment_requests.answer(pk, _STEPS[action], reason=reason)
            except (ChannelError, StockError) as error:
                messages.error(request, str(error))
                skipped["not possible"] += 1
            else:
                done += 1
        self.report(request, done, what, skipped)

    def panels(self, request: HttpRequest, instance: FulfilmentRequest) -> list[Panel]:
        """Shows the lines."""
        lines = instance.lines.select_related("order_line", "variant").order_by("id")[:200]
        rows = [
            (
                page_of(each.variant),
                page_of(each.order_line, each.order_line.title or each.order_line.sku),
                each.quantity,
                each.shipped,
                "" if each.told is None else each.told,
                each.reported,
            )
            for each in lines
        ]
        headers = ("SKU", "Order line", "Units", "Shipped", "Told", "Reported")
        note = "Shipped is what the ledger knows, told what the warehouse heard last, reported what it says left."
        return [Panel("Lines", headers, rows, note=note)]

    def object_links(self, request: HttpRequest, instance: FulfilmentRequest) -> list[tuple[str, str]]:
        """Leads to the order."""
        return [(_address(instance), "Order")]


def _address(request: FulfilmentRequest) -> str:
    return address_of("channels.channelorder", request.order_id)


#: Action → the state that it leads to.
_STEPS = {
    "accept": RequestState.ACCEPTED,
    "pick": RequestState.PICKED,
    "ship": RequestState.SHIPPED,
    "refuse": RequestState.REFUSED,
}


@admin.register(FulfilmentLine)
class FulfilmentLineAdmin(FactsAdmin):
    """Lines of all requests."""

    list_display = ("variant", "request", "channel_name", "quantity", "shipped", "told", "reported")
    search_fields = ("variant__sku__exact",)
    search_help_text = "SKU, in full"
    ordering = ("-id",)
    fields = ("request", "order_line", "variant", ("quantity", "shipped"), ("told", "reported"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[FulfilmentLine]:
        """Brings what it is shown with along."""
        return with_channel(
            super().get_queryset(request),
            "variant",
            "order_line",
            "request__order",
            "request__location",
            channel="request__channel",
        )

    @admin.display(description="channel")
    def channel_name(self, line: FulfilmentLine) -> str:
        """Names the channel."""
        return line.request.channel.name


def requests_panel(order_id: int) -> Panel:
    """Shows what locations were asked to ship of an order."""
    found = (
        FulfilmentRequest.objects.filter(order=order_id).select_related("location", "order").order_by("id")
    )
    rows = [
        (
            page_of(each, each.location.code),
            badge(each.get_state_display(), _TONES.get(RequestState(each.state), "neutral")),
            each.units,
            each.shipped_units,
            each.created_at,
            short(each.reason),
        )
        for each in found
    ]
    headers = ("Location", "State", "Units", "Shipped", "Since", "Reason")
    return Panel("Fulfilment requests", headers, rows, empty="No location is asked to ship anything.")
