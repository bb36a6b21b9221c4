"""The runs of the ledger's proof, and the checkpoints that they have proven."""

from django.db import models
from django.db.models import Q

from inventory.models import Merchant


class ProofScope(models.TextChoices):
    """How much is replayed."""

    #: What was recorded since the last proven checkpoint of each merchant.
    INCREMENTAL = "incremental", "Since the last proven checkpoint"
    FULL = "full", "The whole ledger"


class ProofState(models.TextChoices):
    """What became of a run."""

    RUNNING = "running", "Running"
    HELD = "held", "The ledger holds"
    FAILED = "failed", "The ledger does not hold"
    #: It could not be finished; says nothing of the ledger.
    BROKEN = "broken", "Could not be finished"


class ProofRun(models.Model):
    """One proof of the ledger. It goes step by step, so that a process may die at any of them."""

    scope = models.CharField(max_length=12, choices=ProofScope.choices)
    state = models.CharField(max_length=8, choices=ProofState.choices, default=ProofState.RUNNING)
    asked_by = models.CharField(max_length=200, blank=True)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    #: What there is to do, as [kind, id]; and how many of these are done.
    steps = models.JSONField(default=list)
    position = models.PositiveIntegerField(default=0)
    leased_until = models.DateTimeField(null=True, blank=True)
    #: Failures in a row of the step that is next.
    attempts = models.PositiveSmallIntegerField(default=0)
    levels = models.BigIntegerField(default=0)
    movements = models.BigIntegerField(default=0)
    reservations = models.BigIntegerField(default=0)
    checkpoints = models.PositiveIntegerField(default=0)
    #: Digest over the digests of what was proven, hexadecimal; empty while running and where it does not hold.
    digest = models.CharField(max_length=64, blank=True)
    #: The first divergences, as `inventory.divergences.Divergence`.
    divergences = models.JSONField(default=list)
    error = models.TextField(blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["scope"], condition=Q(state="running"), name="one_proof_of_a_scope_runs"
            ),
            models.CheckConstraint(
                condition=Q(state="running", finished_at__isnull=True)
                | (~Q(state="running") & Q(finished_at__isnull=False)),
                name="proof_has_ended_or_runs",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_scope_display()}, {self.started_at:%Y-%m-%d %H:%M} UTC"


class ProvenCheckpoint(models.Model):
    """A merchant's checkpoint as it was when it was proven; the next proof goes on from the newest one."""

    merchant = models.ForeignKey(Merchant, on_delete=models.CASCADE, related_name="+")
    run = models.ForeignKey(ProofRun, on_delete=models.CASCADE, related_name="proven")
    #: The instant of the checkpoint.
    at = models.DateTimeField()
    #: SHA-256 of its levels and held reservations, hexadecimal.
    digest = models.CharField(max_length=64)
    proven_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["merchant", "run"], name="checkpoint_is_proven_once_a_run"),
        ]
        indexes = [models.Index(fields=["merchant", "-at"], name="proven_checkpoint_newest")]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} UTC"
