"""Numbers that a person has fixed for a while."""

from django.db import models
from django.db.models import F, Q
from simple_history.models import HistoricalRecords

from channels.models.listings import ListingLevel


class Pin(models.Model):
    """A shelf shows this number until the pin ends, whatever the rules say; never more than there is."""

    listing_level = models.ForeignKey(ListingLevel, on_delete=models.CASCADE, related_name="pins")
    quantity = models.PositiveIntegerField()
    reason = models.TextField()
    #: Who answers for it.
    owner = models.CharField(max_length=200)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.CharField(max_length=200, blank=True)
    history = HistoricalRecords()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["listing_level"], condition=Q(ended_at__isnull=True), name="one_pin_per_shelf"
            ),
            models.CheckConstraint(condition=~Q(reason=""), name="pin_has_a_reason"),
            models.CheckConstraint(condition=~Q(owner=""), name="pin_has_an_owner"),
            models.CheckConstraint(
                condition=Q(expires_at__gt=F("created_at")), name="pin_expires_after_it_begins"
            ),
        ]
        indexes = [
            models.Index(fields=["expires_at"], name="pin_open", condition=Q(ended_at__isnull=True)),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} until {self.expires_at:%Y-%m-%d %H:%M}"
