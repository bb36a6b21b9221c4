"""Key figures of each day, and what they are held against."""

from django.db import models
from django.db.models import Q
from simple_history.models import HistoricalRecords

from analytics.models.bases import Figure
from channels.models import Channel, ChannelOrder
from inventory.models import Merchant, Variant


class Kpi(models.TextChoices):
    """What is measured. Part and whole are kept, so that days can be added up."""

    #: Units sold beyond stock, of the units ordered.
    OVERSOLD_UNITS = "oversold_units", "Oversell rate, units"
    #: Orders with such units, of the orders.
    OVERSOLD_ORDERS = "oversold_orders", "Oversell rate, orders"
    #: Fast-selling SKUs sold beyond stock, of those that sold.
    OVERSOLD_FAST = "oversold_fast", "Oversell rate, fast-selling SKUs"
    #: Orders on every other shelf within the target, of the orders; with percentiles in seconds.
    LATENCY = "latency", "Update latency"
    #: The same by the channel that was told: an order counts once for each.
    TOLD = "told", "Update latency, by channel told"
    #: Shelves that showed another number than the ledger's, of those compared.
    DRIFT = "drift", "Drift rate"
    #: Orders with cancelled units of a line that the stock had not covered, of the orders.
    CANCELLED = "cancelled", "Cancelled for want of stock"
    #: Support tickets "not available", against the orders.
    TICKETS = "tickets", "Tickets “not available”"
    #: Items resolved without a person, of those resolved.
    AUTOMATIC = "automatic", "Resolved automatically"
    #: Seconds that people spent, against the items they resolved whose time is known.
    HANDLING = "handling", "Handling time of an item"


class KpiDay(Figure):
    """One figure of one day, of one channel or of all of a merchant's together. A day without a whole has no row."""

    kpi = models.CharField("KPI", max_length=16, choices=Kpi.choices)
    #: Empty: all channels together.
    channel = models.ForeignKey(
        Channel,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        db_constraint=False,
    )
    measured_on = models.DateField()
    part = models.BigIntegerField()
    whole = models.BigIntegerField()
    #: Of the latency, in seconds; infinite where it falls on an order that is still on its way.
    p50 = models.FloatField(null=True, blank=True)
    p95 = models.FloatField(null=True, blank=True)
    p99 = models.FloatField(null=True, blank=True)
    measured_at = models.DateTimeField()

    class Meta:
        ordering = ["-measured_on", "kpi", "channel_id"]
        constraints = [
            models.UniqueConstraint(
                fields=["merchant", "kpi", "channel", "measured_on"],
                name="kpi_is_measured_once_a_day",
                nulls_distinct=False,
            ),
            models.CheckConstraint(condition=Q(part__gte=0, whole__gte=0), name="kpi_is_not_negative"),
        ]
        indexes = [models.Index(fields=["merchant", "measured_on"], name="kpi_by_day")]
        verbose_name = "key figure"

    def __str__(self) -> str:
        return f"{self.kpi} of {self.measured_on}"


class ToldOrder(Figure):
    """How long it took until one other channel had been told of an order: kept for the days that may be measured again."""

    order = models.ForeignKey(
        ChannelOrder, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False
    )
    #: The channel that was told, not the one that sold.
    channel = models.ForeignKey(
        Channel, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False
    )
    #: The day on which the order arrived.
    arrived_on = models.DateField()
    #: From its arrival to the last confirmation of a listing that it touches there.
    seconds = models.FloatField()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["order", "channel"], name="order_is_told_once"),
            models.CheckConstraint(condition=Q(seconds__gte=0), name="told_after_it_arrived"),
        ]
        indexes = [models.Index(fields=["merchant", "arrived_on"], name="told_by_day")]

    def __str__(self) -> str:
        return f"{self.order_id} on {self.channel_id}"


class KpiTarget(models.Model):
    """What a merchant holds a figure against, for one channel or for all; without a row the default holds."""

    merchant = models.ForeignKey(Merchant, on_delete=models.CASCADE, related_name="+", db_index=False)
    kpi = models.CharField("KPI", max_length=16, choices=Kpi.choices)
    channel = models.ForeignKey(
        Channel,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        help_text="Empty: all channels that have no target of their own.",
    )
    #: Percent of a rate, seconds of a time.
    value = models.DecimalField(
        max_digits=9, decimal_places=3, help_text="Percent for rates, seconds for latency and handling time."
    )
    history = HistoricalRecords()

    class Meta:
        ordering = ["merchant_id", "kpi", "channel_id"]
        constraints = [
            models.UniqueConstraint(
                fields=["merchant", "kpi", "channel"], name="kpi_has_one_target", nulls_distinct=False
            ),
            models.CheckConstraint(condition=Q(value__gte=0), name="target_is_not_negative"),
        ]
        verbose_name = "target"

    def __str__(self) -> str:
        return f"{self.get_kpi_display()}: {self.value.normalize():f}"


class FastSeller(Figure):
    """A variant that counted as fast-selling on a day: the best tenth by units of the 28 days before."""

    measured_on = models.DateField()
    variant = models.ForeignKey(
        Variant, on_delete=models.CASCADE, related_name="+", db_index=False, db_constraint=False
    )
    #: Units sold in these 28 days.
    units = models.BigIntegerField()

    class Meta:
        ordering = ["-measured_on", "-units", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["merchant", "measured_on", "variant"], name="fast_seller_is_named_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.variant_id} on {self.measured_on}"
