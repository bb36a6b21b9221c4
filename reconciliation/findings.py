"""What is known around a shelf that differs, and what it makes the likely cause."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from django.db import connection

from channels.exposure import targets
from channels.models.outbound import PushOutcome
from reconciliation.models.discrepancies import Cause
from reconciliation.staging import Suspect

#: A shelf that was corrected so often within a day and differs again is written by somebody who does not stop.
PERSISTENT: Final = 3

# The price of a unit is that of the last order line of the variant that named one, on this channel if there is one there.
_FACTS: Final = """
SELECT level.id, channel.merchant_id, level.channel_id, level.dead_at, level.last_error,
    push.outcome, push.quantity, push.finished_at, push.error,
    (SELECT max(finished_at) FROM channels_push
     WHERE listing_level_id = level.id AND outcome = 'unknown' AND finished_at > clock_timestamp() - interval '1 hour'),
    seen.received_at,
    (SELECT count(*) FROM channels_channelorderline line
     JOIN channels_channelorder placed ON placed.id = line.order_id
     WHERE placed.channel_id = level.channel_id AND line.listing_external_id = listing.external_id
       AND line.applied_demand = 0 AND line.applied_fulfilled = 0
       AND (line.quantity > line.cancelled OR line.fulfilled > 0)),
    (SELECT count(*) FROM channels_channelorder placed
     WHERE placed.channel_id = level.channel_id AND placed.fetch_wanted > placed.fetched AND placed.fetch_error <> ''),
    (SELECT count(DISTINCT past.variant_id) > 1 FROM channels_historicallisting past
     WHERE past.id = listing.id AND past.history_date > clock_timestamp() - interval '1 day'),
    listing.sku <> '' AND EXISTS (
        SELECT FROM channels_listing twin
        WHERE twin.channel_id = listing.channel_id AND twin.sku = listing.sku AND twin.id <> listing.id AND twin.is_active),
    price.unit_price, price.currency,
    earlier.times, earlier.numbers
