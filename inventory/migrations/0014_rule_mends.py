"""Remembers when a version of a bundle ended."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """Adds the instant. What ended before is not known to have been made of anything."""

    dependencies = [
        ('inventory', '0013_api_access'),
    ]

    operations = [
        migrations.AddField(
            model_name="bundle",
            name="ended_at",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
    ]
