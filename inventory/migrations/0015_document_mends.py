"""The database refuses stock to kits, a line of a transfer remembers how many of its units left unfit for sale, and one of a
return what was judged elsewhere.

Kits are looked up only where a level gains on hand: sales and reservations cost nothing more. The level is locked by then,
and whoever makes a kit locks the kit's own levels, so that the look-up sees every kit.
"""

from django.db import migrations, models
from django.db.models import F, Q

FORWARD = """
CREATE FUNCTION inventory_refuse_stock_of_kit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM inventory_bundle
        WHERE merchant_id = NEW.merchant_id AND variant_id = NEW.variant_id AND is_current AND kind = 'kit'
    ) THEN
        RAISE EXCEPTION 'kit_has_no_stock: variant % gains % units', NEW.variant_id, NEW.on_hand - OLD.on_hand
            USING ERRCODE = 'check_violation', CONSTRAINT = 'kit_has_no_stock',
                  DETAIL = (SELECT sku FROM inventory_variant WHERE id = NEW.variant_id);
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER kit_gains_no_stock BEFORE UPDATE OF on_hand ON inventory_stocklevel
    FOR EACH ROW WHEN (NEW.on_hand > OLD.on_hand) EXECUTE FUNCTION inventory_refuse_stock_of_kit();
"""

BACKWARD = """
DROP TRIGGER kit_gains_no_stock ON inventory_stocklevel;
DROP FUNCTION inventory_refuse_stock_of_kit();
"""


class Migration(migrations.Migration):
    """Adds the trigger and the columns."""

    dependencies = [
        ('inventory', '0014_rule_mends'),
    ]

    operations = [
        migrations.RunSQL(FORWARD, BACKWARD),
        migrations.AddField(
            "transferline", "unavailable_quantity", models.BigIntegerField(default=0)
        ),
        migrations.AddConstraint(
            "transferline",
            models.CheckConstraint(
                condition=Q(
                    unavailable_quantity__gte=0,
                    sent_quantity__gte=F("received_quantity")
                    + F("missing_quantity")
                    + F("recalled_quantity")
                    + F("unavailable_quantity"),
                ),
                name="transfer_unavailable_is_in_transit",
            ),
        ),
        migrations.AddField("returnline", "elsewhere_quantity", models.BigIntegerField(default=0)),
        migrations.RemoveConstraint("returnline", "return_counts_are_not_negative"),
        migrations.RemoveConstraint("returnline", "return_inspects_what_was_received"),
        migrations.AddConstraint(
            "returnline",
            models.CheckConstraint(
                condition=Q(
                    announced_quantity__gte=0,
                    received_quantity__gte=0,
                    released_quantity__gte=0,
                    written_off_quantity__gte=0,
                    elsewhere_quantity__gte=0,
                ),
                name="return_counts_are_not_negative",
            ),
        ),
        migrations.AddConstraint(
            "returnline",
            models.CheckConstraint(
                condition=Q(
                    received_quantity__gte=F("released_quantity")
                    + F("written_off_quantity")
                    + F("elsewhere_quantity")
                ),
                name="return_inspects_what_was_received",
            ),
        ),
    ]
