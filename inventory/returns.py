"""Returns of customers: announced, received as unavailable, inspected, then released for sale or written off.

An announcement moves nothing, and neither does money: a refund for which nothing comes back is an announcement of nothing,
or one that is closed. What arrives is a fact, announced or not.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final

from django.db import connection
from django.utils import timezone

from inventory.conditions import check_unavailable
from inventory.documents import check_places_of_goods, lock_document
from inventory.errors import InvalidStockRequest, UnknownStock
from inventory.holds import fill_owed
from inventory.ledger import Context, Outcome, perform
from inventory.models import CustomerReturn, ReturnLine
from inventory.models.returns import ReturnState
from inventory.models.stock import MovementKind, Reason
from inventory.posting import Posting
from inventory.validation import check_quantities, check_references


@dataclass(frozen=True, slots=True)
class ReturnUnits:
    """Units of a variant at the place where they are expected or have arrived, in base units."""

    variant_id: int
    location_id: int
    quantity: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an inspection says of units that were received at a place; together at least one."""

    variant_id: int
    location_id: int
    #: Fit for sale.
    released: int = 0
    written_off: int = 0


Place = tuple[int, int]


def announce_return(context: Context, reference: str, lines: Sequence[ReturnUnits]) -> Outcome:
    """Says which goods a customer sends back, in total; nothing moves.

    Announced again under the same reference, the totals of the named lines replace those before; 0 withdraws one.
    """
    check_references([reference])
    check_quantities("quantity", [line.quantity for line in lines], smallest=0)
    totals = _summed(lines)
    _check_known(context.merchant_id, totals)

    def work(posting: Posting) -> None:
        document, known = _open(posting, reference)
        for place, quantity in totals.items():
            _line(document, known, place).announced_quantity = quantity
        document.given_up_at = None
        _save(posting, document, list(known.values()))

    return _perform(context, "return_announce", reference, lines, work)


def receive_return(context: Context, reference: str, lines: Sequence[ReturnUnits]) -> Outcome:
    """Records goods that came back: on hand, and unavailable until they are inspected. Never refused.

    More than announced, other goods, another place, and a reference that nobody announced are recorded as they come.
    """
    check_references([reference])
    check_quantities("quantity", [line.quantity for line in lines], smallest=1)
    totals = _summed(lines)
    _check_known(context.merchant_id, totals)

    def work(posting: Posting) -> None:
        document, known = _open(posting, reference)
        posting.lock({v for v, _ in totals}, {place for _, place in totals}, create=totals)
        for place, quantity in totals.items():
            _line(document, known, place).received_quantity += quantity
            posting.post(
                posting.levels[place],
                MovementKind.RETURN,
                Reason.CUSTOMER_RETURN,
                on_hand=quantity,
                unavailable=quantity,
            )
        _save(posting, document, list(known.values()))

    return _perform(context, "return_receive", reference, lines, work)


def inspect_return(context: Context, return_id: int, verdicts: Sequence[Verdict]) -> Outcome:
    """Releases received units for sale, or writes them off; open shortages get released ones first.

    Refused beyond what waits for inspection, and beyond what is unavailable there.
    """
    _check_verdicts(verdicts)

    def work(posting: Posting) -> None:
        document, known = _load(lock_document(CustomerReturn, posting.merchant_id, return_id))
        judged = _judge(known, verdicts)
        posting.lock({v for v, _ in judged}, {place for _, place in judged})
        check_unavailable([(posting.levels[place], sum(units)) for place, units in judged.items()])
        for place, (released, written_off) in judged.items():
            level = posting.levels[place]
            if released:
                posting.post(level, MovementKind.CONDITION, Reason.INSPECTION, unavailable=-released)
            if written_off:
                posting.post(
                    level,
                    MovementKind.ADJUSTMENT,
                    Reason.WRITE_OFF,
                    on_hand=-written_off,
                    unavailable=-written_off,
                )
        fill_owed(posting)
        _save(posting, document, list(known.values()))

    request = [return_id, [asdict(verdict) for verdict in verdicts]]
    return perform(context, "return_inspect", request, work)


def close_return(context: Context, return_id: int) -> Outcome:
    """Stops waiting for what has not come; nothing moves. Refused while goods wait for inspection.

    What is not unavailable at its place any more was put back or scrapped otherwise, and waits for nobody.
    """

    def work(posting: Posting) -> None:
        document, known = _load(lock_document(CustomerReturn, posting.merchant_id, return_id))
        if waiting := [line for line in known.values() if line.to_inspect]:
            _judge_elsewhere(posting, document, waiting)
        document.given_up_at = timezone.now()
        _save(posting, document, list(known.values()))

    return perform(context, "return_close", [return_id], work)


def _judge_elsewhere(posting: Posting, document: CustomerReturn, waiting: Sequence[ReturnLine]) -> None:
    """Notes goods that are gone from where they waited. Refuses those that are there."""
    posting.lock({line.variant_id for line in waiting}, {line.location_id for line in waiting})
    for line in waiting:
        if posting.levels[line.variant_id, line.location_id].unavailable:
            raise InvalidStockRequest("state", f"goods of {document} wait for inspection; judge them first.")
        line.elsewhere_quantity += line.to_inspect


