"""Units of a demand moved to another location: its hold, or what it is owed; of kits, whole ones."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from inventory import taking
from inventory.errors import InsufficientStock, InvalidStockRequest, Shortage
from inventory.holds import fill_owed, held_for, load_owed, places_of, release_expired
from inventory.ledger import Context, Outcome, perform
from inventory.models.stock import Reason
from inventory.posting import Posting
from inventory.posting_rows import Hold, OwedUnits
from inventory.validation import check_quantities, check_references


@dataclass(frozen=True, slots=True)
class Resourcing:
    """Units of one demand that another location is to serve."""

    reference: str
    variant_id: int
    to_location_id: int
    #: Where they are held now; None: nowhere, they are owed.
    from_location_id: int | None = None
    #: None: as many as are there, at least one.
    quantity: int | None = None


def resource(context: Context, moves: Sequence[Resourcing]) -> Outcome:
    """Moves holds to other locations and fills there what is owed; all of it, or nothing.

    Raises `InsufficientStock` where the other location has too little or none, `InvalidStockRequest` where the demand
    holds, or is owed, fewer units than are to be moved.
    """
    _check(moves)
    references = {move.reference for move in moves}

    def work(posting: Posting) -> None:
        _lock(posting, moves, references)
        if release_expired(posting):
            fill_owed(posting)
        held = held_for(posting, references)
        owed = load_owed(posting, {move.variant_id for move in moves})
        for move in moves:
            _move(posting, move, _held_there(held[move.reference], move), _debts(owed, move))
        fill_owed(posting)

    request, variants = [asdict(move) for move in moves], {move.variant_id for move in moves}
    return perform(context, "resource", request, work, reservations=len(moves), variants=variants)


def _check(moves: Sequence[Resourcing]) -> None:
    check_quantities("quantity", [1 if m.quantity is None else m.quantity for m in moves], smallest=1)
    check_references(move.reference for move in moves)
    if any(move.from_location_id == move.to_location_id for move in moves):
        raise InvalidStockRequest(
            "to_location_id", "is where the units are already; choose another location."
        )


def _lock(posting: Posting, moves: Sequence[Resourcing], references: set[str]) -> None:
    targets = {(part, move.to_location_id) for move in moves for part, _ in posting.parts_of(move.variant_id)}
    every = targets | places_of(posting.merchant_id, references)
    posting.lock({variant for variant, _ in every}, {place for _, place in every}, create=targets)


def _held_there(held: Sequence[Hold], move: Resourcing) -> list[Hold]:
    """Returns what the demand holds at the place that the units come from, newest first."""
    return [
        each
        for each in reversed(held)
        if each.variant_id == move.variant_id and each.location_id == move.from_location_id
    ]


def _debts(owed: Sequence[OwedUnits], move: Resourcing) -> list[OwedUnits]:
    if move.from_location_id is not None:
        return []
    return taking.owed_to(owed, move.reference, move.variant_id)


def _move(posting: Posting, move: Resourcing, held: list[Hold], debts: list[OwedUnits]) -> None:
    kit = posting.kits.get(move.variant_id)
    if kit is None:
        available = posting.levels[move.variant_id, move.to_location_id].available
    else:
        available = posting.kits_available(kit, move.to_location_id)
    units = _units(move, available, sum(h.open for h in held) + sum(d.open for d in debts))
    rest = units
    for each in held:
        given = min(each.open, rest)
        if given:
            posting.release(each, given, Reason.SALE)
            rest -= given
    taking.close_owed(posting, debts, rest)
    if kit is None:
        posting.hold(posting.levels[move.variant_id, move.to_location_id], move.reference, units)
    else:
        posting.hold_kits(kit, move.to_location_id, move.reference, units)


def _units(move: Resourcing, available: int, movable: int) -> int:
    """Returns how many units move. Raises where that is none, or fewer than asked for."""
    if not movable or (move.quantity or 0) > movable:
        what = "owed" if move.from_location_id is None else "held there"
        raise InvalidStockRequest("quantity", f"{movable} units are {what}; enter at most as many.")
    asked = movable if move.quantity is None else move.quantity
    units = min(asked, available) if move.quantity is None else asked
    if not units or units > available:
        raise InsufficientStock([Shortage(move.reference, move.variant_id, asked, available)])
    return units
