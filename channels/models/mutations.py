"""Changes of many listings at once, and the fuse that has a person look at them first."""

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import Q
from simple_history.models import HistoricalRecords

from channels.models.channels import Channel
from channels.models.rules import RuleSetVersion
from inventory.models import Merchant


class MutationFuse(models.Model):
    """How many listings of a merchant rules, imports, mappings and corrections may change in ten minutes."""

    merchant = models.OneToOneField(
        Merchant, on_delete=models.CASCADE, primary_key=True, related_name="mutation_fuse"
    )
    #: So many listings always pass.
    floor = models.PositiveIntegerField(default=50)
    #: And so many percent of the merchant's mapped listings.
    percent = models.PositiveSmallIntegerField(
        default=20, validators=[MaxValueValidator(100, "Not more than 100 percent. Enter 0 to 100.")]
    )
    #: The day until which the days of confirmed inbound were followed, see `channels.rules.arrivals`.
    preorders_followed_on = models.DateField(null=True, editable=False)
    history = HistoricalRecords(excluded_fields=["preorders_followed_on"])

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(percent__lte=100), name="fuse_percent_is_at_most_100"),
        ]

    def __str__(self) -> str:
        return f"{self.merchant}"


class MutationKind(models.TextChoices):
    """What changes many listings at once."""

    RULES = "rules", "Rules"
    IMPORT = "import", "Import of listings"
    MAPPING = "mapping", "Mapping by SKU"
    CORRECTION = "correction", "Correction"


class MutationState(models.TextChoices):
    """What became of it."""

    APPLIED = "applied", "Applied"
    #: Beyond the fuse: nothing has changed, a person decides.
    WAITING = "waiting", "Waits for a decision"
    CONFIRMED = "confirmed", "Confirmed and applied"
    REFUSED = "refused", "Rolled back"
    #: What it was about is over: the platform lists again what was missing.
    WITHDRAWN = "withdrawn", "No longer needed"


class Mutation(models.Model):
    """One change of many listings: applied, or waiting for somebody to confirm it or roll it back."""

    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="mutations")
    kind = models.CharField(max_length=12, choices=MutationKind.choices)
    state = models.CharField(max_length=10, choices=MutationState.choices)
    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    version = models.ForeignKey(
        RuleSetVersion, on_delete=models.CASCADE, null=True, blank=True, related_name="mutations"
    )
    summary = models.TextField()
    listing_ids = ArrayField(models.BigIntegerField())
    listings = models.PositiveIntegerField()
    #: Listings that had been changed in the ten minutes before, and how many might have been.
    changed_before = models.PositiveIntegerField()
    allowed = models.PositiveIntegerField()
    actor = models.CharField(max_length=200, blank=True)
    because = models.TextField(blank=True)
    at = models.DateTimeField()
    decided_by = models.CharField(max_length=200, blank=True)
    decided_because = models.TextField(blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["merchant", "at"], name="mutation_by_time"),
            models.Index(fields=["merchant", "kind"], name="mutation_waiting", condition=Q(state="waiting")),
        ]

    def __str__(self) -> str:
        return self.summary
