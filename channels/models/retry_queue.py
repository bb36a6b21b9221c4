"""Work that others were in the way of: put off, tried again, and shown where that was in vain."""

from django.db import models
from django.db.models import Q

from channels.models.channels import Channel
from inventory.models import Merchant


class RetryKind(models.TextChoices):
    """What kind of work was put off."""

    DELIVERY = "delivery", "Webhook message"
    ORDER = "order", "Order"
    JOB = "job", "Job"
    #: Somebody at the back office, who was asked to try again.
    PAGE = "page", "Page of the back office"


class RetryState(models.TextChoices):
    """What has become of it."""

    WAITING = "waiting", "To be tried again"
    DONE = "done", "Done since"
    #: Nothing is lost: the work itself stands in its own row, and a person has it tried again.
    EXHAUSTED = "exhausted", "Given up for now"
    #: A person was told that nothing was recorded.
    RETURNED = "returned", "Given back to the person"


class Retry(models.Model):
    """One piece of work that met a lock timeout, a deadlock or a serialisation failure; counted until it is done."""

    #: Empty for work that is about all merchants.
    merchant = models.ForeignKey(Merchant, on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, null=True, blank=True, related_name="+")
    kind = models.CharField(max_length=10, choices=RetryKind.choices)
    #: The delivery's id, channel and order, the job's name, the page's path.
    key = models.CharField(max_length=250)
    #: Lock timeout, deadlock, serialisation failure, or rows that had changed meanwhile; of the last attempt.
    reason = models.CharField(max_length=40)
    state = models.CharField(max_length=10, choices=RetryState.choices, default=RetryState.WAITING)
    #: Attempts that others were in the way of.
    attempts = models.PositiveIntegerField(default=1)
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = "retry"
        verbose_name_plural = "retries"
        constraints = [
            models.UniqueConstraint(
                fields=["merchant", "kind", "key"],
                condition=Q(state="waiting"),
                nulls_distinct=False,
                name="work_waits_once",
            ),
            models.CheckConstraint(condition=Q(attempts__gt=0), name="retry_was_attempted"),
        ]
        indexes = [
            models.Index(
                fields=["kind", "id"], name="retry_open", condition=Q(state__in=["waiting", "exhausted"])
            ),
            models.Index(fields=["last_at"], name="retry_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"
