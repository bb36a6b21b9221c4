"""Words that merchants put on variants, so that rules can speak of many at once."""

from django.db import models
from django.db.models import Q
from simple_history.models import HistoricalRecords

from inventory.models.catalogue import Merchant, Variant


class Tag(models.Model):
    """A word on variants: fast seller, fragile, season."""

    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="tags")
    name = models.CharField(max_length=64)
    #: Variants that sold at least so many units in the last seven days carry it by themselves; empty: people put it on.
    weekly_units = models.PositiveIntegerField(null=True, blank=True)
    history = HistoricalRecords()

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["merchant", "name"], name="tag_name_is_unique_per_merchant"),
            models.CheckConstraint(condition=~Q(name=""), name="tag_name_is_not_empty"),
            models.CheckConstraint(
                condition=Q(weekly_units__isnull=True) | Q(weekly_units__gt=0),
                name="tag_weekly_units_are_positive",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class VariantTag(models.Model):
    """A tag on a variant."""

    tag = models.ForeignKey(Tag, on_delete=models.CASCADE, related_name="taggings")
    variant = models.ForeignKey(Variant, on_delete=models.CASCADE, related_name="taggings")
    #: Put on by what it sells, and taken off the same way.
    is_automatic = models.BooleanField(default=False, editable=False)
    history = HistoricalRecords()

    class Meta:
        ordering = ["variant_id", "tag_id"]
        constraints = [
            models.UniqueConstraint(fields=["tag", "variant"], name="variant_carries_a_tag_once"),
        ]
        indexes = [models.Index(fields=["variant", "tag"], name="tags_of_variant")]

    def __str__(self) -> str:
        return f"{self.tag} on {self.variant}"
