"""Remembers when a channel's credentials end, so that people hear of it before they do."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """Adds the day, and its history."""

    dependencies = [
        ("channels", "0013_rule_mends"),
    ]

    operations = [
        migrations.AddField(
            model_name="channel",
            name="credentials_expire_on",
            field=models.DateField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="historicalchannel",
            name="credentials_expire_on",
            field=models.DateField(blank=True, null=True),
        ),
    ]
