"""The cast with kits: a tea set of mugs and a spoon, sold as one."""

from django.db import connection

from inventory.bundles import Component, define
from inventory.ledger import Outcome
from inventory.models import Bundle, BundleKind, Location, Reservation, Variant
from inventory.reservations import Demand
from tests.factories import VariantFactory
from tests.inventory.cast import Cast


class Kitchen(Cast):
    """Mugs and spoons, and a set of two mugs and one spoon."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.spoon = VariantFactory(merchant=self.merchant, sku=f"SPOON-{self.merchant.pk}")
        self.set = VariantFactory(merchant=self.merchant, sku=f"SET-{self.merchant.pk}")
        self.make(self.set, {self.mug: 2, self.spoon: 1})

    def make(
        self, bundle: Variant, components: dict[Variant, int], kind: BundleKind = BundleKind.KIT
    ) -> Outcome:
        """Says what a variant is made of."""
        lines = [Component(variant.pk, quantity) for variant, quantity in components.items()]
        return define(self.context(), bundle.pk, kind, lines)

    def new(self, sku: str = "") -> Variant:
        """Returns another variant."""
        return VariantFactory(merchant=self.merchant, **({"sku": sku} if sku else {}))

    def stock(self, mugs: int, spoons: int, place: Location | None = None) -> None:
        """Receives mugs and spoons."""
        if mugs:
            self.receive(mugs, self.mug, place)
        if spoons:
            self.receive(spoons, self.spoon, place)

    def demand(self, reference: str, quantity: int, variant: Variant | None = None) -> Demand:
        """Returns a demand for sets that either place may serve."""
        return Demand(reference, (variant or self.set).pk, quantity, self.places)


def made_of(variant: Variant) -> dict[str, int]:
    """Returns what the current version of a bundle takes from stock, by SKU."""
    bundle = Bundle.objects.get(variant=variant, is_current=True)
    return dict(bundle.parts.values_list("variant__sku", "quantity"))


def held_parts(reference: str) -> dict[tuple[str, str], int]:
    """Returns what a reference holds, by SKU and location."""
    units: dict[tuple[str, str], int] = {}
    rows = Reservation.objects.filter(reference=reference, open_quantity__gt=0)
    for row in rows.select_related("variant", "level__location"):
        key = row.variant.sku, row.level.location.code
        units[key] = units.get(key, 0) + row.open_quantity
    return units


#: Kits that are held (their time not over), of which a part is missing, lies elsewhere or is for another number of kits.
_NOT_WHOLE = """
SELECT r.lead_id FROM inventory_reservation r
JOIN inventory_bundle bundle ON bundle.id = r.bundle_id
JOIN inventory_stocklevel level ON level.id = r.level_id
LEFT JOIN inventory_bundlepart part ON part.bundle_id = r.bundle_id AND part.variant_id = r.variant_id
WHERE r.open_quantity > 0 AND coalesce(r.expires_at > clock_timestamp(), true)
GROUP BY r.lead_id, bundle.id
HAVING count(*) <> bundle.part_count OR min(r.open_quantity / r.per_bundle) <> max(r.open_quantity / r.per_bundle)
    OR min(level.location_id) <> max(level.location_id) OR bool_or(part.quantity IS DISTINCT FROM r.per_bundle)
"""


def assert_kits_are_whole() -> None:
    """Looks at every kit that is held: a reservation for each part, all for the same number of kits, at one place."""
    with connection.cursor() as cursor:
        cursor.execute(_NOT_WHOLE)
        assert cursor.fetchall() == []
