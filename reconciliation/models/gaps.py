"""Times in which nobody watched over the health of channels and installation."""

from django.db import models
from django.db.models import F, Q


class WatchGap(models.Model):
    """A time without a watch, written when the watch comes back: what was silent then was not heard."""

    #: The last sign of the watch before; empty for the first time ever.
    began_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(began_at__isnull=True) | Q(ended_at__gte=F("began_at")),
                name="watch_gap_ends_after_it_began",
            ),
        ]
        indexes = [models.Index(fields=["-ended_at"], name="watch_gap_latest")]

    def __str__(self) -> str:
        return f"until {self.ended_at:%Y-%m-%d %H:%M} UTC"
