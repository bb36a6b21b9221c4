"""The database itself refuses to change or remove what the ledger has written."""

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
"""

BACKWARD = """
DROP TRIGGER operation_is_written_once ON inventory_stockoperation;
DROP TRIGGER operation_is_never_deleted ON inventory_stockoperation;
DROP TRIGGER movement_is_never_truncated ON inventory_stockmovement;
DROP TRIGGER movement_is_never_changed ON inventory_stockmovement;
DROP FUNCTION inventory_refuse_second_outcome();
DROP FUNCTION inventory_refuse_change();
"""


class Migration(migrations.Migration):
    dependencies = [("inventory", "0001_initial")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
