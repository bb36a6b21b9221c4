"""The number of statements of an operation does not depend on its lines."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from inventory import announcements
from inventory.demands import DemandChange, settle
from inventory.models import Reservation, Variant
from inventory.reservations import Demand, ReservedUnits, confirm, expire, fulfil, release, reserve
from inventory.stock import AdjustmentLine, CountLine, ShipmentLine, StockLine, adjust, count, receive, ship
from tests.factories import ProductFactory, VariantFactory
from tests.inventory.cast import LONG_AGO, Cast, assert_ledger_holds, in_an_hour

#: Insert the operation, lock the levels, [read what decides,] append; plus creating levels where goods may be new.
_STATEMENTS = {
    "receive": 5,
    "receive to who waits": 6,
    "ship": 5,
    "ship for demands": 8,
    "ship beyond record": 9,
    "adjust up": 7,
    "adjust breaking holds": 6,
    "count": 6,
    "reserve": 4,
    "reserve, releasing expired": 5,
    "confirm": 6,
    "fulfil": 5,
    "fulfil beyond the hold": 7,
    "release": 7,
    "expire": 9,
    "settle a sale": 4,
    "settle a sale that is short": 5,
    "settle a first sale": 7,
    "settle a cancellation": 8,
    "settle a shipment": 7,
    "settle an order that arrives shipped": 8,
    "settle a take-back": 8,
}
_LINES = 50


class Case:
    """Fifty variants in stock, of which a test uses one or all."""

    def __init__(self, cast: Cast, lines: int) -> None:
        product = ProductFactory(merchant=cast.merchant)
        self.cast = cast
        self.variants: list[Variant] = VariantFactory.create_batch(
            lines, merchant=cast.merchant, product=product
        )

    def stock(self, quantity: int = 5) -> None:
        lines = [StockLine(v.pk, place, quantity) for v in self.variants for place in self.cast.places]
        receive(self.cast.context(), lines)

    def changes(self, **counts: Any) -> list[DemandChange]:
        return [self.cast.change(f"line {v.pk}", variant=v, **counts) for v in self.variants]

    def demands(self, quantity: int) -> list[Demand]:
        return [Demand(f"line {v.pk}", v.pk, quantity, self.cast.places) for v in self.variants]

    def each(self, line: Callable[..., Any], *more: Any) -> list[Any]:
        return [line(v.pk, self.cast.warehouse.pk, *more) for v in self.variants]

    def hold(self, **more: Any) -> list[int]:
        return [h.reservation_id for h in reserve(self.cast.context(), self.demands(2), **more).held]


def _units(ids: Sequence[int], quantity: int | None = None) -> list[ReservedUnits]:
    return [ReservedUnits(identity, quantity) for identity in ids]


def _run(name: str, case: Case) -> Callable[[], Any]:
    """Sets the scene for an operation and returns it."""
    context = case.cast.context
    if name not in {"receive", "receive to who waits", "settle a first sale"}:
        case.stock()
    match name:
        case "receive":
            return lambda: receive(context(), case.each(StockLine, 2))
        case "receive to who waits":
            settle(context(), case.changes(wanted=2))
            return lambda: receive(context(), case.each(StockLine, 5))
        case "ship":
            return lambda: ship(context(), case.each(ShipmentLine, 2))
        case "ship for demands":
            settle(context(), case.changes(wanted=12))
            lines = [
                ShipmentLine(c.variant_id, case.cast.warehouse.pk, 7, c.reference) for c in case.changes()
            ]
            return lambda: ship(context(), lines)
        case "ship beyond record":
            case.hold()
            lines = [ShipmentLine(c.variant_id, case.cast.store.pk, 9, c.reference) for c in case.changes()]
            return lambda: ship(context(), lines)
        case "adjust up":
            settle(context(), case.changes(wanted=12))
            return lambda: adjust(context(), case.each(AdjustmentLine, 5))
        case "adjust breaking holds":
            settle(context(), case.changes(wanted=10))
            return lambda: adjust(context(), case.each(AdjustmentLine, -9))
        case "count":
            settle(context(), case.changes(wanted=10))
            return lambda: count(context(), case.each(CountLine, 1))
        case "reserve":
            return lambda: reserve(context(), case.demands(3))
        case "reserve, releasing expired":
            case.hold(expires_at=LONG_AGO)
            return lambda: reserve(context(), case.demands(5))
        case "confirm":
            ids = case.hold(expires_at=in_an_hour())
            return lambda: confirm(context(), ids)
        case "fulfil":
            ids = case.hold()
            return lambda: fulfil(context(), _units(ids))
        case "fulfil beyond the hold":
            ids = case.hold()
            return lambda: fulfil(context(), _units(ids, 9))
        case "release":
            ids = case.hold()
            settle(context(), case.changes(wanted=9))
            return lambda: release(context(), _units(ids))
        case "expire":
            case.hold(expires_at=in_an_hour())
            settle(context(), case.changes(wanted=9))
            Reservation.objects.filter(expires_at__isnull=False).update(expires_at=LONG_AGO)
            return expire
        case "settle a sale" | "settle a first sale":
            return lambda: settle(context(), case.changes(wanted=3))
        case "settle a sale that is short":
            return lambda: settle(context(), case.changes(wanted=13))
        case "settle a cancellation":
            settle(context(), case.changes(wanted=13))
            return lambda: settle(context(), case.changes(cancelled=6))
        case "settle a shipment":
            settle(context(), case.changes(wanted=3))
            return lambda: settle(context(), case.changes(fulfilled=3))
        case "settle an order that arrives shipped":
            return lambda: settle(context(), case.changes(wanted=12, fulfilled=12))
        case "settle a take-back":
            settle(context(), case.changes(wanted=12, fulfilled=12))
            return lambda: settle(context(), case.changes(unfulfilled=12))
    raise AssertionError(name)


def _statements(operation: Callable[[], Any]) -> list[str]:
    with CaptureQueriesContext(connection) as queries:
        operation()
    return [q["sql"] for q in queries if not q["sql"].startswith(("SAVEPOINT", "RELEASE", "ROLLBACK TO"))]


@pytest.fixture
def _nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announcements, "_listeners", [])


@pytest.mark.usefixtures("_nobody_listens")
@pytest.mark.parametrize("lines", [1, _LINES])
@pytest.mark.parametrize("name", _STATEMENTS)
def test_an_operation_needs_a_constant_number_of_statements(cast: Cast, name: str, lines: int) -> None:
    operation = _run(name, Case(cast, lines))
    statements = _statements(operation)
    assert len(statements) == _STATEMENTS[name], "\n".join(sql[:120] for sql in statements)
    assert_ledger_holds()


@pytest.mark.parametrize("lines", [1, _LINES])
def test_a_reservation_and_what_the_channels_make_of_it_are_five_statements(cast: Cast, lines: int) -> None:
    case = Case(cast, lines)
    case.stock()
    assert len(_statements(lambda: reserve(cast.context(), case.demands(1)))) == 5


def test_a_repeat_needs_two_statements(cast: Cast) -> None:
    case = Case(cast, _LINES)
    case.stock()
    reserve(cast.context("key"), case.demands(1))
    assert len(_statements(lambda: reserve(cast.context("key"), case.demands(1)))) == 2
