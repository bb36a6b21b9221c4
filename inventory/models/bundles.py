"""What a variant is made of: kits, which are put together when sold, and composites, which are assembled before."""

from django.db import models
from django.db.models import F, Q

from inventory.models.catalogue import Merchant, Variant
from inventory.models.stock import StockOperation


class BundleKind(models.TextChoices):
    """When the components become the whole."""

    #: When it is sold: it has no stock of its own, a sale holds its components.
    KIT = "kit", "Kit"
    #: Beforehand, by `assemble`: it has stock of its own, and raw materials go into it.
    COMPOSITE = "composite", "Composite"


class Bundle(models.Model):
    """One version of what a variant is made of. A change is a new version, by `inventory.bundles`; only the end is added."""

    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="+")
    #: What is sold, or made.
    variant = models.ForeignKey(Variant, on_delete=models.PROTECT, related_name="bundles")
    #: 1, 2, 3 … for each variant.
    version = models.PositiveIntegerField()
    kind = models.CharField(max_length=16, choices=BundleKind.choices)
    #: Who wrote it, when and why; for a kit of kits also the change of a kit within.
    operation = models.ForeignKey(StockOperation, on_delete=models.PROTECT, related_name="bundles")
    #: Number of its parts: what is left when kits within kits are taken apart.
    part_count = models.PositiveSmallIntegerField()
    is_current = models.BooleanField(default=True)
    created_at = models.DateTimeField()
    #: When the next version took its place, or it was dissolved; empty while it is current.
    ended_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["variant_id", "-version"]
        constraints = [
            models.UniqueConstraint(
                fields=["merchant", "variant", "version"], name="bundle_version_is_unique_per_variant"
            ),
            models.UniqueConstraint(
                fields=["merchant", "variant"], condition=Q(is_current=True), name="bundle_is_current_once"
            ),
            models.CheckConstraint(condition=Q(part_count__gt=0), name="bundle_has_parts"),
        ]

    def __str__(self) -> str:
        return f"{self.variant} version {self.version}"


class BundleComponent(models.Model):
    """One component as a person entered it; it may be a kit itself."""

    bundle = models.ForeignKey(Bundle, on_delete=models.PROTECT, related_name="components")
    variant = models.ForeignKey(Variant, on_delete=models.PROTECT, related_name="component_of")
    #: In one bundle, in the component's base unit: 0.25 kg are 250 g.
    quantity = models.BigIntegerField()

    class Meta:
        ordering = ["bundle_id", "id"]
        constraints = [
            models.UniqueConstraint(fields=["bundle", "variant"], name="component_is_named_once"),
            models.CheckConstraint(condition=Q(quantity__gt=0), name="component_quantity_is_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} × {self.variant}"


class BundlePart(models.Model):
    """What one bundle takes from stock: its components, kits within it taken apart and added up."""

    bundle = models.ForeignKey(Bundle, on_delete=models.PROTECT, related_name="parts")
    #: What is sold; repeated from the bundle, so that it is found from a part in one index.
    bundle_variant = models.ForeignKey(Variant, on_delete=models.PROTECT, related_name="+", db_index=False)
    variant = models.ForeignKey(Variant, on_delete=models.PROTECT, related_name="part_of", db_index=False)
    #: In one bundle, in the part's base unit.
    quantity = models.BigIntegerField()
    #: Whether sales draw on it now: part of the current version of a kit.
    is_drawn_on = models.BooleanField(default=False)

    class Meta:
        ordering = ["bundle_id", "variant_id"]
        constraints = [
            models.UniqueConstraint(fields=["bundle", "variant"], name="part_is_named_once"),
            models.CheckConstraint(condition=Q(quantity__gt=0), name="part_quantity_is_positive"),
            models.CheckConstraint(
                condition=~Q(variant=F("bundle_variant")), name="bundle_is_no_part_of_itself"
            ),
        ]
        indexes = [
            models.Index(fields=["variant"], name="part_drawn_on", condition=Q(is_drawn_on=True)),
            models.Index(fields=["bundle_variant"], name="part_by_bundle", condition=Q(is_drawn_on=True)),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} × {self.variant}"
