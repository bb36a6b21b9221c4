"""What a conflict came from, judged by the evidence alone: the first of these that the record shows.

the cause that the ledger gave → a foreign edit → kits → an order that nobody knew of → a number that was not confirmed in
time → a shop that sold below its number → sales too close together
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Final

from django.utils import timezone

from inventory.models import Conflict
from inventory.models.conflicts import ConflictCause
from reconciliation.evidence import Evidence, Sale, gather
from reconciliation.models import CauseClass, ConflictCase

#: Sales that are closer together than this could not have been told from one shop to the other.
PHYSICS: Final = timedelta(seconds=1)

Judgement = tuple[CauseClass, str]

#: Causes that need no further look: the ledger itself saw what happened.
_BY_LEDGER: Final[dict[str, Judgement]] = {
    ConflictCause.BROKEN: (CauseClass.PHYSICAL_LOSS, "A count, loss or damage took the goods from it."),
    ConflictCause.BEYOND_RECORD: (CauseClass.PHYSICAL_LOSS, "More left than was on record."),
    ConflictCause.INBOUND: (CauseClass.LATE_INBOUND, "The goods promised to it did not come in time."),
    ConflictCause.GIVEN: (CauseClass.GIVEN_AWAY, "A person gave what it held to another demand."),
}


def classify(evidence: Evidence) -> Judgement:
    """Returns what made the conflict possible, and the sentence that says why."""
    known = _BY_LEDGER.get(evidence.conflict.cause)
    if known is not None:
        return known
    for judge in _JUDGES:
        judgement = judge(evidence)
        if judgement is not None:
            return judgement
    return CauseClass.UNEXPLAINED, "Nothing on record explains it."


def examine(conflict: Conflict) -> ConflictCase:
    """Judges a conflict and keeps the judgement; one that was judged before stays as it is."""
    kept = ConflictCase.objects.filter(pk=conflict.pk).first()
    if kept is not None:
        return kept
    evidence = gather(conflict)
    cause_class, sentence = classify(evidence)
    case, _ = ConflictCase.objects.get_or_create(
        conflict=conflict,
        defaults={
            "merchant_id": conflict.merchant_id,
            "channel_id": evidence.channel_id,
            "cause_class": cause_class,
            "evidence": sentence,
            "examined_at": timezone.now(),
        },
    )
    return case


def examine_new(*, limit: int = 200) -> int:
    """Judges conflicts that nobody has judged yet, the latest first; returns how many."""
    new = list(Conflict.objects.filter(case__isnull=True, open_quantity__gt=0).order_by("-id")[:limit])
    for conflict in new:
        examine(conflict)
    return len(new)


def seconds(span: timedelta) -> str:
    """Returns a span in the unit that fits a sentence."""
    total = span.total_seconds()
    return f"{total:.1f} s" if total < 120 else f"{total / 60:.0f} min"


def _foreign_edit(evidence: Evidence) -> Judgement | None:
    edits = [each for each in evidence.edits if each.channel_id == evidence.channel_id]
    raised = [each for each in edits if each.expected is None or each.shown > each.expected]
    sale = evidence.sale
    if not raised or sale is None or raised[0].at > sale.sold_at:
        return None
    edit = raised[0]
    return (
        CauseClass.FOREIGN_EDIT,
        f"{edit.channel} showed {edit.shown}, which somebody else had written at {edit.at:%H:%M:%S}; "
        f"{edit.expected} was expected.",
    )


def _bundle(evidence: Evidence) -> Judgement | None:
    kits = [rival for rival in evidence.rivals if rival.is_of_kit]
    if evidence.is_kit and evidence.rivals:
        return CauseClass.BUNDLE, f"What it is made of was also sold to {evidence.rivals[0].title}."
    if kits and kits[0] is evidence.rivals[0]:
        return CauseClass.BUNDLE, f"The last units went as part of kits to {kits[0].title}."
    return None


def _unseen_order(evidence: Evidence) -> Judgement | None:
    sale = evidence.sale
    if sale is None:
        return None
    for rival in evidence.rivals:
        if rival.sold_at <= sale.sold_at - PHYSICS and rival.known_at > sale.sold_at:
            return CauseClass.UNSEEN_ORDER, _unseen(rival, sale)
        if rival.sold_at >= sale.sold_at + PHYSICS and rival.known_at < sale.known_at:
            return CauseClass.UNSEEN_ORDER, _unseen(sale, rival)
    return None


def _unseen(first: Sale, second: Sale) -> str:
    return (
        f"{first.title} was sold {seconds(second.sold_at - first.sold_at)} before {second.title}, "
        f"and known only {seconds(first.delay)} after its sale."
    )


def _unconfirmed_push(evidence: Evidence) -> Judgement | None:
    sale = evidence.sale
    if sale is None or not evidence.rivals:
        return None
    last = evidence.rivals[0]
    if last.known_at > sale.sold_at - PHYSICS:
        return None
    for shelf in evidence.own_shelves:
        is_older = shelf.confirmed_at is None or shelf.confirmed_at < last.known_at
        if is_older and (shelf.shown is None or shelf.shown > 0):
            return (
                CauseClass.UNCONFIRMED_PUSH,
                f"{last.title} was known {seconds(sale.sold_at - last.known_at)} before the sale, and {shelf.channel} "
                f"had not confirmed a number since: it still showed {_number(shelf.shown)}.",
            )
    return None


def _sold_below(evidence: Evidence) -> Judgement | None:
    shown = [shelf.shown for shelf in evidence.own_shelves if shelf.shown is not None]
    sale = evidence.sale
    if not shown or sale is None or sum(shown) >= sale.units:
        return None
    return (
        CauseClass.SOLD_BELOW,
        f"The shop had confirmed {sum(shown)} and sold {sale.units}: see whether it sells what is out of stock.",
    )


def _true_race(evidence: Evidence) -> Judgement | None:
    sale = evidence.sale
    if sale is None or not evidence.rivals:
        return None
    nearest = min(evidence.rivals, key=lambda rival: abs(rival.sold_at - sale.sold_at))
    if abs(nearest.sold_at - sale.sold_at) >= PHYSICS:
        return None
    return (
        CauseClass.TRUE_RACE,
        f"{nearest.title} and {sale.title} were sold within {seconds(abs(nearest.sold_at - sale.sold_at))} of each other.",
    )


def _number(shown: int | None) -> str:
    return "a number that we never read" if shown is None else str(shown)


_JUDGES: Final[tuple[Callable[[Evidence], Judgement | None], ...]] = (
    _foreign_edit,
    _bundle,
    _unseen_order,
    _unconfirmed_push,
    _sold_below,
    _true_race,
)
