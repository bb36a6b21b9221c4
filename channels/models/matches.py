"""Which variant an unmapped listing is likely to be."""

from django.db import models
from django.db.models import Q

from channels.models.listings import Listing
from inventory.models import Variant


class MatchBasis(models.TextChoices):
    """What a match rests on, the surest first."""

    GTIN = "gtin", "Same GTIN"
    SKU = "sku", "Same SKU but for case and signs"
    TITLE = "title", "Similar title"


class ListingMatch(models.Model):
    """The best guess for one listing; a person decides, and a mapped listing needs none."""

    listing = models.OneToOneField(Listing, on_delete=models.CASCADE, related_name="match")
    variant = models.ForeignKey(Variant, on_delete=models.CASCADE, related_name="+")
    basis = models.CharField(max_length=10, choices=MatchBasis.choices)
    #: Percent.
    confidence = models.PositiveSmallIntegerField()
    found_at = models.DateTimeField()

    class Meta:
        ordering = ["-confidence", "id"]
        verbose_name_plural = "listing matches"
        constraints = [
            models.CheckConstraint(
                condition=Q(confidence__range=(1, 100)), name="match_confidence_is_a_percentage"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.listing_id} is {self.variant_id} ({self.confidence} %)"
