"""Keeps how long it took until each channel had been told of an order, and measures it as a key figure."""

import django.db.models.deletion
from django.db import migrations, models

_KPIS = [
    ("oversold_units", "Oversell rate, units"),
    ("oversold_orders", "Oversell rate, orders"),
    ("oversold_fast", "Oversell rate, fast-selling SKUs"),
    ("latency", "Update latency"),
    ("told", "Update latency, by channel told"),
    ("drift", "Drift rate"),
    ("cancelled", "Cancelled for want of stock"),
    ("tickets", "Tickets “not available”"),
    ("automatic", "Resolved automatically"),
    ("handling", "Handling time of an item"),
]


def _reference(to: str) -> models.ForeignKey:
    return models.ForeignKey(
        db_constraint=False,
        db_index=False,
        on_delete=django.db.models.deletion.CASCADE,
        related_name="+",
        to=to,
    )


class Migration(migrations.Migration):
    """Adds the table and the figure."""

    dependencies = [
        ("analytics", "0001_facts"),
        ("channels", "0013_rule_mends"),
        ("inventory", "0001_initial"),
    ]

    operations = [
        *(
            migrations.AlterField(
                model_name=model,
                name="kpi",
                field=models.CharField(choices=_KPIS, max_length=16, verbose_name="KPI"),
            )
            for model in ("kpiday", "kpitarget", "historicalkpitarget")
        ),
        migrations.CreateModel(
            name="ToldOrder",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("arrived_on", models.DateField()),
                ("seconds", models.FloatField()),
                ("channel", _reference("channels.channel")),
                ("merchant", _reference("inventory.merchant")),
                ("order", _reference("channels.channelorder")),
            ],
            options={
                "ordering": ["-id"],
                "indexes": [models.Index(fields=["merchant", "arrived_on"], name="told_by_day")],
                "constraints": [
                    models.UniqueConstraint(fields=("order", "channel"), name="order_is_told_once"),
                    models.CheckConstraint(
                        condition=models.Q(("seconds__gte", 0)), name="told_after_it_arrived"
                    ),
                ],
            },
        ),
    ]
