"""What rules measure themselves by: ranks, lags, and what sells within them."""

from django.db import models
from django.db.models import Q
from simple_history.models import HistoricalRecords

from channels.models.channels import Channel
from channels.models.listings import Listing, ListingLevel
from inventory.models import Variant


class RankSource(models.TextChoices):
    """Where a rank comes from; a listing without one is ranked by what it sells."""

    ENTERED = "entered", "Entered"
    IMPORTED = "imported", "Imported"


class ListingRank(models.Model):
    """Which of a variant's listings is served first when stock is scarce: the smallest number."""

    listing = models.OneToOneField(Listing, on_delete=models.CASCADE, related_name="rank")
    rank = models.PositiveIntegerField()
    source = models.CharField(max_length=10, choices=RankSource.choices, default=RankSource.ENTERED)
    history = HistoricalRecords()

    class Meta:
        ordering = ["rank", "listing_id"]
        constraints = [models.CheckConstraint(condition=Q(rank__gt=0), name="rank_is_positive")]

    def __str__(self) -> str:
        return f"{self.listing}: {self.rank}"


class ListingStanding(models.Model):
    """Where a shelf stands among all that offer its variant; kept by `channels.rules.ranks`."""

    listing_level = models.OneToOneField(
        ListingLevel, on_delete=models.CASCADE, primary_key=True, related_name="standing"
    )
    #: 1 for the best ranked of the variant's listings.
    position = models.PositiveIntegerField()
    listings = models.PositiveIntegerField()
    #: 1 for the best ranked of the channel's shelves with this variant.
    shelf = models.PositiveIntegerField()
    shelves = models.PositiveIntegerField()
    #: Units that the listing sold in the last 28 days.
    sold = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.position} of {self.listings}"


class ChannelLag(models.Model):
    """How long a sale elsewhere takes to reach this channel's shelves, measured from its orders."""

    channel = models.OneToOneField(Channel, on_delete=models.CASCADE, primary_key=True, related_name="lag")
    #: Seconds within which 95 of 100 sales had arrived.
    seconds = models.FloatField()
    #: Sales that were measured; 0: the channel's poll interval stands for the lag.
    samples = models.PositiveIntegerField()
    measured_at = models.DateTimeField()

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(seconds__gt=0), name="lag_is_positive")]

    def __str__(self) -> str:
        return f"{self.seconds:.1f} s"


class LagDemand(models.Model):
    """Units of a variant that sell within a channel's lag; no row where that is next to never any."""

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="+")
    variant = models.ForeignKey(Variant, on_delete=models.CASCADE, related_name="+")
    #: Units that were not exceeded in 90, 95 and 99 of 100 such spans.
    q90 = models.PositiveIntegerField()
    q95 = models.PositiveIntegerField()
    q99 = models.PositiveIntegerField()

    class Meta:
        ordering = ["channel_id", "variant_id"]
        constraints = [
            models.UniqueConstraint(fields=["channel", "variant"], name="one_lag_demand_per_variant"),
        ]

    def __str__(self) -> str:
        return f"{self.q95} of {self.variant_id} on {self.channel_id}"
