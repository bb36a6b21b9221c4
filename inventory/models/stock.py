"""The ledger's own tables; only `inventory.ledger` writes them."""

from typing import Any, NoReturn

from django.contrib.postgres.indexes import BrinIndex
from django.db import models

from inventory.errors import LedgerIsAppendOnly
from inventory.models.catalogue import Location, Merchant, Variant


class StockLevel(models.Model):
    """How much of one variant is at one location now; rebuilt exactly by replaying its movements."""

    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="+")
    variant = models.ForeignKey(Variant, on_delete=models.PROTECT, related_name="levels")
    location = models.ForeignKey(Location, on_delete=models.PROTECT, related_name="levels")
    #: Units physically here, in the variant's base unit.
    on_hand = models.BigIntegerField(default=0)
    #: Units promised to open reservations.
    reserved = models.BigIntegerField(default=0)
    #: Units here that cannot be sold: damaged, being inspected.
    unavailable = models.BigIntegerField(default=0)
    #: Number of movements so far; the latest movement carries the same number.
    version = models.BigIntegerField(default=0)
    #: Planning only: units that no channel is offered. Not a ledger quantity.
    safety_stock = models.BigIntegerField(default=0)
    #: `recorded_at` of the latest movement.
    recorded_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["variant_id", "location_id"]
        constraints = [
            models.UniqueConstraint(fields=["merchant", "variant", "location"], name="one_level_per_place"),
            models.CheckConstraint(condition=models.Q(on_hand__gte=0), name="on_hand_is_not_negative"),
            models.CheckConstraint(condition=models.Q(reserved__gte=0), name="reserved_is_not_negative"),
            models.CheckConstraint(
                condition=models.Q(unavailable__gte=0),
                name="unavailable_is_not_negative",
            ),
            models.CheckConstraint(
                condition=models.Q(on_hand__gte=models.F("reserved") + models.F("unavailable")),
                name="available_is_not_negative",
            ),
            models.CheckConstraint(
                condition=models.Q(safety_stock__gte=0),
                name="safety_stock_is_not_negative",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.variant} at {self.location}"

    @property
    def available(self) -> int:
        """Units that may be promised now."""
        return self.on_hand - self.reserved - self.unavailable


class AppendOnlyQuerySet(models.QuerySet[Any]):
    """Reads history; every way to write it past the ledger is refused."""

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise LedgerIsAppendOnly

    update = delete = bulk_create = bulk_update = _refuse
    # Django sets this on its own `delete`, so that templates do not call it.
    _refuse.alters_data = True  # type: ignore[attr-defined]


class StockOperation(models.Model):
    """One thing that happened to the stock: who, why, under which key, with which outcome."""

    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="+")
    #: Idempotency key, unique within the merchant.
    key = models.CharField(max_length=200)
    #: SHA-256 of the request, hexadecimal; tells a repeat from a reused key.
    digest = models.CharField(max_length=64)
    verb = models.CharField(max_length=16)
    #: What the caller was told; given again to a repeat.
    outcome = models.JSONField(null=True)
    actor = models.CharField(max_length=200, blank=True)
    source = models.CharField(max_length=100, blank=True)
    document = models.CharField(max_length=200, blank=True)
    #: When it happened, by the clock of whoever reports it.
    occurred_at = models.DateTimeField()
    #: When it was written, by the database's clock.
    recorded_at = models.DateTimeField()
    objects = AppendOnlyQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["merchant", "key"], name="operation_key_is_unique_per_merchant"),
        ]
        indexes = [BrinIndex(fields=["recorded_at"], name="operation_by_time")]

    def __str__(self) -> str:
        return f"{self.verb} {self.key}"

    def save(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: operations are written by the ledger only."""
        raise LedgerIsAppendOnly

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: what happened stays written."""
        raise LedgerIsAppendOnly


class MovementKind(models.TextChoices):
    """What a movement does to a level."""

    RECEIPT = "receipt", "Receipt"
    SHIPMENT = "shipment", "Shipment"
    TRANSFER = "transfer", "Transfer"
    ADJUSTMENT = "adjustment", "Adjustment"
    COUNT = "count", "Count"
    RETURN = "return", "Return"
    RESERVATION = "reservation", "Reservation"
    RELEASE = "release", "Release"
    CONDITION = "condition", "Condition"


class Reason(models.TextChoices):
    """Why a movement was made."""

    SALE = "sale", "Sale"
    PURCHASE = "purchase", "Purchase"
    OPENING = "opening", "Opening balance"
    DAMAGE = "damage", "Damage"
    LOSS = "loss", "Loss"
    WRITE_OFF = "write_off", "Write-off"
    CORRECTION = "correction", "Correction"
    CANCELLATION = "cancellation", "Cancellation"
    EXPIRY = "expiry", "Expiry"
    CUSTOMER_RETURN = "customer_return", "Customer return"
    #: More left the building than the ledger knew of.
    BEYOND_RECORD = "beyond_record", "Shipped beyond record"
    #: A reservation that the goods no longer cover.
    BROKEN = "broken", "Broken by a count or loss"
    #: Stock that arrived and went straight to what was owed.
    SHORTAGE_FILLED = "shortage_filled", "Shortage filled"
    #: Moved between two places of the merchant.
    TRANSFER = "transfer", "Transfer"
    #: More arrived of a transfer than was sent.
    SURPLUS = "surplus", "Surplus on arrival"
    QUARANTINE = "quarantine", "Quarantine"
    INSPECTION = "inspection", "Inspection"
    #: Stock that arrived and went to whom it was promised.
    BACKORDER_FILLED = "backorder_filled", "Backorder filled"
    #: Components that became a composite, or came out of one.
    ASSEMBLY = "assembly", "Assembly"
    OTHER = "other", "Other"


class StockMovement(models.Model):
    """One immutable row of the ledger: the change of one level, and the level after it."""

    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="+")
    operation = models.ForeignKey(StockOperation, on_delete=models.PROTECT, related_name="movements")
    level = models.ForeignKey(StockLevel, on_delete=models.PROTECT, related_name="movements")
    #: The level's version after this movement: 1, 2, 3 … without a gap.
    version = models.BigIntegerField()
    kind = models.CharField(max_length=16, choices=MovementKind.choices)
    reason = models.CharField(max_length=24, choices=Reason.choices)
    on_hand_delta = models.BigIntegerField(default=0)
    reserved_delta = models.BigIntegerField(default=0)
    unavailable_delta = models.BigIntegerField(default=0)
    on_hand_after = models.BigIntegerField()
    reserved_after = models.BigIntegerField()
    unavailable_after = models.BigIntegerField()
    #: The reservation that holds or gives up the units, where there is one.
    reservation = models.ForeignKey(
        "inventory.Reservation",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="movements",
    )
    #: The movement that this one corrects.
    reverses = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="reversed_by",
    )
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField()
    objects = AppendOnlyQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["level", "version"], name="movement_version_is_unique_per_level"),
        ]
        indexes = [
            BrinIndex(fields=["recorded_at"], name="movement_by_time"),
            models.Index(
                fields=["level", "recorded_at"], name="movement_counted", condition=models.Q(kind="count")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.level_id}/{self.version}"

    def save(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: movements are appended by the ledger only."""
        raise LedgerIsAppendOnly

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: a correction is a new movement."""
        raise LedgerIsAppendOnly
