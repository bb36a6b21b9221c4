"""The small fixed cast of the inventory's tests: one merchant, two variants, two places, and a stranger."""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from inventory import announcements
from inventory.announcements import LevelChange
from inventory.conditions import ConditionLine, set_aside
from inventory.demands import DemandChange, settle
from inventory.ledger import Context, Outcome
from inventory.models import (
    Conflict,
    Location,
    Merchant,
    Reservation,
    StockLevel,
    StockMovement,
    StockOperation,
    Variant,
)
from inventory.proof import prove
from inventory.reservations import Demand, reserve
from inventory.stock import CountLine, StockLine, count, receive
from tests.factories import LocationFactory, MerchantFactory, VariantFactory
from tests.shortcuts import insert_all

_serial = itertools.count(1)

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def in_an_hour() -> datetime:
    """Returns an instant at which a hold of this test is surely still alive."""
    return datetime.now(UTC) + timedelta(hours=1)


@dataclass
class Cast:
    """Whose stock it is, what it is and where it lies, with the few things that tests do all the time."""

    merchant: Merchant = field(default_factory=MerchantFactory)
    mug: Variant = field(init=False)
    shirt: Variant = field(init=False)
    warehouse: Location = field(init=False)
    store: Location = field(init=False)

    def __post_init__(self) -> None:
        variants: list[Variant] = VariantFactory.build_batch(2, merchant=self.merchant)
        insert_all([variant.product for variant in variants])
        self.mug, self.shirt = insert_all(variants)
        places: list[Location] = LocationFactory.build_batch(2, merchant=self.merchant)
        self.warehouse, self.store = insert_all(places)

    @property
    def places(self) -> tuple[int, int]:
        """The warehouse, then the store."""
        return self.warehouse.pk, self.store.pk

    def context(self, key: str = "", **more: Any) -> Context:
        """Returns a context under this key, or under one that nobody used."""
        return Context(self.merchant.pk, key or f"key-{next(_serial)}", **more)

    def receive(
        self, quantity: int, variant: Variant | None = None, place: Location | None = None
    ) -> Outcome:
        """Receives mugs in the warehouse, unless told otherwise."""
        line = StockLine((variant or self.mug).pk, (place or self.warehouse).pk, quantity)
        return receive(self.context(), [line])

    def count(self, counted: int, variant: Variant | None = None, place: Location | None = None) -> Outcome:
        """Counts mugs in the warehouse, unless told otherwise."""
        line = CountLine((variant or self.mug).pk, (place or self.warehouse).pk, counted)
        return count(self.context(), [line])

    def hold(
        self,
        reference: str,
        quantity: int,
        variant: Variant | None = None,
        places: Sequence[int] = (),
        expires_at: datetime | None = None,
    ) -> int:
        """Reserves mugs for somebody and returns the first reservation's id."""
        demand = Demand(reference, (variant or self.mug).pk, quantity, tuple(places) or self.places)
        return reserve(self.context(), [demand], expires_at=expires_at).held[0].reservation_id

    def change(self, reference: str, variant: Variant | None = None, **counts: Any) -> DemandChange:
        """Returns a change of a demand for mugs that either place may serve."""
        places = counts.pop("places", self.places)
        return DemandChange(reference, (variant or self.mug).pk, tuple(places), **counts)

    def settle(self, reference: str, **counts: Any) -> Outcome:
        """Settles one change of a demand for mugs."""
        return settle(self.context(), [self.change(reference, **counts)])

    def make_unavailable(self, quantity: int) -> None:
        """Sets mugs in the warehouse aside."""
        set_aside(self.context(), [ConditionLine(self.mug.pk, self.warehouse.pk, quantity)])


def level_of(variant: Variant, place: Location) -> tuple[int, int, int]:
    """Returns on hand, reserved and unavailable; all 0 where there is no level."""
    level = StockLevel.objects.filter(variant=variant, location=place).first()
    return (level.on_hand, level.reserved, level.unavailable) if level else (0, 0, 0)


def owed(**conditions: Any) -> dict[tuple[str, str], int]:
    """Returns the open units by reference and cause."""
    rows = Conflict.objects.filter(open_quantity__gt=0, **conditions)
    return {(c.reference, c.cause): c.open_quantity for c in rows}


def held() -> dict[str, int]:
    """Returns the units held, by reference."""
    units: dict[str, int] = {}
    for reservation in Reservation.objects.filter(open_quantity__gt=0):
        units[reservation.reference] = units.get(reservation.reference, 0) + reservation.open_quantity
    return units


def story(variant: Variant, place: Location) -> list[tuple[str, str, int, int, int]]:
    """Returns a level's movements: kind, reason, and what each did to on hand, reserved and unavailable."""
    movements = StockMovement.objects.filter(level__variant=variant, level__location=place).order_by(
        "version"
    )
    return [(m.kind, m.reason, m.on_hand_delta, m.reserved_delta, m.unavailable_delta) for m in movements]


def ledger_size() -> tuple[int, int, int, int]:
    """Returns how many operations, movements, reservations and conflicts there are."""
    return (
        StockOperation.objects.count(),
        StockMovement.objects.count(),
        Reservation.objects.count(),
        Conflict.objects.count(),
    )


def assert_ledger_holds() -> None:
    """Replays the ledger, and compares what is reserved with what the reservations hold."""
    for proof in prove():
        assert proof.divergences == []
    for level in StockLevel.objects.all():
        rows = Reservation.objects.filter(level=level, open_quantity__gt=0)
        assert level.reserved == sum(r.open_quantity for r in rows)


@contextmanager
def listening() -> Iterator[list[tuple[int, list[LevelChange]]]]:
    """Collects what is announced within the block."""
    heard: list[tuple[int, list[LevelChange]]] = []

    def listen(merchant_id: int, changes: Sequence[LevelChange]) -> None:
        heard.append((merchant_id, list(changes)))

    announcements.subscribe(listen)
    try:
        yield heard
    finally:
        announcements._listeners.remove(listen)
