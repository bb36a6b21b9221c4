"""The database itself refuses to change or remove what the ledger has written, and remembers every safety stock.

Whoever sets a safety stock, in whatever way: what was set before is kept. The ledger's own updates do not name the
column, so that the trigger costs them nothing.
"""

from django.db import migrations

FORWARD = """
CREATE FUNCTION inventory_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'ledger_is_append_only: % on % is refused; record a correction instead', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;

CREATE FUNCTION inventory_refuse_second_outcome() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.outcome IS NOT NULL
       OR (OLD.id, OLD.merchant_id, OLD.key, OLD.digest, OLD.verb, OLD.actor, OLD.source, OLD.document)
          IS DISTINCT FROM
          (NEW.id, NEW.merchant_id, NEW.key, NEW.digest, NEW.verb, NEW.actor, NEW.source, NEW.document) THEN
        RAISE EXCEPTION 'ledger_is_append_only: the outcome of an operation is written once'
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER movement_is_never_changed BEFORE UPDATE OR DELETE ON inventory_stockmovement
    FOR EACH ROW EXECUTE FUNCTION inventory_refuse_change();
CREATE TRIGGER movement_is_never_truncated BEFORE TRUNCATE ON inventory_stockmovement
    FOR EACH STATEMENT EXECUTE FUNCTION inventory_refuse_change();
CREATE TRIGGER operation_is_never_deleted BEFORE DELETE ON inventory_stockoperation
    FOR EACH ROW EXECUTE FUNCTION inventory_refuse_change();
CREATE TRIGGER operation_is_written_once BEFORE UPDATE ON inventory_stockoperation
    FOR EACH ROW EXECUTE FUNCTION inventory_refuse_second_outcome();

CREATE TRIGGER inbound_event_is_never_changed BEFORE UPDATE OR DELETE ON inventory_inboundevent
    FOR EACH ROW EXECUTE FUNCTION inventory_refuse_change();

CREATE FUNCTION inventory_note_safety_stock() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO inventory_safetystockchange (merchant_id, level_id, before, after, changed_at)
    VALUES (NEW.merchant_id, NEW.id, OLD.safety_stock, NEW.safety_stock, clock_timestamp());
    RETURN NULL;
END $$;

CREATE TRIGGER safety_stock_is_remembered AFTER UPDATE OF safety_stock ON inventory_stocklevel
    FOR EACH ROW WHEN (OLD.safety_stock IS DISTINCT FROM NEW.safety_stock)
    EXECUTE FUNCTION inventory_note_safety_stock();
"""

BACKWARD = """
DROP TRIGGER safety_stock_is_remembered ON inventory_stocklevel;
DROP FUNCTION inventory_note_safety_stock();
DROP TRIGGER inbound_event_is_never_changed ON inventory_inboundevent;
DROP TRIGGER operation_is_written_once ON inventory_stockoperation;
DROP TRIGGER operation_is_never_deleted ON inventory_stockoperation;
DROP TRIGGER movement_is_never_truncated ON inventory_stockmovement;
DROP TRIGGER movement_is_never_changed ON inventory_stockmovement;
DROP FUNCTION inventory_refuse_second_outcome();
DROP FUNCTION inventory_refuse_change();
"""


class Migration(migrations.Migration):
    """Adds the triggers."""

    dependencies = [("inventory", "0001_initial")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
