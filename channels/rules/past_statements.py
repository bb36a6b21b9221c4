"""What rules go by beside themselves, as it was at an instant `at`: tags, categories, groups of channels.

People's edits are in the histories of what they edit; tags that come by themselves enter theirs with the statement that
puts them on. What was changed before a history began is taken as it is now; so is a tag that is younger than the instant,
which only a rule can name that is rehearsed.
"""

from typing import Final

#: (variant, category, nothing), then (variant, nothing, tag): of those that rules name.
GOODS_AT: Final = """
SELECT variant.id, coalesce(filed.category, product.category), NULL::bigint
FROM inventory_variant variant
LEFT JOIN LATERAL (
    SELECT past.product_id FROM inventory_historicalvariant past
    WHERE past.id = variant.id AND past.history_date <= %(at)s
    ORDER BY past.history_date DESC, past.history_id DESC LIMIT 1
) belonged ON true
JOIN inventory_product product ON product.id = coalesce(belonged.product_id, variant.product_id)
LEFT JOIN LATERAL (
    SELECT past.category FROM inventory_historicalproduct past
    WHERE past.id = product.id AND past.history_date <= %(at)s
    ORDER BY past.history_date DESC, past.history_id DESC LIMIT 1
) filed ON true
WHERE variant.id = ANY(%(variants)s::bigint[])
  AND coalesce(filed.category, product.category) = ANY(%(categories)s::text[])
UNION ALL
SELECT pair.variant_id, '', pair.tag_id
FROM (
    SELECT variant_id, tag_id FROM inventory_varianttag
    WHERE tag_id = ANY(%(tags)s::bigint[]) AND variant_id = ANY(%(variants)s::bigint[])
    UNION
    SELECT variant_id, tag_id FROM inventory_historicalvarianttag
    WHERE tag_id = ANY(%(tags)s::bigint[]) AND variant_id = ANY(%(variants)s::bigint[])
) pair
CROSS JOIN LATERAL (
    SELECT EXISTS (
        SELECT FROM inventory_historicaltag made
        WHERE made.id = pair.tag_id AND made.history_type = '+' AND made.history_date > %(at)s
    ) AS is_younger
) tag
LEFT JOIN LATERAL (
    SELECT past.history_type FROM inventory_historicalvarianttag past
    WHERE past.variant_id = pair.variant_id AND past.tag_id = pair.tag_id AND past.history_date <= %(at)s
    ORDER BY past.history_date DESC, past.history_id DESC LIMIT 1
) before ON true
LEFT JOIN LATERAL (
    SELECT past.history_type FROM inventory_historicalvarianttag past
    WHERE past.variant_id = pair.variant_id AND past.tag_id = pair.tag_id AND past.history_date > %(at)s
    ORDER BY past.history_date, past.history_id LIMIT 1
) after ON true
WHERE CASE WHEN tag.is_younger THEN EXISTS (
               SELECT FROM inventory_varianttag now
               WHERE now.variant_id = pair.variant_id AND now.tag_id = pair.tag_id)
           WHEN before.history_type IS NOT NULL THEN before.history_type <> '-'
           WHEN after.history_type IS NOT NULL THEN after.history_type <> '+'
           ELSE true END
"""

#: (channel, group) of these channels.
GROUPS_AT: Final = """
SELECT member.channel_id, channel_group.id
FROM channels_channelgroup channel_group
LEFT JOIN LATERAL (
    SELECT past.history_id FROM channels_historicalchannelgroup past
    WHERE past.id = channel_group.id AND past.history_date <= %(at)s
    ORDER BY past.history_date DESC, past.history_id DESC LIMIT 1
) known ON true
JOIN LATERAL (
    SELECT past.channel_id FROM channels_historicalchannelgroup_channels past
    WHERE past.history_id = known.history_id
    UNION ALL
    SELECT now.channel_id FROM channels_channelgroup_channels now
    WHERE now.channelgroup_id = channel_group.id AND known.history_id IS NULL
) member ON member.channel_id = ANY(%(channels)s::bigint[])
WHERE channel_group.merchant_id IN (
    SELECT merchant_id FROM channels_channel WHERE id = ANY(%(channels)s::bigint[]))
"""
