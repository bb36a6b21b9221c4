"""Adds what platforms are told we deliver of orders that wait for our word."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """Adds the table."""

    dependencies = [
        ('channels', '0018_amazon'),
    ]

    operations = [
        migrations.AlterField(
            model_name='errorentry',
            name='job',
            field=models.CharField(choices=[('push', 'Push'), ('poll', 'Poll'), ('fetch', 'Fetch of an order'), ('follow', 'Follow-up of pushes'), ('audit', 'Audit of subscriptions'), ('webhook', 'Webhook refused'), ('delivery', 'Processing of a delivery'), ('cancel', 'Cancellation of a line'), ('acknowledge', 'Acknowledgement of an order'), ('other', 'Other')], max_length=12),
        ),
        migrations.CreateModel(
            name='OrderAcknowledgement',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('wanted', models.BigIntegerField(default=1)),
                ('done', models.BigIntegerField(default=0)),
                ('sent', models.BigIntegerField(default=0)),
                ('about', models.CharField(max_length=64)),
                ('lines', models.JSONField(default=dict)),
                ('tracking_id', models.CharField(blank=True, max_length=200)),
                ('is_hurried', models.BooleanField(default=False)),
                ('waits_for', models.TextField(blank=True)),
                ('asked_at', models.DateTimeField()),
                ('due_at', models.DateTimeField()),
                ('lease_token', models.UUIDField(blank=True, null=True)),
                ('leased_until', models.DateTimeField(blank=True, null=True)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('last_error', models.TextField(blank=True)),
                ('dead_at', models.DateTimeField(blank=True, null=True)),
                ('sent_at', models.DateTimeField(blank=True, null=True)),
                ('in_force_at', models.DateTimeField(blank=True, null=True)),
                ('channel', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='channels.channel')),
                ('order', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='acknowledgement', to='channels.channelorder')),
            ],
            options={
                'ordering': ['-id'],
                'indexes': [models.Index(condition=models.Q(('dead_at__isnull', True), ('wanted__gt', models.F('done'))), fields=['channel', 'due_at'], name='acknowledgement_due')],
                'constraints': [models.CheckConstraint(condition=models.Q(('done__gte', 0), ('wanted__gte', models.F('done'))), name='acknowledgement_done_is_at_most_wanted'), models.CheckConstraint(condition=models.Q(('sent__gte', 0), ('wanted__gte', models.F('sent'))), name='acknowledgement_sent_is_at_most_wanted')],
            },
        ),
    ]
