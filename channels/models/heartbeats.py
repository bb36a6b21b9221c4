"""Signs of life of the processes that have no page of their own."""

from django.db import models


class Heartbeat(models.Model):
    """When a process last did its work."""

    #: `pusher` or `jobs`.
    name = models.CharField(max_length=32, primary_key=True)
    beat_at = models.DateTimeField()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
