"""The rows of orders: looked up, inserted, locked and saved in as few statements as can be, which are planned once."""

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db import connection

from channels.models import Channel, ChannelOrder
from channels.order_states import StateKey
from config.database import PLAN_ONCE
from inventory.arrays import array

# A concurrent twin waits here for the first one's commit.
_INSERT: Final = """
INSERT INTO channels_channelorder
    (channel_id, external_id, arrived_at, number, state_key, state_digest, country, currency, is_test,
     is_deleted, may_return, fetch_wanted, fetched, fetch_error, marks, routed_for)
VALUES (%s, %s, %s, '', '[]', '', '', '', false, false, false, 0, 0, '', '{}', '')
ON CONFLICT (channel_id, external_id) DO NOTHING
RETURNING id, {plan_once}
"""
_INSERT_SQL: Final = _INSERT.replace("{plan_once}", PLAN_ONCE)

_LOCK: Final = """
SELECT placed.*, {plan_once} FROM channels_channelorder placed
WHERE channel_id = %s AND external_id = %s
FOR UPDATE
"""
_LOCK_SQL: Final = _LOCK.replace("{plan_once}", PLAN_ONCE)

_KNOWN: Final = """
SELECT external_id, state_key, is_deleted FROM channels_channelorder
WHERE channel_id = %s AND external_id = ANY(%s::text[])
"""

_KEPT: Final = (
    "number", "state_key", "state_digest", "ordered_at", "updated_at", "country", "currency", "is_test", "is_deleted",
    "may_return", "fetch_wanted", "fetched", "next_fetch_at", "fetch_error", "routed_for", "applied_at",
)  # fmt: skip

# What the other channels have yet to be told of what the order moved: {listing level: `wanted`}.
_SAVE: Final = """
UPDATE channels_channelorder placed
SET {assigned},
    marks = CASE WHEN %(is_first)s THEN told.marks ELSE placed.marks END,
    propagated_at = CASE WHEN NOT %(is_first)s THEN placed.propagated_at
        WHEN told.marks = '{}' THEN %(applied_at)s::timestamptz END
FROM (
    SELECT coalesce(jsonb_object_agg(level.id, level.wanted), '{}') AS marks
    FROM channels_listing listing
    JOIN channels_listinglevel level ON level.listing_id = listing.id
    JOIN channels_channel channel ON channel.id = level.channel_id
    JOIN channels_channellocation place ON place.id = level.channel_location_id
    WHERE %(is_first)s AND listing.variant_id = ANY(%(variants)s::bigint[]) AND listing.is_active
      AND channel.is_active AND NOT channel.is_paused AND channel.id <> %(channel)s AND place.is_active
      AND level.wanted > level.done AND level.dead_at IS NULL
) told
WHERE placed.id = %(id)s
""".replace("{assigned}", ", ".join(f"{name} = %({name})s" for name in _KEPT))


@dataclass(frozen=True, slots=True)
class Known:
    """What was kept of an order when it was looked up."""

    state_key: StateKey
    is_deleted: bool


def known_orders(channel: Channel, external_ids: Collection[str]) -> dict[str, Known]:
    """Looks up what is kept of these orders, by the platform's id, without waiting for anybody; one statement."""
    with connection.cursor() as cursor:
        cursor.execute(_KNOWN, [channel.pk, list(external_ids)])
        return {
            external_id: Known(json.loads(key) if isinstance(key, str) else key, is_deleted)
            for external_id, key, is_deleted in cursor.fetchall()
        }


def insert(channel: Channel, external_id: str, arrived_at: datetime) -> int | None:
    """Inserts an order of which nothing is known yet, and returns its id; None where it has become known."""
    with connection.cursor() as cursor:
        cursor.execute(_INSERT_SQL, [channel.pk, external_id, arrived_at])
        row = cursor.fetchone()
    return row[0] if row else None


def locked(channel: Channel, external_id: str) -> ChannelOrder:
    """Returns an order that is known, under its lock."""
    (order,) = ChannelOrder.objects.raw(_LOCK_SQL, [channel.pk, external_id])
    return order


def save(order: ChannelOrder, variant_ids: Iterable[int], *, is_first: bool) -> None:
    """Saves an order; with the first state that moves the ledger also what others have yet to be told of these variants."""
    values: dict[str, Any] = {name: getattr(order, name) for name in _KEPT}
    values["state_key"] = json.dumps(order.state_key)
    values |= {
        "id": order.pk,
        "channel": order.channel_id,
        "is_first": is_first,
        "variants": array(set(variant_ids)),
    }
    with connection.cursor() as cursor:
        cursor.execute(_SAVE, values)
