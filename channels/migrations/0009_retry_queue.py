import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('channels', '0003_mends'),
        ('inventory', '0011_conflict_resolution'),
    ]

    operations = [
        migrations.CreateModel(
            name='Retry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('delivery', 'Webhook message'), ('order', 'Order'), ('job', 'Job'), ('page', 'Page of the back office')], max_length=10)),
                ('key', models.CharField(max_length=250)),
                ('reason', models.CharField(max_length=40)),
                ('state', models.CharField(choices=[('waiting', 'To be tried again'), ('done', 'Done since'), ('exhausted', 'Given up for now'), ('returned', 'Given back to the person')], default='waiting', max_length=10)),
                ('attempts', models.PositiveIntegerField(default=1)),
                ('first_at', models.DateTimeField()),
                ('last_at', models.DateTimeField()),
                ('next_attempt_at', models.DateTimeField(blank=True, null=True)),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('channel', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='channels.channel')),
                ('merchant', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='inventory.merchant')),
            ],
            options={
                'verbose_name': 'retry',
                'verbose_name_plural': 'retries',
                'ordering': ['-id'],
                'indexes': [models.Index(condition=models.Q(('state__in', ['waiting', 'exhausted'])), fields=['kind', 'id'], name='retry_open'), models.Index(fields=['last_at'], name='retry_by_time')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('state', 'waiting')), fields=('merchant', 'kind', 'key'), name='work_waits_once', nulls_distinct=False), models.CheckConstraint(condition=models.Q(('attempts__gt', 0)), name='retry_was_attempted')],
            },
        ),
    ]
