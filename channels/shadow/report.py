"""What a shadow run shows: what we would have sent and when, and what was oversold meanwhile.

Of each shelf: how often and for how long its number was another than ours. Of each unit that was sold and was not
there: by which order, and whether our number would have kept it from being sold. Of each number that changed: how long
we took for it, and how long it took until the shelf showed it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from django.utils import timezone

from channels.models import ShadowRun
from config.statements import rows

#: Shelves and orders that a report names unless told otherwise.
NAMED: Final = 100


@dataclass(frozen=True, slots=True)
class Totals:
    """A run in figures."""

    #: Shelves that are watched, and those of them whose number was read.
    shelves: int
    read: int
    differ_now: int
    #: Shelves that differed at some time, and for how many seconds, all of them together.
    differed: int
    seconds_differed: float
    #: Seconds in which both numbers were known, all shelves together.
    seconds_compared: float
    #: Numbers that we would have sent.
    would_have_sent: int

    @property
    def share(self) -> float:
        """The share of the compared time in which shelves differed, 0 to 1."""
        return self.seconds_differed / self.seconds_compared if self.seconds_compared else 0.0


@dataclass(frozen=True, slots=True)
class Difference:
    """A shelf that showed something else than we would have."""

    listing_level_id: int
    sku: str
    title: str
    place: str
    #: As it stands, or stood at the end.
    shown: int | None
    would: int | None
    times: int
    seconds: float
    #: The most units that it showed beyond what we would have, and below.
    most_above: int
    most_below: int


@dataclass(frozen=True, slots=True)
class Oversold:
    """Units that an order was sold and that were not there."""

    conflict_id: int
    order_id: int
    order: str
    channel_id: int
    channel: str
    sku: str
    ordered_at: datetime
    #: Units of the line, and those of them that were not there.
    quantity: int
    units: int
    #: What we would have shown when the customer bought; None where we do not know, or of another channel.
    would: int | None
    #: Units that our number would have kept from being sold.
    prevented: int


@dataclass(frozen=True, slots=True)
class Lead:
    """Numbers that became others: seconds from what they rest on until we would have sent them, and until they were shown.

    What the shelf showed already by then, because the shop had sold it itself, counts apart.
    """

    changes: int
    shown_already: int
    #: Changes after which the shelf showed our number, before it became another one.
    followed: int
    ours_median: float | None
    ours_p95: float | None
    theirs_median: float | None
    theirs_p95: float | None

    @property
    def not_followed(self) -> int:
        """Changes that the shelf never showed."""
        return self.changes - self.shown_already - self.followed


@dataclass(frozen=True, slots=True)
class Report:
    """A shadow run, summed up until an instant."""

    run_id: int
    channel_id: int
    channel: str
    since: datetime
    until: datetime
    is_over: bool
    totals: Totals
    lead: Lead
    oversold_orders: int
    oversold_units: int
    prevented_units: int
    #: The longest first.
    differences: Sequence[Difference]
    #: The first first.
    oversold: Sequence[Oversold]

    def as_json(self) -> dict[str, Any]:
        """Returns it in values that JSON knows."""
        found = asdict(self)
        found["since"], found["until"] = self.since.isoformat(), self.until.isoformat()
        found["totals"] |= {"share_differed": round(self.totals.share, 6)}
        found["lead"] |= {"not_followed": self.lead.not_followed}
        for each in found["oversold"]:
            each["ordered_at"] = each["ordered_at"].isoformat()
        return found


_SPANS: Final = """
span AS (
    SELECT listing_level_id, would, shown, said_at, caused_at,
        extract(epoch FROM greatest(coalesce(ended_at, %(until)s), began_at) - began_at)::float AS seconds,
        coalesce(ended_at >= %(until)s, true) AS is_last
    FROM channels_shadowspan WHERE run_id = %(run)s
)"""

_TOTALS: Final = f"""
WITH {_SPANS}
SELECT count(*) FILTER (WHERE is_last), count(*) FILTER (WHERE is_last AND shown IS NOT NULL),
    count(*) FILTER (WHERE is_last AND would <> shown),
    count(DISTINCT listing_level_id) FILTER (WHERE would <> shown AND seconds > 0),
    coalesce(sum(seconds) FILTER (WHERE would <> shown), 0),
    coalesce(sum(seconds) FILTER (WHERE would IS NOT NULL AND shown IS NOT NULL), 0),
    count(*) FILTER (WHERE caused_at IS NOT NULL)
FROM span
"""  # noqa: S608  # constants only

_DIFFERENCES: Final = f"""
WITH {_SPANS}, shelf AS (
    SELECT listing_level_id AS id, count(*) FILTER (WHERE would <> shown) AS times,
        coalesce(sum(seconds) FILTER (WHERE would <> shown), 0) AS seconds,
        coalesce(max(shown - would), 0) AS above, coalesce(max(would - shown), 0) AS below,
        max(shown) FILTER (WHERE is_last) AS shown, max(would) FILTER (WHERE is_last) AS would
    FROM span GROUP BY listing_level_id HAVING bool_or(would <> shown)
    ORDER BY 3 DESC, 1 LIMIT %(limit)s OFFSET %(offset)s
)
SELECT shelf.id, listing.sku, listing.title, coalesce(nullif(place.name, ''), place.external_id), shelf.shown, shelf.would,
    shelf.times, shelf.seconds, greatest(shelf.above, 0), greatest(shelf.below, 0)
