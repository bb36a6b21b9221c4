"""Takes up what shops themselves said they show, and what pushes settled, so that nothing is put right in silence."""

from collections.abc import Sequence
from typing import Final

from django.db import transaction

from channels.models import ShelfObservation
from reconciliation import discrepancies
from reconciliation.findings import findings
from reconciliation.models import Discrepancy
from reconciliation.staging import Suspect

_AT_ONCE: Final = 500


def take_up_observations() -> int:
    """Makes discrepancies of numbers that nothing explains; returns how many were new or seen again.

    What a run or another message has told already is the same sighting, and not counted twice.
    """
    with transaction.atomic():
        waiting = ShelfObservation.objects.filter(awaits_reconciliation=True).order_by("id")
        taken = list(waiting.select_for_update(skip_locked=True)[:_AT_ONCE])
        if not taken:
            return 0
        ShelfObservation.objects.filter(pk__in=[each.pk for each in taken]).update(
            awaits_reconciliation=False
        )
        news = _news(taken)
        found = findings(
            [
                Suspect(each.listing_level_id, each.quantity, each.expected)
                for each in news
                if each.expected is not None
            ]
        )
        seen_at = {each.listing_level_id: each.judged_at or each.received_at for each in news}
        discrepancies.record(found, seen_at=seen_at)
    discrepancies.correct(found)
    return len(found)


def _news(taken: Sequence[ShelfObservation]) -> list[ShelfObservation]:
    """Returns the newest of each shelf, where nobody has told of it."""
    newest = {each.listing_level_id: each for each in taken}
    told = Discrepancy.objects.filter(listing_level__in=newest).values_list(
        "listing_level_id", "shown", "last_seen_at"
    )
    for level_id, shown, seen_at in told:
        each = newest.get(level_id) if level_id is not None else None
        if each is not None and each.quantity == shown and seen_at >= each.received_at:
            del newest[level_id]
    return list(newest.values())
