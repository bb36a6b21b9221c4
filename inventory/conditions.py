"""Units moved between what can be sold and what cannot: damaged, in quarantine, being inspected."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from inventory import taking
from inventory.errors import InvalidStockRequest
from inventory.holds import fill_owed, release_expired
from inventory.ledger import Context, Outcome, perform
from inventory.locking import LockedLevel
from inventory.models.stock import MovementKind, Reason
from inventory.posting import Posting
from inventory.validation import check_quantities


@dataclass(frozen=True, slots=True)
class ConditionLine:
    """Units of a variant at a location whose condition changes; positive."""

    variant_id: int
    location_id: int
    quantity: int


Totals = list[tuple[LockedLevel, int]]


def set_aside(context: Context, lines: Sequence[ConditionLine], *, reason: Reason = Reason.DAMAGE) -> Outcome:
    """Makes units unavailable. Never refused: the newest reservations become conflicts where goods lack.

    More than the record has besides what is unavailable already is added to it first, with a conflict that asks for a
    recount.
    """
    _check(lines)

    def work(posting: Posting) -> None:
        totals = _lock(posting, lines)
        release_expired(posting)
        for level, units in totals:
            beyond = units - (level.on_hand - level.unavailable)
            if beyond > 0:
                taking.add_beyond_record(posting, level, beyond, reference=context.key)
        taking.make_room(posting, totals)
        for level, units in totals:
            posting.post(level, MovementKind.CONDITION, reason, unavailable=units)
        fill_owed(posting)

    return _perform(context, "set_aside", lines, reason, work)


def put_back(
    context: Context, lines: Sequence[ConditionLine], *, reason: Reason = Reason.INSPECTION
) -> Outcome:
    """Makes unavailable units available again; open shortages get them first. Refused beyond what is unavailable."""
    _check(lines)

    def work(posting: Posting) -> None:
        totals = _lock(posting, lines)
        check_unavailable(totals)
        for level, units in totals:
            posting.post(level, MovementKind.CONDITION, reason, unavailable=-units)
        fill_owed(posting)

    return _perform(context, "put_back", lines, reason, work)


def scrap(context: Context, lines: Sequence[ConditionLine], *, reason: Reason = Reason.WRITE_OFF) -> Outcome:
    """Takes unavailable units off what is on hand. Refused beyond what is unavailable."""
    _check(lines)

    def work(posting: Posting) -> None:
        totals = _lock(posting, lines)
        check_unavailable(totals)
        for level, units in totals:
            posting.post(level, MovementKind.ADJUSTMENT, reason, on_hand=-units, unavailable=-units)

    return _perform(context, "scrap", lines, reason, work)


def check_unavailable(totals: Totals) -> None:
    """Refuses to judge units that are not set aside. Raises `InvalidStockRequest` with what there is."""
    for level, units in totals:
        if units > level.unavailable:
            raise InvalidStockRequest(
                "quantity",
                f"{units} asked for, {level.unavailable} unavailable there; set units aside first, or count the variant.",
            )


def _check(lines: Sequence[ConditionLine]) -> None:
    check_quantities("quantity", [line.quantity for line in lines], smallest=1)


def _lock(posting: Posting, lines: Sequence[ConditionLine]) -> Totals:
    """Locks the levels and returns each with its units, summed over the lines."""
    posting.refuse_kits()
    units: Counter[tuple[int, int]] = Counter()
    for line in lines:
        units[line.variant_id, line.location_id] += line.quantity
    posting.lock({v for v, _ in units}, {place for _, place in units}, create=units)
    return [(posting.levels[pair], quantity) for pair, quantity in units.items()]


def _perform(
    context: Context,
    verb: str,
    lines: Sequence[ConditionLine],
    reason: Reason,
    work: Callable[[Posting], None],
) -> Outcome:
    request = [[asdict(line) for line in lines], reason.value]
    return perform(context, verb, request, work, variants={line.variant_id for line in lines})
