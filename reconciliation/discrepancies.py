"""Records discrepancies, corrects what the channel's policy allows, and closes what is over.

Lock order: the mutation fuse, listing levels by id, discrepancies by listing level. Recording commits before anything is
corrected; what a process that dies leaves uncorrected is corrected when it is seen again.
"""

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from channels import fuse
from channels.corrections import WrongShelf, write_over
from channels.fuse import Change
from channels.models import Channel, Listing, ListingLevel
from channels.models.listings import Lane
from channels.models.mutations import MutationKind, MutationState
from channels.pushes import mark_listing_levels, replay
from reconciliation.errors import Refused
from reconciliation.findings import Finding
from reconciliation.models import Discrepancy, ReconciliationPolicy
from reconciliation.models.discrepancies import DiscrepancyState, Policy

#: The same shelf again is the same discrepancy, with what is known now.
_RECORD: Final = """
INSERT INTO reconciliation_discrepancy AS kept
    (merchant_id, channel_id, listing_level_id, run_id, shown, expected, unit_price, currency, cause, evidence, state,
     sightings, first_seen_at, last_seen_at, closed_by, because)
SELECT found.merchant_id, found.channel_id, found.level_id, %s::bigint, found.shown, found.expected, found.unit_price,
    found.currency, found.cause, found.evidence, 'open', 1, found.seen_at, found.seen_at, '', ''
FROM unnest(
    %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::numeric[], %s::text[], %s::text[],
    %s::jsonb[], %s::timestamptz[]
) AS found (merchant_id, channel_id, level_id, shown, expected, unit_price, currency, cause, evidence, seen_at)
ON CONFLICT (listing_level_id) WHERE closed_at IS NULL DO UPDATE
SET shown = excluded.shown, expected = excluded.expected, cause = excluded.cause, evidence = excluded.evidence,
    unit_price = excluded.unit_price, currency = excluded.currency,
    state = CASE WHEN kept.state = 'held' THEN kept.state ELSE 'open' END, closed_by = '',
    sightings = kept.sightings + 1, last_seen_at = greatest(kept.last_seen_at, excluded.last_seen_at)
RETURNING kept.id
"""

_NOTE_CORRECTING: Final = """
WITH given AS (
    SELECT open.id, given.wanted
    FROM unnest(%s::bigint[], %s::bigint[]) AS given (level_id, wanted)
    JOIN reconciliation_discrepancy open ON open.listing_level_id = given.level_id AND open.closed_at IS NULL
    ORDER BY open.listing_level_id
    FOR UPDATE OF open
)
UPDATE reconciliation_discrepancy kept
SET state = 'correcting', correcting_wanted = given.wanted
FROM given
WHERE kept.id = given.id
"""

#: A shelf is corrected once it was told with the mark of its correction, or told anything after the difference was seen.
_FOLLOW: Final = """
WITH ended AS (
    SELECT open.id,
        CASE
            WHEN open.state = 'correcting' AND level.dead_at IS NOT NULL THEN 'open'
            WHEN open.state = 'correcting' THEN 'corrected'
            WHEN open.state = 'held' AND held.state IN ('refused', 'withdrawn') THEN 'open'
            ELSE 'corrected'
        END AS state,
        CASE WHEN held.state = 'confirmed' THEN held.decided_by ELSE open.closed_by END AS closed_by,
        CASE WHEN open.state = 'correcting' THEN 'The right number was written over it.'
             ELSE 'A later push wrote over it.' END AS because
    FROM reconciliation_discrepancy open
    JOIN channels_listinglevel level ON level.id = open.listing_level_id
    LEFT JOIN channels_mutation held ON held.id = open.mutation_id
    WHERE open.closed_at IS NULL AND (
        open.state = 'correcting' AND (level.done >= open.correcting_wanted OR level.dead_at IS NOT NULL)
        OR open.state = 'held' AND held.state IN ('refused', 'withdrawn')
        OR open.state IN ('open', 'held') AND level.confirmed_at > open.last_seen_at AND level.wanted = level.done
            AND level.lease_token IS NULL AND level.seen_at IS NULL AND NOT level.is_outcome_unknown
    )
    ORDER BY open.listing_level_id
    FOR UPDATE OF open SKIP LOCKED
)
UPDATE reconciliation_discrepancy kept
SET state = ended.state,
    cause = CASE WHEN kept.state = 'correcting' AND ended.state = 'open' THEN 'unconfirmed_push' ELSE kept.cause END,
    closed_at = CASE WHEN ended.state = 'corrected' THEN clock_timestamp() END,
    closed_by = CASE WHEN ended.state = 'corrected' THEN ended.closed_by ELSE '' END,
    because = CASE WHEN ended.state = 'corrected' THEN ended.because ELSE kept.because END
FROM ended
WHERE kept.id = ended.id
"""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of findings at once, in discrepancies."""

    ids: list[int] = field(default_factory=list)
    correcting: int = 0
    held: int = 0

    @property
    def flagged(self) -> int:
        """How many wait for a person."""
        return len(self.ids) - self.correcting


def take_up(findings: Sequence[Finding], *, run_id: int | None = None) -> Recorded:
    """Records findings of now, and corrects those that their channels' policies allow."""
    ids = record(findings, run_id=run_id)
    counted = correct(findings)
    return Recorded(ids, counted["correcting"], counted["held"])


