"""Counts the ledger's movements into daily facts, after they have committed.

The ledger is not slowed: nothing is written in its transactions. What is new is found by comparing each level's version with
the version up to which it is counted (`LevelMark`). An id would be no safe mark: ids are given before the commit, so that a
higher one may be seen while a lower one is still to come. Versions of one level are written under its lock, so that
whoever sees one sees all before it.

A movement belongs to the day on which it was recorded; one of imported history to the day on which it happened. What a level
began and ended a day with is only true in the order in which the ledger wrote it down, so that there no movement lies before an
earlier one: history that is imported after later movements counts for the level's last day.
"""

from typing import Final

from django.db import connection

#: Movements counted in one transaction, at most twice as many.
AT_ONCE: Final = 100_000

# Everything is read in the snapshot of one statement. Reservations, lines and orders are found row by row through their keys:
# a join would read the whole tables whenever the planner expects many rows.
_COUNT: Final = """
WITH behind AS MATERIALIZED (
    SELECT level.id, level.merchant_id, level.variant_id, level.location_id, coalesce(mark.version, 0) AS since,
           least(level.version, coalesce(mark.version, 0) + %(most)s) AS until
    FROM inventory_stocklevel level
    LEFT JOIN analytics_levelmark mark ON mark.level_id = level.id
    WHERE level.version > coalesce(mark.version, 0) {among}
), chosen AS MATERIALIZED (
    SELECT * FROM (
        SELECT behind.*, sum(until - since) OVER (ORDER BY id) - (until - since) AS before FROM behind
    ) summed
    WHERE before < %(most)s
), written AS MATERIALIZED (
    SELECT chosen.id, chosen.merchant_id, chosen.variant_id, chosen.location_id, chosen.since, m.*,
           CASE WHEN (m.occurred_at AT TIME ZONE 'UTC')::date < (m.recorded_at AT TIME ZONE 'UTC')::date
                 AND (SELECT verb FROM inventory_stockoperation WHERE id = m.operation_id) = 'import'
                THEN m.occurred_at ELSE m.recorded_at END AS happened_at,
           -- Up to where the level's days are written already.
           CASE WHEN m.version = chosen.since THEN (
               SELECT last_at FROM analytics_stockday
               WHERE merchant_id = chosen.merchant_id AND variant_id = chosen.variant_id
                 AND location_id = chosen.location_id
               ORDER BY recorded_on DESC LIMIT 1
           ) END AS reached_at
    FROM chosen
    CROSS JOIN LATERAL (
        SELECT version, kind, reason, on_hand_delta, reserved_delta, unavailable_delta, on_hand_after, reserved_after,
               unavailable_after, occurred_at, recorded_at, reservation_id, operation_id
        FROM inventory_stockmovement
        WHERE level_id = chosen.id AND version >= chosen.since AND version <= chosen.until
        OFFSET 0
    ) m
), dated AS (
    SELECT written.*, (happened_at AT TIME ZONE 'UTC')::date AS happened_on,
           max(coalesce(reached_at, happened_at)) OVER (PARTITION BY id ORDER BY version) AS at
    FROM written
), movement AS MATERIALIZED (
    SELECT merchant_id, variant_id, location_id, since, version, happened_on, at,
           (at AT TIME ZONE 'UTC')::date AS at_on,
           kind, reason, on_hand_delta, reserved_delta, on_hand_after,
           on_hand_after - reserved_after - unavailable_after AS available,
           on_hand_after - reserved_after - unavailable_after
               - on_hand_delta + reserved_delta + unavailable_delta AS available_before,
           lag(at) OVER (PARTITION BY id ORDER BY version) AS before_at,
           reservation_id, operation_id
    FROM dated
), told AS MATERIALIZED (
    SELECT movement.*,
        CASE WHEN (before_at AT TIME ZONE 'UTC')::date = at_on AND available_before = 0
             THEN at - before_at ELSE interval '0' END AS out_for,
        coalesce((
            SELECT placed.channel_id FROM inventory_reservation held
            JOIN channels_channelorderline line
                ON line.id = substring(held.reference FROM '^order-line:([0-9]{{1,18}})$')::bigint
            JOIN channels_channelorder placed ON placed.id = line.order_id
            JOIN channels_channel channel
                ON channel.id = placed.channel_id AND channel.merchant_id = held.merchant_id
            WHERE held.id = movement.reservation_id
        ), (
            SELECT placed.channel_id FROM inventory_stockoperation operation
            JOIN channels_channelorder placed
                ON placed.id = substring(operation.key FROM '^order:([0-9]{{1,18}}):')::bigint
            JOIN channels_channel channel
                ON channel.id = placed.channel_id AND channel.merchant_id = operation.merchant_id
            WHERE operation.id = movement.operation_id AND operation.verb = 'settle'
        )) AS channel_id
    FROM movement
    WHERE version > since
), facts AS (
    INSERT INTO analytics_stockfact AS fact
        (merchant_id, variant_id, location_id, channel_id, recorded_on,
         received, shipped, returned, transferred, adjusted, held, released)
    SELECT merchant_id, variant_id, location_id, channel_id, happened_on,
           coalesce(sum(on_hand_delta) FILTER (WHERE kind = 'receipt'), 0),
           -coalesce(sum(on_hand_delta) FILTER (WHERE {is_shipment}), 0),
           coalesce(sum(on_hand_delta) FILTER (WHERE kind = 'return' AND reason <> 'correction'), 0),
           coalesce(sum(on_hand_delta) FILTER (WHERE kind = 'transfer'), 0),
           coalesce(sum(on_hand_delta) FILTER (
               WHERE kind NOT IN ('receipt', 'shipment', 'return', 'transfer')), 0),
           coalesce(sum(reserved_delta) FILTER (WHERE kind = 'reservation'), 0),
           -coalesce(sum(reserved_delta) FILTER (WHERE kind = 'release'), 0)
    FROM told
    GROUP BY merchant_id, variant_id, location_id, channel_id, happened_on
    ON CONFLICT (merchant_id, variant_id, location_id, channel_id, recorded_on) DO UPDATE
    SET received = fact.received + excluded.received, shipped = fact.shipped + excluded.shipped,
        returned = fact.returned + excluded.returned, transferred = fact.transferred + excluded.transferred,
        adjusted = fact.adjusted + excluded.adjusted, held = fact.held + excluded.held,
        released = fact.released + excluded.released
), days AS (
    INSERT INTO analytics_stockday AS kept
        (merchant_id, variant_id, location_id, recorded_on, first_at, last_at, first_version, version,
         opening_available, on_hand, available, out_for)
    SELECT merchant_id, variant_id, location_id, at_on, min(at), max(at), min(version),
           max(version), (array_agg(available_before ORDER BY version))[1],
           (array_agg(on_hand_after ORDER BY version DESC))[1], (array_agg(available ORDER BY version DESC))[1],
           sum(out_for)
    FROM told
    GROUP BY merchant_id, variant_id, location_id, at_on
    ON CONFLICT (merchant_id, variant_id, location_id, recorded_on) DO UPDATE
    SET last_at = excluded.last_at, version = excluded.version, on_hand = excluded.on_hand,
        available = excluded.available, out_for = kept.out_for + excluded.out_for
), marks AS (
    INSERT INTO analytics_levelmark AS kept (level_id, merchant_id, version)
    SELECT id, merchant_id, until FROM chosen
    ON CONFLICT (level_id) DO UPDATE SET version = excluded.version
)
SELECT count(*) FROM told
"""

