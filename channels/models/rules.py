"""What channels are offered, as versioned rule sets."""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import F, Q
from simple_history.models import HistoricalRecords

from channels.models.channels import Channel
from channels.models.pools import ChannelGroup
from inventory.models import Merchant, Tag, Variant

#: The largest count of units, and the last rank, that their columns hold.
LARGEST_COUNT = 2_147_483_647

#: The settings that a rule can state, in the order in which a number passes them.
SETTINGS = (
    "scarce_below",
    "scarce_listings",
    "buffer_units",
    "buffer_percent",
    "velocity_quantile",
    "velocity_least",
    "velocity_most",
    "preorder_limit",
    "minimum",
    "maximum",
    "channel_cap",
    "daily_increases",
)


class RuleSet(models.Model):
    """A named line of versions, of which at most one is in force."""

    merchant = models.ForeignKey(Merchant, on_delete=models.PROTECT, related_name="rule_sets")
    name = models.CharField(max_length=100)
    #: Where rules of two sets are equally specific, those of the set with the larger number win.
    priority = models.SmallIntegerField(default=0)
    description = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    history = HistoricalRecords()

    class Meta:
        ordering = ["-priority", "name"]
        constraints = [
            models.UniqueConstraint(fields=["merchant", "name"], name="rule_set_name_is_unique_per_merchant"),
        ]

    def __str__(self) -> str:
        return self.name


class VersionState(models.TextChoices):
    """Where a version stands."""

    DRAFT = "draft", "Draft"
    #: Closed to edits; waits for its day or for somebody to activate it.
    APPROVED = "approved", "Approved"
    ACTIVE = "active", "Active"
    RETIRED = "retired", "Retired"


