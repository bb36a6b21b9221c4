"""What numbers depended on at earlier instants, where the rows themselves do not remember it."""

from django.db import models
from django.db.models import F, Q


class SourceSpan(models.Model):
    """A span in which one of our locations stood behind a channel location; written by the database itself.

    A trigger keeps it, whoever changes `ChannelLocationSource`, in bulk too. It names rows by their ids, because they may be
    gone.
    """

    source_id = models.BigIntegerField()
    channel_location_id = models.BigIntegerField()
    location_id = models.BigIntegerField()
    priority = models.IntegerField()
    #: Empty: since before spans were recorded.
    began_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["source_id"], condition=Q(ended_at__isnull=True), name="one_span_is_open_per_source"
            ),
            models.CheckConstraint(
                condition=Q(began_at__isnull=True)
                | Q(ended_at__isnull=True)
                | Q(ended_at__gte=F("began_at")),
                name="span_ends_after_it_begins",
            ),
        ]
        indexes = [models.Index(fields=["channel_location_id"], name="source_span_by_place")]

    def __str__(self) -> str:
        return f"{self.channel_location_id} ← {self.location_id}"
