"""Where a platform, or whoever has the say over stock, shows another number than we believe."""

from decimal import Decimal
from typing import Final

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from simple_history.models import HistoricalRecords

from channels.models import Channel, ListingLevel, Mutation
from inventory.models import Location, Merchant, StockLevel, Tag

#: Differences up to so many units are corrected by themselves where nobody said otherwise.
SMALL: Final = 10


class Policy(models.TextChoices):
    """What happens to a difference once it is certain. It is always told."""

    FLAG = "flag", "Flag: a person decides"
    CORRECT_SMALL = "correct_small", "Correct small ones, flag large ones"
    CORRECT = "correct", "Correct always"


class ReconciliationPolicy(models.Model):
    """What happens to differences on a channel; a channel without one corrects small differences."""

    channel = models.OneToOneField(
        Channel, on_delete=models.CASCADE, primary_key=True, related_name="reconciliation_policy"
    )
    policy = models.CharField(max_length=16, choices=Policy.choices, default=Policy.CORRECT_SMALL)
    #: Up to so many units a difference is small.
    threshold_units = models.PositiveIntegerField(default=SMALL)
    history = HistoricalRecords()

    class Meta:
        ordering = ["channel_id"]
        verbose_name_plural = "reconciliation policies"

    def __str__(self) -> str:
        return f"{self.channel}: {self.get_policy_display()}"


class RunKind(models.TextChoices):
    """How much a run looks at."""

    #: The numbers of all shelves in scope.
    INCREMENTAL = "incremental", "Incremental"
    #: Reads the listings first, and counts shelves that the platform no longer shows.
    FULL = "full", "Full"
    ON_DEMAND = "on_demand", "On demand"


