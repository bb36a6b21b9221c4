
import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
import simple_history.models
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('channels', '0003_doubt'),
        ('inventory', '0007_tags'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='ChannelGroup',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=100)),
            ],
            options={
                'ordering': ['name'],
            },
        ),
        migrations.CreateModel(
            name='ChannelLag',
            fields=[
                ('channel', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='lag', serialize=False, to='channels.channel')),
                ('seconds', models.FloatField()),
                ('samples', models.PositiveIntegerField()),
                ('measured_at', models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name='HistoricalChannelGroup',
            fields=[
                ('id', models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name='ID')),
                ('name', models.CharField(max_length=100)),
                ('history_id', models.AutoField(primary_key=True, serialize=False)),
                ('history_date', models.DateTimeField(db_index=True)),
                ('history_change_reason', models.CharField(max_length=100, null=True)),
                ('history_type', models.CharField(choices=[('+', 'Created'), ('~', 'Changed'), ('-', 'Deleted')], max_length=1)),
            ],
            options={
                'verbose_name': 'historical channel group',
                'verbose_name_plural': 'historical channel groups',
                'ordering': ('-history_date', '-history_id'),
                'get_latest_by': ('history_date', 'history_id'),
            },
            bases=(simple_history.models.HistoricalChanges, models.Model),
        ),
        migrations.CreateModel(
            name='HistoricalChannelGroup_channels',
            fields=[
                ('id', models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name='ID')),
                ('m2m_history_id', models.AutoField(primary_key=True, serialize=False)),
            ],
            options={
                'verbose_name': 'HistoricalChannelGroup_channels',
            },
            bases=(simple_history.models.HistoricalChanges, models.Model),
        ),
        migrations.CreateModel(
            name='HistoricalListingRank',
            fields=[
                ('id', models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name='ID')),
                ('rank', models.PositiveIntegerField()),
                ('source', models.CharField(choices=[('entered', 'Entered'), ('imported', 'Imported')], default='entered', max_length=10)),
                ('history_id', models.AutoField(primary_key=True, serialize=False)),
                ('history_date', models.DateTimeField(db_index=True)),
                ('history_change_reason', models.CharField(max_length=100, null=True)),
                ('history_type', models.CharField(choices=[('+', 'Created'), ('~', 'Changed'), ('-', 'Deleted')], max_length=1)),
            ],
            options={
                'verbose_name': 'historical listing rank',
                'verbose_name_plural': 'historical listing ranks',
                'ordering': ('-history_date', '-history_id'),
                'get_latest_by': ('history_date', 'history_id'),
            },
            bases=(simple_history.models.HistoricalChanges, models.Model),
        ),
        migrations.CreateModel(
            name='HistoricalMutationFuse',
            fields=[
                ('floor', models.PositiveIntegerField(default=50)),
                ('percent', models.PositiveSmallIntegerField(default=20, validators=[django.core.validators.MaxValueValidator(100, 'Not more than 100 percent. Enter 0 to 100.')])),
                ('history_id', models.AutoField(primary_key=True, serialize=False)),
                ('history_date', models.DateTimeField(db_index=True)),
                ('history_change_reason', models.CharField(max_length=100, null=True)),
                ('history_type', models.CharField(choices=[('+', 'Created'), ('~', 'Changed'), ('-', 'Deleted')], max_length=1)),
            ],
            options={
                'verbose_name': 'historical mutation fuse',
                'verbose_name_plural': 'historical mutation fuses',
                'ordering': ('-history_date', '-history_id'),
                'get_latest_by': ('history_date', 'history_id'),
            },
            bases=(simple_history.models.HistoricalChanges, models.Model),
        ),
        migrations.CreateModel(
            name='HistoricalPin',
            fields=[
                ('id', models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name='ID')),
                ('quantity', models.PositiveIntegerField()),
                ('reason', models.TextField()),
                ('owner', models.CharField(max_length=200)),
                ('created_at', models.DateTimeField()),
                ('expires_at', models.DateTimeField()),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('ended_by', models.CharField(blank=True, max_length=200)),
                ('history_id', models.AutoField(primary_key=True, serialize=False)),
                ('history_date', models.DateTimeField(db_index=True)),
                ('history_change_reason', models.CharField(max_length=100, null=True)),
                ('history_type', models.CharField(choices=[('+', 'Created'), ('~', 'Changed'), ('-', 'Deleted')], max_length=1)),
            ],
            options={
                'verbose_name': 'historical pin',
                'verbose_name_plural': 'historical pins',
                'ordering': ('-history_date', '-history_id'),
                'get_latest_by': ('history_date', 'history_id'),
            },
            bases=(simple_history.models.HistoricalChanges, models.Model),
        ),
        migrations.CreateModel(
            name='HistoricalRule',
            fields=[
                ('id', models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name='ID')),
                ('position', models.PositiveIntegerField(default=0)),
                ('category', models.CharField(blank=True, max_length=200)),
                ('scarce_below', models.PositiveIntegerField(blank=True, null=True)),
                ('scarce_listings', models.PositiveIntegerField(blank=True, null=True)),
                ('buffer_units', models.PositiveIntegerField(blank=True, null=True)),
                ('buffer_percent', models.PositiveSmallIntegerField(blank=True, null=True, validators=[django.core.validators.MaxValueValidator(100, 'Not more than 100 percent. Enter 0 to 100.')])),
                ('velocity_quantile', models.PositiveSmallIntegerField(blank=True, choices=[(0, 'off'), (90, '90 %'), (95, '95 %'), (99, '99 %')], null=True)),
                ('velocity_least', models.PositiveIntegerField(blank=True, null=True)),
                ('velocity_most', models.PositiveIntegerField(blank=True, null=True)),
                ('preorder_limit', models.PositiveIntegerField(blank=True, null=True)),
                ('minimum', models.PositiveIntegerField(blank=True, null=True)),
                ('maximum', models.PositiveIntegerField(blank=True, null=True)),
                ('channel_cap', models.PositiveIntegerField(blank=True, null=True)),
                ('daily_increases', models.PositiveIntegerField(blank=True, null=True)),
                ('pool_units', models.PositiveIntegerField(blank=True, null=True)),
                ('pool_percent', models.PositiveSmallIntegerField(blank=True, null=True, validators=[django.core.validators.MaxValueValidator(100, 'Not more than 100 percent. Enter 0 to 100.')])),
                ('history_id', models.AutoField(primary_key=True, serialize=False)),
                ('history_date', models.DateTimeField(db_index=True)),
                ('history_change_reason', models.CharField(max_length=100, null=True)),
                ('history_type', models.CharField(choices=[('+', 'Created'), ('~', 'Changed'), ('-', 'Deleted')], max_length=1)),
            ],
            options={
                'verbose_name': 'historical rule',
                'verbose_name_plural': 'historical rules',
                'ordering': ('-history_date', '-history_id'),
                'get_latest_by': ('history_date', 'history_id'),
            },
            bases=(simple_history.models.HistoricalChanges, models.Model),
        ),
        migrations.CreateModel(
            name='HistoricalRuleSet',
            fields=[
                ('id', models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name='ID')),
                ('name', models.CharField(max_length=100)),
                ('priority', models.SmallIntegerField(default=0)),
                ('description', models.TextField(blank=True)),
                ('created_at', models.DateTimeField(blank=True, editable=False)),
                ('history_id', models.AutoField(primary_key=True, serialize=False)),
                ('history_date', models.DateTimeField(db_index=True)),
                ('history_change_reason', models.CharField(max_length=100, null=True)),
                ('history_type', models.CharField(choices=[('+', 'Created'), ('~', 'Changed'), ('-', 'Deleted')], max_length=1)),
            ],
            options={
                'verbose_name': 'historical rule set',
                'verbose_name_plural': 'historical rule sets',
                'ordering': ('-history_date', '-history_id'),
                'get_latest_by': ('history_date', 'history_id'),
            },
            bases=(simple_history.models.HistoricalChanges, models.Model),
        ),
        migrations.CreateModel(
            name='HistoricalRuleSetVersion',
            fields=[
                ('id', models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name='ID')),
                ('number', models.PositiveIntegerField()),
                ('state', models.CharField(choices=[('draft', 'Draft'), ('approved', 'Approved'), ('active', 'Active'), ('retired', 'Retired')], default='draft', max_length=10)),
                ('effective_from', models.DateTimeField(blank=True, null=True)),
                ('effective_until', models.DateTimeField(blank=True, null=True)),
                ('why', models.TextField(blank=True)),
                ('created_by', models.CharField(blank=True, max_length=200)),
                ('created_at', models.DateTimeField(blank=True, editable=False)),
                ('approved_by', models.CharField(blank=True, max_length=200)),
                ('approved_at', models.DateTimeField(blank=True, null=True)),
                ('approved_because', models.TextField(blank=True)),
                ('history_id', models.AutoField(primary_key=True, serialize=False)),
                ('history_date', models.DateTimeField(db_index=True)),
                ('history_change_reason', models.CharField(max_length=100, null=True)),
                ('history_type', models.CharField(choices=[('+', 'Created'), ('~', 'Changed'), ('-', 'Deleted')], max_length=1)),
            ],
            options={
                'verbose_name': 'historical rule set version',
                'verbose_name_plural': 'historical rule set versions',
                'ordering': ('-history_date', '-history_id'),
                'get_latest_by': ('history_date', 'history_id'),
            },
            bases=(simple_history.models.HistoricalChanges, models.Model),
        ),
        migrations.CreateModel(
            name='LagDemand',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('q90', models.PositiveIntegerField()),
                ('q95', models.PositiveIntegerField()),
                ('q99', models.PositiveIntegerField()),
            ],
            options={
                'ordering': ['channel_id', 'variant_id'],
            },
        ),
        migrations.CreateModel(
            name='ListingRank',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('rank', models.PositiveIntegerField()),
                ('source', models.CharField(choices=[('entered', 'Entered'), ('imported', 'Imported')], default='entered', max_length=10)),
            ],
            options={
                'ordering': ['rank', 'listing_id'],
            },
        ),
        migrations.CreateModel(
            name='ListingStanding',
            fields=[
                ('listing_level', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='standing', serialize=False, to='channels.listinglevel')),
                ('position', models.PositiveIntegerField()),
                ('listings', models.PositiveIntegerField()),
                ('shelf', models.PositiveIntegerField()),
                ('shelves', models.PositiveIntegerField()),
                ('sold', models.BigIntegerField(default=0)),
            ],
        ),
        migrations.CreateModel(
            name='Mutation',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('rules', 'Rules'), ('import', 'Import of listings'), ('mapping', 'Mapping by SKU'), ('correction', 'Correction')], max_length=12)),
                ('state', models.CharField(choices=[('applied', 'Applied'), ('waiting', 'Waits for a decision'), ('confirmed', 'Confirmed and applied'), ('refused', 'Rolled back'), ('withdrawn', 'No longer needed')], max_length=10)),
                ('summary', models.TextField()),
                ('listing_ids', django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), size=None)),
                ('listings', models.PositiveIntegerField()),
                ('changed_before', models.PositiveIntegerField()),
                ('allowed', models.PositiveIntegerField()),
                ('actor', models.CharField(blank=True, max_length=200)),
                ('because', models.TextField(blank=True)),
                ('at', models.DateTimeField()),
                ('decided_by', models.CharField(blank=True, max_length=200)),
                ('decided_because', models.TextField(blank=True)),
                ('decided_at', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='MutationFuse',
            fields=[
                ('merchant', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='mutation_fuse', serialize=False, to='inventory.merchant')),
                ('floor', models.PositiveIntegerField(default=50)),
                ('percent', models.PositiveSmallIntegerField(default=20, validators=[django.core.validators.MaxValueValidator(100, 'Not more than 100 percent. Enter 0 to 100.')])),
            ],
        ),
        migrations.CreateModel(
            name='Pin',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('quantity', models.PositiveIntegerField()),
                ('reason', models.TextField()),
                ('owner', models.CharField(max_length=200)),
                ('created_at', models.DateTimeField()),
                ('expires_at', models.DateTimeField()),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('ended_by', models.CharField(blank=True, max_length=200)),
            ],
            options={
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='PoolUse',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('units', models.BigIntegerField(default=0)),
                ('filled_at', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'ordering': ['group_id', 'variant_id'],
            },
        ),
        migrations.CreateModel(
            name='Rule',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('position', models.PositiveIntegerField(default=0)),
                ('category', models.CharField(blank=True, max_length=200)),
                ('scarce_below', models.PositiveIntegerField(blank=True, null=True)),
                ('scarce_listings', models.PositiveIntegerField(blank=True, null=True)),
                ('buffer_units', models.PositiveIntegerField(blank=True, null=True)),
                ('buffer_percent', models.PositiveSmallIntegerField(blank=True, null=True, validators=[django.core.validators.MaxValueValidator(100, 'Not more than 100 percent. Enter 0 to 100.')])),
                ('velocity_quantile', models.PositiveSmallIntegerField(blank=True, choices=[(0, 'off'), (90, '90 %'), (95, '95 %'), (99, '99 %')], null=True)),
                ('velocity_least', models.PositiveIntegerField(blank=True, null=True)),
                ('velocity_most', models.PositiveIntegerField(blank=True, null=True)),
                ('preorder_limit', models.PositiveIntegerField(blank=True, null=True)),
                ('minimum', models.PositiveIntegerField(blank=True, null=True)),
                ('maximum', models.PositiveIntegerField(blank=True, null=True)),
                ('channel_cap', models.PositiveIntegerField(blank=True, null=True)),
                ('daily_increases', models.PositiveIntegerField(blank=True, null=True)),
                ('pool_units', models.PositiveIntegerField(blank=True, null=True)),
                ('pool_percent', models.PositiveSmallIntegerField(blank=True, null=True, validators=[django.core.validators.MaxValueValidator(100, 'Not more than 100 percent. Enter 0 to 100.')])),
            ],
            options={
                'ordering': ['version_id', 'position', 'id'],
            },
        ),
        migrations.CreateModel(
            name='RuleSet',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=100)),
                ('priority', models.SmallIntegerField(default=0)),
                ('description', models.TextField(blank=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
            options={
                'ordering': ['-priority', 'name'],
            },
        ),
        migrations.CreateModel(
            name='RuleSetActivation',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('began_at', models.DateTimeField()),
                ('began_by', models.CharField(blank=True, max_length=200)),
                ('began_because', models.TextField(blank=True)),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('ended_by', models.CharField(blank=True, max_length=200)),
                ('ended_because', models.TextField(blank=True)),
                ('marked', models.PositiveIntegerField(default=0)),
            ],
            options={
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='RuleSetVersion',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField()),
                ('state', models.CharField(choices=[('draft', 'Draft'), ('approved', 'Approved'), ('active', 'Active'), ('retired', 'Retired')], default='draft', max_length=10)),
                ('effective_from', models.DateTimeField(blank=True, null=True)),
                ('effective_until', models.DateTimeField(blank=True, null=True)),
                ('why', models.TextField(blank=True)),
                ('created_by', models.CharField(blank=True, max_length=200)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('approved_by', models.CharField(blank=True, max_length=200)),
                ('approved_at', models.DateTimeField(blank=True, null=True)),
                ('approved_because', models.TextField(blank=True)),
            ],
            options={
                'ordering': ['rule_set_id', '-number'],
            },
        ),
        migrations.AddField(
            model_name='listinglevel',
            name='raised_on',
            field=models.DateField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='listinglevel',
            name='raises',
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.AddIndex(
            model_name='listinglevel',
            index=models.Index(condition=models.Q(('raised_on__isnull', False)), fields=['raised_on'], name='listing_level_raised'),
        ),
        migrations.AddField(
            model_name='channelgroup',
            name='channels',
            field=models.ManyToManyField(blank=True, related_name='groups', to='channels.channel'),
        ),
        migrations.AddField(
            model_name='channelgroup',
            name='merchant',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='channel_groups', to='inventory.merchant'),
        ),
        migrations.AddConstraint(
            model_name='channellag',
            constraint=models.CheckConstraint(condition=models.Q(('seconds__gt', 0)), name='lag_is_positive'),
        ),
        migrations.AddField(
            model_name='historicalchannelgroup',
            name='history_user',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='historicalchannelgroup',
            name='merchant',
            field=models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='inventory.merchant'),
        ),
        migrations.AddField(
            model_name='historicalchannelgroup_channels',
            name='channel',
            field=models.ForeignKey(blank=True, db_constraint=False, db_tablespace='', null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='channels.channel'),
        ),
        migrations.AddField(
            model_name='historicalchannelgroup_channels',
            name='channelgroup',
            field=models.ForeignKey(blank=True, db_constraint=False, db_tablespace='', null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='channels.channelgroup'),
        ),
        migrations.AddField(
            model_name='historicalchannelgroup_channels',
            name='history',
            field=models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, to='channels.historicalchannelgroup'),
        ),
        migrations.AddField(
            model_name='historicallistingrank',
            name='history_user',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='historicallistingrank',
            name='listing',
            field=models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='channels.listing'),
        ),
        migrations.AddField(
            model_name='historicalmutationfuse',
            name='history_user',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='historicalmutationfuse',
            name='merchant',
            field=models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='inventory.merchant'),
        ),
        migrations.AddField(
            model_name='historicalpin',
            name='history_user',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='historicalpin',
            name='listing_level',
            field=models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='channels.listinglevel'),
        ),
        migrations.AddField(
            model_name='historicalrule',
            name='channel',
            field=models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='channels.channel'),
        ),
        migrations.AddField(
            model_name='historicalrule',
            name='group',
            field=models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='channels.channelgroup'),
        ),
        migrations.AddField(
            model_name='historicalrule',
            name='history_user',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='historicalrule',
            name='pool',
            field=models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='channels.channelgroup'),
        ),
        migrations.AddField(
            model_name='historicalrule',
            name='tag',
            field=models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='inventory.tag'),
        ),
        migrations.AddField(
            model_name='historicalrule',
            name='variant',
            field=models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='inventory.variant'),
        ),
        migrations.AddField(
            model_name='historicalruleset',
            name='history_user',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='historicalruleset',
            name='merchant',
            field=models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='inventory.merchant'),
        ),
        migrations.AddField(
            model_name='historicalrulesetversion',
            name='history_user',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='lagdemand',
            name='channel',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='channels.channel'),
        ),
        migrations.AddField(
            model_name='lagdemand',
            name='variant',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='inventory.variant'),
        ),
        migrations.AddField(
            model_name='listingrank',
            name='listing',
            field=models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='rank', to='channels.listing'),
        ),
        migrations.AddField(
            model_name='mutation',
            name='channel',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='channels.channel'),
        ),
        migrations.AddField(
            model_name='mutation',
            name='merchant',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='mutations', to='inventory.merchant'),
        ),
        migrations.AddConstraint(
            model_name='mutationfuse',
            constraint=models.CheckConstraint(condition=models.Q(('percent__lte', 100)), name='fuse_percent_is_at_most_100'),
        ),
        migrations.AddField(
            model_name='pin',
            name='listing_level',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='pins', to='channels.listinglevel'),
        ),
        migrations.AddField(
            model_name='pooluse',
            name='group',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='uses', to='channels.channelgroup'),
        ),
        migrations.AddField(
            model_name='pooluse',
            name='variant',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='inventory.variant'),
        ),
        migrations.AddField(
            model_name='rule',
            name='channel',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='rules', to='channels.channel'),
        ),
        migrations.AddField(
            model_name='rule',
            name='group',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='rules', to='channels.channelgroup'),
        ),
        migrations.AddField(
            model_name='rule',
            name='pool',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='pool_rules', to='channels.channelgroup'),
        ),
        migrations.AddField(
            model_name='rule',
            name='tag',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.tag'),
        ),
        migrations.AddField(
            model_name='rule',
            name='variant',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.variant'),
        ),
        migrations.AddField(
            model_name='ruleset',
            name='merchant',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='rule_sets', to='inventory.merchant'),
        ),
        migrations.AddField(
            model_name='historicalrulesetversion',
            name='rule_set',
            field=models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='channels.ruleset'),
        ),
        migrations.AddField(
            model_name='rulesetactivation',
            name='rolls_back',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='channels.rulesetactivation'),
        ),
        migrations.AddField(
            model_name='rulesetactivation',
            name='rule_set',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='activations', to='channels.ruleset'),
        ),
        migrations.AddField(
            model_name='rulesetversion',
            name='rule_set',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='versions', to='channels.ruleset'),
        ),
        migrations.AddField(
            model_name='rulesetactivation',
            name='version',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='activations', to='channels.rulesetversion'),
        ),
        migrations.AddField(
            model_name='rule',
            name='version',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='rules', to='channels.rulesetversion'),
        ),
        migrations.AddField(
            model_name='mutation',
            name='version',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='mutations', to='channels.rulesetversion'),
        ),
        migrations.AddField(
            model_name='historicalrule',
            name='version',
            field=models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='channels.rulesetversion'),
        ),
        migrations.AddConstraint(
            model_name='channelgroup',
            constraint=models.UniqueConstraint(fields=('merchant', 'name'), name='group_name_is_unique_per_merchant'),
        ),
        migrations.AddConstraint(
            model_name='lagdemand',
            constraint=models.UniqueConstraint(fields=('channel', 'variant'), name='one_lag_demand_per_variant'),
        ),
        migrations.AddConstraint(
            model_name='listingrank',
            constraint=models.CheckConstraint(condition=models.Q(('rank__gt', 0)), name='rank_is_positive'),
        ),
        migrations.AddIndex(
            model_name='pin',
            index=models.Index(condition=models.Q(('ended_at__isnull', True)), fields=['expires_at'], name='pin_open'),
        ),
        migrations.AddConstraint(
            model_name='pin',
            constraint=models.UniqueConstraint(condition=models.Q(('ended_at__isnull', True)), fields=('listing_level',), name='one_pin_per_shelf'),
        ),
        migrations.AddConstraint(
            model_name='pin',
            constraint=models.CheckConstraint(condition=models.Q(('reason', ''), _negated=True), name='pin_has_a_reason'),
        ),
        migrations.AddConstraint(
            model_name='pin',
            constraint=models.CheckConstraint(condition=models.Q(('owner', ''), _negated=True), name='pin_has_an_owner'),
        ),
        migrations.AddConstraint(
            model_name='pin',
            constraint=models.CheckConstraint(condition=models.Q(('expires_at__gt', models.F('created_at'))), name='pin_expires_after_it_begins'),
        ),
        migrations.AddIndex(
            model_name='pooluse',
            index=models.Index(condition=models.Q(('units', 0), _negated=True), fields=['variant'], name='pool_use_by_variant'),
        ),
        migrations.AddConstraint(
            model_name='pooluse',
            constraint=models.UniqueConstraint(fields=('group', 'variant'), name='one_pool_use_per_variant'),
        ),
        migrations.AddConstraint(
            model_name='ruleset',
            constraint=models.UniqueConstraint(fields=('merchant', 'name'), name='rule_set_name_is_unique_per_merchant'),
        ),
        migrations.AddConstraint(
            model_name='rulesetversion',
            constraint=models.UniqueConstraint(fields=('rule_set', 'number'), name='version_number_is_unique_per_set'),
        ),
        migrations.AddConstraint(
            model_name='rulesetversion',
            constraint=models.UniqueConstraint(condition=models.Q(('state', 'active')), fields=('rule_set',), name='one_version_is_active_per_set'),
        ),
        migrations.AddConstraint(
            model_name='rulesetversion',
            constraint=models.CheckConstraint(condition=models.Q(('effective_from__isnull', True), ('effective_until__isnull', True), ('effective_until__gt', models.F('effective_from')), _connector='OR'), name='version_ends_after_it_begins'),
        ),
        migrations.AddConstraint(
            model_name='rulesetactivation',
            constraint=models.UniqueConstraint(condition=models.Q(('ended_at__isnull', True)), fields=('rule_set',), name='one_activation_is_open_per_set'),
        ),
        migrations.AddConstraint(
            model_name='rulesetactivation',
            constraint=models.CheckConstraint(condition=models.Q(('ended_at__isnull', True), ('ended_at__gte', models.F('began_at')), _connector='OR'), name='activation_ends_after_it_begins'),
        ),
        migrations.AddIndex(
            model_name='rule',
            index=models.Index(fields=['version', 'variant'], name='rule_by_variant'),
        ),
        migrations.AddConstraint(
            model_name='rule',
            constraint=models.CheckConstraint(condition=models.Q(('channel__isnull', True), ('group__isnull', True), _connector='OR'), name='rule_names_channel_or_group'),
        ),
        migrations.AddConstraint(
            model_name='rule',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('tag__isnull', True), ('variant__isnull', True)), models.Q(('category', ''), ('variant__isnull', True)), models.Q(('category', ''), ('tag__isnull', True)), _connector='OR'), name='rule_names_goods_in_one_way'),
        ),
        migrations.AddConstraint(
            model_name='rule',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('buffer_percent__isnull', True), ('buffer_percent__lte', 100), _connector='OR'), models.Q(('pool_percent__isnull', True), ('pool_percent__lte', 100), _connector='OR')), name='rule_percent_is_at_most_100'),
        ),
        migrations.AddConstraint(
            model_name='rule',
            constraint=models.CheckConstraint(condition=models.Q(('minimum__isnull', True), ('maximum__isnull', True), ('maximum__gte', models.F('minimum')), _connector='OR'), name='rule_minimum_is_at_most_maximum'),
        ),
        migrations.AddConstraint(
            model_name='rule',
            constraint=models.CheckConstraint(condition=models.Q(('velocity_least__isnull', True), ('velocity_most__isnull', True), ('velocity_most__gte', models.F('velocity_least')), _connector='OR'), name='rule_velocity_least_is_at_most_most'),
        ),
        migrations.AddConstraint(
            model_name='rule',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('pool__isnull', True), ('pool_percent__isnull', True), ('pool_units__isnull', True)), models.Q(('pool__isnull', False), ('pool_percent__isnull', True), ('pool_units__isnull', False)), models.Q(('pool__isnull', False), ('pool_percent__isnull', False), ('pool_units__isnull', True)), _connector='OR'), name='rule_pool_has_units_or_percent'),
        ),
        migrations.AddConstraint(
            model_name='rule',
            constraint=models.CheckConstraint(condition=models.Q(('pool__isnull', True), models.Q(('channel__isnull', True), ('group__isnull', True)), _connector='OR'), name='rule_of_a_pool_names_no_other_channels'),
        ),
        migrations.AddIndex(
            model_name='mutation',
            index=models.Index(fields=['merchant', 'at'], name='mutation_by_time'),
        ),
        migrations.AddIndex(
            model_name='mutation',
            index=models.Index(condition=models.Q(('state', 'waiting')), fields=['merchant', 'kind'], name='mutation_waiting'),
        ),
    ]
