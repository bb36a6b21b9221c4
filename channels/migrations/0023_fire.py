"""Counts how often a message is taken, so that one that kills its workers is given up."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """Adds a column."""

    dependencies = [("channels", "0022_picqer")]
    operations = [
        migrations.AddField(
            model_name="webhookdelivery",
            name="takes",
            field=models.PositiveSmallIntegerField(db_default=0, default=0),
        ),
    ]
