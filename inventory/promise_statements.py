"""What the reads of promises have in common: which places count, what comes there, and what is owed there.

Each is a CTE. They take the parameters `merchant`, `variants`, `places` (None: those in use, without those that a platform
draws on alone), `channel_owned`, `today`, `by` and `causes`.
"""

from typing import Final

PLACES: Final = """
place AS MATERIALIZED (
    SELECT id FROM inventory_location
    WHERE merchant_id = %(merchant)s
      AND CASE WHEN %(places)s::bigint[] IS NULL THEN is_active AND kind <> %(channel_owned)s
               ELSE id = ANY(%(places)s::bigint[]) END
)"""

#: What is owed waits at several places; of kits that are owed, their parts.
OWED: Final = """
owed AS MATERIALIZED (
    SELECT c.variant_id, c.open_quantity AS units, c.location_ids
    FROM inventory_conflict c
    WHERE c.merchant_id = %(merchant)s AND c.variant_id = ANY(%(variants)s::bigint[]) AND c.open_quantity > 0
      AND c.cause = ANY(%(causes)s::text[])
    UNION ALL
    SELECT part.variant_id, c.open_quantity * part.quantity, c.location_ids
    FROM inventory_bundlepart part
    JOIN inventory_conflict c ON c.merchant_id = %(merchant)s AND c.variant_id = part.bundle_variant_id
    WHERE part.is_drawn_on AND part.variant_id = ANY(%(variants)s::bigint[]) AND c.open_quantity > 0
      AND c.cause = ANY(%(causes)s::text[])
)"""

#: Confirmed lines of purchase orders.
CONFIRMED: Final = """
confirmed AS MATERIALIZED (
    SELECT l.variant_id, l.location_id, l.confirmed_on AS day, l.confirmed_quantity AS units,
           l.promised_quantity AS promised
    FROM inventory_purchaseorderline l
    WHERE l.merchant_id = %(merchant)s AND l.variant_id = ANY(%(variants)s::bigint[]) AND l.confirmed_quantity > 0
      AND l.confirmed_on BETWEEN %(today)s AND %(by)s
)"""

#: Transfers under way that have a day, at where they go; what cannot be sold arrives so.
IN_TRANSIT: Final = """
in_transit AS MATERIALIZED (
    SELECT l.variant_id, t.destination_id AS location_id, t.expected_on AS day,
           l.sent_quantity - l.received_quantity - l.missing_quantity - l.recalled_quantity - l.unavailable_quantity
               AS units
    FROM inventory_transfer t JOIN inventory_transferline l ON l.transfer_id = t.id
    WHERE t.merchant_id = %(merchant)s AND t.state = 'sent' AND t.expected_on BETWEEN %(today)s AND %(by)s
      AND l.variant_id = ANY(%(variants)s::bigint[])
)"""

#: Together at all places, for each of the variants; whether it is a kit comes last.
PROMISABLE: Final = f"""
WITH wanted AS (SELECT DISTINCT id FROM unnest(%(variants)s::bigint[]) AS given (id)),
{PLACES},{OWED},{CONFIRMED},{IN_TRANSIT}
SELECT wanted.id, coalesce(stock.units, 0)::bigint, coalesce(ordered.units, 0)::bigint,
       coalesce(ordered.promised, 0)::bigint, coalesce(debt.units, 0)::bigint, coalesce(moving.units, 0)::bigint,
       EXISTS (SELECT FROM inventory_bundlepart part WHERE part.bundle_variant_id = wanted.id AND part.is_drawn_on)
FROM wanted
LEFT JOIN (
    SELECT s.variant_id, sum(s.on_hand - s.reserved - s.unavailable) AS units
    FROM inventory_stocklevel s JOIN place ON place.id = s.location_id
    WHERE s.merchant_id = %(merchant)s AND s.variant_id = ANY(%(variants)s::bigint[])
    GROUP BY s.variant_id
) stock ON stock.variant_id = wanted.id
LEFT JOIN (
    SELECT c.variant_id, sum(c.units) AS units, sum(c.promised) AS promised
    FROM confirmed c JOIN place ON place.id = c.location_id
    GROUP BY c.variant_id
) ordered ON ordered.variant_id = wanted.id
LEFT JOIN (
    SELECT t.variant_id, sum(t.units) AS units FROM in_transit t JOIN place ON place.id = t.location_id
    GROUP BY t.variant_id
) moving ON moving.variant_id = wanted.id
LEFT JOIN (
    SELECT variant_id, sum(units) AS units FROM owed
    WHERE location_ids && ARRAY(SELECT id FROM place)
    GROUP BY variant_id
) debt ON debt.variant_id = wanted.id
"""  # noqa: S608  # constants only

