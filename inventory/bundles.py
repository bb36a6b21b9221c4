"""Bundles: what variants are made of is written here, in versions, and how many of each can be had is read here.

A change writes a new version of the bundle and of every bundle that contains it; what is held already stays what it was made
of. Writers of one merchant's bundles take turns by the merchant's row, so that no two of them close a circle. The levels of the
parts are locked meanwhile: who moves them next knows the new version.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from django.db import connection, transaction
from django.utils import timezone

from inventory import announcements, recipes
from inventory.errors import InvalidStockRequest, UnknownStock
from inventory.holds import fill, load_waiting
from inventory.ledger import Context, Outcome, domain_errors, perform
from inventory.models import (
    Bundle,
    BundleComponent,
    BundleKind,
    BundlePart,
    Location,
    Merchant,
    StockLevel,
    Variant,
)
from inventory.posting import Posting
from inventory.recipes import LARGEST_AMOUNT, MOST_PARTS, Recipe
from inventory.validation import check_quantities


@dataclass(frozen=True, slots=True)
class Component:
    """What one bundle contains of a variant, in the variant's base unit: 0.25 kg are 250."""

    variant_id: int
    quantity: int


def define(context: Context, variant_id: int, kind: BundleKind, components: Sequence[Component]) -> Outcome:
    """Says what a variant is made of, in a new version; what is held already stays what it was made of.

    Raises `InvalidStockRequest` with the field: `components` for circles, repeats and quantities, `variant` and `kind` for
    what is in the way; `UnknownStock` for variants of somebody else.
    """
    _check_components(variant_id, components)
    recipe = Recipe(kind is BundleKind.KIT, {c.variant_id: c.quantity for c in components})
    request = [variant_id, kind.value, [asdict(component) for component in components]]
    return _change(context, "define", request, _Change(variant_id, recipe))


def dissolve(context: Context, variant_id: int) -> Outcome:
    """Makes a bundle a plain variant again. Raises `InvalidStockRequest` where kits of it are held or owed."""
    return _change(context, "dissolve", [variant_id], _Change(variant_id, None))


def _check_components(variant_id: int, components: Sequence[Component]) -> None:
    if not components:
        raise InvalidStockRequest("components", "a bundle needs at least one component.")
    check_quantities("components", [component.quantity for component in components], smallest=1)
    if any(component.quantity > LARGEST_AMOUNT for component in components):
        raise InvalidStockRequest("components", f"at most {LARGEST_AMOUNT:,} of one component.")
    if len(components) > MOST_PARTS:
        raise InvalidStockRequest("components", f"at most {MOST_PARTS} components.")
    if len({component.variant_id for component in components}) < len(components):
        raise InvalidStockRequest("components", "the same variant is named twice; add the quantities up.")
    if any(component.variant_id == variant_id for component in components):
        raise InvalidStockRequest("components", "a bundle cannot contain itself.")


@dataclass(frozen=True, slots=True)
class _Change:
    """The bundle that changes, and what it is made of from now on; None: nothing any more."""

    variant_id: int
    recipe: Recipe | None


def _change(context: Context, verb: str, request: Any, change: _Change) -> Outcome:
    with domain_errors(), transaction.atomic():
        _wait_for_turn(context.merchant_id)
        work = _Rewriting(change)
        outcome = perform(context, verb, request, work)
        if work.rewritten:
            announcements.announce_bundles(context.merchant_id, sorted(work.rewritten))
    return outcome


def _wait_for_turn(merchant_id: int) -> None:
    """Lets writers of one merchant's bundles pass one by one; sales do not wait."""
    if not Merchant.objects.select_for_update(no_key=True).filter(pk=merchant_id).exists():
        raise UnknownStock


class _Rewriting:
    """The work of one change: check, lock the parts, write the new versions, fill what waited for them."""

    def __init__(self, change: _Change) -> None:
        self._change = change
        self.rewritten: set[int] = set()

    def __call__(self, posting: Posting) -> None:
        variant_id, recipe = self._change.variant_id, self._change.recipe
        _check_known(posting.merchant_id, variant_id, recipe)
        before = recipes_around(posting.merchant_id, {variant_id, *(recipe.components if recipe else ())})
        after = {v: r for v, r in before.items() if v != variant_id} | (
            {variant_id: recipe} if recipe else {}
        )
        _check_circle(variant_id, after)
        self.rewritten = _rewritten(variant_id, before, after)
        if not self.rewritten:
            return
        _lock_parts(posting, variant_id, after)
        _check_state(posting, self._change, before.get(variant_id))
        _write(posting, {v: after.get(v) for v in self.rewritten}, after)
        fill(posting, load_waiting(posting, self.rewritten))


