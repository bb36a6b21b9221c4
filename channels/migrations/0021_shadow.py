"""Adds shadow mode: channels that are only watched, what was seen of them, and the way of new ones to being live."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """Adds the flag and three tables; nothing is rewritten."""

    dependencies = [
        ("channels", "0020_eyes"),
    ]

    operations = [
        migrations.AddField(
            model_name="channel",
            name="in_shadow",
            field=models.BooleanField(db_default=False, default=False, editable=False),
        ),
        migrations.AddField(
            model_name="historicalchannel",
            name="in_shadow",
            field=models.BooleanField(db_default=False, default=False, editable=False),
        ),
        migrations.AddConstraint(
            model_name="channel",
            constraint=models.CheckConstraint(
                condition=models.Q(("in_shadow", False), ("is_paused", True), _connector="OR"),
                name="channel_in_shadow_is_paused",
            ),
        ),
        migrations.AlterField(
            model_name="shelfobservation",
            name="verdict",
            field=models.CharField(
                choices=[
                    ("echo", "Echo of our own push"),
                    ("open", "Not explained yet"),
                    ("explained", "Explained"),
                    ("foreign", "Foreign edit"),
                    ("shadow", "Their own number"),
                ],
                default="open",
                max_length=12,
            ),
        ),
        migrations.CreateModel(
            name="Onboarding",
            fields=[
                (
                    "channel",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="onboarding",
                        serialize=False,
                        to="channels.channel",
                    ),
                ),
                ("shop", models.CharField(blank=True, max_length=300)),
                ("limits", models.JSONField(blank=True, default=dict)),
                ("tested_at", models.DateTimeField(blank=True, null=True)),
                ("tested_by", models.CharField(blank=True, max_length=200)),
                ("problem", models.TextField(blank=True)),
            ],
            options={
                "verbose_name": "onboarding",
                "verbose_name_plural": "onboardings",
                "ordering": ["channel_id"],
            },
        ),
        migrations.CreateModel(
            name="ShadowRun",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("may_subscribe", models.BooleanField(default=False)),
                ("began_at", models.DateTimeField()),
                ("began_by", models.CharField(blank=True, max_length=200)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("ended_by", models.CharField(blank=True, max_length=200)),
                (
                    "outcome",
                    models.CharField(
                        blank=True, choices=[("live", "Went live"), ("stopped", "Stopped")], max_length=8
                    ),
                ),
                ("observed_id", models.BigIntegerField(default=0)),
                ("first_push", models.JSONField(blank=True, null=True)),
                ("seen_at", models.DateTimeField(blank=True, null=True)),
                ("seen_by", models.CharField(blank=True, max_length=200)),
                (
                    "channel",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="shadow_runs",
                        to="channels.channel",
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("ended_at__isnull", True)),
                        fields=("channel",),
                        name="one_shadow_run_is_open_per_channel",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("ended_at__isnull", True), ("outcome", "")),
                            models.Q(("ended_at__isnull", False), models.Q(("outcome", ""), _negated=True)),
                            _connector="OR",
                        ),
                        name="shadow_run_ends_with_an_outcome",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ShadowSpan",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("would", models.BigIntegerField(blank=True, null=True)),
                ("shown", models.BigIntegerField(blank=True, null=True)),
                ("began_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("caused_at", models.DateTimeField(blank=True, null=True)),
                ("said_at", models.DateTimeField(blank=True, null=True)),
                (
                    "listing_level",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="channels.listinglevel",
                    ),
                ),
                (
                    "run",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="spans",
                        to="channels.shadowrun",
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
                "indexes": [
                    models.Index(fields=["run", "listing_level", "began_at"], name="shadow_span_by_shelf"),
                    models.Index(
                        condition=models.Q(("ended_at__isnull", True)),
                        fields=["run", "said_at"],
                        name="shadow_span_open",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("ended_at__isnull", True)),
                        fields=("run", "listing_level"),
                        name="one_shadow_span_is_open_per_shelf",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("ended_at__isnull", True),
                            ("ended_at__gte", models.F("began_at")),
                            _connector="OR",
                        ),
                        name="shadow_span_ends_after_it_begins",
                    ),
                ],
            },
        ),
    ]
