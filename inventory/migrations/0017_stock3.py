"""Adds promises of whole kits, and which of them a promise of units is a part of."""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """Adds the table and the reference to it."""

    dependencies = [
        ('inventory', '0016_changes'),
    ]

    operations = [
        migrations.CreateModel(
            name='KitBackorder',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('reference', models.CharField(max_length=200)),
                ('location_ids', django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), size=None)),
                ('quantity', models.BigIntegerField()),
                ('open_quantity', models.BigIntegerField()),
                ('filled_quantity', models.BigIntegerField(default=0)),
                ('cancelled_quantity', models.BigIntegerField(default=0)),
                ('broken_quantity', models.BigIntegerField(default=0)),
                ('promised_on', models.DateField()),
                ('allowed_by', models.CharField(max_length=200)),
                ('created_at', models.DateTimeField()),
                ('bundle', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.bundle')),
                ('location', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.location')),
                ('merchant', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='inventory.merchant')),
                ('operation', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='kit_backorders', to='inventory.stockoperation')),
                ('variant', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='kit_backorders', to='inventory.variant')),
            ],
            options={
                'ordering': ['-id'],
                'indexes': [models.Index(fields=['merchant', 'reference'], name='kit_backorder_by_reference')],
                'constraints': [
                    models.CheckConstraint(condition=models.Q(('quantity__gt', 0)), name='kitbackorder_is_positive'),
                    models.CheckConstraint(
                        condition=models.Q(
                            ('broken_quantity__gte', 0), ('cancelled_quantity__gte', 0), ('filled_quantity__gte', 0),
                            ('open_quantity__gte', 0),
                        ),
                        name='kitbackorder_parts_are_not_negative',
                    ),
                    models.CheckConstraint(
                        condition=models.Q((
                            'quantity',
                            models.F('open_quantity') + models.F('filled_quantity') + models.F('cancelled_quantity')
                            + models.F('broken_quantity'),
                        )),
                        name='kitbackorder_parts_sum_to_quantity',
                    ),
                    models.CheckConstraint(
                        condition=models.Q(('allowed_by', ''), _negated=True), name='kitbackorder_is_allowed_by_somebody'
                    ),
                ],
            },
        ),
        migrations.AddField(
            model_name='backorder',
            name='kit',
            field=models.ForeignKey(
                blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='parts',
                to='inventory.kitbackorder',
            ),
        ),
        migrations.AddIndex(
            model_name='backorder',
            index=models.Index(condition=models.Q(('kit__isnull', False)), fields=['kit'], name='backorder_by_kit'),
        ),
    ]
