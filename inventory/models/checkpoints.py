"""The ledger's state at chosen instants, kept so that asking for another instant never means replaying from the start.

Derived from the movements alone: it may be deleted and written again at any time, and `verify_ledger` proves it. The many
rows carry no foreign keys to rows that are never deleted: the database would check each of them, millions at a time.
"""

from django.db import models
from django.db.models import F, Q

from inventory.models.catalogue import Location, Merchant
from inventory.models.reservations import Reservation
from inventory.models.stock import StockLevel


class StockCheckpoint(models.Model):
    """A merchant's stock and reservations as recorded at an instant."""

    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="+")
    #: Every movement recorded up to and including this instant is in it, and none after.
    at = models.DateTimeField()
    written_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["merchant", "at"], name="checkpoint_is_unique_per_instant"),
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} UTC"


class CheckpointLevel(models.Model):
    """One level in a checkpoint; a level without movements until then is in none."""

    merchant = models.ForeignKey(
        Merchant, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    checkpoint = models.ForeignKey(
        StockCheckpoint, on_delete=models.CASCADE, related_name="levels", db_index=False
    )
    #: Repeated from the level, so that a location's levels lie together.
    location = models.ForeignKey(
        Location, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    level = models.ForeignKey(
        StockLevel, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    #: Version of the level's latest movement until then.
    version = models.BigIntegerField()
    on_hand = models.BigIntegerField()
    reserved = models.BigIntegerField()
    unavailable = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["merchant", "checkpoint", "location", "level"],
                name="checkpoint_has_a_level_once",
            ),
            models.CheckConstraint(
                condition=Q(
                    version__gt=0,
                    reserved__gte=0,
                    unavailable__gte=0,
                    on_hand__gte=F("reserved") + F("unavailable"),
                ),
                name="checkpoint_level_can_have_been",
            ),
        ]

    def __str__(self) -> str:
        return f"level {self.level_id} in checkpoint {self.checkpoint_id}"


class CheckpointReservation(models.Model):
    """A reservation that held units when a checkpoint's instant came."""

    merchant = models.ForeignKey(
        Merchant, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    checkpoint = models.ForeignKey(
        StockCheckpoint, on_delete=models.CASCADE, related_name="reservations", db_index=False
    )
    #: Repeated from the level, so that a location's reservations lie together.
    location = models.ForeignKey(
        Location, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    level = models.ForeignKey(
        StockLevel, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    reservation = models.ForeignKey(
        Reservation, on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    quantity = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["merchant", "checkpoint", "location", "level", "reservation"],
                name="checkpoint_has_a_reservation_once",
            ),
            models.CheckConstraint(condition=Q(quantity__gt=0), name="checkpoint_reservation_is_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} of reservation {self.reservation_id} in checkpoint {self.checkpoint_id}"


class SafetyStockChange(models.Model):
    """A change of a level's safety stock; written by the database itself, whoever makes the change."""

    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="+", db_index=False)
    level = models.ForeignKey(StockLevel, on_delete=models.PROTECT, related_name="+", db_index=False)
    before = models.BigIntegerField()
    after = models.BigIntegerField()
    changed_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["level", "changed_at"], name="safety_stock_change_by_level")]

    def __str__(self) -> str:
        return f"safety stock of level {self.level_id}: {self.before} → {self.after}"