def _rewritten(variant_id: int, before: Mapping[int, Recipe], after: Mapping[int, Recipe]) -> set[int]:
    """Returns the bundle, if it changes, and those that contain it and thereby take something else from stock."""
    if before.get(variant_id) == after.get(variant_id):
        return set()
    around = recipes.bundles_with(variant_id, after)
    return {variant_id} | {v for v in around if recipes.parts_of(v, before) != recipes.parts_of(v, after)}


def _check_known(merchant_id: int, variant_id: int, recipe: Recipe | None) -> None:
    """Refuses variants of somebody else, and components that are switched off."""
    wanted = {variant_id, *(recipe.components if recipe else ())}
    rows = Variant.objects.filter(merchant_id=merchant_id, id__in=wanted).order_by("sku")
    found = list(rows.values_list("id", "sku", "is_active"))
    if len(found) < len(wanted):
        raise UnknownStock
    if off := [sku for pk, sku, is_active in found if pk != variant_id and not is_active]:
        message = f"{', '.join(off)}: switched off. Switch it on first, or leave it out."
        raise InvalidStockRequest("components", message)


def _check_circle(variant_id: int, made_of: Mapping[int, Recipe]) -> None:
    circle = recipes.circle_through(variant_id, made_of)
    if circle:
        skus = dict(Variant.objects.filter(id__in=circle).values_list("id", "sku"))
        way = " → ".join(skus[each] for each in circle)
        raise InvalidStockRequest("components", f"a bundle cannot contain itself: {way}.")


def _lock_parts(posting: Posting, variant_id: int, made_of: Mapping[int, Recipe]) -> None:
    """Locks the bundle's own levels and, of a kit, those of its parts everywhere: their next movement knows the change.

    A kit's own levels are made, too, so that no goods arrive unseen where it has none yet.
    """
    recipe = made_of.get(variant_id)
    parts = recipes.parts_of(variant_id, made_of) if recipe is not None and recipe.is_kit else {}
    places = set(
        Location.objects.filter(merchant_id=posting.merchant_id, is_active=True).values_list("id", flat=True)
    )
    stocked = StockLevel.objects.filter(merchant_id=posting.merchant_id, variant_id__in=[variant_id, *parts])
    elsewhere = set(stocked.order_by().values_list("location_id", flat=True).distinct())
    create = {(each, place) for each in (variant_id, *parts) for place in places} if parts else set()
    posting.lock({variant_id, *parts}, places | elsewhere, create=create)


_KITS_IN_USE: Final = """
SELECT EXISTS (SELECT FROM inventory_bundle bundle
               JOIN inventory_reservation held ON held.bundle_id = bundle.id AND held.open_quantity > 0
               WHERE bundle.merchant_id = %(merchant)s AND bundle.variant_id = %(variant)s)
    OR EXISTS (SELECT FROM inventory_conflict owed
               WHERE owed.merchant_id = %(merchant)s AND owed.variant_id = %(variant)s AND owed.open_quantity > 0
                 AND owed.cause <> 'beyond_record')
    OR EXISTS (SELECT FROM inventory_kitbackorder promised
               WHERE promised.merchant_id = %(merchant)s AND promised.variant_id = %(variant)s
                 AND promised.open_quantity > 0)
"""

#: Goods that will arrive as stock of the variant's own; promises are made from them alone.
_TO_COME: Final = """
SELECT EXISTS (SELECT FROM inventory_purchaseorderline line
               WHERE line.variant_id = %s AND line.location_id IS NOT NULL
                 AND line.quantity > line.received_quantity + line.cancelled_quantity)
"""


def _check_state(posting: Posting, change: _Change, before: Recipe | None) -> None:
    """Refuses a change between kit and stock of its own while there are units that would be neither."""
    is_kit = change.recipe is not None and change.recipe.is_kit
    was_kit = before is not None and before.is_kit
    if is_kit == was_kit:
        return
    own = [level for (variant, _), level in posting.levels.items() if variant == change.variant_id]
    if is_kit and any(level.on_hand or level.reserved or level.unavailable for level in own):
        message = "it has stock of its own, and a kit has none; disassemble it or count it to 0 first."
        raise InvalidStockRequest("variant", message)
    with connection.cursor() as cursor:
        cursor.execute(_KITS_IN_USE, {"merchant": posting.merchant_id, "variant": change.variant_id})
        (is_in_use,) = cursor.fetchone()
        cursor.execute(_TO_COME, [change.variant_id])
        (is_to_come,) = cursor.fetchone()
    if is_in_use:
        raise InvalidStockRequest(
            "kind", "units of it are held, promised or owed; ship or cancel them first."
        )
    if is_kit and is_to_come:
        message = "units of it are to come on purchase orders; receive or cancel them first."
        raise InvalidStockRequest("variant", message)


