"""Composites made from their components, and taken apart again: one operation for what goes in and what comes out."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from django.db import connection

from inventory.errors import InsufficientStock, InvalidStockRequest, Shortage, UnknownStock
from inventory.holds import fill_owed, release_expired
from inventory.kits import parts_from
from inventory.ledger import Context, Outcome, perform
from inventory.models import Variant
from inventory.models.stock import MovementKind, Reason
from inventory.posting import Posting
from inventory.validation import check_quantities

#: (variant, location) → base units more or less on hand.
Changes = Counter[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class AssemblyLine:
    """Units of a composite to be made, or taken apart, at a location; positive, in the composite's base unit."""

    variant_id: int
    location_id: int
    quantity: int


def assemble(context: Context, lines: Sequence[AssemblyLine]) -> Outcome:
    """Turns components into composites: takes what is available of them, and nothing that is held for somebody.

    Raises `InsufficientStock` with every component that is short, `InvalidStockRequest` for what is no composite.
    """
    return _perform(context, "assemble", lines, made=1)


def disassemble(context: Context, lines: Sequence[AssemblyLine]) -> Outcome:
    """Turns composites that are available back into the components of their current version."""
    return _perform(context, "disassemble", lines, made=-1)


def _perform(context: Context, verb: str, lines: Sequence[AssemblyLine], *, made: int) -> Outcome:
    check_quantities("quantity", [line.quantity for line in lines], smallest=1)

    def work(posting: Posting) -> None:
        changes = _changes(lines, _recipes(posting.merchant_id, lines), made)
        posting.lock({v for v, _ in changes}, {place for _, place in changes}, create=changes)
        if release_expired(posting):
            fill_owed(posting)
        _check_available(posting, changes)
        for pair, units in sorted(changes.items()):
            posting.post(posting.levels[pair], MovementKind.ADJUSTMENT, Reason.ASSEMBLY, on_hand=units)
        fill_owed(posting)

    return perform(context, verb, [asdict(line) for line in lines], work)


_COMPOSITES: Final = """
SELECT variant.id, variant.sku, (
    SELECT jsonb_agg(jsonb_build_array(part.variant_id, part.quantity)) FROM inventory_bundlepart part
    WHERE part.bundle_id = bundle.id)
FROM inventory_variant variant
LEFT JOIN inventory_bundle bundle
    ON bundle.merchant_id = variant.merchant_id AND bundle.variant_id = variant.id
    AND bundle.is_current AND bundle.kind = 'composite'
WHERE variant.merchant_id = %s AND variant.id = ANY(%s::bigint[])
"""

Parts = tuple[tuple[int, int], ...]


def _recipes(merchant_id: int, lines: Sequence[AssemblyLine]) -> dict[int, Parts]:
    """Returns what the lines' composites are made of. Raises `InvalidStockRequest` for what is none."""
    wanted = {line.variant_id for line in lines}
    with connection.cursor() as cursor:
        cursor.execute(_COMPOSITES, [merchant_id, sorted(wanted)])
        rows = cursor.fetchall()
    if len(rows) < len(wanted):
        raise UnknownStock
    for _, sku, parts in rows:
        if parts is None:
            message = f"{sku} is not a composite; say first what it is assembled from."
            raise InvalidStockRequest("variant_id", message)
    return {variant_id: parts_from(parts) for variant_id, _, parts in rows}


def _changes(lines: Sequence[AssemblyLine], made_of: Mapping[int, Parts], made: int) -> Changes:
    """Adds up what each level gains and loses: a composite may go into another one of the same operation."""
    changes: Changes = Counter()
    for line in lines:
        changes[line.variant_id, line.location_id] += made * line.quantity
        for part, per_unit in made_of[line.variant_id]:
            changes[part, line.location_id] -= made * line.quantity * per_unit
    return Counter({pair: units for pair, units in changes.items() if units})


def _check_available(posting: Posting, changes: Changes) -> None:
    short = {p: -units for p, units in sorted(changes.items()) if -units > posting.levels[p].available}
    if short:
        skus = dict(Variant.objects.filter(id__in=[variant for variant, _ in short]).values_list("id", "sku"))
        raise InsufficientStock(
            [Shortage(skus[p[0]], p[0], units, posting.levels[p].available) for p, units in short.items()]
        )
