"""Counts how often a task is begun, and keeps what kills its workers from being begun for ever."""

import django.db.models.functions.text
from django.db import migrations, models


class Migration(migrations.Migration):
    """Adds a column to django-q2's queue, and the tasks that were taken out of it."""

    dependencies = [
        ("config", "0002_safe"),
        ("django_q", "0019_alter_task_options_alter_ormq_key_alter_ormq_lock_and_more"),
    ]
    operations = [
        migrations.RunSQL(
            sql="ALTER TABLE django_q_ormq ADD COLUMN takes integer NOT NULL DEFAULT 0",
            reverse_sql="ALTER TABLE django_q_ormq DROP COLUMN takes",
        ),
        migrations.CreateModel(
            name="DeadTask",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("payload", models.TextField()),
                ("takes", models.PositiveIntegerField()),
                ("first_at", models.DateTimeField()),
                ("last_at", models.DateTimeField()),
            ],
            options={
                "ordering": ["-last_at"],
                "constraints": [
                    models.UniqueConstraint(
                        django.db.models.functions.text.MD5("payload"), name="dead_task_is_kept_once"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("takes__gt", 0)), name="dead_task_was_taken"
                    ),
                ],
            },
        ),
    ]
