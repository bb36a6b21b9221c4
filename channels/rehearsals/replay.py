"""Walks through recorded events in two worlds: as it happened, and as it would have been under other rules.

What is known for sure is what customers bought. A customer who bought from a shelf that would have shown less buys less,
or nothing; one who did not buy because a shelf showed nothing left no trace, so that more than was sold is never sold
here either. Numbers are told at the recorded instants, each with the stock of its world; what failed or came late then,
fails and comes late here. So rules that change nothing lead to exactly what happened.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from channels.exposure import ComponentStock, FencedPart, Inputs, LocationStock
from channels.models.outbound import PushOutcome
from channels.rehearsals.events import Move, Operation, Period, Told, Window
from channels.rehearsals.loading import (
    Line,
    Rules,
    lines_of,
    parts_ever,
    per_kit_of,
    safety_changes_of,
    shelves_of,
)
from channels.rehearsals.pools import PoolUses
from channels.rehearsals.shelves import Shelf, Source
from channels.rehearsals.tally import Figures, Tally
from channels.rehearsals.world import Sale, World
from inventory.history import levels_as_of, reservations_as_of
from inventory.kit_history import PastPart

#: Computes the number of one listing level.
Target = Callable[[Inputs], int]

#: What did not reach the shop.
_LOST: Final = frozenset({PushOutcome.STALE, PushOutcome.REJECTED, PushOutcome.FAILED})
_LINE: Final = "order-line:"


@dataclass(slots=True)
class Replay:
    """A rehearsal in progress. Memory grows with the goods it meets, not with the events."""

    period: Period
    rules: Rules
    target: Target
    world: World = field(default_factory=World)
    shelves: dict[int, Shelf] = field(default_factory=dict)
    by_listing: defaultdict[int, list[Shelf]] = field(default_factory=lambda: defaultdict(list))
    lines: dict[int, Line] = field(default_factory=dict)
    variants: set[int] = field(default_factory=set)
    #: Variants whose open orders at the beginning are known.
    opened: set[int] = field(default_factory=set)
    #: Units held for a channel's own open orders, by listing; what the other world has more.
    own_open: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    own_open_more: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    tally: Tally = field(default_factory=Tally)
    pools: PoolUses = field(init=False)

    def __post_init__(self) -> None:
        self.pools = PoolUses(self.period.merchant_id, self.period.since)

    def run(self, on_progress: Callable[[int, int], None] = lambda done, total: None) -> Tally:
        """Replays the whole period; `on_progress` hears how many events are done, and of how many."""
        spans = self.period.spans()
        total = sum(events for _, _, events in spans)
        for since, until, _ in spans:
            self.replay(self.period.window(since, until))
            on_progress(self.tally.events, total)
        self._end()
        return self.tally

    def replay(self, window: Window) -> None:
        """Replays one window."""
        self._meet(window)
        for event in window.events:
            if isinstance(event, Told):
                self._tell(event)
            else:
                self._operate(event)

    # -- meeting what is new

    def _meet(self, window: Window) -> None:
        """Loads the lines, shelves and levels that this window names and none before did."""
        operations = [event for event in window.events if isinstance(event, Operation)]
        self.lines = lines_of(_line_ids(operations))
        told = {event.listing_level_id for event in window.events if isinstance(event, Told)}
        listings = {line.listing_id for line in self.lines.values() if line.listing_id is not None}
        new = self._new_shelves(told - self.shelves.keys(), listings - self.by_listing.keys())
        named = {move.variant_id for operation in operations for move in operation.moves}
        self._meet_variants((named | {variant for shelf in new for variant in shelf.goods}) - self.variants)
        self._meet_open_orders(
            {shelf.variant_id for shelf in new if shelf.subtracts_open_orders} - self.opened
        )
        for shelf in new:
            self._begin(shelf)

    def _new_shelves(self, level_ids: Collection[int], listing_ids: Collection[int]) -> list[Shelf]:
        if not level_ids and not listing_ids:
            return []
        found = shelves_of(level_ids, listing_ids, self.period, self.rules)
        new = [shelf for shelf in found if shelf.listing_level_id not in self.shelves]
        for shelf in new:
            self.shelves[shelf.listing_level_id] = shelf
            self.by_listing[shelf.listing_id].append(shelf)
        for listing_id in listing_ids:
            self.by_listing[listing_id] = self.by_listing.get(listing_id, [])
        return new

    def _meet_variants(self, variant_ids: set[int]) -> None:
        if variant_ids:
            self.variants |= variant_ids
            self.world.load(levels_as_of(self.period.merchant_id, variant_ids, self.period.since))
            self.world.load_safety_changes(safety_changes_of(self.period, variant_ids))
            self.pools.load(variant_ids)

    def _meet_open_orders(self, variant_ids: set[int]) -> None:
        if not variant_ids:
            return
        self.opened |= variant_ids
        counted = variant_ids | parts_ever(self.period.merchant_id, variant_ids)
        held = [
            each
            for each in reservations_as_of(self.period.merchant_id, counted, self.period.since)
            if each.reference.startswith(_LINE)
        ]
        kits = per_kit_of([each.reservation_id for each in held])
        lines = lines_of({int(each.reference.removeprefix(_LINE)) for each in held})
        for each in held:
            line = lines.get(int(each.reference.removeprefix(_LINE)))
            if line is not None and line.listing_id is not None and line.variant_id in variant_ids:
                per_kit = kits.get(each.reservation_id, None if line.variant_id == each.variant_id else 0)
                self.own_open[line.listing_id] += _sold(line, each.variant_id, each.quantity, per_kit)

    def _begin(self, shelf: Shelf) -> None:
        """Has the rehearsed rules begin with the period: a shelf is told at once what they change."""
        after = self._number(shelf, shelf.inputs, self.period.since, is_other=True)
        before = self._number(shelf, shelf.inputs_before, self.period.since, is_other=False)
        shown = shelf.numbers[-1] if shelf.numbers else None
        if shown is not None and shelf.subtracts_open_orders:
            shown.shown = shown.shown_other = shown.shown - self.own_open[shelf.listing_id]
        if shown is not None and after != before:
            shown.shown_other = max(shown.shown + after - before, 0)
            shown.told_other = max(shown.told_other + after - before, 0)
            figures = self.tally.channels[shelf.channel_id].rehearsed
            figures.pushes += 1
            figures.stock_outs += shown.shown_other == 0 < shown.shown
        if shown is not None:
            self._hide(shelf, self.period.since, shown.shown, shown.shown_other)

    # -- operations of the ledger

    def _operate(self, operation: Operation) -> None:
        self.tally.operations += 1
        for move in operation.moves:
            self.world.record(move)
            self._count_open(move)
        sales = _sales(operation)
        new = {(sale.line_id, sale.variant_id) for sale in sales}
        for move in operation.moves:
            if (move.line_id, move.variant_id) not in new:
                self._follow(move)
        self._sell_all(sales, operation.occurred_at)
        for move in operation.moves:
            if (move.line_id, move.variant_id) in new and move.reserved_delta < 0:
                self._follow(move)

    def _count_open(self, move: Move) -> None:
        line = self.lines.get(move.line_id) if move.line_id is not None else None
        if line is not None and line.listing_id is not None:
            self.own_open[line.listing_id] += _sold(line, move.variant_id, move.reserved_delta, move.per_kit)

    def _follow(self, move: Move) -> None:
        """Has a line in the other world do what it did, with the units that it has there."""
        if move.line_id is None or not move.reserved_delta:
            return
        before = self.world.reserved.get((move.variant_id, move.location_id), 0)
        if move.reserved_delta > 0:
            self.world.fill(move.line_id, move)
        else:
            given_up = self.world.give_up(move.line_id, move)
            self._give_back_to_pools(move, given_up)
        after = self.world.reserved.get((move.variant_id, move.location_id), 0)
        self._note_open(move.line_id, move.variant_id, after - before, move.per_kit)

    def _give_back_to_pools(self, move: Move, units: int) -> None:
        line = self.lines.get(move.line_id or 0)
        if line is not None and move.reason == "cancellation":
            self.pools.sell(line.channel_id, move.variant_id, -units)

    def _note_open(self, line_id: int, variant_id: int, more: int, per_kit: int | None) -> None:
        line = self.lines.get(line_id)
        if line is not None and line.listing_id is not None:
            self.own_open_more[line.listing_id] += _sold(line, variant_id, more, per_kit)

    def _sell_all(self, sales: Sequence[Sale], at: datetime) -> None:
        """Sells lines; all components of a bundle's line by the same share of its kits."""
        shares: dict[int, tuple[int, int]] = {}
        for sale in sales:
            line = self.lines.get(sale.line_id)
            if line is None:
                continue
            shelf = self._shelf_of(line)
            if sale.line_id not in shares:
                is_kit = line.variant_id != sale.variant_id
                wanted = max(line.quantity, 1) if is_kit else sale.units
                accepted = wanted if shelf is None else shelf.sell(wanted, at)
                shares[sale.line_id] = accepted, wanted
                if is_kit and line.variant_id is not None:
                    self.pools.sell(line.channel_id, line.variant_id, accepted)
            share, whole = shares[sale.line_id]
            self._sell(sale, line, shelf, sale.units * share // whole)

    def _sell(self, sale: Sale, line: Line, shelf: Shelf | None, accepted: int) -> None:
        places = [(sale.variant_id, source.location_id) for source in shelf.sources] if shelf else []
        short = self.world.sell(sale, accepted, places)
        more = (accepted - short) - (sale.units - sale.short)
        self._note_open(sale.line_id, sale.variant_id, more, sale.per_kit)
        self.pools.sell(line.channel_id, sale.variant_id, accepted)
        pair = self.tally.channels[line.channel_id]
        _count_sale(pair.happened, sale.units, sale.short, refused=0)
        _count_sale(pair.rehearsed, accepted, short, refused=sale.units - accepted)
        if shelf is None:
            self.tally.not_judged += sale.units
        elif accepted < sale.units or sale.short or short:
            listing = self.tally.listings[shelf.listing_level_id]
            listing[0] += sale.units - accepted
            listing[1] += sale.short
            listing[2] += short

    def _shelf_of(self, line: Line) -> Shelf | None:
        """Returns the shelf that a line was sold from; None where it may be any of several."""
        shelves = self.by_listing[line.listing_id] if line.listing_id is not None else []
        if line.place_id is not None:
            shelves = [shelf for shelf in shelves if shelf.place_id == line.place_id]
        return shelves[0] if len(shelves) == 1 else None

    # -- numbers told

    def _tell(self, told: Told) -> None:
        self.tally.told += 1
        shelf = self.shelves.get(told.listing_level_id)
        if shelf is None:
            return
        target = self._number(shelf, shelf.inputs, told.at, is_other=True)
        self.tally.differing += target != told.target
        sent = told.target if told.quantity is None else told.quantity
        # Sales that the shop had made and nobody had imported yet were left out; they would have been all the same.
        sent_other = max(target - (told.target - sent), 0)
        self._count_push(shelf, told, target)
        if told.outcome in _LOST:
            return
        open_units, open_more = 0, 0
        if shelf.subtracts_open_orders:
            open_units = self.own_open[shelf.listing_id]
            open_more = open_units + self.own_open_more[shelf.listing_id]
        self._count_stock_out(shelf, sent - open_units, sent_other - open_more)
        shelf.told(told.ended_at, sent - open_units, sent_other - open_more, told_other=sent_other)
        self._hide(shelf, told.at, sent - open_units, sent_other - open_more)

    def _number(self, shelf: Shelf, inputs: Inputs, at: datetime, *, is_other: bool) -> int:
        """Computes a shelf's number from the stock of one of the worlds."""
        own_open = self.own_open[shelf.listing_id]
        if is_other:
            own_open += self.own_open_more[shelf.listing_id]
        parts = shelf.parts_at(at)
        locations = tuple(
            self._stock(shelf, source, parts, at, is_other=is_other) for source in shelf.sources
        )
        return self.target(
            replace(
                inputs,
                locations=locations,
                own_open_units=own_open,
                expected=shelf.expected_other,
                pool_uses=self.pools.of(shelf.variant_id, at),
                fenced=self._fenced(inputs, parts, at) if parts else (),
                raises_today=shelf.raises_on(at.date()),
                pin=shelf.pin_at(at),
            )
        )

    def _fenced(self, inputs: Inputs, parts: Sequence[PastPart], at: datetime) -> tuple[FencedPart, ...]:
        pools = dict(inputs.rules.part_pools)
        return tuple(
            FencedPart(
                part.variant_id,
                part.sku,
                part.quantity,
                pools[part.variant_id],
                self.pools.of(part.variant_id, at),
            )
            for part in parts
            if part.variant_id in pools
        )

    def _stock(
        self, shelf: Shelf, source: Source, parts: Sequence[PastPart], at: datetime, *, is_other: bool
    ) -> LocationStock:
        pair = shelf.variant_id, source.location_id
        own, kept = self.world.stock(pair, is_other=is_other), self.world.safety_stock_at(pair, at)
        return LocationStock(
            source.code,
            *own,
            kept,
            tuple(self._component(part, source, at, is_other=is_other) for part in parts),
        )

    def _component(self, part: PastPart, source: Source, at: datetime, *, is_other: bool) -> ComponentStock:
        pair = part.variant_id, source.location_id
        available = self.world.available_in(pair, is_other=is_other)
        return ComponentStock(part.sku, part.quantity, available, self.world.safety_stock_at(pair, at))

    def _count_push(self, shelf: Shelf, told: Told, target: int) -> None:
        """Counts what was sent and what would have been: without compare-and-set everything is."""
        pair = self.tally.channels[shelf.channel_id]
        was_sent = told.quantity is not None
        pair.happened.pushes += was_sent
        number = shelf.numbers[-1] if shelf.numbers else None
        if number is None or not shelf.is_compared:
            pair.rehearsed.pushes += was_sent
            return
        is_same = (
            target == told.target and number.shown == number.shown_other and number.sold == number.sold_other
        )
        pair.rehearsed.pushes += was_sent if is_same else target != shelf.expected_other

    def _count_stock_out(self, shelf: Shelf, shown: int, other: int) -> None:
        pair = self.tally.channels[shelf.channel_id]
        last = shelf.numbers[-1] if shelf.numbers else None
        if last is not None:
            pair.happened.stock_outs += shown <= 0 < last.shown
            pair.rehearsed.stock_outs += other <= 0 < last.shown_other

    def _hide(self, shelf: Shelf, at: datetime, shown: int, other: int) -> None:
        """Adds up what was hidden until now, and notes what is hidden from now on."""
        if shelf.hidden_since is not None:
            seconds = int((at - shelf.hidden_since).total_seconds())
            pair = self.tally.channels[shelf.channel_id]
            pair.happened.hidden_seconds += shelf.hidden[0] * seconds
            pair.rehearsed.hidden_seconds += shelf.hidden[1] * seconds
        shelf.hidden = (
            max(self._available(shelf, at, is_other=False) - max(shown, 0), 0),
            max(self._available(shelf, at, is_other=True) - max(other, 0), 0),
        )
        shelf.hidden_since = at

    def _available(self, shelf: Shelf, at: datetime, *, is_other: bool) -> int:
        units = 0
        parts = shelf.parts_at(at)
        counted = [(part.variant_id, part.quantity) for part in parts] or [(shelf.variant_id, 1)]
        for source in shelf.sources:
            units += min(
                max(self.world.available_in((variant_id, source.location_id), is_other=is_other), 0) // each
                for variant_id, each in counted
            )
        return units

    def _end(self) -> None:
        for shelf in self.shelves.values():
            if shelf.hidden_since is not None:
                self._hide(shelf, self.period.until, 0, 0)


def _sold(line: Line, variant_id: int, units: int, per_kit: int | None) -> int:
    """Returns what units of a variant are of what a line sold; kits are counted by the part that leads the others."""
    if per_kit is None:
        return units if line.variant_id == variant_id else 0
    return units // per_kit if per_kit else 0


def _line_ids(operations: Iterable[Operation]) -> set[int]:
    moved = {move.line_id for each in operations for move in each.moves if move.line_id is not None}
    return moved | {line_id for each in operations for line_id, _ in each.short}


def _sales(operation: Operation) -> list[Sale]:
    """Returns what order lines newly demanded: what they hold from now on and did not before, and what they lack."""
    held: defaultdict[tuple[int, int], list[tuple[tuple[int, int], int]]] = defaultdict(list)
    per_kit: dict[tuple[int, int], int | None] = {}
    for move in operation.moves:
        if move.line_id is not None and move.kind == "reservation" and move.reason == "sale":
            pair = move.variant_id, move.location_id
            held[move.line_id, move.variant_id].append((pair, move.reserved_delta))
            per_kit[move.line_id, move.variant_id] = move.per_kit
    given_up = {
        (move.line_id, move.variant_id)
        for move in operation.moves
        if move.line_id is not None and move.kind == "release"
    }
    keys = dict.fromkeys([*held, *operation.short])
    return [
        Sale(
            line_id,
            variant_id,
            held.get((line_id, variant_id), ()),
            operation.short.get((line_id, variant_id), 0),
            per_kit.get((line_id, variant_id)),
        )
        for line_id, variant_id in keys
        if (line_id, variant_id) not in given_up
    ]


def _count_sale(figures: Figures, units: int, short: int, *, refused: int) -> None:
    figures.sold += units
    figures.oversold += short
    figures.refused += refused
