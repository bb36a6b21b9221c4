"""Goods still to come and whom they are promised to, as one operation has them under lock.

The open lines of all the operation's variants are locked at once, by id, after the levels and the conflicts; a backorder is
changed only under the lock of its line. So the same inbound is never promised twice. What an operation changes is
collected here and written once, by `write`.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import date
from typing import Any

from django.db import connection
from django.utils import timezone

from inventory.errors import StockBusy
from inventory.inbound_rows import InboundLine, LineEvent, PromisedUnits, PromiseTerms
from inventory.inbound_statements import (
    BACKORDERS,
    HAS_BACKORDERS,
    LOCK_LINES,
    OF_IDS,
    OF_KITS,
    OF_LINES,
    OF_REFERENCES,
    SETTLE_ORDERS,
    WAITING,
    WRITE,
)
from inventory.models import Backorder
from inventory.models.conflicts import ConflictCause
from inventory.models.purchasing import InboundEventKind
from inventory.models.stock import Reason
from inventory.posting import Posting
from inventory.posting_rows import Promised
from inventory.references import reference_of_kits


class Inbound:
    """The inbound of one operation's variants. Without locked lines there is nothing to promise and nobody waits."""

    def __init__(
        self, posting: Posting, lines: Iterable[InboundLine] = (), *, is_locked: bool = False
    ) -> None:
        self.lines = {line.id: line for line in lines}
        self.is_locked = is_locked
        self._posting = posting
        self._loaded: dict[int, PromisedUnits] = {}
        self._looked_up: set[str] = set()
        self._by_demand: defaultdict[tuple[str, int], list[PromisedUnits]] = defaultdict(list)
        self._new: list[PromisedUnits] = []
        self._events: list[LineEvent] = []

    # -- promising

    def take(
        self,
        reference: str,
        variant_id: int,
        quantity: int,
        location_ids: Sequence[int],
        terms: PromiseTerms,
        *,
        besides: str = "",
    ) -> int:
        """Promises units of confirmed inbound, the earliest first; returns those that it does not cover.

        What is owed to `besides` does not count: a demand does not stand in its own way.
        """
        for line, spare in self.promisable(variant_id, location_ids, terms.by, besides=besides):
            units = min(spare, quantity)
            if units > 0 and line.confirmed_on is not None:
                line.promised += units
                promised = PromisedUnits(line, reference, tuple(location_ids), units, line.confirmed_on)
                promised.allowed_by = terms.allowed_by
                self._new.append(promised)
                quantity -= units
        return quantity

    def promise_part(
        self, line: InboundLine, reference: str, units: int, terms: PromiseTerms, kit_id: int
    ) -> PromisedUnits:
        """Promises units of a line as a part of kits, at the place to which they come."""
        line.promised += units
        day = line.confirmed_on or terms.by
        promised = PromisedUnits(line, reference, (line.location_id,), units, day, kit_id=kit_id)
        promised.allowed_by = terms.allowed_by
        self._new.append(promised)
        return promised

    def promisable(
        self, variant_id: int, location_ids: Sequence[int], by: date, *, besides: str = ""
    ) -> Iterator[tuple[InboundLine, int]]:
        """Gives the lines that may serve these places by a day, earliest first, with the units that are free.

        What is owed at these places gets the first units that come. A line that is overdue promises nothing.
        """
        owed = self._owed(variant_id, location_ids, besides)
        for line in sorted(self.lines.values(), key=lambda line: (line.confirmed_on or by, line.id)):
            if line.variant_id != variant_id or line.location_id not in location_ids:
                continue
            if line.confirmed_on is None or not timezone.localdate() <= line.confirmed_on <= by:
                continue
            eaten = min(line.spare, owed)
            owed -= eaten
            yield line, line.spare - eaten

    def _owed(self, variant_id: int, location_ids: Sequence[int], besides: str) -> int:
        """Returns the units of a variant that are owed at these places, those of kits that take it included."""
        return sum(
            owed.open * dict(self._posting.parts_of(owed.variant_id)).get(variant_id, 0)
            for owed in self._posting.conflicts.values()
            if owed.cause != ConflictCause.BEYOND_RECORD
            and (not besides or owed.reference != besides)
            and not set(owed.location_ids).isdisjoint(location_ids)
        )

    def withdraw(self, reference: str, variant_id: int, quantity: int) -> int:
        """Takes units off what a demand was promised, the newest promise first; returns those that were not."""
        if not self.is_locked or not quantity:
            return quantity
        named = reference, variant_id, 0
        own_new = [p for p in self._new if (p.reference, p.line.variant_id, p.kit_id) == named]
        for promised in [*reversed(own_new), *self._promised_to(reference, variant_id)]:
            units = min(promised.open, quantity)
            promised.cancel(units)
            quantity -= units
        return quantity

    def _promised_to(self, reference: str, variant_id: int) -> list[PromisedUnits]:
        """Returns what a demand was promised, the newest first; read at once for all demands of the operation."""
        if reference not in self._looked_up:
            posting = self._posting
            held_for = {held.reference for held in posting.loaded_reservations.values()}
            references = {reference} | posting.references | held_for
            wanted = [posting.merchant_id, sorted(references), _variant_ids(posting)]
            for promised in self._load(OF_REFERENCES, wanted):
                self._by_demand[promised.reference, promised.line.variant_id].append(promised)
            self._looked_up |= references
        return self._by_demand[reference, variant_id]

    def of_kits(self, kit_ids: Collection[int]) -> list[PromisedUnits]:
        """Returns what is promised as a part of these promises of kits, the newest first."""
        new = [p for p in self._new if p.kit_id in kit_ids]
        return [*reversed(new), *self._load(OF_KITS, [sorted(kit_ids)])]

    def kits_changed(self) -> set[int]:
        """Returns the promises of kits of which the operation has made, filled or taken away a part."""
        changed = [p for p in self._loaded.values() if p.filled or p.cancelled or p.broken]
        return {p.kit_id for p in [*self._new, *changed] if p.kit_id}

    def load(self, backorder_ids: Collection[int]) -> list[PromisedUnits]:
        """Returns these backorders of the merchant, closed ones too."""
        return self._load(OF_IDS, [self._posting.merchant_id, sorted(backorder_ids)])

    # -- filling and breaking

    def fill(self, *, first: Collection[int] = ()) -> None:
        """Gives what is available on the locked levels to backorders in order of promise; those of `first` lines before."""
        levels = [level for level in self._posting.levels.values() if level.available > 0]
        if not self.is_locked or not levels:
            return
        units: Counter[int] = Counter()
        for level in levels:
            units[level.variant_id] += level.available
        columns = [
            [level.variant_id for level in levels],
            [level.location_id for level in levels],
            # Those that this operation has emptied in memory are still read as waiting.
            [units[level.variant_id] + len(self._loaded) for level in levels],
        ]
        for promised in self._load(WAITING, [*columns, sorted(first), sorted(first)]):
            self._fill_one(promised)

    def _fill_one(self, promised: PromisedUnits) -> None:
        for level in self._posting.levels_of(promised.line.variant_id, promised.location_ids):
            units = min(level.available, promised.open)
            if units > 0:
                name = reference_of_kits(promised.kit_id) if promised.kit_id else promised.reference
                self._posting.hold(level, name, units, reason=Reason.BACKORDER_FILLED)
                promised.fill(units)

    def break_excess(self, lines: Iterable[InboundLine]) -> None:
        """Breaks the newest promises of lines that promise more than is confirmed now, into conflicts."""
        excess = {line.id: -line.spare for line in lines if line.spare < 0}
        broken = []
        for promised in self._of_lines(excess):
            units = min(promised.open, excess[promised.line.id])
            excess[promised.line.id] -= units
            broken.append((promised, units))
        self._break(broken)

    def break_late(self, lines: Iterable[InboundLine], *, not_before: date | None = None) -> None:
        """Breaks the promises of lines that come after the day promised, or (`not_before`) that were due before a day."""
        days = {line.id: not_before or line.confirmed_on for line in lines}
        late = []
        for promised in self._of_lines(days):
            day = days[promised.line.id]
            if day is not None and promised.promised_on < day:
                late.append((promised, promised.open))
        self._break(late)

    def _of_lines(self, line_ids: Collection[int]) -> list[PromisedUnits]:
        """Returns what these lines are promised to, the newest first."""
        return self._load(OF_LINES, [sorted(line_ids)]) if line_ids else []

    def _break(self, broken: list[tuple[PromisedUnits, int]]) -> None:
        for promised, units in sorted(broken, key=lambda each: each[0].id):
            if units > 0:
                promised.give_up(units)
            # Of kits, whole ones are owed: see `inventory.kit_backorders.balance`.
            if units > 0 and not promised.kit_id:
                self._posting.owe(
                    reference=promised.reference,
                    variant_id=promised.line.variant_id,
                    quantity=units,
                    cause=ConflictCause.INBOUND,
                    location_ids=promised.location_ids,
                )

    def remember(
        self, line: InboundLine, kind: InboundEventKind, quantity: int, day: date | None = None
    ) -> None:
        """Notes what happened to a line."""
        self._events.append(LineEvent(line.id, kind, quantity, day))

    # -- reading and writing

    def _load(self, condition: str, parameters: list[Any]) -> list[PromisedUnits]:
        """Reads backorders; one that this operation has loaded before is that same object."""
        with connection.cursor() as cursor:
            cursor.execute(BACKORDERS + condition, parameters)
            rows = cursor.fetchall()
        found = []
        for identity, line_id, reference, location_ids, open_quantity, promised_on, kit_id in rows:
            if identity not in self._loaded:
                if open_quantity and line_id not in self.lines:
                    raise StockBusy
                line = self.lines.get(line_id) or _closed_line(line_id)
                self._loaded[identity] = PromisedUnits(
                    line,
                    reference,
                    tuple(location_ids),
                    open_quantity,
                    promised_on,
                    identity,
                    kit_id=kit_id or 0,
                )
            found.append(self._loaded[identity])
        return found

    def spare_changes(self) -> dict[tuple[int, int], int]:
        """Returns by how many units more or fewer may be promised, by variant and location; without what stayed."""
        changes: Counter[tuple[int, int]] = Counter()
        for line in self.lines.values():
            changes[line.variant_id, line.location_id] += line.spare - line.spare_before
        return {pair: units for pair, units in changes.items() if units}

    def write(self, operation_id: int) -> None:
        """Writes what the operation changed: new backorders, then lines, backorders and events, then orders' states."""
        if not self.is_locked:
            return
        self._insert_new(operation_id)
        changed = [p for p in self._loaded.values() if p.filled or p.cancelled or p.broken]
        if changed or self._new or self._events:
            with connection.cursor() as cursor:
                cursor.execute(WRITE, self._parameters(operation_id, changed))
                if orders := {self.lines[event.line_id].order_id for event in self._events}:
                    cursor.execute(SETTLE_ORDERS, [sorted(orders)])

    def _insert_new(self, operation_id: int) -> None:
        kept = [p for p in self._new if p.open or p.filled]
        now = timezone.now()
        rows = [
            Backorder(
                merchant_id=self._posting.merchant_id,
                operation_id=operation_id,
                line_id=p.line.id,
                variant_id=p.line.variant_id,
                reference=p.reference,
                location_ids=list(p.location_ids),
                quantity=p.open + p.filled + p.cancelled,
                open_quantity=p.open,
                filled_quantity=p.filled,
                cancelled_quantity=p.cancelled,
                promised_on=p.promised_on,
                allowed_by=p.allowed_by,
                kit_id=p.kit_id or None,
                created_at=now,
            )
            for p in kept
        ]
        if rows:
            Backorder.objects.bulk_create(rows)
        self._posting.promised = [
            Promised(b.pk, b.reference, b.variant_id, b.line_id, b.open_quantity, b.promised_on.isoformat())
            for b in rows
        ]

    def _parameters(self, operation_id: int, changed: list[PromisedUnits]) -> list[Any]:
        events, lines = self._events, [line for line in self.lines.values() if line.is_changed]
        return [
            [p.id for p in changed],
            [p.filled for p in changed],
            [p.cancelled for p in changed],
            [p.broken for p in changed],
            self._posting.merchant_id,
            operation_id,
            [event.line_id for event in events],
            [event.kind.value for event in events],
            [event.quantity for event in events],
            [event.day for event in events],
            [line.id for line in lines],
            [line.received for line in lines],
            [line.cancelled for line in lines],
            [line.confirmed for line in lines],
            [line.promised - line.promised_before for line in lines],
            [line.confirmed_on for line in lines],
            [line.expected_on for line in lines],
        ]


