"""Webhooks to the merchants' own systems: their tables, and what notes the rarer events.

Whatever opens or ends a conflict, a discrepancy or an alert of a channel, or changes what is known of an order, is noted by a
trigger in its own transaction, where an active subscription of the merchant wants it; where none does, nothing is written. The
conditions of the triggers keep all other updates of these rows from calling anything.
"""

import uuid

import channels.credentials
import django.contrib.postgres.fields
import django.contrib.postgres.functions
import django.db.models.deletion
import simple_history.models
from django.conf import settings
from django.db import migrations, models

# The version of an event is its own number: whoever changes the subject holds its row until the commit.
FORWARD = """
CREATE FUNCTION reconciliation_tell(whose bigint, told text, about text, noted jsonb) RETURNS void LANGUAGE sql AS $$
    INSERT INTO reconciliation_webhookevent (id, merchant_id, type, subject, version, facts, occurred_at)
    SELECT next.id, whose, told, about, next.id, noted, clock_timestamp()
    FROM (
        SELECT nextval(pg_get_serial_sequence('reconciliation_webhookevent', 'id')) AS id
        WHERE EXISTS (
            SELECT FROM reconciliation_webhooksubscription subscription
            WHERE subscription.merchant_id = whose AND subscription.is_active
              AND subscription.events && ARRAY['*', split_part(told, '.', 1) || '.*', told]::varchar[])
    ) AS next
$$;

CREATE FUNCTION reconciliation_tell_conflict() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM reconciliation_tell(
        NEW.merchant_id, CASE WHEN NEW.resolved_at IS NULL THEN 'conflict.opened' ELSE 'conflict.resolved' END,
        'conflict:' || NEW.id, to_jsonb(NEW));
    RETURN NULL;
END $$;

CREATE TRIGGER new_conflict_is_told AFTER INSERT ON inventory_conflict
    FOR EACH ROW WHEN (NEW.resolved_at IS NULL) EXECUTE FUNCTION reconciliation_tell_conflict();
CREATE TRIGGER changed_conflict_is_told AFTER UPDATE ON inventory_conflict
    FOR EACH ROW WHEN ((OLD.resolved_at IS NULL) <> (NEW.resolved_at IS NULL))
    EXECUTE FUNCTION reconciliation_tell_conflict();

CREATE FUNCTION reconciliation_tell_discrepancy() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM reconciliation_tell(
        NEW.merchant_id, 'discrepancy.' || CASE NEW.state WHEN 'open' THEN 'opened' ELSE NEW.state END,
        'discrepancy:' || NEW.id, to_jsonb(NEW));
    RETURN NULL;
END $$;

CREATE TRIGGER new_discrepancy_is_told AFTER INSERT ON reconciliation_discrepancy
    FOR EACH ROW EXECUTE FUNCTION reconciliation_tell_discrepancy();
CREATE TRIGGER changed_discrepancy_is_told AFTER UPDATE ON reconciliation_discrepancy
    FOR EACH ROW WHEN (OLD.state <> NEW.state) EXECUTE FUNCTION reconciliation_tell_discrepancy();

CREATE FUNCTION reconciliation_tell_alert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM reconciliation_tell(
        NEW.merchant_id, CASE WHEN NEW.resolved_at IS NULL THEN 'channel.unhealthy' ELSE 'channel.recovered' END,
        'alert:' || NEW.id, to_jsonb(NEW));
    RETURN NULL;
END $$;

CREATE TRIGGER new_alert_is_told AFTER INSERT ON reconciliation_alert
    FOR EACH ROW WHEN (NEW.channel_id IS NOT NULL AND NEW.merchant_id IS NOT NULL)
    EXECUTE FUNCTION reconciliation_tell_alert();
CREATE TRIGGER changed_alert_is_told AFTER UPDATE ON reconciliation_alert
    FOR EACH ROW WHEN (
        NEW.channel_id IS NOT NULL AND NEW.merchant_id IS NOT NULL
        AND ((OLD.resolved_at IS NULL) <> (NEW.resolved_at IS NULL) OR OLD.severity <> NEW.severity))
    EXECUTE FUNCTION reconciliation_tell_alert();

-- Units that are left to ship by an order's state; NULL for none that can be read.
CREATE FUNCTION reconciliation_units_left(state jsonb) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN jsonb_typeof(state -> 2) = 'number' AND jsonb_typeof(state -> 3) = 'number'
                     AND jsonb_typeof(state -> 4) = 'number'
           THEN (state ->> 4)::bigint - (state ->> 3)::bigint - (state ->> 2)::bigint END
$$;

CREATE FUNCTION reconciliation_tell_order() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    was_left bigint := reconciliation_units_left(OLD.state_key);
    is_left bigint := reconciliation_units_left(NEW.state_key);
BEGIN
    PERFORM reconciliation_tell(
        channel.merchant_id,
        CASE
            WHEN NEW.is_deleted AND NOT OLD.is_deleted THEN 'order.cancelled'
            WHEN OLD.state_digest = '' THEN 'order.created'
            WHEN is_left <= 0 AND was_left > 0 AND NEW.state_key -> 2 = '0' THEN 'order.cancelled'
            WHEN is_left <= 0 AND was_left > 0 THEN 'order.fulfilled'
            ELSE 'order.updated'
        END,
        'order:' || NEW.id, jsonb_build_object('id', NEW.id))
    FROM channels_channel channel WHERE channel.id = NEW.channel_id;
    RETURN NULL;
END $$;

CREATE TRIGGER changed_order_is_told AFTER UPDATE ON channels_channelorder
    FOR EACH ROW WHEN (OLD.state_digest <> NEW.state_digest OR OLD.is_deleted <> NEW.is_deleted)
    EXECUTE FUNCTION reconciliation_tell_order();
"""