class RuleSetVersion(models.Model):
    """One version of a rule set; its rules are edited while it is a draft and never after."""

    rule_set = models.ForeignKey(RuleSet, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=10, choices=VersionState.choices, default=VersionState.DRAFT)
    #: When it comes into force by itself; empty: when somebody activates it.
    effective_from = models.DateTimeField(null=True, blank=True)
    #: When it ends by itself; empty: when the next one comes into force.
    effective_until = models.DateTimeField(null=True, blank=True)
    #: What it is for, in the words of whoever drew it up.
    why = models.TextField(blank=True)
    created_by = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    approved_by = models.CharField(max_length=200, blank=True)
    approved_at = models.DateTimeField(null=True, blank=True)
    approved_because = models.TextField(blank=True)
    history = HistoricalRecords()

    class Meta:
        ordering = ["rule_set_id", "-number"]
        constraints = [
            models.UniqueConstraint(fields=["rule_set", "number"], name="version_number_is_unique_per_set"),
            models.UniqueConstraint(
                fields=["rule_set"], condition=Q(state="active"), name="one_version_is_active_per_set"
            ),
            models.CheckConstraint(
                condition=Q(effective_from__isnull=True)
                | Q(effective_until__isnull=True)
                | Q(effective_until__gt=F("effective_from")),
                name="version_ends_after_it_begins",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.rule_set} v{self.number}"

    @property
    def is_draft(self) -> bool:
        """Whether its rules may still be edited."""
        return self.state == VersionState.DRAFT

    def clean(self) -> None:
        """Refuses an end before the beginning."""
        if self.effective_from and self.effective_until and self.effective_until <= self.effective_from:
            raise ValidationError(
                {"effective_until": "The end must come after the beginning. Choose a later instant."}
            )


def _percent(**options: Any) -> "models.PositiveSmallIntegerField[Any, Any]":
    message = "Not more than 100 percent. Enter 0 to 100."
    return models.PositiveSmallIntegerField(
        null=True, blank=True, validators=[MaxValueValidator(100, message)], **options
    )


def _units() -> "models.PositiveIntegerField[Any, Any]":
    return models.PositiveIntegerField(null=True, blank=True)


class Quantile(models.IntegerChoices):
    """Which share of all spans of a channel's lag sold no more units than are withheld."""

    OFF = 0, "off"
    NINETY = 90, "90 %"
    NINETY_FIVE = 95, "95 %"
    NINETY_NINE = 99, "99 %"


class Rule(models.Model):
    """What some channels are offered of some goods. What it leaves empty, less specific rules decide.

    Goods are one variant, or those with a tag, or those of a category, or all. Channels are one channel, or
    those of a group, or all. A rule that names a pool ring-fences units for the channels of that group.
    """

    version = models.ForeignKey(RuleSetVersion, on_delete=models.CASCADE, related_name="rules")
    #: Of two equally specific rules of a version, the one with the smaller number wins.
    position = models.PositiveIntegerField(default=0)
    channel = models.ForeignKey(
        Channel, on_delete=models.PROTECT, null=True, blank=True, related_name="rules"
    )
    group = models.ForeignKey(
        ChannelGroup, on_delete=models.PROTECT, null=True, blank=True, related_name="rules"
    )
    variant = models.ForeignKey(Variant, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    tag = models.ForeignKey(Tag, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    #: As on the product; empty: any.
    category = models.CharField(max_length=200, blank=True)

    #: Below this many units stock counts as scarce: it is divided among the variant's listings by rank. 0: never.
    scarce_below = _units()
    #: How many of the best ranked listings share what is scarce; the others show none. Empty: all of them.
    scarce_listings = _units()
    #: Units withheld from each listing.
    buffer_units = _units()
    #: Percent withheld, rounded up to whole units.
    buffer_percent = _percent()
    #: Withholds as many units as sold within the channel's measured lag, in this share of all such spans.
    velocity_quantile = models.PositiveSmallIntegerField(choices=Quantile.choices, null=True, blank=True)
    #: At least so many units of that.
    velocity_least = _units()
    #: At most so many units of that.
    velocity_most = _units()
    #: Confirmed inbound that may be offered for pre-order, in units; 0: none.
    preorder_limit = _units()
    #: Below this many units none are shown.
    minimum = _units()
    #: Never shows more than this many units.
    maximum = _units()
    #: Units of a variant on the whole channel, over all its listings and places, divided among them by rank.
    channel_cap = _units()
    #: How often a day the number may be raised; decreases always pass.
    daily_increases = _units()
    #: The channels for which units are ring-fenced; their own orders use them up.
    pool = models.ForeignKey(
        ChannelGroup, on_delete=models.PROTECT, null=True, blank=True, related_name="pool_rules"
    )
    #: Size of the pool until it is filled again.
    pool_units = _units()
    #: Size of the pool as a share of what is available at each moment, after pools of units; rounded down.
    pool_percent = _percent()
    history = HistoricalRecords()

    class Meta:
        ordering = ["version_id", "position", "id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(channel__isnull=True) | Q(group__isnull=True), name="rule_names_channel_or_group"
            ),
            models.CheckConstraint(
                condition=Q(variant__isnull=True, tag__isnull=True)
                | Q(variant__isnull=True, category="")
                | Q(tag__isnull=True, category=""),
                name="rule_names_goods_in_one_way",
            ),
            models.CheckConstraint(
                condition=(Q(buffer_percent__isnull=True) | Q(buffer_percent__lte=100))
                & (Q(pool_percent__isnull=True) | Q(pool_percent__lte=100)),
                name="rule_percent_is_at_most_100",
            ),
            models.CheckConstraint(
                condition=Q(minimum__isnull=True) | Q(maximum__isnull=True) | Q(maximum__gte=F("minimum")),
                name="rule_minimum_is_at_most_maximum",
            ),
            models.CheckConstraint(
                condition=Q(velocity_least__isnull=True)
                | Q(velocity_most__isnull=True)
                | Q(velocity_most__gte=F("velocity_least")),
                name="rule_velocity_least_is_at_most_most",
            ),
            models.CheckConstraint(
                condition=Q(pool__isnull=True, pool_units__isnull=True, pool_percent__isnull=True)
                | Q(pool__isnull=False, pool_units__isnull=False, pool_percent__isnull=True)
                | Q(pool__isnull=False, pool_units__isnull=True, pool_percent__isnull=False),
                name="rule_pool_has_units_or_percent",
            ),
            models.CheckConstraint(
                condition=Q(pool__isnull=True) | Q(channel__isnull=True, group__isnull=True),
                name="rule_of_a_pool_names_no_other_channels",
            ),
        ]
        indexes = [models.Index(fields=["version", "variant"], name="rule_by_variant")]

    def __str__(self) -> str:
        return f"{self.version_id}/{self.position}: {self.scope}"

    @property
    def scope(self) -> str:
        """Names goods and channels in a few words."""
        goods = (
            (self.variant_id and f"variant {self.variant}")
            or (self.tag_id and f"tag {self.tag}")
            or (self.category and f"category {self.category}")
            or "all goods"
        )
        channels = (
            (self.pool_id and f"pool {self.pool}")
            or (self.channel_id and f"{self.channel}")
            or (self.group_id and f"{self.group}")
            or "all channels"
        )
        return f"{goods} on {channels}"

    def clean(self) -> None:
        """Refuses what contradicts itself, each at its field."""
        errors = {**self._scope_errors(), **self._value_errors(), **self._pool_errors()}
        if errors:
            raise ValidationError(errors)

    def _scope_errors(self) -> dict[str, str]:
        errors = {}
        if self.channel_id and self.group_id:
            errors["group"] = "A rule names a channel or a group of channels. Leave one of them empty."
        if sum(map(bool, (self.variant_id, self.tag_id, self.category))) > 1:
            last = "category" if self.category else "tag"
            errors[last] = "A rule names a variant, a tag or a category. Leave the others empty."
        return errors

    def _value_errors(self) -> dict[str, str]:
        errors = {}
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            errors["minimum"] = (
                f"The minimum is above the maximum of {self.maximum}, so that nothing would ever be shown. "
                "Lower it, or raise the maximum."
            )
        least, most = self.velocity_least, self.velocity_most
        if least is not None and most is not None and most < least:
            errors["velocity_least"] = f"More than the most of {most}. Lower it, or raise the most."
        return errors

    def _pool_errors(self) -> dict[str, str]:
        if self.pool_id is None:
            named = [name for name in ("pool_units", "pool_percent") if getattr(self, name) is not None]
            return dict.fromkeys(named, "Choose the group of channels for which these are kept.")
        if self.channel_id or self.group_id:
            field = "channel" if self.channel_id else "group"
            return {field: "A pool names its channels by its group. Leave this empty."}
        if (self.pool_units is None) == (self.pool_percent is None):
            return {"pool_units": "Give the pool a number of units, or else a percentage."}
        return {}


class RuleSetActivation(models.Model):
    """A span in which a version was in force: who began and ended it, and why."""

    rule_set = models.ForeignKey(RuleSet, on_delete=models.PROTECT, related_name="activations")
    version = models.ForeignKey(RuleSetVersion, on_delete=models.PROTECT, related_name="activations")
    began_at = models.DateTimeField()
    began_by = models.CharField(max_length=200, blank=True)
    began_because = models.TextField(blank=True)
    #: The span that this one undid.
    rolls_back = models.ForeignKey("self", on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.CharField(max_length=200, blank=True)
    ended_because = models.TextField(blank=True)
    #: Listing levels that were marked when it began.
    marked = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["rule_set"], condition=Q(ended_at__isnull=True), name="one_activation_is_open_per_set"
            ),
            models.CheckConstraint(
                condition=Q(ended_at__isnull=True) | Q(ended_at__gte=F("began_at")),
                name="activation_ends_after_it_begins",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.version} since {self.began_at:%Y-%m-%d %H:%M}"
