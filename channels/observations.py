"""What shops say they show: an echo of our own push, explained within seconds, or a foreign edit.

An observation is only recorded and judged here. What is judged foreign is left to reconciliation, which has it corrected
or flagged; our own echo causes nothing, so that it cannot start a loop.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog
from django.db import connection
from django.db.models import Exists, OuterRef
from django.utils import timezone

from channels.events import LevelObserved
from channels.feeds import ORDERS, ask_for_poll
from channels.models import Channel, ListingLevel, PollFeed, ShelfObservation
from channels.models.inbound import ObservationVerdict

log = structlog.get_logger(__name__)

#: From this age on an unexplained number has its channel's orders polled.
POLL_AFTER: Final = timedelta(seconds=2)
#: No verdict "foreign" before this age: a push in flight or an order on its way may explain the number.
GRACE: Final = timedelta(seconds=5)
#: By so much a platform's list of orders may lag behind its shelves.
LIST_LAG: Final = timedelta(seconds=2)
#: Messages that have waited so long may be newer words on the shelf.
INBOX_LAG: Final = timedelta(seconds=2)
#: The verdict falls at this age even if no poll could be finished since; it is then left to the next comparison.
LONGEST_WAIT: Final = timedelta(minutes=10)
#: Messages overtake each other by no more than this: a late one may tell of the time before sales that are known.
OVERTAKING: Final = timedelta(minutes=1)

# A number is explained once the shelf is known to have shown it: by what we sent, had confirmed or expect, because a
# newer observation of the shelf was, or because the shop compared later and found what we expected. It is foreign
# when it is the newest, nothing is on its way to the shelf, and a poll of the orders began late enough since to hold
# whatever the shop had sold by then: no order waits to be fetched, or for stock that others held, and no message has
# waited long that may say what the shelf shows since. A poll that began in the future, by a clock that was put back since,
# holds nothing of the kind, and nobody knows how long a message from there has waited. Nor is a number foreign which the
# shop's own sales passed through on their way to what it shows by now; where it was one all the same, the next comparison
# finds the shelf. Reconciliation takes up what was judged foreign after such a poll and while it was still the last word on
# its shelf.
_JUDGE: Final = """
WITH behind AS MATERIALIZED (
    SELECT DISTINCT channel_id FROM channels_webhookdelivery
    WHERE state = 'received'
      AND (received_at <= %(now)s - make_interval(secs => %(inbox_lag)s) OR received_at > %(now)s)
), open AS (
    SELECT seen.id, seen.listing_level_id, seen.channel_id, seen.quantity, seen.received_at,
        level.wanted > level.done OR coalesce(level.leased_until > clock_timestamp(), false) AS is_moving,
        seen.quantity IN (level.expected, level.sent_quantity, level.published_quantity)
            OR EXISTS (
                SELECT FROM channels_push push
                WHERE push.listing_level_id = seen.listing_level_id
                  AND push.quantity = seen.quantity
                  AND push.finished_at >= seen.received_at - interval '1 minute'
            )
            OR EXISTS (
                SELECT FROM channels_shelfobservation newer
                WHERE newer.listing_level_id = seen.listing_level_id AND newer.id > seen.id
                  AND newer.verdict IN ('echo', 'explained')
            )
            OR EXISTS (
                SELECT FROM channels_push push
                WHERE push.listing_level_id = seen.listing_level_id AND push.computed_at >= seen.received_at
                  AND push.outcome = 'confirmed' AND push.compared_with IS NOT NULL
            ) AND NOT EXISTS (
                SELECT FROM channels_push push
                WHERE push.listing_level_id = seen.listing_level_id AND push.computed_at >= seen.received_at
                  AND push.outcome = 'stale'
            ) AS is_explained,
        EXISTS (
            SELECT FROM channels_shelfobservation newer
            WHERE newer.listing_level_id = seen.listing_level_id AND newer.id > seen.id
        ) AS is_overtaken,
        level.expected, seen.expected AS expected_then, listing.external_id AS listing_external_id,
        EXISTS (
            SELECT FROM channels_pollfeed feed
            WHERE feed.channel_id = seen.channel_id AND feed.name = 'orders'
              AND feed.covered_until BETWEEN seen.received_at + make_interval(secs => %(list_lag)s) AND %(now)s
        ) AND NOT EXISTS (
            SELECT FROM channels_channelorder placed
            WHERE placed.channel_id = seen.channel_id AND placed.fetch_wanted > placed.fetched
              AND (placed.fetch_error = '' OR EXISTS (
                  SELECT FROM channels_retry put_off
                  WHERE put_off.channel_id = placed.channel_id AND put_off.kind = 'order' AND put_off.state = 'waiting'
                    AND put_off.key = placed.channel_id || ':' || placed.external_id
              ))
        ) AND seen.channel_id NOT IN (SELECT channel_id FROM behind) AS is_covered
    FROM channels_shelfobservation seen
    JOIN channels_listinglevel level ON level.id = seen.listing_level_id
    JOIN channels_listing listing ON listing.id = level.listing_id
    WHERE seen.verdict = 'open'
    ORDER BY seen.id
    LIMIT %(limit)s
    FOR UPDATE OF seen SKIP LOCKED
), unexplained AS (
    SELECT *, CASE
        WHEN is_explained THEN 'explained'
        WHEN received_at <= %(now)s - make_interval(secs => %(longest_wait)s) THEN 'foreign'
        WHEN received_at <= %(now)s - make_interval(secs => %(grace)s)
            AND is_covered AND NOT is_moving AND NOT is_overtaken
            THEN 'foreign'
    END AS verdict
    FROM open
), judged AS (
    SELECT own.id, own.quantity, own.expected, own.is_moving OR own.is_overtaken OR NOT own.is_covered AS is_stale,
        CASE WHEN own.quantity BETWEEN own.expected_then - sold.since AND own.expected_then + sold.before
            THEN 'explained' ELSE own.verdict END AS verdict
    FROM unexplained own
    LEFT JOIN LATERAL (
        SELECT coalesce(sum(line.quantity) FILTER (WHERE placed.applied_at < own.received_at), 0) AS before,
            coalesce(sum(line.quantity) FILTER (WHERE placed.applied_at >= own.received_at), 0) AS since
        FROM channels_channelorder placed
        JOIN channels_channelorderline line ON line.order_id = placed.id
        WHERE own.verdict = 'foreign'
          AND placed.channel_id = own.channel_id
          AND placed.arrived_at >= own.received_at - make_interval(secs => %(overtaking)s)
          AND line.listing_external_id = own.listing_external_id
    ) sold ON own.verdict = 'foreign'
    WHERE own.verdict IS NOT NULL
)
UPDATE channels_shelfobservation seen
SET verdict = judged.verdict,
    judged_at = %(now)s,
    expected = CASE WHEN judged.verdict = 'foreign' THEN judged.expected ELSE seen.expected END,
    awaits_reconciliation = judged.verdict = 'foreign' AND NOT judged.is_stale
        AND judged.expected IS DISTINCT FROM judged.quantity AND judged.expected IS NOT NULL