FROM shelf
JOIN channels_listinglevel level ON level.id = shelf.id
JOIN channels_listing listing ON listing.id = level.listing_id
JOIN channels_channellocation place ON place.id = level.channel_location_id
ORDER BY shelf.seconds DESC, shelf.id
"""  # noqa: S608  # constants only

# What a line could have bought is what all places of its listing would have shown, or the one that the platform named.
_OVERSOLD: Final = """
WITH short AS MATERIALIZED (
    SELECT id, variant_id, quantity, substr(reference, 12)::bigint AS line_id FROM inventory_conflict
    WHERE merchant_id = %(merchant)s AND cause = 'shortage' AND opened_at >= %(since)s AND opened_at < %(until)s
      AND CASE WHEN reference ~ '^order-line:[0-9]{1,18}$' THEN true ELSE false END
), sold AS (
    SELECT short.id, placed.id AS order_id, coalesce(nullif(placed.number, ''), placed.external_id) AS number,
        channel.id AS channel_id, channel.name, line.sku, coalesce(placed.ordered_at, placed.arrived_at) AS ordered_at,
        line.quantity, short.quantity AS units, line.listing_external_id, line.channel_location_id,
        short.variant_id = line.variant_id AS is_plain
    FROM short
    JOIN channels_channelorderline line ON line.id = short.line_id
    JOIN channels_channelorder placed ON placed.id = line.order_id
    JOIN channels_channel channel ON channel.id = placed.channel_id
)
SELECT sold.id, sold.order_id, sold.number, sold.channel_id, sold.name, sold.sku, sold.ordered_at, sold.quantity, sold.units,
    told.would,
    CASE WHEN told.would IS NULL OR told.would >= sold.quantity THEN 0
         WHEN sold.is_plain THEN least(sold.units, sold.quantity - told.would)
         ELSE sold.units END
FROM sold
LEFT JOIN LATERAL (
    SELECT sum(span.would)::bigint AS would
    FROM channels_listing listing
    JOIN channels_listinglevel level ON level.listing_id = listing.id
    JOIN channels_shadowspan span ON span.run_id = %(run)s AND span.listing_level_id = level.id
    WHERE sold.channel_id = %(channel)s AND listing.channel_id = sold.channel_id
      AND listing.external_id = sold.listing_external_id
      AND coalesce(level.channel_location_id = sold.channel_location_id, true)
      AND span.began_at <= sold.ordered_at AND coalesce(span.ended_at > sold.ordered_at, true)
) told ON true
ORDER BY sold.ordered_at, sold.id
"""

_LEAD: Final = """
WITH changed AS (
    SELECT span.listing_level_id, span.would, span.shown, span.caused_at, span.began_at,
        lead(span.began_at) OVER (PARTITION BY span.listing_level_id ORDER BY span.began_at, span.id) AS until
    FROM channels_shadowspan span WHERE span.run_id = %(run)s AND span.caused_at IS NOT NULL
), met AS (
    SELECT extract(epoch FROM changed.began_at - changed.caused_at)::float AS ours,
        changed.shown IS NOT DISTINCT FROM changed.would AS was_shown,
        extract(epoch FROM later.began_at - changed.caused_at)::float AS theirs
    FROM changed
    LEFT JOIN LATERAL (
        SELECT span.began_at FROM channels_shadowspan span
        WHERE span.run_id = %(run)s AND span.listing_level_id = changed.listing_level_id
          AND span.began_at > changed.began_at AND span.began_at < coalesce(changed.until, 'infinity')
          AND span.shown = changed.would
        ORDER BY span.began_at LIMIT 1
    ) later ON changed.shown IS DISTINCT FROM changed.would
)
SELECT count(*), count(*) FILTER (WHERE was_shown), count(theirs),
    percentile_cont(0.5) WITHIN GROUP (ORDER BY ours), percentile_cont(0.95) WITHIN GROUP (ORDER BY ours),
    percentile_cont(0.5) WITHIN GROUP (ORDER BY theirs), percentile_cont(0.95) WITHIN GROUP (ORDER BY theirs)
FROM met
"""


def report(run: ShadowRun, *, named: int = NAMED) -> Report:
    """Sums a run up until its end, or until now; five statements, whatever its size. `named` shelves and orders are listed."""
    parameters = _parameters(run)
    sold = [Oversold(*row) for row in rows(_OVERSOLD, parameters)]
    return Report(
        run_id=run.pk,
        channel_id=run.channel_id,
        channel=run.channel.name,
        since=run.began_at,
        until=parameters["until"],
        is_over=run.ended_at is not None,
        totals=Totals(*rows(_TOTALS, parameters)[0]),
        lead=Lead(*rows(_LEAD, parameters)[0]),
        oversold_orders=len({each.order_id for each in sold}),
        oversold_units=sum(each.units for each in sold),
        prevented_units=sum(each.prevented for each in sold),
        differences=differences(run, limit=named),
        oversold=sold[:named],
    )


def differences(run: ShadowRun, *, limit: int, offset: int = 0) -> list[Difference]:
    """Returns the shelves that differed at some time, the longest first."""
    found = rows(_DIFFERENCES, {**_parameters(run), "limit": limit, "offset": offset})
    return [Difference(*row) for row in found]


def _parameters(run: ShadowRun) -> Mapping[str, Any]:
    return {
        "run": run.pk,
        "channel": run.channel_id,
        "merchant": run.channel.merchant_id,
        "since": run.began_at,
        "until": run.ended_at or timezone.now(),
    }
