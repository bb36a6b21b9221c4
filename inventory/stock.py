"""What happens to goods: they are received, shipped, adjusted and counted."""

from collections import Counter
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass

from inventory import kit_backorders, taking
from inventory.errors import InvalidStockRequest, UnknownStock
from inventory.holds import fill_owed, held_for, load_owed, places_of, release_expired
from inventory.inbound import promises_of
from inventory.ledger import Context, Outcome, perform
from inventory.locking import LockedLevel
from inventory.models.stock import MovementKind, Reason, StockMovement
from inventory.posting import Posting
from inventory.posting_rows import Hold, OwedUnits
from inventory.validation import LARGEST_QUANTITY, check_quantities, check_references


@dataclass(frozen=True, slots=True)
class StockLine:
    """Units of a variant at a location; positive."""

    variant_id: int
    location_id: int
    quantity: int


@dataclass(frozen=True, slots=True)
class ShipmentLine:
    """Units that left a location, for a demand where there is one; positive."""

    variant_id: int
    location_id: int
    quantity: int
    #: Whose reservation is used up first.
    reference: str = ""


@dataclass(frozen=True, slots=True)
class AdjustmentLine:
    """A correction of what is on hand; `delta` is not 0."""

    variant_id: int
    location_id: int
    delta: int
    reason: Reason = Reason.CORRECTION
    #: The movement that this one corrects.
    reverses_id: int | None = None


@dataclass(frozen=True, slots=True)
class CountLine:
    """What somebody counted on hand; 0 or more."""

    variant_id: int
    location_id: int
    counted: int


Line = StockLine | ShipmentLine | AdjustmentLine | CountLine


def receive(context: Context, lines: Sequence[StockLine], *, reason: Reason = Reason.PURCHASE) -> Outcome:
    """Records goods that arrived; open shortages are filled first, oldest first."""
    check_quantities("quantity", [line.quantity for line in lines], smallest=1)

    def work(posting: Posting) -> None:
        posting.refuse_kits()
        _lock(posting, lines)
        for line in lines:
            posting.post(
                _level(posting, line),
                MovementKind.RECEIPT,
                reason,
                on_hand=line.quantity,
            )
        fill_owed(posting)

    return _perform(context, "receive", lines, work, reason)


def ship(context: Context, lines: Sequence[ShipmentLine]) -> Outcome:
    """Records goods that left: own reservation first, then what is available, the rest beyond record. Never refused."""
    check_quantities("quantity", [line.quantity for line in lines], smallest=1)
    references = {line.reference for line in lines if line.reference}
    check_references(references)

    def work(posting: Posting) -> None:
        elsewhere = places_of(posting.merchant_id, references) if references else set()
        _lock(posting, lines, also=elsewhere)
        release_expired(posting)
        held = held_for(posting, references) if references else {}
        owed = load_owed(posting, {line.variant_id for line in lines}) if references else []
        for line in lines:
            own = [h for h in held.get(line.reference, ()) if h.variant_id == line.variant_id]
            debts = taking.owed_to(owed, line.reference, line.variant_id)
            _ship_one(posting, line, own, debts, reference=line.reference or context.key)
        fill_owed(posting)

    return _perform(context, "ship", lines, work)


def adjust(context: Context, lines: Sequence[AdjustmentLine]) -> Outcome:
    """Corrects what is on hand. A loss takes what is available, then the newest reservations, which become conflicts."""
    check_quantities("delta", [line.delta for line in lines], smallest=-LARGEST_QUANTITY)
    if not all(line.delta for line in lines):
        raise InvalidStockRequest("delta", "must not be 0.")

    def work(posting: Posting) -> None:
        posting.refuse_kits()
        _lock(posting, lines)
        _check_reversals(posting, lines)
        losses: Counter[tuple[int, int]] = Counter()
        for line in lines:
            losses[line.variant_id, line.location_id] -= line.delta
        release_expired(posting)
        _make_room(posting, losses)
        for line in sorted(lines, key=lambda line: line.delta < 0):
            _adjust_one(posting, line, reference=context.key)
        fill_owed(posting)

    return _perform(context, "adjust", lines, work)


