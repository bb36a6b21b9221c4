"""Where a variant is offered, and what the channel has been and should be told."""

from django.db import models
from django.db.models import F, Q
from simple_history.models import HistoricalRecords

from channels.models.channels import Channel, ChannelLocation
from inventory.models import Variant


class Listing(models.Model):
    """One thing a channel sells; linked to a variant once it is mapped."""

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="listings")
    #: Empty while unmapped.
    variant = models.ForeignKey(
        Variant,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="listings",
    )
    #: The platform's id of what carries the stock: inventory item, product or variation, offer.
    external_id = models.CharField(max_length=200)
    #: The parent product where writes need it (WooCommerce variations).
    parent_external_id = models.CharField(max_length=200, blank=True)
    #: The SKU as the platform has it; case-sensitive.
    sku = models.CharField("SKU", max_length=200, blank=True)
    gtin = models.CharField("GTIN", max_length=14, blank=True)
    title = models.CharField(max_length=300, blank=True)
    #: What else the connector needs to address it, e.g. Shopify's variant id.
    data = models.JSONField(default=dict, blank=True)
    #: A listing that is not active is not pushed: the platform does not sell it, or a person switched it off.
    is_active = models.BooleanField(default=True)
    #: A person's word; what the platform says of the listing does not undo it.
    is_switched_off = models.BooleanField("switched off", default=False, db_default=False)
    created_at = models.DateTimeField(auto_now_add=True)
    history = HistoricalRecords()

    class Meta:
        ordering = ["channel_id", "sku"]
        constraints = [
            models.UniqueConstraint(fields=["channel", "external_id"], name="listing_is_unique_per_channel"),
        ]
        indexes = [
            models.Index(fields=["channel", "sku"], name="listing_by_sku"),
            models.Index(fields=["variant", "channel"], name="listing_by_variant"),
        ]

    def __str__(self) -> str:
        return f"{self.sku or self.external_id} on {self.channel_id}"


class Lane(models.IntegerChoices):
    """How urgent a push is; the worst direction marked since the last push."""

    TO_ZERO = 0, "Decrease to zero"
    DECREASE = 1, "Decrease"
    INCREASE = 2, "Increase"


class ListingLevel(models.Model):
    """A listing at a channel location: what is wanted, sent and confirmed. The twin of `StockLevel`."""

    #: Repeated from the listing, so that leases find due rows by channel in one index.
    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="+")
    listing = models.ForeignKey(Listing, on_delete=models.CASCADE, related_name="levels")
    channel_location = models.ForeignKey(ChannelLocation, on_delete=models.CASCADE, related_name="levels")
    #: Raised with every change; due means `wanted > done`.
    wanted = models.BigIntegerField(default=0)
    #: The value of `wanted` that the last completed push had leased.
    done = models.BigIntegerField(default=0)
    lane = models.SmallIntegerField(choices=Lane.choices, default=Lane.INCREASE)
    #: When it became due; empty when it is not.
    due_since = models.DateTimeField(null=True, blank=True)
    #: Not before this instant (back-off).
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    lease_token = models.UUIDField(null=True, blank=True)
    leased_until = models.DateTimeField(null=True, blank=True)
    #: The number last sent, whether or not it arrived.
    sent_quantity = models.BigIntegerField(null=True, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    #: The number the channel last confirmed.
    published_quantity = models.BigIntegerField(null=True, blank=True)
    confirmed_at = models.DateTimeField(null=True, blank=True)
    #: What the shop should show: last confirmed, less its own orders applied since.
    expected = models.BigIntegerField(null=True, blank=True)
    #: What the shop was last read to show where that was not what was expected, and what was; both move with our
    #: own calls. The same pair again, with all orders imported in between, is no sale on its way.
    seen_quantity = models.BigIntegerField(null=True, blank=True)
    seen_expected = models.BigIntegerField(null=True, blank=True)
    seen_at = models.DateTimeField(null=True, blank=True)
    #: The day (UTC) of the last push that raised the number, and how many did so that day.
    raised_on = models.DateField(null=True, blank=True)
    raises = models.PositiveIntegerField(default=0, db_default=0)
    #: The shop has to be read before the next push: an earlier call may have arrived unseen, or its number is in doubt.
    is_outcome_unknown = models.BooleanField(default=False)
    #: Failures of this listing in a row.
    attempts = models.PositiveIntegerField(default=0)
    last_error = models.TextField(blank=True)
    #: Parked in the dead letters since; a person replays it.
    dead_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(
                fields=["listing", "channel_location"],
                name="one_listing_level_per_place",
            ),
            models.CheckConstraint(condition=Q(wanted__gte=F("done")), name="done_is_at_most_wanted"),
        ]
        indexes = [
            models.Index(
                fields=["channel", "lane", "due_since"],
                name="listing_level_due",
                condition=Q(wanted__gt=F("done"), dead_at__isnull=True),
            ),
            models.Index(
                fields=["channel"],
                name="listing_level_leased",
                condition=Q(lease_token__isnull=False),
            ),
            models.Index(
                fields=["channel", "id"],
                name="listing_level_dead",
                condition=Q(dead_at__isnull=False),
            ),
            models.Index(
                fields=["raised_on"], name="listing_level_raised", condition=Q(raised_on__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"listing level {self.pk}"

    @property
    def is_due(self) -> bool:
        """Whether the channel has yet to be told."""
        return self.wanted > self.done