def record(
    findings: Sequence[Finding],
    *,
    seen_at: Mapping[int, datetime] | None = None,
    run_id: int | None = None,
) -> list[int]:
    """Records findings; one of a shelf that has an open discrepancy brings that up to date. Returns their ids.

    `seen_at` says by listing level when a difference was seen; the others were seen now.
    """
    if not findings:
        return []
    now, seen_at = timezone.now(), seen_at or {}
    ordered = sorted(findings, key=lambda finding: finding.facts.listing_level_id)
    columns: list[list[Any]] = [
        [each.facts.merchant_id for each in ordered],
        [each.facts.channel_id for each in ordered],
        [each.facts.listing_level_id for each in ordered],
        [each.shown for each in ordered],
        [each.expected for each in ordered],
        [each.facts.unit_price for each in ordered],
        [each.facts.currency or "" for each in ordered],
        [each.cause.value for each in ordered],
        [json.dumps(each.evidence) for each in ordered],
        [seen_at.get(each.facts.listing_level_id, now) for each in ordered],
    ]
    with connection.cursor() as cursor:
        cursor.execute(_RECORD, [run_id, *columns])
        return [identity for (identity,) in cursor.fetchall()]


def policy_of(channel: Channel | int) -> ReconciliationPolicy:
    """Returns a channel's policy; the default where nobody chose one."""
    channel_id = channel if isinstance(channel, int) else channel.pk
    found = ReconciliationPolicy.objects.filter(channel_id=channel_id).first()
    return found or ReconciliationPolicy(channel_id=channel_id)


def may_correct(policy: str, threshold: int, difference: int) -> bool:
    """Tells whether a difference of so many units is corrected without a person."""
    return policy == Policy.CORRECT or (policy == Policy.CORRECT_SMALL and abs(difference) <= threshold)


def correct(findings: Sequence[Finding]) -> Counter[str]:
    """Has the right numbers written where the channels' policies allow it. Call it outside transactions."""
    counted: Counter[str] = Counter()
    for channel_id in sorted({finding.facts.channel_id for finding in findings}):
        policy = policy_of(channel_id)
        wrong = [
            WrongShelf(each.facts.listing_level_id, each.expected, each.shown)
            for each in findings
            if each.facts.channel_id == channel_id
            and not each.needs_person
            and may_correct(policy.policy, policy.threshold_units, each.shown - each.expected)
        ]
        if wrong:
            counted += _write(channel_id, wrong, actor="reconciliation")
    return counted