def count(context: Context, lines: Sequence[CountLine]) -> Outcome:
    """Sets what is on hand to what was counted; units gone break the newest reservations into conflicts."""
    check_quantities("counted", [line.counted for line in lines], smallest=0)
    if len({(line.variant_id, line.location_id) for line in lines}) < len(lines):
        raise InvalidStockRequest(
            "lines",
            "the same variant is counted twice at one location; add the counts up.",
        )

    def work(posting: Posting) -> None:
        posting.refuse_kits()
        _lock(posting, lines)
        release_expired(posting)
        losses = Counter(
            {
                (line.variant_id, line.location_id): _level(posting, line).on_hand - line.counted
                for line in lines
            }
        )
        _make_room(posting, losses)
        for line in lines:
            level = _level(posting, line)
            delta = line.counted - level.on_hand
            taking.lose_or_find(posting, level, delta, MovementKind.COUNT, Reason.CORRECTION)
        fill_owed(posting)

    return _perform(context, "count", lines, work)


def _check_reversals(posting: Posting, lines: Sequence[AdjustmentLine]) -> None:
    """Refuses a correction of a movement that another level made, or nobody."""
    named = {(line.reverses_id, _level(posting, line).id) for line in lines if line.reverses_id is not None}
    if not named:
        return
    found = StockMovement.objects.filter(id__in=[identity for identity, _ in named])
    if not named <= set(found.values_list("id", "level_id")):
        raise UnknownStock("The level has no such movement to correct.")


def _ship_one(
    posting: Posting, line: ShipmentLine, own: list[Hold], debts: list[OwedUnits], *, reference: str
) -> None:
    """Ships one line. Units that its reservation here does not cover meet what its demand is owed or holds elsewhere."""
    rest = taking.ship_held(posting, own, line.quantity, location_id=line.location_id)
    unowed = taking.close_owed(posting, debts, rest)
    if unowed and line.reference:
        unowed = promises_of(posting).withdraw(line.reference, line.variant_id, unowed)
        unowed = kit_backorders.withdraw(posting, line.reference, line.variant_id, unowed)
    taking.release_elsewhere(posting, own, unowed)
    kit = posting.kits.get(line.variant_id)
    if kit is not None:
        rest = taking.ship_available_kits(posting, kit, line.location_id, rest)
        taking.ship_kits_beyond_record(posting, kit, line.location_id, rest, reference=reference)
        return
    level = _level(posting, line)
    uncovered = taking.ship_available(posting, level, rest)
    if uncovered:
        taking.ship_beyond_record(posting, level, uncovered, reference=reference)


def _adjust_one(posting: Posting, line: AdjustmentLine, *, reference: str) -> None:
    level = _level(posting, line)
    beyond = -line.delta - level.on_hand
    if beyond > 0:
        taking.add_beyond_record(posting, level, beyond, reference=reference)
    taking.lose_or_find(
        posting,
        level,
        line.delta,
        MovementKind.ADJUSTMENT,
        line.reason,
        reverses_id=line.reverses_id,
    )


def _make_room(posting: Posting, losses: Counter[tuple[int, int]]) -> None:
    taking.make_room(
        posting,
        [(posting.levels[pair], lost) for pair, lost in losses.items() if lost > 0],
    )


def _lock(
    posting: Posting,
    lines: Sequence[Line],
    *,
    also: AbstractSet[tuple[int, int]] = frozenset(),
) -> None:
    pairs = {(part, line.location_id) for line in lines for part, _ in posting.parts_of(line.variant_id)}
    every = pairs | also
    posting.lock({v for v, _ in every}, {place for _, place in every}, create=pairs)


def _level(posting: Posting, line: Line) -> LockedLevel:
    return posting.levels[line.variant_id, line.location_id]


def _perform(
    context: Context,
    verb: str,
    lines: Sequence[Line],
    work: Callable[[Posting], None],
    *more: object,
) -> Outcome:
    request = [[asdict(line) for line in lines], *map(str, more)]
    return perform(context, verb, request, work, variants={line.variant_id for line in lines})