#: A return with this reason says that units had not left after all.
_IS_SHIPMENT: Final = "kind = 'shipment' OR (kind = 'return' AND reason = 'correction')"
_COUNT_EVERY: Final = _COUNT.format(is_shipment=_IS_SHIPMENT, among="")
_COUNT_SOME: Final = _COUNT.format(
    is_shipment=_IS_SHIPMENT, among="AND level.variant_id BETWEEN %(first)s AND %(last)s"
)


def count_movements(*, most: int = AT_ONCE) -> int:
    """Counts new movements; returns how many, 0 when none are left.

    Inside a transaction that counts alone (`analytics.locks`).
    """
    return _count(_COUNT_EVERY, {"most": most})


def count_movements_of(variants: tuple[int, int], *, most: int = AT_ONCE) -> int:
    """Counts new movements of the variants with ids from the first to the last, as `count_movements` does."""
    first, last = variants
    return _count(_COUNT_SOME, {"most": most, "first": first, "last": last})


def _count(sql: str, parameters: dict[str, int]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        count: int = cursor.fetchone()[0]
    return count


_FORGET: Final = (
    """DELETE FROM analytics_levelmark mark USING inventory_stocklevel level
    WHERE level.id = mark.level_id AND level.merchant_id = %(merchant)s
      AND level.variant_id BETWEEN %(first)s AND %(last)s""",
    """DELETE FROM analytics_stockfact
    WHERE merchant_id = %(merchant)s AND variant_id BETWEEN %(first)s AND %(last)s""",
    """DELETE FROM analytics_stockday
    WHERE merchant_id = %(merchant)s AND variant_id BETWEEN %(first)s AND %(last)s""",
)


def forget_movements(merchant_id: int, variants: tuple[int, int]) -> None:
    """Deletes a merchant's facts about these variants and their marks, so that all is counted again."""
    first, last = variants
    with connection.cursor() as cursor:
        for statement in _FORGET:
            cursor.execute(statement, {"merchant": merchant_id, "first": first, "last": last})
