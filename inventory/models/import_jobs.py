"""Files of stock that a merchant's system has sent, and what came of them."""

from django.db import models
from django.db.models import Q

from inventory.models.catalogue import Merchant


class ImportState(models.TextChoices):
    """Where an import stands."""

    WAITING = "waiting", "Waiting"
    RUNNING = "running", "Running"
    DONE = "done", "Done"
    #: Rows were refused, or it could not be read; what precedes the first refusal stays.
    FAILED = "failed", "Failed"


class ImportJob(models.Model):
    """One file, taken in by a worker; what it did stands in `ImportedRow`."""

    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=200)
    #: Where its rows come from; their keys are unique within it.
    source = models.CharField(max_length=40, default="import")
    #: The file; emptied once it has been taken in.
    content = models.TextField(blank=True)
    is_dry_run = models.BooleanField(default=False)
    state = models.CharField(max_length=8, choices=ImportState.choices, default=ImportState.WAITING)
    #: Counts and errors, see `inventory.import_jobs`.
    report = models.JSONField(default=dict)
    #: How often a worker has begun with it.
    attempts = models.PositiveSmallIntegerField(default=0)
    asked_by = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    #: Moves while it runs; one that stands still was left by a process that died.
    progress_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(
                fields=["id"], name="import_job_open", condition=Q(state__in=["waiting", "running"])
            ),
            models.Index(fields=["merchant", "-id"], name="import_job_by_merchant"),
        ]

    def __str__(self) -> str:
        return self.name
