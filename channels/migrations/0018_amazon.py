"""Adds the way to pushes that were accepted and are not known to be live yet."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """Adds the index."""

    dependencies = [
        ('channels', '0017_listing_matches'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='push',
            index=models.Index(
                fields=['channel', 'id'], name='push_accepted', condition=models.Q(('outcome', 'accepted'))
            ),
        ),
    ]