FROM channels_listinglevel level
JOIN channels_listing listing ON listing.id = level.listing_id
JOIN channels_channel channel ON channel.id = level.channel_id
LEFT JOIN LATERAL (
    SELECT outcome, quantity, finished_at, error FROM channels_push
    WHERE listing_level_id = level.id ORDER BY finished_at DESC, id DESC LIMIT 1
) push ON true
LEFT JOIN LATERAL (
    SELECT received_at FROM channels_shelfobservation
    WHERE listing_level_id = level.id AND quantity = (
        SELECT shown FROM unnest(%(ids)s::bigint[], %(shown)s::bigint[]) AS given (id, shown)
        WHERE given.id = level.id)
    ORDER BY id DESC LIMIT 1
) seen ON true
LEFT JOIN LATERAL (
    SELECT line.unit_price, placed.currency
    FROM channels_channelorderline line
    JOIN channels_channelorder placed ON placed.id = line.order_id
    WHERE line.variant_id = listing.variant_id AND line.unit_price IS NOT NULL
    ORDER BY placed.channel_id = level.channel_id DESC, line.id DESC LIMIT 1
) price ON true
LEFT JOIN LATERAL (
    SELECT array_agg(closed_at ORDER BY id) AS times, array_agg(shown ORDER BY id) AS numbers
    FROM reconciliation_discrepancy
    WHERE listing_level_id = level.id AND state = 'corrected' AND last_seen_at > clock_timestamp() - interval '1 day'
      AND cause IN ('foreign_edit', 'foreign_writer')
) earlier ON true
WHERE level.id = ANY(%(ids)s::bigint[])
"""


_FOR_PEOPLE: Final = frozenset({Cause.UNSEEN_ORDER, Cause.MAPPING, Cause.FOREIGN_WRITER})


@dataclass(frozen=True, slots=True)
class Facts:
    """What was found around one shelf."""

    listing_level_id: int
    merchant_id: int
    channel_id: int
    dead_at: datetime | None = None
    last_error: str = ""
    #: How the last push ended, and what it sent.
    outcome: str | None = None
    sent: int | None = None
    sent_at: datetime | None = None
    push_error: str | None = None
    #: When a push last had no answer, within the last hour.
    unanswered_at: datetime | None = None
    #: When the shop itself said that it shows this number.
    announced_at: datetime | None = None
    #: Order lines of the listing that wait for a variant or a place, and orders of the channel that cannot be fetched.
    waiting_lines: int = 0
    unread_orders: int = 0
    is_remapped: bool = False
    has_twin: bool = False
    unit_price: Decimal | None = None
    currency: str | None = None
    #: When it was corrected within the last day, and what it had shown each time.
    corrected_at: Sequence[datetime] | None = None
    corrected_from: Sequence[int] | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """A shelf that differs for certain, with what is known of it."""

    facts: Facts
    shown: int
    expected: int
    cause: Cause
    evidence: dict[str, str] = field(default_factory=dict)

    @property
    def needs_person(self) -> bool:
        """Whether a push of ours would not mend it, or would only begin a fight over it."""
        return self.cause in _FOR_PEOPLE or self.facts.dead_at is not None


def findings(suspects: Sequence[Suspect]) -> list[Finding]:
    """Returns what is known of shelves, in a number of statements that does not grow with them.

    A shelf whose last number was given up is measured by what it should be told now, and left out where it shows that.
    """
    facts = read_facts(suspects)
    dead = [suspect.listing_level_id for suspect in suspects if _is_dead(facts, suspect)]
    wanted = targets(dead) if dead else {}
    found = []
    for suspect in suspects:
        about = facts.get(suspect.listing_level_id)
        if about is None:
            continue
        expected = wanted.get(suspect.listing_level_id, suspect.expected)
        if suspect.shown != expected:
            cause, evidence = judge(about, suspect.shown, expected)
            found.append(Finding(about, suspect.shown, expected, cause, evidence))
    return found


def _is_dead(facts: Mapping[int, Facts], suspect: Suspect) -> bool:
    about = facts.get(suspect.listing_level_id)
    return about is not None and about.dead_at is not None


def read_facts(suspects: Collection[Suspect]) -> dict[int, Facts]:
    """Reads what is known around shelves, by listing level."""
    parameters: dict[str, Any] = {
        "ids": [suspect.listing_level_id for suspect in suspects],
        "shown": [suspect.shown for suspect in suspects],
    }
    with connection.cursor() as cursor:
        cursor.execute(_FACTS, parameters)
        return {row[0]: Facts(*row) for row in cursor.fetchall()}


def judge(facts: Facts, shown: int, expected: int) -> tuple[Cause, dict[str, str]]:
    """Returns the likely cause, and what speaks for it; the first rule that holds decides."""
    evidence = _evidence(facts)
    if facts.dead_at or facts.unanswered_at:
        return Cause.UNCONFIRMED_PUSH, evidence
    if shown < expected and (facts.waiting_lines or facts.unread_orders):
        return Cause.UNSEEN_ORDER, evidence
    if facts.is_remapped or facts.has_twin:
        return Cause.MAPPING, evidence
    if len(facts.corrected_at or ()) >= PERSISTENT:
        return Cause.FOREIGN_WRITER, evidence
    return Cause.FOREIGN_EDIT, evidence


def _evidence(facts: Facts) -> dict[str, str]:
    told = "" if facts.outcome is None else PushOutcome(facts.outcome).label
    corrected = [
        f"{at:%Y-%m-%d %H:%M:%S} from {number}"
        for at, number in zip(facts.corrected_at or (), facts.corrected_from or (), strict=True)
    ]
    lines = {
        "Last push": f"{told}: {_number(facts.sent)} at {_instant(facts.sent_at)}" if told else "none",
        "Its error": facts.push_error or "",
        "A push had no answer": _instant(facts.unanswered_at),
        "Given up": f"{_instant(facts.dead_at)}: {facts.last_error}" if facts.dead_at else "",
        "The shop itself said so": _instant(facts.announced_at),
        "Order lines of the listing that wait": str(facts.waiting_lines or ""),
        "Orders that cannot be fetched": str(facts.unread_orders or ""),
        "Mapped to another variant lately": "yes" if facts.is_remapped else "",
        "Another listing has the same SKU": "yes" if facts.has_twin else "",
        "Corrected within a day": "; ".join(corrected[-10:]),
    }
    return {label: text for label, text in lines.items() if text}


def _number(quantity: int | None) -> str:
    return "nothing" if quantity is None else str(quantity)


def _instant(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC" if at else ""
