"""Adds who has the say over locations, what they say of goods, and what they were asked to ship."""

import django.db.models.deletion
import simple_history.models
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    """Makes the tables."""

    dependencies = [
        ("channels", "0021_shadow"),
        ("inventory", "0017_stock3"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Authority",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("began_at", models.DateTimeField(auto_now_add=True)),
                (
                    "location",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="authority",
                        to="inventory.location",
                    ),
                ),
                (
                    "place",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="authority",
                        to="channels.channellocation",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "authorities",
                "ordering": ["location__code"],
            },
        ),
        migrations.CreateModel(
            name="HistoricalAuthority",
            fields=[
                (
                    "id",
                    models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name="ID"),
                ),
                ("began_at", models.DateTimeField(blank=True, editable=False)),
                ("history_id", models.AutoField(primary_key=True, serialize=False)),
                ("history_date", models.DateTimeField(db_index=True)),
                ("history_change_reason", models.CharField(max_length=100, null=True)),
                (
                    "history_type",
                    models.CharField(
                        choices=[("+", "Created"), ("~", "Changed"), ("-", "Deleted")], max_length=1
                    ),
                ),
                (
                    "history_user",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "location",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="inventory.location",
                    ),
                ),
                (
                    "place",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="channels.channellocation",
                    ),
                ),
            ],
            options={
                "verbose_name": "historical authority",
                "verbose_name_plural": "historical authorities",
                "ordering": ("-history_date", "-history_id"),
                "get_latest_by": ("history_date", "history_id"),
            },
            bases=(simple_history.models.HistoricalChanges, models.Model),
        ),
        migrations.CreateModel(
            name="StatedLevel",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("free", models.BigIntegerField(blank=True, null=True)),
                ("stock", models.BigIntegerField(blank=True, null=True)),
                ("stated_at", models.DateTimeField(blank=True, null=True)),
                ("remark", models.CharField(blank=True, max_length=200)),
                ("wanted", models.BigIntegerField(default=1)),
                ("done", models.BigIntegerField(default=0)),
                ("next_read_at", models.DateTimeField(blank=True, null=True)),
                (
                    "authority",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="stated",
                        to="channels.authority",
                    ),
                ),
                (
                    "listing",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="channels.listing"
                    ),
                ),
            ],
            options={
                "ordering": ["authority_id", "id"],
                "indexes": [
                    models.Index(
                        condition=models.Q(("wanted__gt", models.F("done"))),
                        fields=["authority", "id"],
                        name="stated_due",
                    ),
                    models.Index(fields=["authority", "stated_at"], name="stated_by_age"),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("authority", "listing"), name="stated_level_is_unique"),
                    models.CheckConstraint(
                        condition=models.Q(("done__gte", 0), ("wanted__gte", models.F("done"))),
                        name="stated_done_is_at_most_wanted",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="WarehouseArrival",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "kind",
                    models.CharField(choices=[("receipt", "Receipt"), ("return", "Return")], max_length=8),
                ),
                ("document", models.CharField(max_length=100)),
                ("external_id", models.CharField(max_length=200)),
                ("units", models.BigIntegerField()),
                ("recorded_at", models.DateTimeField(auto_now=True)),
                (
                    "channel",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="channels.channel"
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("channel", "kind", "external_id"), name="warehouse_arrival_is_recorded_once"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("units__gte", 0)), name="arrived_units_are_not_negative"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="WarehouseOrder",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("external_id", models.CharField(max_length=200)),
                ("reference", models.CharField(max_length=100)),
                ("goods", models.JSONField(default=dict)),
                ("shipped", models.JSONField(default=dict)),
                ("status", models.CharField(blank=True, max_length=50)),
                ("placed_at", models.DateTimeField(blank=True, null=True)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("wanted", models.BigIntegerField(default=0)),
                ("done", models.BigIntegerField(default=0)),
                ("looked_at", models.DateTimeField(blank=True, null=True)),
                (
                    "channel",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="channels.channel"
                    ),
                ),
                (
                    "request",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="warehouse_orders",
                        to="channels.fulfilmentrequest",
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
                "indexes": [
                    models.Index(
                        condition=models.Q(("ended_at__isnull", True)),
                        fields=["channel", "looked_at"],
                        name="warehouse_order_standing",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("channel", "external_id"), name="warehouse_order_is_unique_per_channel"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("done__gte", 0), ("wanted__gte", models.F("done"))),
                        name="warehouse_order_done_is_at_most_wanted",
                    ),
                ],
            },
        ),
    ]