def _closed_line(line_id: int) -> InboundLine:
    """Stands for the line of a closed backorder, which nothing changes any more."""
    return InboundLine(line_id, 0, 0, 0, 0, 0, 0, 0, None, None, 0)


def promises_of(posting: Posting) -> Inbound:
    """Returns the operation's inbound: locked if anybody waits for its variants, else empty. After levels and conflicts.

    Under the level locks nobody can begin to wait for goods at these places.
    """
    if posting.inbound is None:
        posting.inbound = _locked(posting, ()) if _anybody_waits(posting) else Inbound(posting)
    return posting.inbound


def lock_inbound(posting: Posting, line_ids: Collection[int] = ()) -> Inbound:
    """Locks the open lines of all the operation's variants, and the named ones; after levels and conflicts."""
    if posting.inbound is None or not posting.inbound.is_locked:
        posting.inbound = _locked(posting, line_ids)
    return posting.inbound


def _anybody_waits(posting: Posting) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(HAS_BACKORDERS, [_variant_ids(posting)])
        return bool(cursor.fetchone()[0])


def _locked(posting: Posting, line_ids: Collection[int]) -> Inbound:
    with connection.cursor() as cursor:
        cursor.execute(LOCK_LINES, [posting.merchant_id, sorted(line_ids), _variant_ids(posting)])
        lines = [InboundLine(*row) for row in cursor.fetchall()]
    return Inbound(posting, lines, is_locked=True)


def _variant_ids(posting: Posting) -> list[int]:
    return sorted({variant_id for variant_id, _ in posting.levels})
