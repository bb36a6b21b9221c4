"""What changed, in the order in which it was committed: what mirrors of the stock and webhooks are fed from."""

from django.db import models
from django.db.models import Q

from inventory.models.catalogue import Location, Merchant, Variant
from inventory.models.stock import StockOperation


class ChangeKind(models.TextChoices):
    """What a change is about."""

    STOCK = "stock.changed", "Stock changed"
    RESERVATION_CREATED = "reservation.created", "Reservation created"
    RESERVATION_CONFIRMED = "reservation.confirmed", "Reservation confirmed"
    #: It was given another end.
    RESERVATION_EXTENDED = "reservation.extended", "Reservation extended"
    RESERVATION_RELEASED = "reservation.released", "Reservation released"
    RESERVATION_EXPIRED = "reservation.expired", "Reservation expired"
    RESERVATION_FULFILLED = "reservation.fulfilled", "Reservation fulfilled"
    VARIANT = "variant.changed", "Variant changed"
    LOCATION = "location.changed", "Location changed"


class WhatChanged(models.Model):
    """Whose what changed.

    No foreign key is checked: what a change names existed when it was made, and may be gone before it is forgotten.
    """

    merchant = models.ForeignKey(
        Merchant, on_delete=models.DO_NOTHING, related_name="+", db_constraint=False, db_index=False
    )
    kind = models.CharField(max_length=24, choices=ChangeKind.choices)
    variant = models.ForeignKey(
        Variant,
        on_delete=models.DO_NOTHING,
        related_name="+",
        null=True,
        blank=True,
        db_constraint=False,
        db_index=False,
    )
    location = models.ForeignKey(
        Location,
        on_delete=models.DO_NOTHING,
        related_name="+",
        null=True,
        blank=True,
        db_constraint=False,
        db_index=False,
    )
    #: See `inventory.changes`.
    payload = models.JSONField(default=dict)

    class Meta:
        abstract = True


class Change(WhatChanged):
    """One committed change and its place in the order of all; written by `inventory.sequencer` alone."""

    #: 1, 2, 3 … over all merchants; given after the commit, so that nothing ever appears below a position that was read.
    position = models.BigIntegerField(primary_key=True)
    #: What caused it; empty for changes of the catalogue.
    operation = models.ForeignKey(
        StockOperation,
        on_delete=models.DO_NOTHING,
        related_name="+",
        null=True,
        blank=True,
        db_constraint=False,
        db_index=False,
    )
    #: Which of its operation's changes it is: 1, 2, 3 …
    number = models.IntegerField(null=True, blank=True)
    #: Of `stock.changed`: the version of the level after it, without a gap for each level.
    version = models.BigIntegerField(null=True, blank=True)
    #: When it was recorded, by the database's clock.
    happened_at = models.DateTimeField()

    class Meta:
        ordering = ["-position"]
        constraints = [
            models.UniqueConstraint(fields=["operation", "number"], name="change_is_told_once"),
            models.CheckConstraint(condition=Q(position__gt=0), name="change_position_is_positive"),
            models.CheckConstraint(
                condition=Q(operation__isnull=True, number__isnull=True)
                | Q(operation__isnull=False, number__isnull=False),
                name="change_of_an_operation_is_numbered",
            ),
            models.CheckConstraint(
                condition=~Q(kind=ChangeKind.STOCK)
                | Q(variant__isnull=False, location__isnull=False, version__isnull=False),
                name="change_of_stock_has_a_version",
            ),
        ]
        indexes = [models.Index(fields=["merchant", "position"], name="change_by_merchant")]

    def __str__(self) -> str:
        return f"{self.kind} at {self.position}"


class CatalogueNote(WhatChanged):
    """A change of a variant or a location that has no position yet; written by triggers, taken by the sequencer."""

    noted_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.kind} {self.variant_id or self.location_id}"


class FeedMark(models.Model):
    """How far something about the changes has come."""

    name = models.CharField(max_length=20, primary_key=True)
    #: `position`: the last one given. `forgotten`: the last one not kept any more. `operations`: up to this id every
    #: operation has ended and has its positions.
    value = models.BigIntegerField(default=0)

    class Meta:
        ordering = ["name"]
        constraints = [models.CheckConstraint(condition=Q(value__gte=0), name="feed_mark_is_not_negative")]

    def __str__(self) -> str:
        return f"{self.name} {self.value}"
