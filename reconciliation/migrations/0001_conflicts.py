import django.core.validators
import django.db.models.deletion
import simple_history.models
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('channels', '0009_retry_queue'),
        ('inventory', '0011_conflict_resolution'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='HistoricalConflictPolicy',
            fields=[
                ('id', models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name='ID')),
                ('is_active', models.BooleanField(default=False, help_text='Off: every conflict of the channel waits for a person.')),
                ('may_serve', models.BooleanField(default=True, help_text='Only from locations that serve the channel.', verbose_name='may serve from another location')),
                ('may_backorder', models.BooleanField(default=False, help_text='Promises confirmed inbound, up to so many days ahead.')),
                ('backorder_days', models.PositiveSmallIntegerField(default=14, help_text='No goods that come later are promised.', validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(365)], verbose_name='longest wait in days')),
                ('may_cancel', models.BooleanField(default=False, help_text="Only where the platform's API can; what needs a person is left to one.", verbose_name='may cancel at the platform')),
                ('largest_units', models.PositiveIntegerField(blank=True, help_text='Larger conflicts wait for a person. Empty: no limit.', null=True, validators=[django.core.validators.MinValueValidator(1)], verbose_name='units at most')),
                ('after_minutes', models.PositiveSmallIntegerField(default=15, help_text='From the opening of a conflict: stock may come back by itself.', verbose_name='wait in minutes')),
                ('history_id', models.AutoField(primary_key=True, serialize=False)),
                ('history_date', models.DateTimeField(db_index=True)),
                ('history_change_reason', models.CharField(max_length=100, null=True)),
                ('history_type', models.CharField(choices=[('+', 'Created'), ('~', 'Changed'), ('-', 'Deleted')], max_length=1)),
                ('channel', models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='channels.channel')),
                ('history_user', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'historical conflict policy',
                'verbose_name_plural': 'historical conflict policies',
                'ordering': ('-history_date', '-history_id'),
                'get_latest_by': ('history_date', 'history_id'),
            },
            bases=(simple_history.models.HistoricalChanges, models.Model),
        ),
        migrations.CreateModel(
            name='ConflictCase',
            fields=[
                ('conflict', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='case', serialize=False, to='inventory.conflict')),
                ('cause_class', models.CharField(choices=[('true_race', 'True race'), ('unseen_order', 'Unseen order'), ('unconfirmed_push', 'Unconfirmed push'), ('foreign_edit', 'Foreign edit'), ('bundle', 'Bundle'), ('physical_loss', 'Physical loss'), ('late_inbound', 'Late inbound'), ('given_away', 'Given to somebody else'), ('sold_below', "Sold below the shop's number"), ('unexplained', 'Not explained')], max_length=20)),
                ('evidence', models.TextField(blank=True)),
                ('examined_at', models.DateTimeField()),
                ('channel', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='channels.channel')),
                ('merchant', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.merchant')),
            ],
            options={
                'ordering': ['-conflict_id'],
                'indexes': [models.Index(fields=['merchant', 'cause_class'], name='case_by_class')],
            },
        ),
        migrations.CreateModel(
            name='ConflictPolicy',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('is_active', models.BooleanField(default=False, help_text='Off: every conflict of the channel waits for a person.')),
                ('may_serve', models.BooleanField(default=True, help_text='Only from locations that serve the channel.', verbose_name='may serve from another location')),
                ('may_backorder', models.BooleanField(default=False, help_text='Promises confirmed inbound, up to so many days ahead.')),
                ('backorder_days', models.PositiveSmallIntegerField(default=14, help_text='No goods that come later are promised.', validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(365)], verbose_name='longest wait in days')),
                ('may_cancel', models.BooleanField(default=False, help_text="Only where the platform's API can; what needs a person is left to one.", verbose_name='may cancel at the platform')),
                ('largest_units', models.PositiveIntegerField(blank=True, help_text='Larger conflicts wait for a person. Empty: no limit.', null=True, validators=[django.core.validators.MinValueValidator(1)], verbose_name='units at most')),
                ('after_minutes', models.PositiveSmallIntegerField(default=15, help_text='From the opening of a conflict: stock may come back by itself.', verbose_name='wait in minutes')),
                ('channel', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='conflict_policy', to='channels.channel')),
            ],
            options={
                'verbose_name_plural': 'conflict policies',
                'ordering': ['channel_id'],
                'constraints': [models.CheckConstraint(condition=models.Q(('backorder_days__gt', 0), ('backorder_days__lte', 365)), name='backorder_days_are_within_a_year'), models.CheckConstraint(condition=models.Q(('largest_units__isnull', True), ('largest_units__gt', 0), _connector='OR'), name='policy_is_for_units')],
            },
        ),
        migrations.CreateModel(
            name='Resolution',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.CharField(max_length=100)),
                ('remedy', models.CharField(choices=[('serve', 'Serve from another location'), ('backorder', 'Backorder'), ('take_over', 'Take from another demand'), ('cancel', 'Cancel the units'), ('recount', 'Counted')], max_length=12)),
                ('target', models.CharField(blank=True, max_length=40)),
                ('summary', models.CharField(max_length=300)),
                ('quantity', models.BigIntegerField()),
                ('state', models.CharField(choices=[('wanted', 'To be told to the platform'), ('calling', 'Calling the platform'), ('accepted', 'Accepted by the platform'), ('checklist', 'Waiting for a person'), ('confirmed', 'Cancelled, waiting for the order'), ('done', 'Done'), ('failed', 'Failed'), ('dropped', 'Dropped')], max_length=12)),
                ('is_automatic', models.BooleanField(default=False)),
                ('actor', models.CharField(blank=True, max_length=200)),
                ('note', models.TextField(blank=True)),
                ('handling_seconds', models.PositiveIntegerField(blank=True, null=True)),
                ('call_id', models.UUIDField(blank=True, null=True)),
                ('cancelled_when_done', models.BigIntegerField(blank=True, null=True)),
                ('refunds', models.BooleanField(blank=True, null=True)),
                ('restocks', models.BooleanField(blank=True, null=True)),
                ('checklist', models.TextField(blank=True)),
                ('tracking_id', models.CharField(blank=True, max_length=200)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('next_attempt_at', models.DateTimeField(blank=True, null=True)),
                ('error', models.TextField(blank=True)),
                ('requested_at', models.DateTimeField()),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('channel', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='channels.channel')),
                ('conflict', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='resolutions', to='inventory.conflict')),
                ('merchant', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.merchant')),
                ('operation', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.stockoperation')),
            ],
            options={
                'ordering': ['-id'],
                'indexes': [models.Index(fields=['conflict', 'id'], name='resolution_by_conflict'), models.Index(condition=models.Q(('state__in', ['wanted', 'calling', 'accepted', 'confirmed'])), fields=['next_attempt_at'], name='resolution_due'), models.Index(fields=['merchant', '-requested_at'], name='resolution_by_time')],
                'constraints': [models.UniqueConstraint(fields=('merchant', 'key'), name='resolution_key_is_unique_per_merchant'), models.CheckConstraint(condition=models.Q(('quantity__gt', 0)), name='resolution_is_of_units'), models.CheckConstraint(condition=models.Q(('finished_at__isnull', True), ('finished_at__gte', models.F('requested_at')), _connector='OR'), name='resolution_ends_after_it_begins')],
            },
        ),
    ]
