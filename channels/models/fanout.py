"""Changes of stock that bundles have yet to be told of."""

from django.db import models


class BundleChange(models.Model):
    """A change of a part of some kit, committed with the movement; taken out by `channels.fanout` once its bundles are marked.

    It refers to nothing, so that writing it locks nothing.
    """

    merchant_id = models.BigIntegerField()
    variant_id = models.BigIntegerField()
    location_id = models.BigIntegerField()
    available_delta = models.BigIntegerField()
    available_after = models.BigIntegerField()
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.available_delta:+d} of variant {self.variant_id}"
