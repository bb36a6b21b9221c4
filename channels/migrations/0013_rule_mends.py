"""Remembers until which day the days of confirmed inbound were followed."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """Adds the day."""

    dependencies = [
        ('channels', '0011_error_log'),
    ]

    operations = [
        migrations.AddField(
            model_name="mutationfuse",
            name="preorders_followed_on",
            field=models.DateField(editable=False, null=True),
        ),
    ]
