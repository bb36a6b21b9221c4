"""The number of statements of an operation does not depend on its lines.

Insert the operation, lock the levels, read what decides, append; creating levels where goods may be new comes on top, and so
does looking for those who wait for inbound where units may have become free.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from inventory import announcements
from inventory.assembly import AssemblyLine, assemble
from inventory.bundles import Component, define
from inventory.demands import DemandChange, settle
from inventory.models import BundleKind, Reservation, Variant
from inventory.reservations import Demand, ReservedUnits, confirm, expire, fulfil, release, reserve
from inventory.resourcing import Resourcing, resource
from inventory.routing import Routing, Site, Usage
from inventory.stock import AdjustmentLine, CountLine, ShipmentLine, StockLine, adjust, count, receive, ship
from tests.factories import ProductFactory, VariantFactory
from tests.inventory.cast import LONG_AGO, Cast, assert_ledger_holds, in_an_hour

_LINES = 12


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


Scene = Callable[[Case], Callable[[], Any]]

#: By name: what sets the scene for an operation and returns it, and the statements that the operation takes.
_SCENES: dict[str, tuple[Scene, int]] = {}


def _takes(statements: int, name: str) -> Callable[[Scene], Scene]:
    def register(scene: Scene) -> Scene:
        _SCENES[name] = scene, statements
        return scene

    return register


@_takes(6, "receive")
def _receive(case: Case) -> Callable[[], Any]:
    return lambda: receive(case.cast.context(), case.each(StockLine, 2))


@_takes(7, "receive to who waits")
def _receive_to_who_waits(case: Case) -> Callable[[], Any]:
    settle(case.cast.context(), case.changes(wanted=2))
    return lambda: receive(case.cast.context(), case.each(StockLine, 5))


@_takes(5, "ship")
def _ship(case: Case) -> Callable[[], Any]:
    case.stock()
    return lambda: ship(case.cast.context(), case.each(ShipmentLine, 2))


@_takes(8, "ship for demands")
def _ship_for_demands(case: Case) -> Callable[[], Any]:
    case.stock()
    settle(case.cast.context(), case.changes(wanted=12))
    lines = [ShipmentLine(c.variant_id, case.cast.warehouse.pk, 7, c.reference) for c in case.changes()]
    return lambda: ship(case.cast.context(), lines)


@_takes(10, "ship beyond record")
def _ship_beyond_record(case: Case) -> Callable[[], Any]:
    case.stock()
    case.hold()
    lines = [ShipmentLine(c.variant_id, case.cast.store.pk, 9, c.reference) for c in case.changes()]
    return lambda: ship(case.cast.context(), lines)


@_takes(8, "adjust up")
def _adjust_up(case: Case) -> Callable[[], Any]:
    case.stock()
    settle(case.cast.context(), case.changes(wanted=12))
    return lambda: adjust(case.cast.context(), case.each(AdjustmentLine, 5))


@_takes(6, "adjust breaking holds")
def _adjust_breaking_holds(case: Case) -> Callable[[], Any]:
    case.stock()
    settle(case.cast.context(), case.changes(wanted=10))
    return lambda: adjust(case.cast.context(), case.each(AdjustmentLine, -9))


@_takes(6, "count")
def _count(case: Case) -> Callable[[], Any]:
    case.stock()
    settle(case.cast.context(), case.changes(wanted=10))
    return lambda: count(case.cast.context(), case.each(CountLine, 1))


@_takes(4, "reserve")
def _reserve(case: Case) -> Callable[[], Any]:
    case.stock()
    return lambda: reserve(case.cast.context(), case.demands(3))


@_takes(6, "reserve, releasing expired")
def _reserve_releasing_expired(case: Case) -> Callable[[], Any]:
    case.stock()
    case.hold(expires_at=LONG_AGO)
    return lambda: reserve(case.cast.context(), case.demands(5))


@_takes(6, "confirm")
def _confirm(case: Case) -> Callable[[], Any]:
    case.stock()
    ids = case.hold(expires_at=in_an_hour())
    return lambda: confirm(case.cast.context(), ids)


@_takes(5, "fulfil")
def _fulfil(case: Case) -> Callable[[], Any]:
    case.stock()
    ids = case.hold()
    return lambda: fulfil(case.cast.context(), _units(ids))


@_takes(8, "fulfil beyond the hold")
def _fulfil_beyond_the_hold(case: Case) -> Callable[[], Any]:
    case.stock()
    ids = case.hold()
    return lambda: fulfil(case.cast.context(), _units(ids, 9))


@_takes(8, "release")
def _release(case: Case) -> Callable[[], Any]:
    case.stock()
    ids = case.hold()
    settle(case.cast.context(), case.changes(wanted=9))
    return lambda: release(case.cast.context(), _units(ids))


@_takes(10, "expire")
def _expire(case: Case) -> Callable[[], Any]:
    case.stock()
    case.hold(expires_at=in_an_hour())
    settle(case.cast.context(), case.changes(wanted=9))
    Reservation.objects.filter(expires_at__isnull=False).update(expires_at=LONG_AGO)
    return expire


@_takes(5, "settle a sale")
def _settle_a_sale(case: Case) -> Callable[[], Any]:
    case.stock()
    return lambda: settle(case.cast.context(), case.changes(wanted=3))


@_takes(5, "settle a first sale")
def _settle_a_first_sale(case: Case) -> Callable[[], Any]:
    return lambda: settle(case.cast.context(), case.changes(wanted=3))


@_takes(6, "settle a sale that is short")
def _settle_a_sale_that_is_short(case: Case) -> Callable[[], Any]:
    case.stock()
    return lambda: settle(case.cast.context(), case.changes(wanted=13))


@_takes(10, "settle a cancellation")
def _settle_a_cancellation(case: Case) -> Callable[[], Any]:
    case.stock()
    settle(case.cast.context(), case.changes(wanted=13))
    return lambda: settle(case.cast.context(), case.changes(cancelled=6))


@_takes(8, "settle a shipment")
def _settle_a_shipment(case: Case) -> Callable[[], Any]:
    case.stock()
    settle(case.cast.context(), case.changes(wanted=3))
    return lambda: settle(case.cast.context(), case.changes(fulfilled=3))


@_takes(9, "settle an order that arrives shipped")
def _settle_an_order_that_arrives_shipped(case: Case) -> Callable[[], Any]:
    case.stock()
    return lambda: settle(case.cast.context(), case.changes(wanted=12, fulfilled=12))


@_takes(9, "settle a take-back")
def _settle_a_take_back(case: Case) -> Callable[[], Any]:
    case.stock()
    settle(case.cast.context(), case.changes(wanted=12, fulfilled=12))
    return lambda: settle(case.cast.context(), case.changes(unfulfilled=12))


@_takes(10, "settle an order planned anew")
def _settle_an_order_planned_anew(case: Case) -> Callable[[], Any]:
    case.stock()
    settle(case.cast.context(), case.changes(wanted=6))
    routing = Routing("fewest_parcels")
    changes = case.changes(wanted=2, ordered=8, is_replanned=True, refused_by=case.cast.places[:1])
    return lambda: settle(case.cast.context(), changes, routing=routing)


@_takes(7, "settle a sale where a day is limited")
def _settle_a_sale_where_a_day_is_limited(case: Case) -> Callable[[], Any]:
    case.stock()
    _, store = case.cast.places

    def usage(ids: Collection[int]) -> dict[int, Usage]:
        Reservation.objects.filter(level__location__in=ids).count()
        return {}

    routing = Routing(sites=(Site(store, daily_orders=1),), usage=usage)
    return lambda: settle(case.cast.context(), case.changes(wanted=3), routing=routing)


@_takes(10, "resource")
def _resource(case: Case) -> Callable[[], Any]:
    case.stock()
    settle(case.cast.context(), case.changes(wanted=3))
    source, target = case.cast.places
    moves = [Resourcing(c.reference, c.variant_id, target, source) for c in case.changes()]
    return lambda: resource(case.cast.context(), moves)


class Kits:
    """As many kits as the case has variants, each of its own variant and one that all share."""

    def __init__(self, case: Case) -> None:
        self.case = case
        cast = case.cast
        self.kits: list[Variant] = VariantFactory.create_batch(
            len(case.variants), merchant=cast.merchant, product=case.variants[0].product
        )
        for kit, own in zip(self.kits, case.variants, strict=True):
            components = [Component(own.pk, 2), Component(cast.mug.pk, 1)]
            define(cast.context(), kit.pk, BundleKind.KIT, components)

    def stock(self, quantity: int = 10) -> None:
        self.case.stock(quantity)
        self.case.cast.receive(1_000)

    def changes(self, **counts: Any) -> list[DemandChange]:
        return [self.case.cast.change(f"kit {v.pk}", variant=v, **counts) for v in self.kits]

    def demands(self, quantity: int) -> list[Demand]:
        return [Demand(f"kit {v.pk}", v.pk, quantity, self.case.cast.places) for v in self.kits]


@_takes(5, "reserve kits")
def _reserve_kits(case: Case) -> Callable[[], Any]:
    kits = Kits(case)
    kits.stock()
    return lambda: reserve(case.cast.context(), kits.demands(2))


@_takes(6, "settle a sale of kits")
def _settle_a_sale_of_kits(case: Case) -> Callable[[], Any]:
    kits = Kits(case)
    kits.stock()
    return lambda: settle(case.cast.context(), kits.changes(wanted=3))


@_takes(10, "settle a cancellation of kits")
def _settle_a_cancellation_of_kits(case: Case) -> Callable[[], Any]:
    kits = Kits(case)
    kits.stock()
    settle(case.cast.context(), kits.changes(wanted=3))
    return lambda: settle(case.cast.context(), kits.changes(cancelled=1))


@_takes(9, "settle a take-back of kits")
def _settle_a_take_back_of_kits(case: Case) -> Callable[[], Any]:
    kits = Kits(case)
    kits.stock()
    settle(case.cast.context(), kits.changes(wanted=3, fulfilled=3))
    return lambda: settle(case.cast.context(), kits.changes(unfulfilled=3))


@_takes(7, "release kits")
def _release_kits(case: Case) -> Callable[[], Any]:
    kits = Kits(case)
    kits.stock()
    held = reserve(case.cast.context(), kits.demands(2)).held
    return lambda: release(case.cast.context(), _units([each.reservation_id for each in held]))


@_takes(11, "receive what makes kits whole")
def _receive_what_makes_kits_whole(case: Case) -> Callable[[], Any]:
    kits = Kits(case)
    case.cast.receive(1_000)
    settle(case.cast.context(), kits.changes(wanted=2))
    return lambda: receive(case.cast.context(), case.each(StockLine, 4))


@_takes(17, "count what breaks kits")
def _count_what_breaks_kits(case: Case) -> Callable[[], Any]:
    kits = Kits(case)
    kits.stock()
    reserve(case.cast.context(), kits.demands(5))
    return lambda: count(case.cast.context(), case.each(CountLine, 5))


@_takes(8, "assemble")
def _assemble(case: Case) -> Callable[[], Any]:
    case.stock()
    made = VariantFactory(merchant=case.cast.merchant)
    components = [Component(v.pk, 2) for v in case.variants]
    define(case.cast.context(), made.pk, BundleKind.COMPOSITE, components)
    return lambda: assemble(case.cast.context(), [AssemblyLine(made.pk, case.cast.warehouse.pk, 2)])


def _statements(operation: Callable[[], Any]) -> list[str]:
    with CaptureQueriesContext(connection) as queries:
        operation()
    return [q["sql"] for q in queries if not q["sql"].startswith(("SAVEPOINT", "RELEASE", "ROLLBACK TO"))]


@pytest.fixture
def _nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announcements, "_listeners", [])


@pytest.mark.usefixtures("_nobody_listens")
@pytest.mark.parametrize("lines", [1, _LINES])
@pytest.mark.parametrize("name", _SCENES)
def test_an_operation_needs_a_constant_number_of_statements(cast: Cast, name: str, lines: int) -> None:
    scene, expected = _SCENES[name]
    statements = _statements(scene(Case(cast, lines)))
    assert len(statements) == expected, "\n".join(sql[:120] for sql in statements)
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
