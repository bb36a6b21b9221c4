import django.core.validators
import django.db.models.deletion
import simple_history.models
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('reconciliation', '0001_conflicts'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ('channels', '0010_reconciliation'),
        ('inventory', '0002_append_only'),
    ]

    operations = [
        migrations.CreateModel(
            name='ReconciliationPolicy',
            fields=[
                ('channel', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='reconciliation_policy', serialize=False, to='channels.channel')),
                ('policy', models.CharField(choices=[('flag', 'Flag: a person decides'), ('correct_small', 'Correct small ones, flag large ones'), ('correct', 'Correct always')], default='correct_small', max_length=16)),
                ('threshold_units', models.PositiveIntegerField(default=10)),
            ],
            options={
                'verbose_name_plural': 'reconciliation policies',
                'ordering': ['channel_id'],
            },
        ),
        migrations.CreateModel(
            name='HistoricalReconciliationPolicy',
            fields=[
                ('policy', models.CharField(choices=[('flag', 'Flag: a person decides'), ('correct_small', 'Correct small ones, flag large ones'), ('correct', 'Correct always')], default='correct_small', max_length=16)),
                ('threshold_units', models.PositiveIntegerField(default=10)),
                ('history_id', models.AutoField(primary_key=True, serialize=False)),
                ('history_date', models.DateTimeField(db_index=True)),
                ('history_change_reason', models.CharField(max_length=100, null=True)),
                ('history_type', models.CharField(choices=[('+', 'Created'), ('~', 'Changed'), ('-', 'Deleted')], max_length=1)),
                ('channel', models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='channels.channel')),
                ('history_user', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'historical reconciliation policy',
                'verbose_name_plural': 'historical reconciliation policies',
                'ordering': ('-history_date', '-history_id'),
                'get_latest_by': ('history_date', 'history_id'),
            },
            bases=(simple_history.models.HistoricalChanges, models.Model),
        ),
        migrations.CreateModel(
            name='HistoricalReconciliationSchedule',
            fields=[
                ('id', models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name='ID')),
                ('kind', models.CharField(choices=[('incremental', 'Incremental'), ('full', 'Full')], max_length=12)),
                ('every_minutes', models.PositiveIntegerField(blank=True, null=True, validators=[django.core.validators.MinValueValidator(1, 'Less than a minute is no interval. Enter 1 or more.')], verbose_name='interval in minutes')),
                ('hour', models.PositiveSmallIntegerField(blank=True, null=True, validators=[django.core.validators.MaxValueValidator(23, 'A day has the hours 0 to 23. Enter one of them.')], verbose_name='hour (UTC)')),
                ('is_active', models.BooleanField(default=True)),
                ('history_id', models.AutoField(primary_key=True, serialize=False)),
                ('history_date', models.DateTimeField(db_index=True)),
                ('history_change_reason', models.CharField(max_length=100, null=True)),
                ('history_type', models.CharField(choices=[('+', 'Created'), ('~', 'Changed'), ('-', 'Deleted')], max_length=1)),
                ('channel', models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='channels.channel')),
                ('history_user', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('tag', models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='inventory.tag')),
            ],
            options={
                'verbose_name': 'historical reconciliation schedule',
                'verbose_name_plural': 'historical reconciliation schedules',
                'ordering': ('-history_date', '-history_id'),
                'get_latest_by': ('history_date', 'history_id'),
            },
            bases=(simple_history.models.HistoricalChanges, models.Model),
        ),
        migrations.CreateModel(
            name='HistoricalStockAuthority',
            fields=[
                ('id', models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name='ID')),
                ('name', models.CharField(max_length=100)),
                ('policy', models.CharField(choices=[('flag', 'Flag: a person decides'), ('correct_small', 'Correct small ones, flag large ones'), ('correct', 'Correct always')], default='correct_small', max_length=16)),
                ('threshold_units', models.PositiveIntegerField(default=10)),
                ('history_id', models.AutoField(primary_key=True, serialize=False)),
                ('history_date', models.DateTimeField(db_index=True)),
                ('history_change_reason', models.CharField(max_length=100, null=True)),
                ('history_type', models.CharField(choices=[('+', 'Created'), ('~', 'Changed'), ('-', 'Deleted')], max_length=1)),
                ('history_user', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('location', models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='inventory.location')),
                ('merchant', models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='inventory.merchant')),
            ],
            options={
                'verbose_name': 'historical stock authority',
                'verbose_name_plural': 'historical stock authorities',
                'ordering': ('-history_date', '-history_id'),
                'get_latest_by': ('history_date', 'history_id'),
            },
            bases=(simple_history.models.HistoricalChanges, models.Model),
        ),
        migrations.CreateModel(
            name='ReconciliationSchedule',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('incremental', 'Incremental'), ('full', 'Full')], max_length=12)),
                ('every_minutes', models.PositiveIntegerField(blank=True, null=True, validators=[django.core.validators.MinValueValidator(1, 'Less than a minute is no interval. Enter 1 or more.')], verbose_name='interval in minutes')),
                ('hour', models.PositiveSmallIntegerField(blank=True, null=True, validators=[django.core.validators.MaxValueValidator(23, 'A day has the hours 0 to 23. Enter one of them.')], verbose_name='hour (UTC)')),
                ('is_active', models.BooleanField(default=True)),
                ('next_run_at', models.DateTimeField(blank=True, null=True)),
                ('channel', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='reconciliation_schedules', to='channels.channel')),
                ('tag', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.tag')),
            ],
            options={
                'ordering': ['channel_id', 'kind', 'id'],
                'indexes': [models.Index(condition=models.Q(('is_active', True)), fields=['next_run_at'], name='schedule_by_next_run')],
                'constraints': [models.UniqueConstraint(fields=('channel', 'kind', 'tag'), name='one_schedule_per_channel_kind_and_tag', nulls_distinct=False, violation_error_message='There is such a schedule already. Change that one.'), models.CheckConstraint(condition=models.Q(models.Q(('every_minutes__gte', 1), ('every_minutes__isnull', False), ('hour__isnull', True)), models.Q(('every_minutes__isnull', True), ('hour__isnull', False), ('hour__lte', 23)), _connector='OR'), name='a_schedule_has_an_interval_or_an_hour', violation_error_message='Enter either an interval in minutes or an hour of the day.')],
            },
        ),
        migrations.CreateModel(
            name='ReconciliationRun',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('incremental', 'Incremental'), ('full', 'Full'), ('on_demand', 'On demand')], max_length=12)),
                ('state', models.CharField(choices=[('asked', 'Asked for'), ('running', 'Running'), ('done', 'Done'), ('failed', 'Failed')], default='asked', max_length=8)),
                ('sku', models.CharField(blank=True, max_length=200, verbose_name='SKU')),
                ('asked_by', models.CharField(blank=True, max_length=200)),
                ('asked_at', models.DateTimeField()),
                ('started_at', models.DateTimeField(blank=True, null=True)),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('lease_token', models.UUIDField(blank=True, null=True)),
                ('leased_until', models.DateTimeField(blank=True, null=True)),
                ('read', models.PositiveIntegerField(default=0)),
                ('compared', models.PositiveIntegerField(default=0)),
                ('moving', models.PositiveIntegerField(default=0)),
                ('drifted', models.PositiveIntegerField(default=0)),
                ('corrected', models.PositiveIntegerField(default=0)),
                ('flagged', models.PositiveIntegerField(default=0)),
                ('missing', models.PositiveIntegerField(default=0)),
                ('closed', models.PositiveIntegerField(default=0)),
                ('error', models.TextField(blank=True)),
                ('channel', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='reconciliation_runs', to='channels.channel')),
                ('tag', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='inventory.tag')),
                ('schedule', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='runs', to='reconciliation.reconciliationschedule')),
            ],
            options={
                'ordering': ['-id'],
                'indexes': [models.Index(condition=models.Q(('state__in', ['asked', 'running'])), fields=['id'], name='run_is_open'), models.Index(fields=['channel', '-finished_at'], name='run_by_channel_and_end')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('state', 'running')), fields=('channel',), name='one_run_of_a_channel_at_a_time'), models.CheckConstraint(condition=models.Q(('tag__isnull', True), ('sku', ''), _connector='OR'), name='a_run_has_one_scope')],
            },
        ),
        migrations.CreateModel(
            name='StockAuthority',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=100)),
                ('policy', models.CharField(choices=[('flag', 'Flag: a person decides'), ('correct_small', 'Correct small ones, flag large ones'), ('correct', 'Correct always')], default='correct_small', max_length=16)),
                ('threshold_units', models.PositiveIntegerField(default=10)),
                ('location', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='stock_authority', to='inventory.location')),
                ('merchant', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='stock_authorities', to='inventory.merchant')),
            ],
            options={
                'verbose_name_plural': 'stock authorities',
                'ordering': ['name'],
            },
        ),
        migrations.CreateModel(
            name='Discrepancy',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('shown', models.BigIntegerField()),
                ('expected', models.BigIntegerField()),
                ('unit_price', models.DecimalField(blank=True, decimal_places=4, max_digits=18, null=True)),
                ('currency', models.CharField(blank=True, max_length=3)),
                ('cause', models.CharField(choices=[('unseen_order', 'Order not seen'), ('unconfirmed_push', 'Push not confirmed'), ('mapping', 'Mapping'), ('foreign_edit', 'Foreign edit'), ('foreign_writer', 'Foreign writer'), ('ledger', 'Ledger differs from the authority')], max_length=20)),
                ('evidence', models.JSONField(blank=True, default=dict)),
                ('state', models.CharField(choices=[('open', 'Open'), ('held', 'Held by the fuse'), ('correcting', 'Being corrected'), ('corrected', 'Corrected'), ('gone', 'Gone by itself'), ('dismissed', 'Dismissed')], default='open', max_length=12)),
                ('sightings', models.PositiveIntegerField(default=1)),
                ('first_seen_at', models.DateTimeField()),
                ('last_seen_at', models.DateTimeField()),
                ('correcting_wanted', models.BigIntegerField(blank=True, null=True)),
                ('closed_at', models.DateTimeField(blank=True, null=True)),
                ('closed_by', models.CharField(blank=True, max_length=200)),
                ('because', models.TextField(blank=True)),
                ('channel', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='discrepancies', to='channels.channel')),
                ('listing_level', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='discrepancies', to='channels.listinglevel')),
                ('merchant', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='discrepancies', to='inventory.merchant')),
                ('mutation', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='discrepancies', to='channels.mutation')),
                ('stock_level', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='discrepancies', to='inventory.stocklevel')),
                ('run', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='discrepancies', to='reconciliation.reconciliationrun')),
            ],
            options={
                'verbose_name_plural': 'discrepancies',
                'ordering': ['-id'],
                'indexes': [models.Index(condition=models.Q(('closed_at__isnull', True)), fields=['merchant', 'id'], name='discrepancy_open'), models.Index(fields=['channel', '-first_seen_at'], name='discrepancy_by_channel'), models.Index(fields=['listing_level', '-last_seen_at'], name='discrepancy_by_shelf')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('closed_at__isnull', True)), fields=('listing_level',), name='one_open_discrepancy_per_shelf'), models.UniqueConstraint(condition=models.Q(('closed_at__isnull', True)), fields=('stock_level',), name='one_open_discrepancy_per_level'), models.CheckConstraint(condition=models.Q(models.Q(('channel__isnull', False), ('listing_level__isnull', False), ('stock_level__isnull', True)), models.Q(('channel__isnull', True), ('listing_level__isnull', True), ('stock_level__isnull', False)), _connector='OR'), name='a_discrepancy_is_of_a_shelf_or_of_a_level'), models.CheckConstraint(condition=models.Q(models.Q(('closed_at__isnull', False), ('state__in', ['corrected', 'gone', 'dismissed'])), models.Q(('closed_at__isnull', True), ('state__in', ['open', 'held', 'correcting'])), _connector='OR'), name='a_closed_discrepancy_says_when'), models.CheckConstraint(condition=models.Q(('shown', models.F('expected')), _negated=True), name='a_discrepancy_has_a_size')],
            },
        ),
    ]
