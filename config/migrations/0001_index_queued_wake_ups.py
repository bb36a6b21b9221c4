"""Finds a queued wake-up by its content, so that adding one stays fast in a long queue."""

from django.db import migrations


class Migration(migrations.Migration):
    """Adds an index to django-q2's queue."""

    initial = True
    dependencies = [("django_q", "0019_alter_task_options_alter_ormq_key_alter_ormq_lock_and_more")]
    operations = [
        migrations.RunSQL(
            sql="CREATE INDEX onecount_queued_wake_ups ON django_q_ormq (md5(payload))",
            reverse_sql="DROP INDEX onecount_queued_wake_ups",
        ),
    ]