class ReconciliationSchedule(models.Model):
    """When a channel is compared: every so many minutes, or daily at an hour."""

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="reconciliation_schedules")
    kind = models.CharField(
        max_length=12, choices=[choice for choice in RunKind.choices if choice[0] != RunKind.ON_DEMAND]
    )
    #: From the end of one run to the beginning of the next; empty: daily.
    every_minutes = models.PositiveIntegerField(
        "interval in minutes",
        null=True,
        blank=True,
        validators=[MinValueValidator(1, "Less than a minute is no interval. Enter 1 or more.")],
    )
    #: The hour (UTC) of a daily run.
    hour = models.PositiveSmallIntegerField(
        "hour (UTC)",
        null=True,
        blank=True,
        validators=[MaxValueValidator(23, "A day has the hours 0 to 23. Enter one of them.")],
    )
    #: Only goods with this tag; empty: the whole channel.
    tag = models.ForeignKey(Tag, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    is_active = models.BooleanField(default=True)
    next_run_at = models.DateTimeField(null=True, blank=True)
    history = HistoricalRecords(excluded_fields=["next_run_at"])

    class Meta:
        ordering = ["channel_id", "kind", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["channel", "kind", "tag"],
                nulls_distinct=False,
                name="one_schedule_per_channel_kind_and_tag",
                violation_error_message="There is such a schedule already. Change that one.",
            ),
            models.CheckConstraint(
                condition=Q(every_minutes__isnull=False, every_minutes__gte=1, hour__isnull=True)
                | Q(every_minutes__isnull=True, hour__isnull=False, hour__lte=23),
                name="a_schedule_has_an_interval_or_an_hour",
                violation_error_message="Enter either an interval in minutes or an hour of the day.",
            ),
        ]
        indexes = [
            models.Index(fields=["next_run_at"], name="schedule_by_next_run", condition=Q(is_active=True)),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of {self.channel}"


class RunState(models.TextChoices):
    """Where a run stands."""

    ASKED = "asked", "Asked for"
    RUNNING = "running", "Running"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"


class ReconciliationRun(models.Model):
    """One comparison of a channel with what its shelves should show; kept for ever."""

    channel = models.ForeignKey(Channel, on_delete=models.PROTECT, related_name="reconciliation_runs")
    kind = models.CharField(max_length=12, choices=RunKind.choices)
    state = models.CharField(max_length=8, choices=RunState.choices, default=RunState.ASKED)
    schedule = models.ForeignKey(
        ReconciliationSchedule, on_delete=models.SET_NULL, null=True, blank=True, related_name="runs"
    )
    #: The scope: goods with a tag, or one SKU; both empty: the whole channel.
    tag = models.ForeignKey(Tag, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    sku = models.CharField("SKU", max_length=200, blank=True)
    asked_by = models.CharField(max_length=200, blank=True)
    asked_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    #: Whose process works on it, and until when it is believed to.
    lease_token = models.UUIDField(null=True, blank=True)
    leased_until = models.DateTimeField(null=True, blank=True)
    #: Shelves that the platform named.
    read = models.PositiveIntegerField(default=0)
    #: Shelves of ours that could be compared, and those that could not because something was on its way to them.
    compared = models.PositiveIntegerField(default=0)
    moving = models.PositiveIntegerField(default=0)
    #: Shelves that differed for certain, and what became of them at once.
    drifted = models.PositiveIntegerField(default=0)
    corrected = models.PositiveIntegerField(default=0)
    flagged = models.PositiveIntegerField(default=0)
    #: Shelves that were told a number once and that the platform did not name.
    missing = models.PositiveIntegerField(default=0)
    #: Discrepancies that this run found gone.
    closed = models.PositiveIntegerField(default=0)
    error = models.TextField(blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["channel"], condition=Q(state="running"), name="one_run_of_a_channel_at_a_time"
            ),
            models.CheckConstraint(condition=Q(tag__isnull=True) | Q(sku=""), name="a_run_has_one_scope"),
        ]
        indexes = [
            models.Index(fields=["id"], name="run_is_open", condition=Q(state__in=["asked", "running"])),
            models.Index(fields=["channel", "-finished_at"], name="run_by_channel_and_end"),
        ]

    def __str__(self) -> str:
        return f"run {self.pk}"

    @property
    def scope(self) -> str:
        """Says what was looked at, in words."""
        if self.sku:
            return f"SKU {self.sku}"
        return f"tag {self.tag}" if self.tag else "all"

    @property
    def drift_rate(self) -> float | None:
        """Returns the share of the compared shelves that differed; None where none was compared."""
        return self.drifted / self.compared if self.compared else None


class Cause(models.TextChoices):
    """What probably lies behind a difference."""

    UNSEEN_ORDER = "unseen_order", "Order not seen"
    UNCONFIRMED_PUSH = "unconfirmed_push", "Push not confirmed"
    MAPPING = "mapping", "Mapping"
    FOREIGN_EDIT = "foreign_edit", "Foreign edit"
    #: Somebody keeps writing what we keep correcting.
    FOREIGN_WRITER = "foreign_writer", "Foreign writer"
    #: Whoever has the say over stock counted otherwise.
    LEDGER = "ledger", "Ledger differs from the authority"


class DiscrepancyState(models.TextChoices):
    """What becomes of a discrepancy; the last three are closed."""

    OPEN = "open", "Open"
    #: Too many at once: the mutation fuse waits for a person.
    HELD = "held", "Held by the fuse"
    CORRECTING = "correcting", "Being corrected"
    CORRECTED = "corrected", "Corrected"
    GONE = "gone", "Gone by itself"
    DISMISSED = "dismissed", "Dismissed"


class Discrepancy(models.Model):
    """A shelf that shows, or a level that holds, another number than it should; at most one open for each."""

    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="discrepancies")
    channel = models.ForeignKey(
        Channel, on_delete=models.CASCADE, null=True, blank=True, related_name="discrepancies"
    )
    #: Either a shelf, or a level of the ledger that an authority contradicts.
    listing_level = models.ForeignKey(
        ListingLevel, on_delete=models.CASCADE, null=True, blank=True, related_name="discrepancies"
    )
    stock_level = models.ForeignKey(
        StockLevel, on_delete=models.PROTECT, null=True, blank=True, related_name="discrepancies"
    )
    #: The run that saw it first; empty: an observation or a push did.
    run = models.ForeignKey(
        ReconciliationRun, on_delete=models.SET_NULL, null=True, blank=True, related_name="discrepancies"
    )
    #: What was seen, and what should have been.
    shown = models.BigIntegerField()
    expected = models.BigIntegerField()
    #: The last known price of a unit; empty: no order ever named one.
    unit_price = models.DecimalField(max_digits=18, decimal_places=4, null=True, blank=True)
    currency = models.CharField(max_length=3, blank=True)
    cause = models.CharField(max_length=20, choices=Cause.choices)
    #: What speaks for the cause: label → fact, as shown.
    evidence = models.JSONField(default=dict, blank=True)
    state = models.CharField(max_length=12, choices=DiscrepancyState.choices, default=DiscrepancyState.OPEN)
    #: How many times it was seen.
    sightings = models.PositiveIntegerField(default=1)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    #: The mark of the shelf with which it is corrected: done, it is.
    correcting_wanted = models.BigIntegerField(null=True, blank=True)
    mutation = models.ForeignKey(
        Mutation, on_delete=models.SET_NULL, null=True, blank=True, related_name="discrepancies"
    )
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_by = models.CharField(max_length=200, blank=True)
    because = models.TextField(blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "discrepancies"
        constraints = [
            models.UniqueConstraint(
                fields=["listing_level"],
                condition=Q(closed_at__isnull=True),
                name="one_open_discrepancy_per_shelf",
            ),
            models.UniqueConstraint(
                fields=["stock_level"],
                condition=Q(closed_at__isnull=True),
                name="one_open_discrepancy_per_level",
            ),
            models.CheckConstraint(
                condition=Q(listing_level__isnull=False, channel__isnull=False, stock_level__isnull=True)
                | Q(listing_level__isnull=True, channel__isnull=True, stock_level__isnull=False),
                name="a_discrepancy_is_of_a_shelf_or_of_a_level",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["corrected", "gone", "dismissed"], closed_at__isnull=False)
                | Q(state__in=["open", "held", "correcting"], closed_at__isnull=True),
                name="a_closed_discrepancy_says_when",
            ),
            models.CheckConstraint(condition=~Q(shown=F("expected")), name="a_discrepancy_has_a_size"),
        ]
        indexes = [
            models.Index(
                fields=["merchant", "id"], name="discrepancy_open", condition=Q(closed_at__isnull=True)
            ),
            models.Index(fields=["channel", "-first_seen_at"], name="discrepancy_by_channel"),
            models.Index(fields=["listing_level", "-last_seen_at"], name="discrepancy_by_shelf"),
        ]

    def __str__(self) -> str:
        return f"shows {self.shown} instead of {self.expected}"

    @property
    def difference(self) -> int:
        """Returns how many units more (or fewer) are shown than should be."""
        return self.shown - self.expected

    @property
    def value(self) -> Decimal | None:
        """Returns what the difference is worth; None where no price is known."""
        return None if self.unit_price is None else abs(self.difference) * self.unit_price

    @property
    def is_open(self) -> bool:
        """Whether it waits for something."""
        return self.closed_at is None


class StockAuthority(models.Model):
    """Somebody else who has the say over what lies at a location: an ERP, a warehouse system, a yearly count."""

    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="stock_authorities")
    location = models.OneToOneField(Location, on_delete=models.PROTECT, related_name="stock_authority")
    name = models.CharField(max_length=100)
    policy = models.CharField(max_length=16, choices=Policy.choices, default=Policy.CORRECT_SMALL)
    threshold_units = models.PositiveIntegerField(default=SMALL)
    history = HistoricalRecords()

    class Meta:
        ordering = ["name"]
        verbose_name_plural = "stock authorities"

    def __str__(self) -> str:
        return f"{self.name} for {self.location}"
