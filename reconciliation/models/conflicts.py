"""How conflicts are judged and resolved; what is owed, and to whom, is the ledger's."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from simple_history.models import HistoricalRecords

from channels.models import Channel
from inventory.models import Conflict, Merchant, StockOperation


class CauseClass(models.TextChoices):
    """What made a conflict possible, as far as the record shows."""

    #: Sales so close together that no message could have come in between.
    TRUE_RACE = "true_race", "True race"
    #: An order that had been placed and was not known yet when the units were sold again.
    UNSEEN_ORDER = "unseen_order", "Unseen order"
    #: The ledger knew in time, but the shop had not confirmed the lower number.
    UNCONFIRMED_PUSH = "unconfirmed_push", "Unconfirmed push"
    #: Somebody else had written the number that the shop showed.
    FOREIGN_EDIT = "foreign_edit", "Foreign edit"
    #: Kits and what they are made of were sold from the same units.
    BUNDLE = "bundle", "Bundle"
    #: Goods that were on record are gone, or others left than were on record.
    PHYSICAL_LOSS = "physical_loss", "Physical loss"
    #: Goods that were promised did not come in time.
    LATE_INBOUND = "late_inbound", "Late inbound"
    #: A person gave the goods to a more urgent demand.
    GIVEN_AWAY = "given_away", "Given to somebody else"
    #: The shop had confirmed a number that did not allow the sale.
    SOLD_BELOW = "sold_below", "Sold below the shop's number"
    UNEXPLAINED = "unexplained", "Not explained"


class ConflictCase(models.Model):
    """What a conflict was judged to come from, once, soon after it opened; the record it rests on is forgotten later."""

    conflict = models.OneToOneField(Conflict, on_delete=models.CASCADE, primary_key=True, related_name="case")
    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="+")
    #: The channel whose order is owed the units; empty for demands that no channel made.
    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    cause_class = models.CharField(max_length=20, choices=CauseClass.choices)
    #: The sentence that says why.
    evidence = models.TextField(blank=True)
    examined_at = models.DateTimeField()

    class Meta:
        ordering = ["-conflict_id"]
        indexes = [models.Index(fields=["merchant", "cause_class"], name="case_by_class")]

    def __str__(self) -> str:
        return self.get_cause_class_display()


class RemedyKind(models.TextChoices):
    """How a conflict may end."""

    #: Another location has the goods.
    SERVE = "serve", "Serve from another location"
    #: Confirmed inbound is promised for a day.
    BACKORDER = "backorder", "Backorder"
    #: Somebody less urgent holds the goods.
    TAKE_OVER = "take_over", "Take from another demand"
    #: The units are cancelled, at the platform where there is one.
    CANCEL = "cancel", "Cancel the units"
    #: Of what was shipped beyond record: somebody has counted.
    RECOUNT = "recount", "Counted"


class ResolutionState(models.TextChoices):
    """How far a resolution is."""

    #: Written down; the platform has to be called.
    WANTED = "wanted", "To be told to the platform"
    #: A call is on its way, or whoever made it died; it is repeated with the same id.
    CALLING = "calling", "Calling the platform"
    #: The platform took it in and has not decided.
    ACCEPTED = "accepted", "Accepted by the platform"
    #: A person has to do it at the platform.
    CHECKLIST = "checklist", "Waiting for a person"
    #: Cancelled at the platform; its order has not said so yet.
    CONFIRMED = "confirmed", "Cancelled, waiting for the order"
    DONE = "done", "Done"
    #: The platform refused, or gave no clear answer for too long.
    FAILED = "failed", "Failed"
    #: Given up by a person, or no longer needed.
    DROPPED = "dropped", "Dropped"


#: States in which units are on their way to being cancelled, and can be given to no other remedy.
OPEN_STATES = (
    ResolutionState.WANTED,
    ResolutionState.CALLING,
    ResolutionState.ACCEPTED,
    ResolutionState.CHECKLIST,
    ResolutionState.CONFIRMED,
)


class Resolution(models.Model):
    """One remedy applied to units of one conflict, once for its key; changed by `reconciliation.resolving` alone."""

    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="+")
    #: Makes repeating it harmless.
    key = models.CharField(max_length=100)
    conflict = models.ForeignKey(Conflict, on_delete=models.PROTECT, related_name="resolutions")
    channel = models.ForeignKey(Channel, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    remedy = models.CharField(max_length=12, choices=RemedyKind.choices)
    #: The location, reservation or order line that it is about; a day for a backorder.
    target = models.CharField(max_length=40, blank=True)
    #: What it means, in words.
    summary = models.CharField(max_length=300)
    quantity = models.BigIntegerField()
    state = models.CharField(max_length=12, choices=ResolutionState.choices)
    is_automatic = models.BooleanField(default=False)
    actor = models.CharField(max_length=200, blank=True)
    note = models.TextField(blank=True)
    #: Seconds from opening the conflict's page to the decision; empty where no person decided.
    handling_seconds = models.PositiveIntegerField(null=True, blank=True)
    #: The ledger's operation that moved the units; empty where a platform has to say so first.
    operation = models.ForeignKey(
        StockOperation, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    #: Of a cancellation: the same for all attempts, so that the platform cancels once.
    call_id = models.UUIDField(null=True, blank=True)
    #: Of a cancellation: units that the order's line will show as cancelled once it is done.
    cancelled_when_done = models.BigIntegerField(null=True, blank=True)
    #: Whether the platform pays the customer back, and puts the units on its own number again.
    refunds = models.BooleanField(null=True, blank=True)
    restocks = models.BooleanField(null=True, blank=True)
    #: What a person has to do at the platform, one step a line.
    checklist = models.TextField(blank=True)
    #: The platform's handle of an undecided cancellation.
    tracking_id = models.CharField(max_length=200, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    error = models.TextField(blank=True)
    requested_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["merchant", "key"], name="resolution_key_is_unique_per_merchant"),
            models.CheckConstraint(condition=Q(quantity__gt=0), name="resolution_is_of_units"),
            models.CheckConstraint(
                condition=Q(finished_at__isnull=True) | Q(finished_at__gte=F("requested_at")),
                name="resolution_ends_after_it_begins",
            ),
        ]
        indexes = [
            models.Index(fields=["conflict", "id"], name="resolution_by_conflict"),
            models.Index(
                fields=["next_attempt_at"],
                name="resolution_due",
                condition=Q(state__in=["wanted", "calling", "accepted", "confirmed"]),
            ),
            models.Index(fields=["merchant", "-requested_at"], name="resolution_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.get_remedy_display()}: {self.quantity}"

    @property
    def is_open(self) -> bool:
        """Whether its units are still on their way to being cancelled."""
        return self.state in OPEN_STATES


class ConflictPolicy(models.Model):
    """What is done about a channel's conflicts without asking; without a policy, or switched off, nothing."""

    channel = models.OneToOneField(Channel, on_delete=models.CASCADE, related_name="conflict_policy")
    is_active = models.BooleanField(
        default=False, help_text="Off: every conflict of the channel waits for a person."
    )
    may_serve = models.BooleanField(
        "may serve from another location",
        default=True,
        help_text="Only from locations that serve the channel.",
    )
    may_backorder = models.BooleanField(
        default=False, help_text="Promises confirmed inbound, up to so many days ahead."
    )
    backorder_days = models.PositiveSmallIntegerField(
        "longest wait in days",
        default=14,
        validators=[MinValueValidator(1), MaxValueValidator(365)],
        help_text="No goods that come later are promised.",
    )
    may_cancel = models.BooleanField(
        "may cancel at the platform",
        default=False,
        help_text="Only where the platform's API can; what needs a person is left to one.",
    )
    largest_units = models.PositiveIntegerField(
        "units at most",
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Larger conflicts wait for a person. Empty: no limit.",
    )
    after_minutes = models.PositiveSmallIntegerField(
        "wait in minutes",
        default=15,
        help_text="From the opening of a conflict: stock may come back by itself.",
    )
    history = HistoricalRecords()

    class Meta:
        ordering = ["channel_id"]
        verbose_name_plural = "conflict policies"
        constraints = [
            models.CheckConstraint(
                condition=Q(backorder_days__gt=0, backorder_days__lte=365),
                name="backorder_days_are_within_a_year",
            ),
            models.CheckConstraint(
                condition=Q(largest_units__isnull=True) | Q(largest_units__gt=0),
                name="policy_is_for_units",
            ),
        ]

    def __str__(self) -> str:
        return f"policy of {self.channel_id}"
