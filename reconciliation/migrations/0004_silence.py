"""Keeps the times in which nobody watched, so that what was silent then is not taken for broken."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """Adds the table."""

    dependencies = [
        ("reconciliation", "0003_health"),
    ]

    operations = [
        migrations.CreateModel(
            name="WatchGap",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("began_at", models.DateTimeField(blank=True, null=True)),
                ("ended_at", models.DateTimeField()),
            ],
            options={
                "ordering": ["-id"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("began_at__isnull", True), ("ended_at__gte", models.F("began_at")), _connector="OR"
                        ),
                        name="watch_gap_ends_after_it_began",
                    )
                ],
                "indexes": [models.Index(fields=["-ended_at"], name="watch_gap_latest")],
            },
        ),
    ]
