"""Rehearsals: recorded events replayed under other rules, and what came of it."""

from django.db import models
from django.db.models import F, Q

from channels.models.rules import RuleSetVersion
from inventory.models import Merchant


class RehearsalState(models.TextChoices):
    """Where a rehearsal stands."""

    WAITING = "waiting", "Waiting"
    RUNNING = "running", "Running"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"


class Rehearsal(models.Model):
    """The events of a period under a version of a rule set; its result stays with the version."""

    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="+")
    version = models.ForeignKey(RuleSetVersion, on_delete=models.CASCADE, related_name="rehearsals")
    since = models.DateTimeField()
    #: Left out itself.
    until = models.DateTimeField()
    state = models.CharField(max_length=8, choices=RehearsalState.choices, default=RehearsalState.WAITING)
    events_done = models.PositiveBigIntegerField(default=0)
    events_total = models.PositiveBigIntegerField(default=0)
    #: SHA-256 of the rules that were rehearsed; a draft may have been edited since.
    rules_digest = models.CharField(max_length=64, blank=True)
    #: Figures of what happened and of what would have, see `channels.rehearsals.tally`.
    result = models.JSONField(null=True, blank=True)
    error = models.TextField(blank=True)
    asked_by = models.CharField(max_length=200, blank=True)
    asked_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    #: Moves while it runs; one that stands still was left by a process that died.
    progress_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=Q(until__gt=F("since")), name="rehearsal_ends_after_it_begins"),
            models.CheckConstraint(
                condition=~Q(state="done") | Q(result__isnull=False), name="rehearsal_done_has_a_result"
            ),
        ]
        indexes = [
            models.Index(fields=["id"], name="rehearsal_open", condition=Q(state__in=["waiting", "running"])),
        ]

    def __str__(self) -> str:
        return f"{self.version}, {self.since:%Y-%m-%d %H:%M} to {self.until:%Y-%m-%d %H:%M}"
