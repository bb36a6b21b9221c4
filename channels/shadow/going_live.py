"""From shadow to live, and back: what is open is asked first, the first push is shown before it is sent.

A channel goes live when nothing blocks it, when a person has seen the numbers of its first push a short while ago, and has
answered for each question that is open. Back into shadow it goes at once: the number that stands at the platform stays.
"""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final

from django.db.models import Q
from django.utils import timezone

from channels import connecting, fuse
from channels.breaker import BreakerState, state_of
from channels.errors import ChannelError, Misconfigured, NotReady
from channels.models import (
    Channel,
    ChannelHealth,
    ChannelLocationSource,
    Listing,
    ListingLevel,
    Mutation,
    MutationFuse,
    ShadowRun,
)
from channels.models.mutations import MutationState
from channels.models.shadow import ShadowOutcome
from channels.shadow import runs
from channels.tuning import tell_anew
from config.statements import rows
from inventory.models import Conflict

#: For how long the numbers of a first push count as seen.
SEEN_FOR: Final = timedelta(hours=1)


class Key(StrEnum):
    """What is asked before a channel goes live."""

    PLACES = "places"
    PLATFORM = "platform"
    HELD = "held"
    FIRST_PUSH = "first_push"
    UNMATCHED = "unmatched"
    UNREAD = "unread"
    DIFFERENCES = "differences"
    CONFLICTS = "conflicts"
    FUSE = "fuse"


#: What no answer gets past.
BLOCKING: Final = frozenset({Key.PLACES, Key.PLATFORM, Key.HELD, Key.FIRST_PUSH})


@dataclass(frozen=True, slots=True)
class Question:
    """Something that is open."""

    key: Key
    text: str
    count: int

    @property
    def said(self) -> str:
        """What is open, as a sentence."""
        return self.text if self.is_blocking else f"{self.count} {self.text}"

    @property
    def is_blocking(self) -> bool:
        """Whether it has to be settled first; the others a person may answer for."""
        return self.key in BLOCKING


@dataclass(frozen=True, slots=True)
class FirstPush:
    """What the channel would be told at once if it went live now."""

    #: Shelves, those whose number would change, and of these the ones that go to 0.
    shelves: int
    changes: int
    to_zero: int
    increases: int
    decreases: int
    #: Units that would be shown more and less, all of them together.
    units_up: int
    units_down: int
    #: Shelves whose number nobody has read: what they would be told may be a change or none.
    unread: int
    #: Shelves whose number is not computed yet.
    uncomputed: int


@dataclass(frozen=True, slots=True)
class FirstNumber:
    """One number of the first push."""

    listing_level_id: int
    sku: str
    title: str
    place: str
    shown: int | None
    would: int


_OPEN_SHELVES: Final = """
FROM channels_listinglevel level
JOIN channels_listing listing ON listing.id = level.listing_id
JOIN channels_channellocation place ON place.id = level.channel_location_id
LEFT JOIN channels_shadowspan span
    ON span.run_id = %(run)s AND span.listing_level_id = level.id AND span.ended_at IS NULL
WHERE level.channel_id = %(channel)s AND listing.is_active AND listing.variant_id IS NOT NULL AND place.is_active
"""

_FIRST_PUSH: Final = f"""
SELECT count(*), count(*) FILTER (WHERE would <> shown), count(*) FILTER (WHERE would <> shown AND would = 0),
    count(*) FILTER (WHERE would > shown), count(*) FILTER (WHERE would < shown),
    coalesce(sum(would - shown) FILTER (WHERE would > shown), 0)::bigint,
    coalesce(sum(shown - would) FILTER (WHERE would < shown), 0)::bigint,
    count(*) FILTER (WHERE shown IS NULL), count(*) FILTER (WHERE would IS NULL)
{_OPEN_SHELVES}
"""  # constants only

_FIRST_NUMBERS: Final = f"""
SELECT level.id, listing.sku, listing.title, coalesce(nullif(place.name, ''), place.external_id), span.shown, span.would
{_OPEN_SHELVES} AND span.would IS NOT NULL AND span.would IS DISTINCT FROM span.shown
ORDER BY span.shown IS NULL, span.would = 0 DESC, abs(span.would - span.shown) DESC, level.id
LIMIT %(limit)s OFFSET %(offset)s
"""  # noqa: S608  # constants only


def first_push(run: ShadowRun) -> FirstPush:
    """Counts what the channel would be told at once."""
    return FirstPush(*rows(_FIRST_PUSH, {"run": run.pk, "channel": run.channel_id})[0])


def first_numbers(run: ShadowRun, *, limit: int, offset: int = 0) -> list[FirstNumber]:
    """Returns the numbers of the first push, the largest changes first, those to 0 before all."""
    parameters = {"run": run.pk, "channel": run.channel_id, "limit": limit, "offset": offset}
    return [FirstNumber(*row) for row in rows(_FIRST_NUMBERS, parameters)]


def note_seen(run: ShadowRun, push: FirstPush, *, by: str) -> None:
    """Notes that a person has seen the numbers of the first push."""
    figures = asdict(push)
    ShadowRun.objects.filter(pk=run.pk).update(first_push=figures, seen_at=timezone.now(), seen_by=by[:200])
    run.first_push, run.seen_at, run.seen_by = figures, timezone.now(), by[:200]


