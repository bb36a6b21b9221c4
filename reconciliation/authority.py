"""The other direction: where an ERP or a warehouse has the say over stock, what it counts corrects the ledger.

Its number is compared with what the ledger held at the instant up to which it knows our orders. What was sold or received
since is none of the difference, and stays; the difference is counted into the ledger by the authority's policy.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from channels.models import Authority
from inventory.ledger import Context
from inventory.locking import create_missing_levels
from inventory.variances import Variance, record_variances
from reconciliation.discrepancies import may_correct
from reconciliation.errors import Refused
from reconciliation.models import Discrepancy, StockAuthority
from reconciliation.models.discrepancies import Cause, DiscrepancyState

# A level without a movement by then held nothing. What was counted since, in the same direction, is found already, whoever
# counted it: a person, or this authority when it said the same before. So are units that have left beyond record since.
_COMPARE: Final = """
SELECT variant.id, given.number, coalesce(past.on_hand_after, 0)
    + CASE WHEN given.number >= coalesce(past.on_hand_after, 0)
        THEN least(greatest(since.counted, 0) + since.beyond, given.number - coalesce(past.on_hand_after, 0))
        ELSE greatest(least(since.counted, 0), given.number - coalesce(past.on_hand_after, 0))
    END
FROM unnest(%s::text[], %s::bigint[]) AS given (sku, number)
JOIN inventory_variant variant ON variant.merchant_id = %s AND variant.sku = given.sku
LEFT JOIN inventory_stocklevel level ON level.variant_id = variant.id AND level.location_id = %s
LEFT JOIN LATERAL (
    SELECT on_hand_after, version FROM inventory_stockmovement
    WHERE level_id = level.id AND recorded_at <= %s ORDER BY version DESC LIMIT 1
) past ON true
LEFT JOIN LATERAL (
    SELECT coalesce(sum(on_hand_delta) FILTER (WHERE kind = 'count'), 0)::bigint AS counted,
        coalesce(sum(on_hand_delta) FILTER (WHERE reason = 'beyond_record' AND on_hand_delta > 0), 0)::bigint AS beyond
    FROM inventory_stockmovement
    WHERE level_id = level.id AND version > coalesce(past.version, 0)
) since ON true
"""

#: How the evidence names up to where the level's movements were looked at.
_VERSION: Final = "Movements of the level then"

_RECORD: Final = f"""
INSERT INTO reconciliation_discrepancy AS kept
    (merchant_id, stock_level_id, shown, expected, currency, cause, evidence, state, sightings, first_seen_at,
     last_seen_at, closed_by, because)
SELECT %s, level.id, given.shown, given.expected, '', 'ledger', jsonb_build_object('Said by', %s::text,
    'Knows our orders until', %s::text, '{_VERSION}', level.version::text), 'open', 1, %s, %s, '', ''
FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) AS given (variant_id, shown, expected)
JOIN inventory_stocklevel level ON level.variant_id = given.variant_id AND level.location_id = %s
ORDER BY level.id
ON CONFLICT (stock_level_id) WHERE closed_at IS NULL DO UPDATE
SET shown = excluded.shown, expected = excluded.expected, evidence = excluded.evidence,
    sightings = kept.sightings + 1, last_seen_at = greatest(kept.last_seen_at, excluded.last_seen_at)
RETURNING kept.id
"""  # noqa: S608  # a constant only

# What was counted of the level since it was compared, in the same direction, was found by whoever counted it.
_STILL_TO_COUNT: Final = """
SELECT given.id, CASE WHEN given.units >= 0
    THEN greatest(given.units - greatest(since.units, 0), 0) ELSE least(given.units - least(since.units, 0), 0) END
FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[]) AS given (id, level_id, version, units)
CROSS JOIN LATERAL (
    SELECT coalesce(sum(on_hand_delta), 0)::bigint AS units FROM inventory_stockmovement
    WHERE level_id = given.level_id AND version > given.version AND kind = 'count'
) since
"""


@dataclass(frozen=True, slots=True)
class Compared:
    """What a comparison with an authority came to."""

    compared: int
    drifted: int
    corrected: int
    flagged: int
    #: SKUs that the merchant does not have.
    unknown: list[str] = field(default_factory=list)


def compare(authority: StockAuthority, numbers: Mapping[str, int], *, seen_until: datetime) -> Compared:
    """Compares what an authority says lies at its location, by SKU, with the ledger; corrects by its policy.

    `seen_until`: up to when the authority knows our orders and receipts. Saying the same twice changes nothing twice.
    Raises `Refused` for numbers below 0, for an instant to come, and where a channel has the say over the location.
    """
    kept = Authority.objects.filter(location=authority.location_id).select_related("place__channel").first()
    if kept is not None:
        raise Refused(
            "location",
            f"{kept.place.channel} has the say over it and is read by itself. Take that away first.",
        )
    if seen_until > timezone.now():
        raise Refused("seen_until", "must not lie in the future.")
    negative = sorted(sku for sku, number in numbers.items() if number < 0)
    if negative:
        raise Refused("numbers", f"{negative[0]} has fewer than 0 units on hand. Mend it at its source.")
    rows = _rows(authority, numbers, seen_until)
    differing = [row for row in rows if row[1] != row[2]]
    right = [variant_id for variant_id, number, then in rows if number == then]
    with transaction.atomic():
        _close_right(authority, right, seen_until)
        ids = _record(authority, differing, seen_until)
        small = [
            each.pk
            for each in Discrepancy.objects.filter(pk__in=ids)
            if may_correct(authority.policy, authority.threshold_units, each.difference)
        ]
        corrected = count_in(Discrepancy.objects.filter(pk__in=small), actor=authority.name)
    known = set(_skus(authority, [row[0] for row in rows]))
    unknown = sorted(set(numbers) - known)
    return Compared(len(rows), len(differing), corrected, len(differing) - corrected, unknown)


def _rows(
    authority: StockAuthority, numbers: Mapping[str, int], seen_until: datetime
) -> list[tuple[int, int, int]]:
    """Returns (variant, what the authority says, what the ledger held then)."""
    parameters: list[Any] = [list(numbers), list(numbers.values()), authority.merchant_id]
    with connection.cursor() as cursor:
        cursor.execute(_COMPARE, [*parameters, authority.location_id, seen_until])
        rows: list[tuple[int, int, int]] = cursor.fetchall()
    return rows


def _skus(authority: StockAuthority, variant_ids: Sequence[int]) -> list[str]:
    variants = authority.merchant.variants.filter(pk__in=variant_ids)
    return list(variants.values_list("sku", flat=True))


def _record(
    authority: StockAuthority, differing: Sequence[tuple[int, int, int]], seen_until: datetime
) -> list[int]:
    if not differing:
        return []
    create_missing_levels(
        authority.merchant_id, {(variant_id, authority.location_id) for variant_id, _, _ in differing}
    )
    columns = [list(column) for column in zip(*differing, strict=True)]
    said = f"{seen_until:%Y-%m-%d %H:%M:%S} UTC"
    parameters: list[Any] = [authority.merchant_id, authority.name, said, seen_until, seen_until, *columns]
    with connection.cursor() as cursor:
        cursor.execute(_RECORD, [*parameters, authority.location_id])
        return [identity for (identity,) in cursor.fetchall()]


def _close_right(authority: StockAuthority, variant_ids: Sequence[int], seen_until: datetime) -> None:
    right = Discrepancy.objects.filter(
        stock_level__location=authority.location_id,
        stock_level__variant__in=variant_ids,
        closed_at__isnull=True,
        last_seen_at__lte=seen_until,
    )
    right.update(
        state=DiscrepancyState.GONE,
        closed_at=timezone.now(),
        because=f"{authority.name} agrees with the ledger.",
    )


@transaction.atomic
def count_in(chosen: QuerySet[Discrepancy], *, actor: str) -> int:
    """Counts what authorities found into the ledger, whatever the policy; returns how many levels.

    Each discrepancy is counted once: it is locked, and closed in the same transaction. What somebody has counted since it was
    found is not counted again.
    """
    rows = chosen.filter(cause=Cause.LEDGER, closed_at__isnull=True).select_related("stock_level")
    found = list(rows.select_for_update(of=("self",)).order_by("stock_level_id"))
    units = _still_to_count(found)
    for merchant_id in sorted({each.merchant_id for each in found}):
        mine = [each for each in found if each.merchant_id == merchant_id and units[each.pk]]
        if not mine:
            continue
        named = ",".join(f"{each.pk}.{each.sightings}" for each in mine)
        key = f"authority:{hashlib.sha256(named.encode()).hexdigest()[:40]}"
        context = Context(merchant_id, key, actor=actor, source="reconciliation", document=actor[:100])
        record_variances(context, [_variance(each, units[each.pk]) for each in mine])
    now = timezone.now()
    return Discrepancy.objects.filter(pk__in=[each.pk for each in found]).update(
        state=DiscrepancyState.CORRECTED,
        closed_at=now,
        closed_by=actor[:200],
        because="Counted into the ledger.",
    )


def _still_to_count(found: Sequence[Discrepancy]) -> dict[int, int]:
    """Returns by discrepancy the units that nobody has counted since it was compared."""
    rows = [
        (each.pk, each.stock_level_id, int(each.evidence.get(_VERSION, 2**62)), each.difference)
        for each in found
    ]
    if not rows:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_STILL_TO_COUNT, [list(column) for column in zip(*rows, strict=True)])
        return dict(cursor.fetchall())


def _variance(discrepancy: Discrepancy, units: int) -> Variance:
    level = discrepancy.stock_level
    if level is None:
        raise ValueError(f"Discrepancy {discrepancy.pk} is of no level of the ledger.")
    return Variance(level.variant_id, level.location_id, units)
