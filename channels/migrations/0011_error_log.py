from django.db import migrations, models
import django.db.models.deletion


class Migration(migrations.Migration):

    dependencies = [
        ('channels', '0010_reconciliation'),
    ]

    operations = [
        migrations.CreateModel(
            name='Heartbeat',
            fields=[
                ('name', models.CharField(max_length=32, primary_key=True, serialize=False)),
                ('beat_at', models.DateTimeField()),
            ],
            options={
                'ordering': ['name'],
            },
        ),
        migrations.CreateModel(
            name='ErrorEntry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField()),
                ('job', models.CharField(choices=[('push', 'Push'), ('poll', 'Poll'), ('fetch', 'Fetch of an order'), ('follow', 'Follow-up of pushes'), ('audit', 'Audit of subscriptions'), ('webhook', 'Webhook refused'), ('delivery', 'Processing of a delivery'), ('cancel', 'Cancellation of a line'), ('other', 'Other')], max_length=12)),
                ('call', models.CharField(blank=True, max_length=500)),
                ('status', models.PositiveSmallIntegerField(blank=True, null=True)),
                ('code', models.CharField(max_length=24)),
                ('message', models.TextField()),
                ('remedy', models.TextField(blank=True)),
                ('object_label', models.CharField(blank=True, max_length=60)),
                ('object_id', models.BigIntegerField(blank=True, null=True)),
                ('channel', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='errors', to='channels.channel')),
            ],
            options={
                'verbose_name_plural': 'error entries',
                'ordering': ['-id'],
                'indexes': [models.Index(fields=['channel', '-at'], name='error_by_channel'), models.Index(fields=['code', '-id'], name='error_by_code')],
            },
        ),
    ]
