"""Channels taken together: as the scope of a rule, or as the owners of ring-fenced units."""

from django.db import models
from django.db.models import Q
from simple_history.models import HistoricalRecords

from channels.models.channels import Channel
from inventory.models import Merchant, Reservation, Variant


class ChannelGroup(models.Model):
    """Channels of one kind: marketplaces, B2B, physical shops. A rule can name it, or ring-fence a pool for it."""

    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="channel_groups")
    name = models.CharField(max_length=100)
    channels = models.ManyToManyField(Channel, blank=True, related_name="groups")
    history = HistoricalRecords(m2m_fields=[channels])

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["merchant", "name"], name="group_name_is_unique_per_merchant"),
        ]

    def __str__(self) -> str:
        return self.name


class PoolUse(models.Model):
    """Units of a variant that the channels of a group have sold; what its pool of so many units has left of them."""

    group = models.ForeignKey(ChannelGroup, on_delete=models.CASCADE, related_name="uses")
    variant = models.ForeignKey(Variant, on_delete=models.CASCADE, related_name="+")
    #: Units demanded by orders since the pool was last filled, less what was cancelled; negative after late cancellations.
    units = models.BigIntegerField(default=0)
    #: When it was last filled; empty where it never was.
    filled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["group_id", "variant_id"]
        constraints = [
            models.UniqueConstraint(fields=["group", "variant"], name="one_pool_use_per_variant"),
        ]
        indexes = [
            models.Index(fields=["variant"], name="pool_use_by_variant", condition=~Q(units=0)),
        ]

    def __str__(self) -> str:
        return f"{self.units} of {self.variant_id} sold by {self.group_id}"


class PoolHold(models.Model):
    """A reservation for buyers of a group's channel: for as long as it is open, the group's pool has its units less."""

    group = models.ForeignKey(ChannelGroup, on_delete=models.CASCADE, related_name="holds")
    variant = models.ForeignKey(Variant, on_delete=models.CASCADE, related_name="+", db_index=False)
    reservation = models.ForeignKey(Reservation, on_delete=models.CASCADE, related_name="+", db_index=False)
    #: Units of the reservation in one unit of the variant: more than one where it stands for kits.
    per_unit = models.BigIntegerField(default=1)
    held_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["variant", "reservation"], name="one_pool_hold_per_variant_of_a_reservation"
            ),
            models.CheckConstraint(condition=Q(per_unit__gt=0), name="pool_hold_takes_units"),
        ]

    def __str__(self) -> str:
        return f"{self.variant_id} held by {self.reservation_id}"

    @property
    def units(self) -> int:
        """Units that are still held; of kits, how many."""
        return self.reservation.open_quantity // self.per_unit
