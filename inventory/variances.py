"""What somebody found to differ from the ledger at an instant, added to what is on hand now.

What was sold or received since that instant stays as it is: it was none of what they found.
"""

from collections.abc import Sequence
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
class Variance:
    """So many units more (or, negative, fewer) lay at a location than the ledger knew of; not 0."""

    variant_id: int
    location_id: int
    units: int


def record_variances(context: Context, variances: Sequence[Variance]) -> Outcome:
    """Counts what was found into the ledger; units that are gone break the newest reservations into conflicts."""
    if any(each.units == 0 for each in variances):
        raise InvalidStockRequest("units", "what does not differ is no variance; leave it out.")
    check_quantities("units", [abs(each.units) for each in variances], smallest=1)
    if len({(each.variant_id, each.location_id) for each in variances}) < len(variances):
        raise InvalidStockRequest("lines", "the same variant is named twice at one location.")

    def work(posting: Posting) -> None:
        posting.refuse_kits()
        pairs = {(each.variant_id, each.location_id) for each in variances}
        posting.lock({variant for variant, _ in pairs}, {place for _, place in pairs}, create=pairs)
        release_expired(posting)
        found = [(posting.levels[each.variant_id, each.location_id], each.units) for each in variances]
        add_variances(posting, found, reference=context.document)
        fill_owed(posting)

    request = [asdict(each) for each in variances]
    variants = [each.variant_id for each in variances]
    return perform(context, "count", request, work, variants=variants)


def add_variances(posting: Posting, found: Sequence[tuple[LockedLevel, int]], *, reference: str) -> None:
    """Adds each variance to what is on hand now; what would be less than nothing was beyond record."""
    for level, variance in found:
        beyond = -(level.on_hand + variance)
        if beyond > 0:
            taking.add_beyond_record(posting, level, beyond, reference=reference)
    taking.make_room(posting, [(level, -variance) for level, variance in found if variance < 0])
    for level, variance in found:
        taking.lose_or_find(posting, level, variance, MovementKind.COUNT, Reason.CORRECTION)
