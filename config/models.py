"""What the ground itself keeps: how often somebody tried to sign in, and tasks that killed whoever ran them."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import MD5

from config.jobs import name_of


class LoginAttempts(models.Model):
    """Attempts to sign in, since an instant, under a name or from an address; written by `config.logins`."""

    #: What is counted, as a digest: people type passwords into the wrong field.
    key = models.CharField(max_length=80, primary_key=True)
    attempts = models.PositiveIntegerField(default=1)
    #: When the first of them was made.
    since = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name_plural = "login attempts"
        constraints = [models.CheckConstraint(condition=Q(attempts__gt=0), name="counted_logins_were_tried")]

    def __str__(self) -> str:
        return f"{self.attempts} attempts"


class DeadTask(models.Model):
    """A task that was begun again and again and never ended, because each time its worker died; nobody runs it any more."""

    #: As it stood in the queue: signed.
    payload = models.TextField()
    #: How often it was begun in vain.
    takes = models.PositiveIntegerField()
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()

    class Meta:
        ordering = ["-last_at"]
        constraints = [
            models.UniqueConstraint(MD5("payload"), name="dead_task_is_kept_once"),
            models.CheckConstraint(condition=Q(takes__gt=0), name="dead_task_was_taken"),
        ]

    def __str__(self) -> str:
        return name_of(self.payload)
