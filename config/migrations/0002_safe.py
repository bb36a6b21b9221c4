"""Counts attempts to sign in."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """Adds the table that the lockout goes by."""

    dependencies = [("config", "0001_index_queued_wake_ups")]
    operations = [
        migrations.CreateModel(
            name="LoginAttempts",
            fields=[
                ("key", models.CharField(max_length=80, primary_key=True, serialize=False)),
                ("attempts", models.PositiveIntegerField(default=1)),
                ("since", models.DateTimeField(db_index=True)),
            ],
            options={
                "verbose_name_plural": "login attempts",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("attempts__gt", 0)), name="counted_logins_were_tried"
                    )
                ],
            },
        ),
    ]
