"""The timeline of a conflict: who sold when, when we knew, what each channel had been told, and what was done since."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from channels.history import PastShelf
from reconciliation.causes import seconds
from reconciliation.evidence import Evidence, Sale
from reconciliation.models import Resolution

#: A sale that was unknown for longer than this is pointed out as late.
LATE: Final = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened."""

    at: datetime
    what: str
    #: Whether it came later than it should have.
    is_late: bool = False


def units_of(quantity: int) -> str:
    """Returns a number of units in words."""
    return "1 unit" if quantity == 1 else f"{quantity} units"


def timeline(evidence: Evidence, resolutions: list[Resolution]) -> list[Event]:
    """Returns what happened around a conflict, the earliest first."""
    events = [*_sales(evidence), *_told(evidence), *_edits(evidence), *_conflict(evidence)]
    events += [Event(each.requested_at, _decided(each)) for each in resolutions]
    return sorted(events, key=lambda event: event.at)


def _sales(evidence: Evidence) -> Iterator[Event]:
    if evidence.sale is not None:
        yield from _sale(evidence.sale, "This sale")
    for rival in evidence.rivals:
        yield from _sale(rival, "Other sale, of kits" if rival.is_of_kit else "Other sale")


def _sale(sale: Sale, what: str) -> Iterator[Event]:
    yield Event(sale.sold_at, f"{what}: {sale.units} to {sale.title}.")
    if sale.delay:
        late = f", {seconds(sale.delay)} after its sale"
        yield Event(sale.known_at, f"{sale.title} known to the ledger{late}.", sale.delay > LATE)


def _told(evidence: Evidence) -> Iterator[Event]:
    for shelf in evidence.shelves:
        yield from _shelf(shelf)


def _shelf(shelf: PastShelf) -> Iterator[Event]:
    where = f"{shelf.channel}{f' ({shelf.place})' if shelf.place else ''}"
    if shelf.confirmed_at is not None:
        yield Event(shelf.confirmed_at, f"{where} confirmed {shelf.confirmed}.")
    if shelf.sent_at is not None and not shelf.has_ended:
        yield Event(
            shelf.sent_at,
            f"{where} was being told {shelf.sent}, and had not confirmed it by the time of the sale.",
            is_late=True,
        )


def _edits(evidence: Evidence) -> Iterator[Event]:
    for edit in evidence.edits:
        yield Event(
            edit.at,
            f"{edit.channel} showed {edit.shown}, written by somebody else; {edit.expected} was expected.",
        )


def _conflict(evidence: Evidence) -> Iterator[Event]:
    conflict = evidence.conflict
    yield Event(
        conflict.opened_at,
        f"Conflict opened: {units_of(conflict.quantity)}, {conflict.get_cause_display().lower()}.",
    )
    if conflict.resolved_at is not None:
        yield Event(conflict.resolved_at, "Nothing is owed any more.")


def _decided(resolution: Resolution) -> str:
    who = resolution.actor or "somebody"
    return f"{who}: {resolution.summary}, {units_of(resolution.quantity)}; {resolution.get_state_display().lower()}."
