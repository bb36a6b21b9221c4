"""Remembers which of our locations stood behind a place from when to when, whoever changes it."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION channels_keep_source_spans() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        UPDATE channels_sourcespan SET ended_at = greatest(clock_timestamp(), began_at)
        WHERE source_id = OLD.id AND ended_at IS NULL;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        IF NEW.is_active THEN
            INSERT INTO channels_sourcespan (source_id, channel_location_id, location_id, priority, began_at)
            VALUES (NEW.id, NEW.channel_location_id, NEW.location_id, NEW.priority, clock_timestamp());
        END IF;
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER source_span_begins_or_ends AFTER INSERT OR DELETE ON channels_channellocationsource
    FOR EACH ROW EXECUTE FUNCTION channels_keep_source_spans();
CREATE TRIGGER source_span_changes AFTER UPDATE ON channels_channellocationsource
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION channels_keep_source_spans();
"""

BACKWARD = """
DROP TRIGGER source_span_changes ON channels_channellocationsource;
DROP TRIGGER source_span_begins_or_ends ON channels_channellocationsource;
DROP FUNCTION channels_keep_source_spans();
"""


class Migration(migrations.Migration):
    """Adds the triggers."""

    dependencies = [("channels", "0001_initial")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
