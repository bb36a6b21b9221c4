"""Counts what help desks were asked: tickets about goods that were not available.

Each ticket counts once, however often its file is read. Nothing of the customer or of what was written is kept.
"""

import csv
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Final

from django.db import transaction
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from analytics.errors import TicketRefused
from analytics.models import DayChange, SupportTicket
from channels.models import Channel
from inventory.models import Variant

#: Columns that a file must have, and may have.
REQUIRED: Final = ("ticket", "opened_at")
OPTIONAL: Final = ("channel", "sku")
_LONGEST: Final = 100


@dataclass(frozen=True, slots=True)
class Ticket:
    """One ticket; channel by name and SKU where the desk knows them."""

    number: str
    opened_at: datetime
    channel: str = ""
    sku: str = ""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of some tickets."""

    new: int
    #: Counted before.
    known: int


@transaction.atomic
def record_tickets(merchant_id: int, tickets: Sequence[Ticket]) -> Recorded:
    """Counts tickets, all or none; those counted before stay as they are.

    Raises `TicketRefused` for a number, channel or SKU that cannot be, and for an instant that is still to come.
    """
    channels = dict(Channel.objects.filter(merchant_id=merchant_id).values_list("name", "id"))
    variants = _variants(merchant_id, {ticket.sku for ticket in tickets if "\0" not in ticket.sku} - {""})
    now = timezone.now()
    rows = {}
    for position, ticket in enumerate(tickets, start=1):
        _check(position, ticket, now, channels, variants)
        rows[ticket.number] = SupportTicket(
            merchant_id=merchant_id,
            number=ticket.number,
            opened_at=ticket.opened_at,
            channel_id=channels.get(ticket.channel),
            variant_id=variants.get(ticket.sku),
            recorded_at=now,
        )
    mine = SupportTicket.objects.filter(merchant_id=merchant_id)
    known = set(mine.filter(number__in=list(rows)).values_list("number", flat=True))
    new = [row for number, row in rows.items() if number not in known]
    SupportTicket.objects.bulk_create(new, ignore_conflicts=True, batch_size=5000)
    days = {row.opened_at.astimezone(UTC).date() for row in new}
    DayChange.objects.bulk_create(DayChange(merchant_id=merchant_id, changed_on=day) for day in days)
    return Recorded(len(new), len(rows) - len(new))


def _variants(merchant_id: int, skus: Collection[str]) -> dict[str, int]:
    rows = Variant.objects.filter(merchant_id=merchant_id, sku__in=skus)
    return dict(rows.values_list("sku", "id"))


def _check(
    position: int, ticket: Ticket, now: datetime, channels: Collection[str], variants: Collection[str]
) -> None:
    def refused(field: str, message: str) -> TicketRefused:
        return TicketRefused(field, f"Ticket {position}: {message}", position=position)

    if not ticket.number or len(ticket.number) > _LONGEST or not ticket.number.isprintable():
        raise refused("ticket", f"give it a number of 1 to {_LONGEST} printable characters.")
    if ticket.opened_at > now:
        raise refused(
            "opened_at", f"{ticket.opened_at:%Y-%m-%d %H:%M} is still to come; check the time zone."
        )
    if ticket.channel and ticket.channel not in channels:
        raise refused("channel", f"no channel is named {ticket.channel}. Correct it, or leave it empty.")
    if ticket.sku and ticket.sku not in variants:
        raise refused("sku", f"no variant has the SKU {ticket.sku}. Correct it, or leave it empty.")


def read_tickets(lines: Iterable[str]) -> list[Ticket]:
    """Reads a CSV file with the columns ticket and opened_at, and channel and sku where known.

    Raises `TicketRefused` with the number of the first line that cannot be read.
    """
    reader = csv.DictReader(lines, strict=True)
    try:
        return _read(reader)
    except csv.Error as error:
        raise TicketRefused("file", f"Line {reader.line_num}: {error}. Save it as plain CSV.") from error


def _read(reader: "csv.DictReader[str]") -> list[Ticket]:
    missing = [name for name in REQUIRED if name not in (reader.fieldnames or ())]
    if missing:
        raise TicketRefused(
            "file",
            f"The first line must name the columns {' and '.join(REQUIRED)}, and may name "
            f"{' and '.join(OPTIONAL)}; {', '.join(missing)} is missing.",
        )
    return [
        Ticket(
            (row["ticket"] or "").strip(),
            _instant(row["opened_at"] or "", reader.line_num),
            (row.get("channel") or "").strip(),
            (row.get("sku") or "").strip(),
        )
        for row in reader
    ]


def _instant(text: str, line: int) -> datetime:
    """Reads an instant or a day; without a zone it is meant in UTC."""
    try:
        instant = parse_datetime(text.strip())
        day = None if instant else parse_date(text.strip())
    except ValueError:
        instant = day = None
    found = datetime.combine(day, time(), UTC) if day else instant
    if found is None:
        raise TicketRefused(
            "file", f"Line {line}: {text!r} is no instant. Write 2026-01-31 14:00 or 2026-01-31."
        )
    return found if found.tzinfo else found.replace(tzinfo=UTC)
