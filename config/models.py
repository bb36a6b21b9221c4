"""What the ground itself keeps: how often somebody tried to sign in."""

from django.db import models
from django.db.models import Q


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
