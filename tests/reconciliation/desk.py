"""A shop that sold too much, the platform behind it, and the few things that are done about it."""

from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from itertools import count
from typing import ClassVar
from uuid import uuid4

import pytest
from django.utils import timezone

from channels import fetching
from channels.connectors.base import CancelOutcome
from channels.events import OrderLineState, OrderState
from channels.line_remedies import line_of
from channels.models import ChannelOrderLine, Listing
from channels.orders import apply_state
from inventory.ledger import Context
from inventory.models import Conflict, PurchaseOrder, PurchaseOrderLine, Supplier
from inventory.purchasing import LineConfirmation, confirm_lines, place
from inventory.stock import StockLine, receive
from reconciliation import cancelling
from reconciliation.models import RemedyKind, Resolution
from reconciliation.remedies import Remedy, remedies_of
from reconciliation.resolving import Decision, resolve
from tests.channels.shop import Shop, line, open_shop, order
from tests.channels.simple_platform import Book, SimpleConnector

_serial = count(1)


@dataclass
class Platform(Book):
    """What the platform holds of its orders; it cancels once for a call id, and fails as it is told to."""

    #: Raised by the next cancellations, in order, before they have an effect.
    refusals: list[Exception] = field(default_factory=list)
    #: Raised by the next cancellations after they had it: the answer is lost.
    losses: list[Exception] = field(default_factory=list)
    #: Whether it only takes cancellations in, and decides later.
    is_slow: bool = False
    #: Call id → what it did.
    done: dict[str, CancelOutcome] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)

    def cancel(self, order_id: str, line_id: str, quantity: int) -> None:
        """Cancels units of a line of an order that it holds."""
        state = self.orders[order_id]
        assert isinstance(state, OrderState)
        lines = tuple(_less(each, line_id, quantity) for each in state.lines)
        self.orders[order_id] = replace(
            state, lines=lines, updated_at=state.updated_at + timedelta(seconds=1)
        )


def _less(line: OrderLineState, line_id: str, quantity: int) -> OrderLineState:
    return replace(line, cancelled=line.cancelled + quantity) if line.external_id == line_id else line


class CancellingConnector(SimpleConnector):
    """Cancels lines in its platform's book."""

    book: Platform
    kind: ClassVar[str] = "woocommerce"

    def cancel_line(
        self, order_external_id: str, line_external_id: str, quantity: int, *, call_id: str
    ) -> CancelOutcome:
        self.book.told.append(call_id)
        if self.book.refusals:
            raise self.book.refusals.pop(0)
        if call_id not in self.book.done:
            self.book.done[call_id] = CancelOutcome(quantity, refunds=False, restocks=False)
            self.book.cancel(order_external_id, line_external_id, quantity)
        if self.book.losses:
            raise self.book.losses.pop(0)
        outcome = self.book.done[call_id]
        return replace(outcome, cancelled=0, tracking_id="process-1") if self.book.is_slow else outcome

    def is_process_open(self, tracking_id: str) -> bool:
        return self.book.is_slow


@dataclass
class Desk:
    """A shop with two locations, `main` and `north`, and one without a channel, `away`."""

    shop: Shop
    platform: Platform = field(default_factory=Platform)

    @property
    def connector(self) -> CancellingConnector:
        """Speaks to the platform."""
        return CancellingConnector(self.platform)

    def sell(self, units: int, *, sku: str = "MUG", at: int = 0) -> str:
        """Sells units in the shop, and returns the order's id."""
        number = str(next(_serial))
        state = order(line(sku, units), id=number, at=at)
        self.platform.orders[number] = state
        apply_state(self.shop.channel, state, arrived_at=timezone.now())
        return number

    def line(self, number: str) -> ChannelOrderLine:
        """Returns the line of an order."""
        return ChannelOrderLine.objects.get(order__external_id=number, order__channel=self.shop.channel)

    def line_number(self, conflict: Conflict) -> str:
        """Returns the id of the order that a conflict is about."""
        line = line_of(conflict)
        assert line is not None
        return line.order.external_id

    def conflict(self, number: str) -> Conflict:
        """Returns the open conflict of an order."""
        return Conflict.objects.get(reference=self.line(number).reference, open_quantity__gt=0)

    def oversell(self, units: int = 1, *, stock: int = 0) -> Conflict:
        """Sells so many mugs more than there are, and returns the conflict."""
        return self.conflict(self.sell(stock + units))

    def receive(self, units: int, code: str = "main", sku: str = "MUG") -> None:
        """Receives goods at a location."""
        variant, location = self.shop.variants[sku], self.shop.locations[code]
        receive(self.context(), [StockLine(variant.pk, location.pk, units)])

    def order_goods(self, units: int, *, days: int = 3, code: str = "main", sku: str = "MUG") -> date:
        """Orders goods at a supplier, who confirms them; returns the day."""
        merchant, number = self.shop.merchant, next(_serial)
        supplier = Supplier.objects.create(merchant=merchant, code=f"s{number}", name="Supplier")
        bought = PurchaseOrder.objects.create(
            merchant=merchant, supplier=supplier, number=f"PO-{number}", location=self.shop.locations[code]
        )
        bought_line = PurchaseOrderLine.objects.create(
            order=bought, variant=self.shop.variants[sku], quantity=units
        )
        place(merchant.pk, bought.pk)
        day = timezone.localdate() + timedelta(days=days)
        confirm_lines(self.context(), [LineConfirmation(bought_line.pk, units, day)])
        return day

    def context(self) -> Context:
        """Returns a context under a key that nobody used."""
        return Context(self.shop.merchant.pk, f"test:{uuid4()}")

    def tell(self) -> int:
        """Tells the platform what is due, now or later; returns how many calls were made."""
        Resolution.objects.filter(next_attempt_at__isnull=False).update(next_attempt_at=timezone.now())
        before = len(self.platform.told)
        cancelling.tell_next()
        return len(self.platform.told) - before

    def fetch(self) -> None:
        """Fetches the orders that were hinted at, and ends what they show."""
        fetching.fetch_due(self.shop.channel, self.connector)
        Resolution.objects.filter(next_attempt_at__isnull=False).update(next_attempt_at=timezone.now())
        cancelling.follow_orders()


def remedy(conflict: Conflict, kind: RemedyKind) -> Remedy:
    """Returns the best remedy of a kind."""
    conflict.refresh_from_db()
    return next(each for each in remedies_of(conflict) if each.kind is kind)


def apply(
    conflict: Conflict,
    kind: RemedyKind,
    quantity: int | None = None,
    *,
    key: str = "",
    target: str | None = None,
) -> Resolution:
    """Resolves a conflict by the best remedy of a kind, unless its target is given."""
    target = remedy(conflict, kind).target if target is None else target
    return resolve(conflict, Decision(key or str(uuid4()), kind, target, quantity, actor="anna"))


def open_desk(monkeypatch: pytest.MonkeyPatch, *, mugs: int = 0) -> Desk:
    """Opens a shop that lists mugs, with so many of them at `main`."""
    shop = open_shop()
    shop.add_location("north", place="")
    shop.add_location("away")
    shop.add_variant("MUG", {"main": mugs})
    shop.list_variant("MUG")
    desk = Desk(shop)
    monkeypatch.setattr(cancelling, "open_connector", lambda channel: desk.connector)
    return desk


def listing_of(desk: Desk) -> Listing:
    """Returns the listing of the mugs."""
    return Listing.objects.get(channel=desk.shop.channel, sku="MUG")