def questions(run: ShadowRun) -> list[Question]:
    """Returns what is open before the channel of this run goes live; a constant number of statements."""
    channel, push = run.channel, first_push(run)
    allowed = allowed_changes(channel)
    found = [
        _places(channel),
        _platform(channel),
        _held(channel),
        _first_push(run, push, allowed),
        _unmatched(channel),
        Question(
            Key.UNREAD, "shelves show no number that we know: they are told, right or not.", push.unread
        ),
        Question(
            Key.DIFFERENCES, "shelves show another number than we would, and will change.", push.changes
        ),
        _conflicts(channel),
    ]
    if push.changes + push.unread > allowed:
        text = f"numbers may change at once, where the fuse lets {allowed} pass: confirm how many."
        found.append(Question(Key.FUSE, text, push.changes + push.unread))
    return [each for each in found if each is not None and each.count]


def allowed_changes(channel: Channel) -> int:
    """Returns how many listings may change at once without a person's word, as the merchant's fuse says."""
    fuse_row = MutationFuse.objects.filter(merchant=channel.merchant_id).first()
    fuse_row = fuse_row or MutationFuse(merchant_id=channel.merchant_id)
    return fuse.count(fuse_row).allowed


def go_live(run: ShadowRun, *, by: str, answered: Collection[str] = (), confirmed: int | None = None) -> int:
    """Ends the shadow and begins to tell the channel; returns how many shelves were right already.

    `answered` are the keys of questions that somebody answers for; `confirmed` is the number of changes that they have seen,
    where the fuse asks. Raises `NotReady`, naming what is open; what the platform raises leaves the channel in shadow.
    """
    channel = run.channel
    _check(run, frozenset(answered), confirmed)
    ended = runs.end(channel, ShadowOutcome.LIVE, by=by)
    if ended is None:
        raise Misconfigured(f"{channel} is not in shadow mode any more.")
    try:
        runs.forget_what_was_known(channel)
        tell_anew(channel)
        return connecting.go_live(channel)
    except ChannelError:
        runs.reopen(ended, channel)
        raise


def go_back(channel: Channel, *, by: str) -> ShadowRun:
    """Puts a live channel into shadow again: nothing is told from now on, and whoever else writes may go on."""
    # Its subscriptions are there already.
    return runs.begin(channel, by=by, may_subscribe=True)


def _check(run: ShadowRun, answered: frozenset[str], confirmed: int | None) -> None:
    def is_settled(each: Question) -> bool:
        # The fuse wants the number, as a sign that it was read.
        return (
            confirmed == each.count if each.key is Key.FUSE else not each.is_blocking and each.key in answered
        )

    left = [each.said for each in questions(run) if not is_settled(each)]
    if left:
        raise NotReady(left)


def _places(channel: Channel) -> Question:
    sources = ChannelLocationSource.objects.filter(is_active=True, channel_location__is_active=True)
    has_source = sources.filter(channel_location__channel=channel).exists()
    return Question(Key.PLACES, "No place has a location of yours behind it: map one.", int(not has_source))


def _platform(channel: Channel) -> Question:
    health = (
        ChannelHealth.objects.filter(channel=channel).only("breaker_open_until", "breaker_reason").first()
    )
    is_closed = health is None or state_of(health.breaker_open_until) is BreakerState.CLOSED
    reason = "" if health is None else health.breaker_reason
    return Question(Key.PLATFORM, f"The platform does not work: {reason}".strip(), int(not is_closed))


def _held(channel: Channel) -> Question:
    concerns = Q(channel=channel) | Q(channel__isnull=True)
    held = Mutation.objects.filter(concerns, merchant=channel.merchant_id, state=MutationState.WAITING)
    return Question(Key.HELD, "Mass changes are held by the fuse: decide on them first.", held.count())


def _first_push(run: ShadowRun, push: FirstPush, allowed: int) -> Question:
    """Asks to look at the numbers (again) where nobody has, or where they are others by now than the ones that were seen."""
    seen: dict[str, Any] = run.first_push or {}
    if push.uncomputed:
        return Question(Key.FIRST_PUSH, "Numbers are still being computed; wait a moment.", 1)
    if run.seen_at is None or run.seen_at < timezone.now() - SEEN_FOR:
        return Question(Key.FIRST_PUSH, "Nobody has looked at the first push within the last hour.", 1)
    more = push.changes + push.unread - int(seen.get("changes", 0)) - int(seen.get("unread", 0))
    text = f"The first push has {more} more numbers by now than were seen: look again."
    return Question(Key.FIRST_PUSH, text, int(more > allowed))


def _unmatched(channel: Channel) -> Question:
    listings = Listing.objects.filter(channel=channel, is_active=True, variant__isnull=True)
    return Question(
        Key.UNMATCHED,
        "listings are not matched: they are told nothing, and sales of them wait.",
        listings.count(),
    )


def _conflicts(channel: Channel) -> Question:
    listed = ListingLevel.objects.filter(channel=channel, listing__is_active=True).values("listing__variant")
    conflicts = Conflict.objects.filter(merchant=channel.merchant_id, open_quantity__gt=0, variant__in=listed)
    return Question(Key.CONFLICTS, "conflicts about goods of this channel are open.", conflicts.count())
