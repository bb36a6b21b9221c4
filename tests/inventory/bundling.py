"""The cast with kits: a tea set of mugs and a spoon, sold as one."""

from django.db.models import Q
from django.utils import timezone

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


def assert_kits_are_whole() -> None:
    """Looks at every kit that is held: a reservation for each part, all for the same number of kits, at one place."""
    groups: dict[int, list[Reservation]] = {}
    alive = Q(expires_at__isnull=True) | Q(expires_at__gt=timezone.now())
    rows = Reservation.objects.filter(alive, lead__isnull=False, open_quantity__gt=0)
    for row in rows.select_related("level", "bundle"):
        groups.setdefault(row.lead_id or 0, []).append(row)
    for parts in groups.values():
        bundle = parts[0].bundle
        assert bundle is not None
        assert {row.variant_id: row.per_bundle for row in parts} == dict(
            bundle.parts.values_list("variant_id", "quantity")
        )
        assert len({row.open_quantity // (row.per_bundle or 1) for row in parts}) == 1
        assert len({row.level.location_id for row in parts}) == 1