def _write(posting: Posting, rewritten: Mapping[int, Recipe | None], made_of: Mapping[int, Recipe]) -> None:
    """Retires the versions before and writes the new ones; six statements."""
    earlier = Bundle.objects.filter(merchant_id=posting.merchant_id, variant_id__in=sorted(rewritten))
    versions = dict(earlier.order_by("version").values_list("variant_id", "version"))
    drawn_on = BundlePart.objects.filter(bundle_variant_id__in=sorted(rewritten), is_drawn_on=True)
    drawn_on.update(is_drawn_on=False)
    now = timezone.now()
    earlier.filter(is_current=True).update(is_current=False, ended_at=now)
    new = {v: recipe for v, recipe in sorted(rewritten.items()) if recipe is not None}
    parts = {v: recipes.parts_of(v, made_of) for v in new}
    bundles = Bundle.objects.bulk_create(
        Bundle(
            merchant_id=posting.merchant_id,
            variant_id=variant_id,
            version=versions.get(variant_id, 0) + 1,
            kind=BundleKind.KIT if recipe.is_kit else BundleKind.COMPOSITE,
            operation_id=posting.operation_id,
            part_count=len(parts[variant_id]),
            created_at=now,
        )
        for variant_id, recipe in new.items()
    )
    BundleComponent.objects.bulk_create(
        BundleComponent(bundle=bundle, variant_id=variant_id, quantity=quantity)
        for bundle in bundles
        for variant_id, quantity in new[bundle.variant_id].components.items()
    )
    BundlePart.objects.bulk_create(_parts(bundles, parts))


def _parts(bundles: Iterable[Bundle], parts: Mapping[int, Mapping[int, int]]) -> list[BundlePart]:
    return [
        BundlePart(
            bundle=bundle,
            bundle_variant_id=bundle.variant_id,
            variant_id=variant_id,
            quantity=quantity,
            is_drawn_on=bundle.kind == BundleKind.KIT,
        )
        for bundle in bundles
        for variant_id, quantity in sorted(parts[bundle.variant_id].items())
    ]


#: From the variants given: what contains them, and what all of that is made of, as far down as it goes.
_RELATED: Final = """
WITH RECURSIVE containing AS (
    SELECT unnest(%s::bigint[]) AS id
    UNION
    SELECT bundle.variant_id
    FROM containing
    JOIN inventory_bundlecomponent component ON component.variant_id = containing.id
    JOIN inventory_bundle bundle ON bundle.id = component.bundle_id AND bundle.is_current
), related AS (
    SELECT id FROM containing
    UNION
    SELECT component.variant_id
    FROM related
    JOIN inventory_bundle bundle ON bundle.merchant_id = %s AND bundle.variant_id = related.id AND bundle.is_current
    JOIN inventory_bundlecomponent component ON component.bundle_id = bundle.id
)
SELECT bundle.variant_id, bundle.kind = 'kit', component.variant_id, component.quantity
FROM related
JOIN inventory_bundle bundle ON bundle.merchant_id = %s AND bundle.variant_id = related.id AND bundle.is_current
JOIN inventory_bundlecomponent component ON component.bundle_id = bundle.id
ORDER BY component.id
"""


def recipes_around(merchant_id: int, variant_ids: Collection[int]) -> dict[int, Recipe]:
    """Returns what these variants, all that contains them and all that is in those are made of; one statement."""
    with connection.cursor() as cursor:
        cursor.execute(_RELATED, [sorted(variant_ids), merchant_id, merchant_id])
        rows = cursor.fetchall()
    found: dict[int, Recipe] = {}
    for variant_id, is_kit, component, quantity in rows:
        components = found.setdefault(variant_id, Recipe(is_kit, {})).components
        components[component] = quantity
    return found


_AVAILABLE: Final = """
SELECT part.bundle_variant_id, location.id,
       min(greatest(coalesce(level.on_hand - level.reserved - level.unavailable, 0), 0) / part.quantity)
FROM inventory_bundlepart part
JOIN inventory_bundle bundle ON bundle.id = part.bundle_id AND bundle.merchant_id = %s
JOIN inventory_location location ON location.merchant_id = bundle.merchant_id AND location.is_active
LEFT JOIN inventory_stocklevel level
    ON level.merchant_id = bundle.merchant_id AND level.variant_id = part.variant_id
    AND level.location_id = location.id
WHERE part.is_drawn_on AND part.bundle_variant_id = ANY(%s::bigint[])
GROUP BY part.bundle_variant_id, location.id
ORDER BY part.bundle_variant_id, location.id
"""


def kits_available(merchant_id: int, variant_ids: Collection[int]) -> dict[int, dict[int, int]]:
    """Returns how many of these kits can be had, by variant and active location: the smallest count of a part.

    Exactly what `reserve` could hold there. A composite has stock levels of its own, and is not in it. One statement.
    """
    found: dict[int, dict[int, int]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_AVAILABLE, [merchant_id, sorted(variant_ids)])
        for variant_id, location_id, kits in cursor.fetchall():
            found.setdefault(variant_id, {})[location_id] = kits
    return found
