"""Adds how many days goods take to a channel's customer, and where a platform has returned goods sent."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """Adds the days and the place."""

    dependencies = [
        ('channels', '0014_expiry'),
    ]

    operations = [
        migrations.AddField(
            model_name='channel',
            name='delivery_days_from',
            field=models.PositiveSmallIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='channel',
            name='delivery_days_to',
            field=models.PositiveSmallIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='channelorderline',
            name='returned_to_external_id',
            field=models.CharField(blank=True, db_default='', max_length=200),
        ),
        migrations.AddField(
            model_name='historicalchannel',
            name='delivery_days_from',
            field=models.PositiveSmallIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='historicalchannel',
            name='delivery_days_to',
            field=models.PositiveSmallIntegerField(blank=True, null=True),
        ),
        migrations.AddConstraint(
            model_name='channel',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('delivery_days_from__isnull', True), ('delivery_days_to__isnull', True)), models.Q(('delivery_days_from__isnull', False), ('delivery_days_from__lte', models.F('delivery_days_to')), ('delivery_days_to__isnull', False)), _connector='OR'), name='delivery_days_are_a_span'),
        ),
    ]
