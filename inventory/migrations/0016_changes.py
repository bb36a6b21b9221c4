"""The changes in order: their table, and what the catalogue notes for it.

Whatever changes a variant or a location is noted by a trigger, so that bulk writes are told as well. What the ledger writes
needs no note: the sequencer finds it. An installation that has a ledger already tells what happens from now on; the lock
waits for operations in progress, which would be skipped otherwise.
"""

import django.db.models.deletion
from django.db import migrations, models

FORWARD = """
CREATE FUNCTION inventory_note_variants() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO inventory_cataloguenote (merchant_id, kind, variant_id, payload, noted_at)
        SELECT merchant_id, 'variant.changed', id,
               jsonb_build_object('sku', sku, 'gtin', gtin, 'title', title, 'product_id', product_id, 'is_active', is_active),
               clock_timestamp()
        FROM new_rows ORDER BY id;
    ELSE
        INSERT INTO inventory_cataloguenote (merchant_id, kind, variant_id, payload, noted_at)
        SELECT fresh.merchant_id, 'variant.changed', id,
               jsonb_build_object('sku', fresh.sku, 'gtin', fresh.gtin, 'title', fresh.title, 'product_id', fresh.product_id,
                                  'is_active', fresh.is_active),
               clock_timestamp()
        FROM new_rows fresh JOIN old_rows former USING (id)
        WHERE (fresh.sku, fresh.gtin, fresh.title, fresh.product_id, fresh.is_active)
              IS DISTINCT FROM (former.sku, former.gtin, former.title, former.product_id, former.is_active)
        ORDER BY id;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION inventory_note_locations() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO inventory_cataloguenote (merchant_id, kind, location_id, payload, noted_at)
        SELECT merchant_id, 'location.changed', id,
               jsonb_build_object('code', code, 'name', name, 'kind', kind, 'country', country, 'is_active', is_active),
               clock_timestamp()
        FROM new_rows ORDER BY id;
    ELSE
        INSERT INTO inventory_cataloguenote (merchant_id, kind, location_id, payload, noted_at)
        SELECT fresh.merchant_id, 'location.changed', id,
               jsonb_build_object('code', fresh.code, 'name', fresh.name, 'kind', fresh.kind, 'country', fresh.country,
                                  'is_active', fresh.is_active),
               clock_timestamp()
        FROM new_rows fresh JOIN old_rows former USING (id)
        WHERE (fresh.code, fresh.name, fresh.kind, fresh.country, fresh.is_active)
              IS DISTINCT FROM (former.code, former.name, former.kind, former.country, former.is_active)
        ORDER BY id;
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER new_variants_are_noted AFTER INSERT ON inventory_variant
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION inventory_note_variants();
CREATE TRIGGER changed_variants_are_noted AFTER UPDATE ON inventory_variant
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION inventory_note_variants();
CREATE TRIGGER new_locations_are_noted AFTER INSERT ON inventory_location
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION inventory_note_locations();
CREATE TRIGGER changed_locations_are_noted AFTER UPDATE ON inventory_location
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION inventory_note_locations();

LOCK TABLE inventory_stockoperation IN SHARE MODE;
INSERT INTO inventory_feedmark (name, value)
SELECT 'operations', max(id) FROM inventory_stockoperation HAVING max(id) IS NOT NULL;
"""

BACKWARD = """
DROP TRIGGER new_variants_are_noted ON inventory_variant;
DROP TRIGGER changed_variants_are_noted ON inventory_variant;
DROP TRIGGER new_locations_are_noted ON inventory_location;
DROP TRIGGER changed_locations_are_noted ON inventory_location;
DROP FUNCTION inventory_note_variants();
DROP FUNCTION inventory_note_locations();
"""


class Migration(migrations.Migration):
    """Adds the tables and the triggers."""

    dependencies = [
        ('inventory', '0015_document_mends'),
    ]

    operations = [
        migrations.CreateModel(
            name='CatalogueNote',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('stock.changed', 'Stock changed'), ('reservation.created', 'Reservation created'), ('reservation.confirmed', 'Reservation confirmed'), ('reservation.extended', 'Reservation extended'), ('reservation.released', 'Reservation released'), ('reservation.expired', 'Reservation expired'), ('reservation.fulfilled', 'Reservation fulfilled'), ('variant.changed', 'Variant changed'), ('location.changed', 'Location changed')], max_length=24)),
                ('payload', models.JSONField(default=dict)),
                ('noted_at', models.DateTimeField()),
                ('location', models.ForeignKey(blank=True, db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='inventory.location')),
                ('merchant', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='inventory.merchant')),
                ('variant', models.ForeignKey(blank=True, db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='inventory.variant')),
            ],
            options={
                'ordering': ['-id'],
            },
        ),
        migrations.CreateModel(
            name='FeedMark',
            fields=[
                ('name', models.CharField(max_length=20, primary_key=True, serialize=False)),
                ('value', models.BigIntegerField(default=0)),
            ],
            options={
                'ordering': ['name'],
                'constraints': [models.CheckConstraint(condition=models.Q(('value__gte', 0)), name='feed_mark_is_not_negative')],
            },
        ),
        migrations.CreateModel(
            name='Change',
            fields=[
                ('position', models.BigIntegerField(primary_key=True, serialize=False)),
                ('kind', models.CharField(choices=[('stock.changed', 'Stock changed'), ('reservation.created', 'Reservation created'), ('reservation.confirmed', 'Reservation confirmed'), ('reservation.extended', 'Reservation extended'), ('reservation.released', 'Reservation released'), ('reservation.expired', 'Reservation expired'), ('reservation.fulfilled', 'Reservation fulfilled'), ('variant.changed', 'Variant changed'), ('location.changed', 'Location changed')], max_length=24)),
                ('number', models.IntegerField(blank=True, null=True)),
                ('version', models.BigIntegerField(blank=True, null=True)),
                ('payload', models.JSONField(default=dict)),
                ('happened_at', models.DateTimeField()),
                ('location', models.ForeignKey(blank=True, db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='inventory.location')),
                ('merchant', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='inventory.merchant')),
                ('operation', models.ForeignKey(blank=True, db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='inventory.stockoperation')),
                ('variant', models.ForeignKey(blank=True, db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='inventory.variant')),
            ],
            options={
                'ordering': ['-position'],
                'indexes': [models.Index(fields=['merchant', 'position'], name='change_by_merchant')],
                'constraints': [models.UniqueConstraint(fields=('operation', 'number'), name='change_is_told_once'), models.CheckConstraint(condition=models.Q(('position__gt', 0)), name='change_position_is_positive'), models.CheckConstraint(condition=models.Q(models.Q(('number__isnull', True), ('operation__isnull', True)), models.Q(('number__isnull', False), ('operation__isnull', False)), _connector='OR'), name='change_of_an_operation_is_numbered'), models.CheckConstraint(condition=models.Q(models.Q(('kind', 'stock.changed'), _negated=True), models.Q(('location__isnull', False), ('variant__isnull', False), ('version__isnull', False)), _connector='OR'), name='change_of_stock_has_a_version')],
            },
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
