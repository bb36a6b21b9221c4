"""The mutation fuse: changes of very many listings wait for a person.

It counts the distinct listings that rules, imports, mappings and corrections changed within ten minutes. Up to an
absolute floor, or a share of the merchant's mapped listings, they pass; beyond it nothing is changed until
somebody confirms (`channels.mutations`). Movements of stock do not come here: what they lower is told at once.

Whoever changes what decides numbers takes the fuse's lock first and keeps it to its commit, so that a mapping and
an activation see each other. Lock order: the fuse, rows of rules, listing levels by id.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from django.db import connection
from django.db.models import QuerySet
from django.db.models.functions import Now

from channels.models import Mutation, MutationFuse
from channels.models.mutations import MutationKind, MutationState

#: Minutes that the fuse looks back.
WINDOW: Final = 10

# Listings of a channel that never confirmed a number do not count: nothing that was told there changes. Nor does the
# mapping of a channel whose listings are still being read for the first time: they are mapped and told in waves.
_COUNT: Final = """
WITH told AS (
    SELECT channel.id FROM channels_channel channel
    WHERE channel.merchant_id = %(merchant)s AND EXISTS (
        SELECT FROM channels_listinglevel level
        WHERE level.channel_id = channel.id AND level.confirmed_at IS NOT NULL
    ) AND NOT (%(is_mapping)s AND EXISTS (
        SELECT FROM channels_pollfeed feed
        WHERE feed.channel_id = channel.id AND feed.name = 'listings' AND feed.last_polled_at IS NULL
    ))
), recent AS (
    SELECT DISTINCT unnest(listing_ids) AS id FROM channels_mutation
    WHERE merchant_id = %(merchant)s AND state IN ('applied', 'confirmed')
      AND coalesce(decided_at, at) > clock_timestamp() - make_interval(mins => %(minutes)s)
), counted AS (
    SELECT listing.id FROM channels_listing listing
    WHERE listing.id = ANY(%(listings)s::bigint[]) AND listing.channel_id IN (SELECT id FROM told)
)
SELECT (SELECT count(*) FROM recent),
       (SELECT count(*) FROM counted WHERE id NOT IN (SELECT id FROM recent)),
       (SELECT count(*) FROM channels_listing listing
        JOIN channels_channel channel ON channel.id = listing.channel_id
        WHERE channel.merchant_id = %(merchant)s AND listing.is_active AND listing.variant_id IS NOT NULL),
       ARRAY(SELECT id FROM counted ORDER BY id)
"""


@dataclass(frozen=True, slots=True)
class Change:
    """What is about to change many listings."""

    merchant_id: int
    kind: MutationKind
    listing_ids: Collection[int]
    summary: str
    actor: str = ""
    because: str = ""
    channel_id: int | None = None
    version_id: int | None = None


@dataclass(frozen=True, slots=True)
class Count:
    """How far a merchant's fuse is used up, in listings."""

    changed_before: int
    newly_changed: int
    allowed: int
    counted_ids: list[int]

    @property
    def is_beyond(self) -> bool:
        """Whether the change would be more than may pass; also one of listings that were changed a moment ago."""
        return bool(self.counted_ids) and self.changed_before + self.newly_changed > self.allowed


def lock(merchant_id: int) -> MutationFuse:
    """Holds off everybody else who changes what decides the merchant's numbers, until the end of the transaction."""
    MutationFuse.objects.bulk_create([MutationFuse(merchant_id=merchant_id)], ignore_conflicts=True)
    return MutationFuse.objects.select_for_update().get(merchant_id=merchant_id)


def count(fuse: MutationFuse, listing_ids: Collection[int] = (), *, is_mapping: bool = False) -> Count:
    """Counts what was changed in the last ten minutes, and what these listings would add."""
    parameters: dict[str, Any] = {
        "merchant": fuse.merchant_id,
        "minutes": WINDOW,
        "listings": list(listing_ids),
        "is_mapping": is_mapping,
    }
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, parameters)
        before, new, mapped, counted_ids = cursor.fetchone()
    return Count(before, new, max(fuse.floor, mapped * fuse.percent // 100), counted_ids)


def admit(change: Change, *, is_suspicious: bool = False) -> Mutation:
    """Lets a change pass, or leaves it waiting for a person; its `state` says which. Demands a transaction.

    What is suspicious waits whatever its size. A change that waits already is brought up to date, not doubled.
    """
    counted = _count(change)
    is_held = is_suspicious or counted.is_beyond
    return _keep(change, counted, MutationState.WAITING if is_held else MutationState.APPLIED)


def note(change: Change) -> Mutation:
    """Counts a change that a person made on purpose, and lets it pass. Demands a transaction."""
    return _keep(change, _count(change), MutationState.APPLIED)


def _count(change: Change) -> Count:
    is_mapping = change.kind is MutationKind.MAPPING
    return count(lock(change.merchant_id), change.listing_ids, is_mapping=is_mapping)


def withdraw(change: Change) -> None:
    """Takes back what waits and is no longer needed."""
    _waiting(change).update(state=MutationState.WITHDRAWN, decided_at=Now())


def _keep(change: Change, counted: Count, state: MutationState) -> Mutation:
    is_waiting = state is MutationState.WAITING
    values: dict[str, Any] = {
        "summary": change.summary,
        "listing_ids": sorted(change.listing_ids) if is_waiting else counted.counted_ids,
        "listings": len(change.listing_ids),
        "changed_before": counted.changed_before,
        "allowed": counted.allowed,
        "actor": change.actor[:200],
        "because": change.because,
    }
    waiting = _waiting(change).first() if is_waiting else None
    if waiting is not None:
        Mutation.objects.filter(pk=waiting.pk).update(**values)
        waiting.refresh_from_db()
        return waiting
    return Mutation.objects.create(
        merchant_id=change.merchant_id,
        kind=change.kind,
        state=state,
        channel_id=change.channel_id,
        version_id=change.version_id,
        at=Now(),
        **values,
    )


def _waiting(change: Change) -> QuerySet[Mutation]:
    about: dict[str, Any] = {"channel_id": change.channel_id, "version_id": change.version_id}
    waiting = Mutation.objects.filter(
        merchant_id=change.merchant_id, kind=change.kind, state=MutationState.WAITING, **about
    )
    return waiting.order_by("id")
