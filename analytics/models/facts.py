"""Daily facts, and what says how far ledger and orders have been counted. Written by `analytics.facts` alone.

A day on which nothing happened has no row. Days are those of UTC.
"""

from datetime import timedelta

from django.db import models
from django.db.models import F, Q

from analytics.models.bases import Figure
from channels.models import Channel
from inventory.models import Location, StockLevel, Variant


class StockFact(Figure):
    """What moved on one day of one variant at one location for one channel, in units, from the ledger's movements.

    `received - shipped + returned + transferred + adjusted` is by how much what is on hand changed. Kits move as their parts.
    """

    variant = models.ForeignKey(
        Variant, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False
    )
    location = models.ForeignKey(
        Location, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False
    )
    #: For whose orders; empty for what no channel asked for.
    channel = models.ForeignKey(
        Channel,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    #: The day by the ledger's own clock; of imported history the day on which it happened.
    recorded_on = models.DateField()
    received = models.BigIntegerField(default=0)
    #: Less what was said to have left and had not.
    shipped = models.BigIntegerField(default=0)
    returned = models.BigIntegerField(default=0)
    #: Arrived less sent, between places of the merchant.
    transferred = models.BigIntegerField(default=0)
    #: Corrections, counts, losses, write-offs, assembly, and what was shipped beyond record.
    adjusted = models.BigIntegerField(default=0)
    #: Newly held for somebody.
    held = models.BigIntegerField(default=0)
    #: Held no longer, without having left.
    released = models.BigIntegerField(default=0)

    class Meta:
        ordering = ["-recorded_on", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["merchant", "variant", "location", "channel", "recorded_on"],
                name="stock_fact_is_unique",
                nulls_distinct=False,
            ),
        ]
        indexes = [models.Index(fields=["merchant", "recorded_on"], name="stock_fact_by_day")]

    def __str__(self) -> str:
        return f"{self.recorded_on} {self.variant_id} at {self.location_id}"

    @property
    def on_hand_delta(self) -> int:
        """By how many units what is on hand changed."""
        return self.received - self.shipped + self.returned + self.transferred + self.adjusted


class StockDay(Figure):
    """One level on a day on which it moved: what it began and ended with, and how long nothing was available in between."""

    variant = models.ForeignKey(
        Variant, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False
    )
    location = models.ForeignKey(
        Location, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False
    )
    #: The day by the ledger's own clock. Imported history falls on the day on which it happened, though never before a
    #: movement of the level that was recorded earlier.
    recorded_on = models.DateField()
    #: Instants and versions of the day's first and last movement.
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    first_version = models.BigIntegerField()
    version = models.BigIntegerField()
    #: Units available before the first movement.
    opening_available = models.BigIntegerField()
    #: Units on hand and available after the last.
    on_hand = models.BigIntegerField()
    available = models.BigIntegerField()
    #: Time between the first and the last movement in which nothing was available.
    out_for = models.DurationField(default=timedelta)

    class Meta:
        ordering = ["-recorded_on", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["merchant", "variant", "location", "recorded_on"], name="stock_day_is_unique"
            ),
            models.CheckConstraint(condition=Q(last_at__gte=F("first_at")), name="stock_day_runs_forward"),
        ]
        indexes = [models.Index(fields=["merchant", "recorded_on"], name="stock_day_by_day")]

    def __str__(self) -> str:
        return f"{self.recorded_on} {self.variant_id} at {self.location_id}"


class LevelMark(Figure):
    """Up to which version a level's movements are counted.

    Versions of a level have no gap and commit in their order, because each is written under the level's lock; ids of movements
    do neither.
    """

    level = models.OneToOneField(
        StockLevel, on_delete=models.CASCADE, primary_key=True, related_name="+", db_constraint=False
    )
    version = models.BigIntegerField()

    def __str__(self) -> str:
        return f"{self.level_id} up to {self.version}"


class SalesFact(Figure):
    """What one channel sold of one variant on one day in one currency, from the orders as they are stated now.

    Amounts are units by the line's price, as the platform states prices; never added across currencies.
    """

    channel = models.ForeignKey(
        Channel, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False
    )
    #: Empty for what is not mapped. A kit counts as itself.
    variant = models.ForeignKey(
        Variant,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    #: ISO 4217; empty where the platform does not say.
    currency = models.CharField(max_length=3, blank=True)
    #: The day on which the customer ordered; on which it arrived here where the platform does not say.
    ordered_on = models.DateField()
    lines = models.BigIntegerField(default=0)
    #: Orders whose first line this is: added over variants, the orders of the day.
    orders = models.BigIntegerField(default=0)
    #: Units, cancelled ones included.
    ordered = models.BigIntegerField(default=0)
    cancelled = models.BigIntegerField(default=0)
    shipped = models.BigIntegerField(default=0)
    returned = models.BigIntegerField(default=0)
    #: Units of `ordered` that came without a price.
    unpriced = models.BigIntegerField(default=0)
    amount = models.DecimalField(max_digits=28, decimal_places=4, default=0)
    cancelled_amount = models.DecimalField(max_digits=28, decimal_places=4, default=0)
    returned_amount = models.DecimalField(max_digits=28, decimal_places=4, default=0)

    class Meta:
        ordering = ["-ordered_on", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["merchant", "channel", "variant", "currency", "ordered_on"],
                name="sales_fact_is_unique",
                nulls_distinct=False,
            ),
        ]
        indexes = [
            models.Index(fields=["merchant", "ordered_on"], name="sales_fact_by_day"),
            models.Index(fields=["id"], name="sales_fact_empty", condition=Q(lines=0)),
        ]

    def __str__(self) -> str:
        return f"{self.ordered_on} {self.variant_id} on {self.channel_id}"


class CountedLine(models.Model):
    """An order line as it stands in the sales facts, so that a later state of it is counted as the difference."""

    #: Without a foreign key: it outlives a line that is deleted until that is counted.
    line_id = models.BigIntegerField(primary_key=True)
    order_id = models.BigIntegerField(db_index=True)
    merchant_id = models.BigIntegerField()
    channel_id = models.BigIntegerField()
    variant_id = models.BigIntegerField(null=True, blank=True)
    currency = models.CharField(max_length=3, blank=True)
    ordered_on = models.DateField()
    orders = models.SmallIntegerField()
    ordered = models.BigIntegerField()
    cancelled = models.BigIntegerField()
    shipped = models.BigIntegerField()
    returned = models.BigIntegerField()
    unpriced = models.BigIntegerField()
    amount = models.DecimalField(max_digits=28, decimal_places=4)
    cancelled_amount = models.DecimalField(max_digits=28, decimal_places=4)
    returned_amount = models.DecimalField(max_digits=28, decimal_places=4)

    class Meta:
        ordering = ["line_id"]

    def __str__(self) -> str:
        return f"line {self.line_id}"


class OrderChange(models.Model):
    """An order whose lines changed and are to be counted anew; noted by the database itself, in the same transaction.

    Rows are added and never shared, so that a change that commits while another is being counted stays to be counted.
    """

    order_id = models.BigIntegerField()
    noted_at = models.DateTimeField()

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"order {self.order_id}"


class DayChange(models.Model):
    """A day whose sales facts changed, so that its key figures are measured anew; noted with the facts."""

    merchant_id = models.BigIntegerField()
    changed_on = models.DateField()

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return f"{self.changed_on} of {self.merchant_id}"