BACKWARD = """
DROP TRIGGER changed_order_is_told ON channels_channelorder;
DROP TRIGGER changed_alert_is_told ON reconciliation_alert;
DROP TRIGGER new_alert_is_told ON reconciliation_alert;
DROP TRIGGER changed_discrepancy_is_told ON reconciliation_discrepancy;
DROP TRIGGER new_discrepancy_is_told ON reconciliation_discrepancy;
DROP TRIGGER changed_conflict_is_told ON inventory_conflict;
DROP TRIGGER new_conflict_is_told ON inventory_conflict;
DROP FUNCTION reconciliation_tell_order();
DROP FUNCTION reconciliation_units_left(jsonb);
DROP FUNCTION reconciliation_tell_alert();
DROP FUNCTION reconciliation_tell_discrepancy();
DROP FUNCTION reconciliation_tell_conflict();
DROP FUNCTION reconciliation_tell(bigint, text, text, jsonb);
"""


class Migration(migrations.Migration):
    """Adds the tables and the triggers."""

    dependencies = [
        ('channels', '0013_rule_mends'),
        ('inventory', '0016_changes'),
        ('reconciliation', '0004_silence'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='WebhookCursor',
            fields=[
                ('merchant', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='webhook_cursor', serialize=False, to='inventory.merchant')),
                ('position', models.BigIntegerField()),
                ('moved_at', models.DateTimeField()),
            ],
            options={
                'ordering': ['merchant_id'],
            },
        ),
        migrations.CreateModel(
            name='HistoricalWebhookSubscription',
            fields=[
                ('id', models.BigIntegerField(auto_created=True, blank=True, db_index=True, verbose_name='ID')),
                ('url', models.CharField(max_length=500, verbose_name='address')),
                ('description', models.CharField(blank=True, max_length=200)),
                ('events', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=40), default=list, size=None)),
                ('is_active', models.BooleanField(default=True)),
                ('disabled_because', models.TextField(blank=True)),
                ('disabled_at', models.DateTimeField(blank=True, null=True)),
                ('gave_up', models.BooleanField(default=False)),
                ('created_at', models.DateTimeField(blank=True, editable=False)),
                ('created_by', models.CharField(blank=True, max_length=200)),
                ('history_id', models.AutoField(primary_key=True, serialize=False)),
                ('history_date', models.DateTimeField(db_index=True)),
                ('history_change_reason', models.CharField(max_length=100, null=True)),
                ('history_type', models.CharField(choices=[('+', 'Created'), ('~', 'Changed'), ('-', 'Deleted')], max_length=1)),
                ('history_user', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('merchant', models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='inventory.merchant')),
            ],
            options={
                'verbose_name': 'historical webhook subscription',
                'verbose_name_plural': 'historical webhook subscriptions',
                'ordering': ('-history_date', '-history_id'),
                'get_latest_by': ('history_date', 'history_id'),
            },
            bases=(simple_history.models.HistoricalChanges, models.Model),
        ),
        migrations.CreateModel(
            name='WebhookEvent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('event_id', models.UUIDField(db_default=django.contrib.postgres.functions.RandomUUID(), default=uuid.uuid4, editable=False, unique=True)),
                ('type', models.CharField(max_length=40)),
                ('subject', models.CharField(max_length=80)),
                ('version', models.BigIntegerField()),
                ('facts', models.JSONField(default=dict)),
                ('data', models.JSONField(blank=True, null=True)),
                ('occurred_at', models.DateTimeField()),
                ('made_at', models.DateTimeField(blank=True, null=True)),
                ('merchant', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.merchant')),
            ],
            options={
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='WebhookSubscription',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('url', models.CharField(max_length=500, verbose_name='address')),
                ('description', models.CharField(blank=True, max_length=200)),
                ('events', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=40), default=list, size=None)),
                ('is_active', models.BooleanField(default=True)),
                ('disabled_because', models.TextField(blank=True)),
                ('disabled_at', models.DateTimeField(blank=True, null=True)),
                ('gave_up', models.BooleanField(default=False)),
                ('secrets', channels.credentials.EncryptedJSONField(blank=True, default=list, editable=False)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('created_by', models.CharField(blank=True, max_length=200)),
                ('failures', models.PositiveIntegerField(default=0)),
                ('failing_since', models.DateTimeField(blank=True, null=True)),
                ('paused_until', models.DateTimeField(blank=True, null=True)),
                ('merchant', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='webhook_subscriptions', to='inventory.merchant')),
            ],
            options={
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='WebhookMessage',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField()),
                ('wanted_at', models.DateTimeField()),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('next_attempt_at', models.DateTimeField(blank=True, null=True)),
                ('lease_token', models.UUIDField(blank=True, editable=False, null=True)),
                ('arrived_at', models.DateTimeField(blank=True, null=True)),
                ('given_up_at', models.DateTimeField(blank=True, null=True)),
                ('status', models.PositiveSmallIntegerField(default=0)),
                ('error', models.TextField(blank=True)),
                ('log', models.JSONField(default=list)),
                ('event', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='messages', to='reconciliation.webhookevent')),
                ('merchant', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.merchant')),
                ('subscription', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='messages', to='reconciliation.webhooksubscription')),
            ],
            options={
                'ordering': ['-id'],
            },
        ),
        migrations.AddIndex(
            model_name='webhookevent',
            index=models.Index(condition=models.Q(('made_at__isnull', True)), fields=['id'], name='webhook_event_unmade'),
        ),
        migrations.AddIndex(
            model_name='webhookevent',
            index=models.Index(fields=['merchant', '-id'], name='webhook_event_by_merchant'),
        ),
        migrations.AddConstraint(
            model_name='webhookevent',
            constraint=models.CheckConstraint(condition=models.Q(('made_at__isnull', True), ('data__isnull', False), _connector='OR'), name='made_event_says_something'),
        ),
        migrations.AddIndex(
            model_name='webhooksubscription',
            index=models.Index(fields=['merchant', '-id'], name='webhook_by_merchant'),
        ),
        migrations.AddIndex(
            model_name='webhooksubscription',
            index=models.Index(condition=models.Q(('is_active', True)), fields=['merchant'], name='webhook_active'),
        ),
        migrations.AddConstraint(
            model_name='webhooksubscription',
            constraint=models.CheckConstraint(condition=models.Q(('url', ''), _negated=True), name='webhook_has_an_address'),
        ),
        migrations.AddConstraint(
            model_name='webhooksubscription',
            constraint=models.CheckConstraint(condition=models.Q(('events__len__gt', 0)), name='webhook_is_told_something'),
        ),
        migrations.AddConstraint(
            model_name='webhooksubscription',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('disabled_at__isnull', True), ('gave_up', False), ('is_active', True)), models.Q(('disabled_at__isnull', False), ('is_active', False)), _connector='OR'), name='webhook_is_active_or_says_since_when_not'),
        ),
        migrations.AddConstraint(
            model_name='webhooksubscription',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('failing_since__isnull', True), ('failures', 0), ('paused_until__isnull', True)), models.Q(('failing_since__isnull', False), ('failures__gt', 0)), _connector='OR'), name='webhook_that_fails_says_since_when'),
        ),
        migrations.AddIndex(
            model_name='webhookmessage',
            index=models.Index(condition=models.Q(('next_attempt_at__isnull', False)), fields=['subscription', 'next_attempt_at', 'id'], name='webhook_message_due'),
        ),
        migrations.AddIndex(
            model_name='webhookmessage',
            index=models.Index(fields=['merchant', '-id'], name='webhook_message_by_merchant'),
        ),
        migrations.AddIndex(
            model_name='webhookmessage',
            index=models.Index(fields=['subscription', '-id'], name='webhook_message_by_receiver'),
        ),
        migrations.AddConstraint(
            model_name='webhookmessage',
            constraint=models.UniqueConstraint(fields=('subscription', 'event'), name='webhook_message_is_made_once'),
        ),
        migrations.AddConstraint(
            model_name='webhookmessage',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('arrived_at__isnull', True), ('given_up_at__isnull', True), ('next_attempt_at__isnull', False)), models.Q(('arrived_at__isnull', False), ('given_up_at__isnull', True), ('next_attempt_at__isnull', True)), models.Q(('arrived_at__isnull', True), ('given_up_at__isnull', False), ('next_attempt_at__isnull', True)), _connector='OR'), name='webhook_message_waits_arrived_or_was_given_up'),
        ),
        migrations.AddConstraint(
            model_name='webhookmessage',
            constraint=models.CheckConstraint(condition=models.Q(('lease_token__isnull', True), ('next_attempt_at__isnull', False), _connector='OR'), name='leased_webhook_message_waits'),
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
