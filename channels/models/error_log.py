"""What went wrong with channels, one row a failure; nothing is written while all goes well."""

from django.db import models

from channels.models.channels import Channel


class ErrorJob(models.TextChoices):
    """What was being done."""

    PUSH = "push", "Push"
    POLL = "poll", "Poll"
    FETCH = "fetch", "Fetch of an order"
    FOLLOW = "follow", "Follow-up of pushes"
    AUDIT = "audit", "Audit of subscriptions"
    WEBHOOK = "webhook", "Webhook refused"
    DELIVERY = "delivery", "Processing of a delivery"
    CANCEL = "cancel", "Cancellation of a line"
    ACKNOWLEDGE = "acknowledge", "Acknowledgement of an order"
    OTHER = "other", "Other"


class ErrorEntry(models.Model):
    """One failure: which call, what was answered, when, and what to do about it."""

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="errors", db_index=False)
    at = models.DateTimeField()
    job = models.CharField(max_length=12, choices=ErrorJob.choices)
    #: Method, host and path, without query and content; empty where no call was made.
    call = models.CharField(max_length=500, blank=True)
    #: The HTTP status of the answer.
    status = models.PositiveSmallIntegerField(null=True, blank=True)
    #: What kind of failure it is; a key of `channels.error_log.REMEDIES`.
    code = models.CharField(max_length=24)
    message = models.TextField()
    remedy = models.TextField(blank=True)
    #: What it is about: `app.model` and its id; empty where it is about the channel as a whole.
    object_label = models.CharField(max_length=60, blank=True)
    object_id = models.BigIntegerField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "error entries"
        indexes = [
            models.Index(fields=["channel", "-at"], name="error_by_channel"),
            models.Index(fields=["code", "-id"], name="error_by_code"),
        ]

    def __str__(self) -> str:
        return f"{self.code}: {self.message[:80]}"
