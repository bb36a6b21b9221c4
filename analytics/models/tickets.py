"""Tickets of a help desk about goods that were not available."""

from django.db import models

from channels.models import Channel
from inventory.models import Merchant, Variant


class SupportTicket(models.Model):
    """A customer asked why something was not available; counted, without anything about the customer."""

    merchant = models.ForeignKey(Merchant, on_delete=models.CASCADE, related_name="+", db_index=False)
    #: Its number at the help desk.
    number = models.CharField(max_length=100)
    opened_at = models.DateTimeField()
    #: Where it was sold, if the desk knows.
    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    variant = models.ForeignKey(
        Variant, on_delete=models.CASCADE, null=True, blank=True, related_name="+", db_index=False
    )
    recorded_at = models.DateTimeField()

    class Meta:
        ordering = ["-opened_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["merchant", "number"], name="ticket_is_counted_once"),
        ]
        indexes = [models.Index(fields=["merchant", "opened_at"], name="ticket_by_day")]

    def __str__(self) -> str:
        return self.number