@transaction.atomic
def _write(
    channel_id: int, wrong: Sequence[WrongShelf], *, actor: str, is_chosen: bool = False
) -> Counter[str]:
    """Passes the fuse and marks shelves; what a person chose passes it whatever its size."""
    channel = Channel.objects.defer("credentials").get(pk=channel_id)
    levels = [shelf.listing_level_id for shelf in wrong]
    listings = set(Listing.objects.filter(levels__in=levels).values_list("id", flat=True))
    change = Change(
        merchant_id=channel.merchant_id,
        kind=MutationKind.CORRECTION,
        listing_ids=listings,
        summary=f"{len(listings)} listings of {channel} show other numbers than they should",
        actor=actor,
        channel_id=channel_id,
    )
    mutation = fuse.note(change) if is_chosen else fuse.admit(change)
    if mutation.state == MutationState.WAITING:
        mine = Discrepancy.objects.filter(pk__in=_locked(levels))
        return Counter(held=mine.update(state=DiscrepancyState.HELD, mutation=mutation))
    marked = write_over(wrong)
    _note_correcting(marked)
    return Counter(correcting=len(marked))


def _locked(level_ids: Sequence[int]) -> list[int]:
    open_ones = Discrepancy.objects.filter(listing_level__in=level_ids, closed_at__isnull=True)
    return list(open_ones.order_by("listing_level_id").select_for_update().values_list("pk", flat=True))


def _note_correcting(marked: Mapping[int, int]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_NOTE_CORRECTING, [list(marked), list(marked.values())])


def follow() -> int:
    """Closes what was corrected since, and opens again what could not be; returns how many."""
    with connection.cursor() as cursor:
        cursor.execute(_FOLLOW)
        return int(cursor.rowcount)


def close_right(level_ids: Collection[int], seen_at: datetime) -> int:
    """Closes discrepancies of shelves that were seen to be right after they were last seen to differ."""
    gone = Discrepancy.objects.filter(
        listing_level__in=level_ids, closed_at__isnull=True, last_seen_at__lt=seen_at
    ).exclude(state=DiscrepancyState.CORRECTING)
    return gone.update(
        state=DiscrepancyState.GONE, closed_at=timezone.now(), because="The shelf shows what it should."
    )


# -- what people decide


def correct_chosen(chosen: QuerySet[Discrepancy], *, actor: str) -> int:
    """Has shelves told their right numbers now, whatever the policy; returns how many.

    A shelf of which something is known anew since it was seen to differ is read before it is told; a dead letter is replayed.
    """
    rows = list(
        chosen.filter(closed_at__isnull=True, listing_level__isnull=False)
        .exclude(state=DiscrepancyState.CORRECTING)
        .values_list("channel_id", "listing_level_id", "expected", "shown")
    )
    for channel_id in sorted({row[0] for row in rows}):
        wrong = [WrongShelf(*row[1:]) for row in rows if row[0] == channel_id]
        _write(channel_id, wrong, actor=actor, is_chosen=True)
        levels = [shelf.listing_level_id for shelf in wrong]
        _tell_the_rest(levels)
        mine = Discrepancy.objects.filter(listing_level__in=levels, closed_at__isnull=True)
        mine.update(closed_by=actor[:200])
    return len(rows)


def _tell_the_rest(level_ids: Sequence[int]) -> None:
    rest = Discrepancy.objects.filter(listing_level__in=level_ids, closed_at__isnull=True)
    rest_ids = sorted(
        rest.exclude(state=DiscrepancyState.CORRECTING).values_list("listing_level_id", flat=True)
    )
    replay(rest_ids)
    mark_listing_levels(rest_ids, lane=Lane.DECREASE, read_first=True)
    _note_correcting(dict(ListingLevel.objects.filter(pk__in=rest_ids).values_list("id", "wanted")))


def dismiss(chosen: QuerySet[Discrepancy], *, actor: str, because: str) -> int:
    """Closes discrepancies without a change; they come back when they are seen again. Raises `Refused`."""
    if not because.strip():
        raise Refused("because", "Say why; a colleague should understand it in a year.")
    open_ones = chosen.filter(closed_at__isnull=True).exclude(state=DiscrepancyState.CORRECTING)
    return open_ones.update(
        state=DiscrepancyState.DISMISSED, closed_at=timezone.now(), closed_by=actor[:200], because=because
    )
