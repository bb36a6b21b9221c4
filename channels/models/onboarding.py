"""How far a new channel has come on its way to being live, as far as nothing else remembers it."""

from django.db import models

from channels.models.channels import Channel


class Onboarding(models.Model):
    """What the platform said of itself when the credentials were tested."""

    channel = models.OneToOneField(
        Channel, on_delete=models.CASCADE, primary_key=True, related_name="onboarding"
    )
    #: The name by which the platform knows the account; empty while it has not answered.
    shop = models.CharField(max_length=300, blank=True)
    #: Bucket → [calls or points at once, back a second], as the platform allows them.
    limits = models.JSONField(default=dict, blank=True)
    tested_at = models.DateTimeField(null=True, blank=True)
    tested_by = models.CharField(max_length=200, blank=True)
    #: What was wrong at the last test; empty when it worked.
    problem = models.TextField(blank=True)

    class Meta:
        ordering = ["channel_id"]
        verbose_name = "onboarding"
        verbose_name_plural = "onboardings"

    def __str__(self) -> str:
        return f"onboarding of {self.channel_id}"