FROM judged
WHERE seen.id = judged.id
"""


def observe(channel: Channel, event: LevelObserved, *, received_at: datetime) -> ShelfObservation | None:
    """Records what a shelf is said to show; None where it is no shelf of ours or is not tracked."""
    recorded = observe_all([(channel, event, received_at)])
    return recorded[0] if recorded else None


def observe_all(seen: Sequence[tuple[Channel, LevelObserved, datetime]]) -> list[ShelfObservation]:
    """Records what shelves are said to show, in two statements; leaves out what is no shelf of ours or not tracked."""
    levels = _levels_of(seen)
    recorded = []
    for channel, event, received_at in seen:
        level = levels.get((channel.pk, event.listing_external_id, event.location_external_id))
        if level is None or event.quantity is None:
            log.debug("observation_ignored", channel=channel.pk, listing=event.listing_external_id)
            continue
        recorded.append(_observation(channel, level, event, event.quantity, received_at))
    return ShelfObservation.objects.bulk_create(recorded)


def _observation(
    channel: Channel, level: ListingLevel, event: LevelObserved, quantity: int, received_at: datetime
) -> ShelfObservation:
    is_echo = quantity in (level.expected, level.sent_quantity, level.published_quantity)
    verdict = ObservationVerdict.ECHO if is_echo else ObservationVerdict.OPEN
    if channel.in_shadow:
        verdict = ObservationVerdict.SHADOW
    return ShelfObservation(
        channel=channel,
        listing_level=level,
        quantity=quantity,
        expected=level.expected,
        verdict=verdict,
        observed_at=event.observed_at,
        received_at=received_at,
        judged_at=None if verdict is ObservationVerdict.OPEN else received_at,
    )


def _levels_of(
    seen: Sequence[tuple[Channel, LevelObserved, datetime]],
) -> dict[tuple[int, str, str], ListingLevel]:
    """Returns the listing levels that may be meant, by channel, listing and place as the platforms name them."""
    if not seen:
        return {}
    levels = ListingLevel.objects.filter(
        channel__in={channel.pk for channel, _, _ in seen},
        listing__external_id__in={event.listing_external_id for _, event, _ in seen},
        listing__variant__isnull=False,
    ).select_related("listing", "channel_location")
    return {
        (level.channel_id, level.listing.external_id, level.channel_location.external_id): level
        for level in levels
    }


def judge_open(*, limit: int = 1000) -> int:
    """Judges observations that are not explained yet; returns how many got their verdict.

    Where a number is still unexplained after a moment, the channel's orders are polled: it may be a sale.
    """
    parameters: dict[str, datetime | float] = {
        "now": timezone.now(),
        "grace": GRACE.total_seconds(),
        "list_lag": LIST_LAG.total_seconds(),
        "inbox_lag": INBOX_LAG.total_seconds(),
        "longest_wait": LONGEST_WAIT.total_seconds(),
        "overtaking": OVERTAKING.total_seconds(),
        "limit": limit,
    }
    with connection.cursor() as cursor:
        cursor.execute(_JUDGE, parameters)
        judged = int(cursor.rowcount)
    for channel_id in _channels_to_poll():
        ask_for_poll(channel_id)
    return judged


def _channels_to_poll() -> list[int]:
    """Returns channels with unexplained numbers whose orders were not polled late enough since."""
    waiting = ShelfObservation.objects.filter(
        verdict=ObservationVerdict.OPEN,
        received_at__lte=timezone.now() - POLL_AFTER,
        channel__is_active=True,
    )
    covering = PollFeed.objects.filter(
        channel=OuterRef("channel"),
        name=ORDERS,
        covered_until__gte=OuterRef("received_at") + LIST_LAG,
        covered_until__lte=timezone.now(),
    )
    return sorted(set(waiting.filter(~Exists(covering)).values_list("channel_id", flat=True)))
