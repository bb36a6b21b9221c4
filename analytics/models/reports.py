"""To whom the daily report goes and when, and what became of each."""

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import Q
from simple_history.models import HistoricalRecords

from inventory.models import Merchant


class ReportPlan(models.Model):
    """When a merchant's daily report is sent, and to whom."""

    merchant = models.OneToOneField(Merchant, on_delete=models.CASCADE, related_name="report_plan")
    recipients = ArrayField(models.EmailField(), size=50)
    #: The hour (UTC) from which on the day before is reported.
    hour = models.PositiveSmallIntegerField(
        "hour (UTC)", default=6, validators=[MaxValueValidator(23)], help_text="0 to 23, in UTC."
    )
    has_csv = models.BooleanField(
        "attach CSV", default=True, help_text="The day's sales and stock, a row a SKU."
    )
    is_active = models.BooleanField(default=True)
    history = HistoricalRecords()

    class Meta:
        ordering = ["merchant_id"]
        constraints = [
            models.CheckConstraint(condition=Q(hour__lte=23), name="report_hour_is_of_the_day"),
            models.CheckConstraint(condition=Q(recipients__len__gt=0), name="report_has_recipients"),
        ]

    def __str__(self) -> str:
        return f"daily report of {self.merchant}"


class ReportState(models.TextChoices):
    """What has become of a report."""

    SENDING = "sending", "Being sent"
    SENT = "sent", "Sent"
    FAILED = "failed", "Failed"


class ReportRun(models.Model):
    """The report of one day: whether it was sent, to whom, or why not."""

    merchant = models.ForeignKey(Merchant, on_delete=models.CASCADE, related_name="+", db_index=False)
    reported_on = models.DateField()
    state = models.CharField(max_length=8, choices=ReportState.choices, default=ReportState.SENDING)
    recipients = ArrayField(models.EmailField(), default=list)
    attempts = models.PositiveSmallIntegerField(default=1)
    error = models.TextField(blank=True)
    started_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-reported_on", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["merchant", "reported_on"], name="day_is_reported_once"),
        ]

    def __str__(self) -> str:
        return f"report of {self.reported_on}"
