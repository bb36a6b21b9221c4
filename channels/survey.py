"""What there is to do at each channel, asked in one statement: the pusher asks many times a second."""

from dataclasses import dataclass
from typing import Final

from django.db import connection

from channels.breaker import BreakerState, state_of
from channels.connectors import CONNECTORS

# A channel that is paused is told nothing, and still read. Whether somebody else holds a row is seen when it is
# leased; what counts here is that there may be something. Each answer walks a partial index of what is due: without
# the order (which EXISTS would drop) PostgreSQL expects a hit soon in any row, and reads the whole table for nothing.
_SURVEY: Final = """
SELECT channel.id, health.breaker_open_until, clock_timestamp(),
    NOT channel.is_paused AND coalesce((
        SELECT true FROM channels_listinglevel level
        WHERE level.channel_id = channel.id AND level.wanted > level.done AND level.dead_at IS NULL
          AND coalesce(level.leased_until < clock_timestamp(), true)
          AND coalesce(level.next_attempt_at <= clock_timestamp(), true)
        ORDER BY level.lane, level.due_since
        LIMIT 1
    ), false),
    coalesce(health.breaker_open_until <= clock_timestamp(), true) AND EXISTS (
        SELECT FROM channels_pollfeed feed
        WHERE feed.channel_id = channel.id AND feed.name IN ('orders', 'keeping') AND feed.next_poll_at <= clock_timestamp()
          AND coalesce(feed.leased_until < clock_timestamp(), true)
    ),
    coalesce(health.breaker_open_until <= clock_timestamp(), true) AND EXISTS (
        SELECT FROM channels_pollfeed feed
        WHERE feed.channel_id = channel.id AND feed.name NOT IN ('orders', 'keeping') AND feed.next_poll_at <= clock_timestamp()
          AND coalesce(feed.leased_until < clock_timestamp(), true)
    ),
    coalesce((
        SELECT true FROM channels_channelorder placed
        WHERE placed.channel_id = channel.id AND placed.fetch_wanted > placed.fetched
          AND placed.next_fetch_at <= clock_timestamp()
        ORDER BY placed.applied_at IS NOT NULL, placed.next_fetch_at
        LIMIT 1
    ), false),
    channel.kind = ANY(%s::text[]) AND EXISTS (
        SELECT FROM channels_push push
        WHERE push.channel_id = channel.id AND push.outcome = 'accepted'
          AND push.finished_at > clock_timestamp() - interval '1 day'
    ),
    NOT channel.is_paused AND channel.kind = ANY(%s::text[]) AND EXISTS (
        SELECT FROM channels_orderacknowledgement word
        WHERE word.channel_id = channel.id AND word.wanted > word.done AND word.dead_at IS NULL
          AND word.due_at <= clock_timestamp() AND coalesce(word.leased_until < clock_timestamp(), true)
    ),
    (SELECT EXISTS (SELECT FROM channels_bundlechange))
FROM channels_channel channel
LEFT JOIN channels_channelhealth health ON health.channel_id = channel.id
WHERE channel.is_active
ORDER BY channel.id
"""


@dataclass(frozen=True, slots=True)
class Due:
    """What may be done at one active channel now."""

    breaker: BreakerState
    #: Listing levels to be told.
    pushes: bool
    #: Orders to be read, or a warehouse to be attended to.
    polls: bool
    #: Listings to be read, or what the platform's own warehouse holds.
    imports: bool
    #: Orders of which only a hint came.
    fetches: bool
    #: Pushes that were accepted and may be live by now.
    follows: bool
    #: Orders that wait for our word.
    acknowledgements: bool
    #: Changes of parts, of whatever channel's bundles, that are not turned into marks yet.
    notes: bool


def survey() -> dict[int, Due]:
    """Returns what is due at every active channel, by id."""
    able = {kind: connector.capabilities for kind, connector in CONNECTORS.items()}
    followed = [kind for kind, can in able.items() if can.asynchronous_push]
    answered = [kind for kind, can in able.items() if can.acknowledges_orders]
    with connection.cursor() as cursor:
        cursor.execute(_SURVEY, [followed, answered])
        return {
            channel_id: Due(state_of(open_until, now=now), *due)
            for channel_id, open_until, now, *due in cursor.fetchall()
        }
