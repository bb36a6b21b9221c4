"""Keys of the merchants' systems, what they have used of their rate, and the answers that repeats are given again."""

from datetime import datetime

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from simple_history.models import HistoricalRecords

from inventory.models.catalogue import Merchant

#: Requests a minute of a key, unless it is given another rate.
USUAL_RATE = 600
LARGEST_RATE = 100_000


class ApiKey(models.Model):
    """What one system of a merchant identifies itself with; written by `inventory.access`."""

    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="api_keys")
    #: Whose it is, for people.
    name = models.CharField(max_length=100)
    #: Its beginning, which may be shown.
    prefix = models.CharField(max_length=24, unique=True, editable=False)
    #: SHA-512 of the whole key; the key itself is kept nowhere.
    hashed_key = models.CharField(max_length=150, unique=True, editable=False)
    #: What it may do: names of `inventory.scopes.SCOPES`.
    scopes = ArrayField(models.CharField(max_length=40), default=list)
    #: Touches simulated shops only.
    is_test = models.BooleanField(default=False)
    requests_per_minute = models.PositiveIntegerField(
        default=USUAL_RATE, validators=[MinValueValidator(1), MaxValueValidator(LARGEST_RATE)]
    )
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.CharField(max_length=200, blank=True)
    #: From then on it is refused; empty: until it is revoked.
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    #: The key that it took the place of.
    replaces = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="replaced_by"
    )
    history = HistoricalRecords(excluded_fields=["hashed_key"])

    class Meta:
        ordering = ["-id"]
        verbose_name = "API key"
        constraints = [
            models.CheckConstraint(condition=~Q(hashed_key=""), name="api_key_is_hashed"),
            models.CheckConstraint(condition=Q(requests_per_minute__gt=0), name="api_key_has_a_rate"),
            models.CheckConstraint(
                condition=Q(replaces__isnull=True) | ~Q(replaces=F("id")), name="api_key_replaces_another"
            ),
        ]
        indexes = [models.Index(fields=["merchant", "-id"], name="api_key_by_merchant")]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    def is_live(self, now: datetime) -> bool:
        """Returns whether requests with it are answered."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)


class ApiKeyUse(models.Model):
    """What a key has used of its rate; counted by all processes in one row, which stands apart for being written often."""

    key = models.OneToOneField(ApiKey, on_delete=models.CASCADE, primary_key=True, related_name="use")
    #: When the minute began that is being counted.
    window_started_at = models.DateTimeField()
    #: Requests in it, those beyond the rate included.
    used = models.PositiveBigIntegerField(default=0)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["key_id"]
        verbose_name = "API key use"

    def __str__(self) -> str:
        return f"use of {self.key_id}"


class ApiAnswer(models.Model):
    """What a request under an idempotency key was answered; a repeat is given it again. Written with what it did."""

    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="+")
    #: As the caller sent it; unique within the merchant, whichever of its keys was used.
    key = models.CharField(max_length=128)
    #: SHA-256 of method, address and body, hexadecimal; tells a repeat from a reused key.
    digest = models.CharField(max_length=64)
    #: 0 only inside the transaction that works on it.
    status = models.PositiveSmallIntegerField(default=0)
    body = models.TextField(blank=True)
    #: Headers that belong to the answer, such as `ETag`.
    headers = models.JSONField(default=dict)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        verbose_name = "API answer"
        constraints = [
            models.UniqueConstraint(fields=["merchant", "key"], name="answer_key_is_unique_per_merchant"),
        ]
        indexes = [models.Index(fields=["created_at"], name="answer_by_age")]

    def __str__(self) -> str:
        return self.key