#: (variant, location, day) → what is available (on no day), confirmed, promised, owed (on no day) and in transit.
BY_DAY: Final = f"""
WITH {PLACES},{OWED},{CONFIRMED},{IN_TRANSIT}
SELECT part.variant_id, part.location_id, part.day, sum(part.available)::bigint, sum(part.confirmed)::bigint,
       sum(part.promised)::bigint, sum(part.owed)::bigint, sum(part.in_transit)::bigint
FROM (
    SELECT s.variant_id, s.location_id, NULL::date AS day, s.on_hand - s.reserved - s.unavailable AS available,
           0 AS confirmed, 0 AS promised, 0 AS owed, 0 AS in_transit
    FROM inventory_stocklevel s
    WHERE s.merchant_id = %(merchant)s AND s.variant_id = ANY(%(variants)s::bigint[])
    UNION ALL
    SELECT variant_id, location_id, day, 0, units, promised, 0, 0 FROM confirmed
    UNION ALL
    SELECT variant_id, location_id, day, 0, 0, 0, 0, units FROM in_transit
    UNION ALL
    SELECT owed.variant_id, served.id, NULL, 0, 0, 0, owed.units, 0
    FROM owed, unnest(owed.location_ids) AS served (id)
) part
JOIN place ON place.id = part.location_id
GROUP BY part.variant_id, part.location_id, part.day
ORDER BY part.variant_id, part.location_id, part.day NULLS FIRST
"""  # noqa: S608  # constants only

#: The same without days.
BY_LOCATION: Final = f"""
SELECT variant_id, location_id, sum(available)::bigint, sum(confirmed)::bigint, sum(promised)::bigint,
       sum(owed)::bigint, sum(in_transit)::bigint
FROM ({BY_DAY}) AS by_day (variant_id, location_id, day, available, confirmed, promised, owed, in_transit)
GROUP BY variant_id, location_id ORDER BY variant_id, location_id
"""  # noqa: S608  # constants only

#: (variant, day) → what is confirmed, promised and in transit.
ARRIVALS: Final = f"""
WITH {PLACES},{CONFIRMED},{IN_TRANSIT}
SELECT part.variant_id, part.day, sum(part.confirmed)::bigint, sum(part.promised)::bigint,
       sum(part.in_transit)::bigint
FROM (
    SELECT variant_id, location_id, day, units AS confirmed, promised, 0 AS in_transit FROM confirmed
    UNION ALL
    SELECT variant_id, location_id, day, 0, 0, units FROM in_transit WHERE units > 0
) part
JOIN place ON place.id = part.location_id
GROUP BY part.variant_id, part.day ORDER BY part.variant_id, part.day
"""  # noqa: S608  # constants only

#: Confirmed and promised to nobody, less what is owed there, for several sets of places at once, told apart by numbers.
OFFERED: Final = f"""
WITH place AS (
    SELECT number, id FROM unnest(%(numbers)s::int[], %(places)s::bigint[]) AS given (number, id)
), together AS (
    SELECT number, array_agg(id) AS ids FROM place GROUP BY number
),{OWED},{CONFIRMED}
SELECT coming.variant_id, coming.number, (coming.units - coalesce(debt.units, 0))::bigint
FROM (
    SELECT c.variant_id, place.number, sum(c.units - c.promised) AS units
    FROM confirmed c JOIN place ON place.id = c.location_id
    GROUP BY c.variant_id, place.number
) coming
LEFT JOIN (
    SELECT owed.variant_id, together.number, sum(owed.units) AS units
    FROM owed JOIN together ON owed.location_ids && together.ids
    GROUP BY owed.variant_id, together.number
) debt ON debt.variant_id = coming.variant_id AND debt.number = coming.number
"""  # noqa: S608  # constants only

#: The parts of those of the variants that are kits now.
KIT_PARTS: Final = """
SELECT part.bundle_variant_id, part.variant_id, part.quantity
FROM inventory_bundlepart part JOIN inventory_variant kit ON kit.id = part.bundle_variant_id
WHERE kit.merchant_id = %(merchant)s AND part.is_drawn_on AND part.bundle_variant_id = ANY(%(variants)s::bigint[])
ORDER BY part.bundle_variant_id, part.variant_id
"""