def outstanding(lines: Sequence[ReturnLine]) -> dict[int, int]:
    """Returns the units still expected by variant, wherever they arrive."""
    units: Counter[int] = Counter()
    for line in lines:
        units[line.variant_id] += line.announced_quantity - line.received_quantity
    return {variant: missing for variant, missing in units.items() if missing > 0}


def _summed(lines: Sequence[ReturnUnits]) -> dict[Place, int]:
    totals: Counter[Place] = Counter()
    for line in lines:
        totals[line.variant_id, line.location_id] += line.quantity
    return dict(totals)


def _check_known(merchant_id: int, totals: dict[Place, int]) -> None:
    check_places_of_goods(merchant_id, {variant for variant, _ in totals}, location=[p for _, p in totals])


def _check_verdicts(verdicts: Sequence[Verdict]) -> None:
    check_quantities("released", [verdict.released for verdict in verdicts], smallest=0)
    check_quantities("written_off", [verdict.written_off for verdict in verdicts], smallest=0)
    if not all(verdict.released + verdict.written_off for verdict in verdicts):
        raise InvalidStockRequest("verdicts", "a verdict names at least one unit.")


def _judge(known: dict[Place, ReturnLine], verdicts: Sequence[Verdict]) -> dict[Place, tuple[int, int]]:
    """Notes the verdicts on the lines; returns the released and written off units of each."""
    judged: dict[Place, tuple[int, int]] = {}
    for verdict in verdicts:
        place = verdict.variant_id, verdict.location_id
        line = known.get(place)
        if line is None:
            raise UnknownStock("The return has no such goods at this place.")
        units = verdict.released + verdict.written_off
        if units > line.to_inspect:
            raise InvalidStockRequest(
                "verdicts",
                f"{units} of {line.variant.sku} are judged, {line.to_inspect} wait for inspection; "
                "receive what else has come first.",
            )
        line.released_quantity += verdict.released
        line.written_off_quantity += verdict.written_off
        released, written_off = judged.get(place, (0, 0))
        judged[place] = released + verdict.released, written_off + verdict.written_off
    return judged


# The document.

_OPEN: Final = """
INSERT INTO inventory_customerreturn (merchant_id, reference, state, created_at)
VALUES (%s, %s, 'announced', clock_timestamp())
ON CONFLICT (merchant_id, reference) DO NOTHING
"""


def _open(posting: Posting, reference: str) -> tuple[CustomerReturn, dict[Place, ReturnLine]]:
    """Locks the return of this reference, which is made where nobody has announced it, and reads its lines."""
    with connection.cursor() as cursor:
        cursor.execute(_OPEN, [posting.merchant_id, reference])
    rows = CustomerReturn.objects.select_for_update(no_key=True)
    return _load(rows.get(merchant_id=posting.merchant_id, reference=reference))


def _load(document: CustomerReturn) -> tuple[CustomerReturn, dict[Place, ReturnLine]]:
    lines = document.lines.select_related("variant").order_by("id")
    return document, {(line.variant_id, line.location_id): line for line in lines}


def _line(document: CustomerReturn, known: dict[Place, ReturnLine], place: Place) -> ReturnLine:
    variant_id, location_id = place
    return known.setdefault(
        place, ReturnLine(customer_return=document, variant_id=variant_id, location_id=location_id)
    )


_SAVE_LINES: Final = """
INSERT INTO inventory_returnline
    (customer_return_id, variant_id, location_id, announced_quantity, received_quantity, released_quantity,
     written_off_quantity, elsewhere_quantity)
SELECT %s, * FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[],
                         %s::bigint[])
ON CONFLICT (customer_return_id, variant_id, location_id) DO UPDATE
SET announced_quantity = excluded.announced_quantity, received_quantity = excluded.received_quantity,
    released_quantity = excluded.released_quantity, written_off_quantity = excluded.written_off_quantity,
    elsewhere_quantity = excluded.elsewhere_quantity
"""


def _save(posting: Posting, document: CustomerReturn, lines: Sequence[ReturnLine]) -> None:
    """Writes what became of a return, and the state that follows from its lines."""
    rows = [
        (
            line.variant_id,
            line.location_id,
            line.announced_quantity,
            line.received_quantity,
            line.released_quantity,
            line.written_off_quantity,
            line.elsewhere_quantity,
        )
        for line in lines
    ]
    if rows:
        with connection.cursor() as cursor:
            columns = [list(column) for column in zip(*rows, strict=True)]
            cursor.execute(_SAVE_LINES, [document.pk, *columns])
    document.state = _state(document, lines)
    document.save()
    document.operations.add(posting.operation_id)


def _state(document: CustomerReturn, lines: Sequence[ReturnLine]) -> ReturnState:
    if any(line.to_inspect for line in lines):
        return ReturnState.RECEIVED
    if document.given_up_at is None and outstanding(lines):
        return ReturnState.ANNOUNCED
    return ReturnState.CLOSED


def _perform(
    context: Context, verb: str, reference: str, lines: Sequence[ReturnUnits], work: Callable[[Posting], None]
) -> Outcome:
    named = replace(context, document=context.document or reference)
    return perform(named, verb, [reference, [asdict(line) for line in lines]], work)
