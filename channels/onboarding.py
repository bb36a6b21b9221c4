"""The way of a new channel to being live, step by step: where each step stands, and which one is next.

Nearly all of it is seen from what is there (places, listings, a shadow run), so that the way can be left and taken up
again at any point, and be gone in the back office, in a terminal or in both.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from django.db.models import Count, Exists, OuterRef, Q
from django.utils import timezone

from channels.accounts import open_connector
from channels.errors import ChannelError
from channels.feeds import LISTINGS, ask_for_poll, ensure_feeds
from channels.importing import keep_locations
from channels.models import (
    Channel,
    ChannelLocation,
    ChannelLocationSource,
    Listing,
    Onboarding,
    PollFeed,
    RateBucket,
    ShadowRun,
)
from channels.shadow.going_live import SEEN_FOR

#: Seconds for one question to a platform while somebody waits for the page.
PATIENCE: Final = 10.0


class StepKey(StrEnum):
    """The steps, in their sequence."""

    CREDENTIALS = "credentials"
    LISTINGS = "listings"
    MATCHES = "matches"
    LOCATIONS = "locations"
    SHADOW = "shadow"
    FIRST_PUSH = "first_push"
    LIVE = "live"


class Standing(StrEnum):
    """Where a step stands."""

    DONE = "done"
    #: Most of it is done, and a person may leave it at that.
    PARTLY = "partly done"
    RUNNING = "running"
    TROUBLE = "trouble"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Step:
    """One step, as it stands."""

    key: StepKey
    title: str
    standing: Standing
    #: What has been done, or what is missing.
    says: str

    @property
    def is_passed(self) -> bool:
        """Whether the next step may be taken."""
        return self.standing in (Standing.DONE, Standing.PARTLY)


@dataclass(slots=True)
class Progress:
    """A channel's way so far."""

    channel: Channel
    onboarding: Onboarding | None
    run: ShadowRun | None
    steps: list[Step] = field(default_factory=list)

    @property
    def next(self) -> Step | None:
        """The first step that is not passed; None once the channel is live."""
        return next((step for step in self.steps if not step.is_passed), None)

    def step(self, key: StepKey) -> Step:
        """Returns one of the steps."""
        return next(step for step in self.steps if step.key is key)


@dataclass(frozen=True, slots=True)
class Matches:
    """How far the listings of a channel are known."""

    listings: int
    mapped: int
    suggested: int

    @property
    def unmapped(self) -> int:
        """Listings that nobody knows."""
        return self.listings - self.mapped


def begin(channel: Channel) -> None:
    """Notes that a channel has begun its way; harmless where it has."""
    Onboarding.objects.get_or_create(channel=channel)


def test(channel: Channel, *, by: str) -> Onboarding:
    """Asks the platform who we are, which places it knows and what it allows, and keeps what it says.

    What is wrong is kept and not raised: it stands on the page until the next test.
    """
    found = {"tested_at": timezone.now(), "tested_by": by[:200], "problem": ""}
    try:
        connector = open_connector(channel, deadline=PATIENCE)
        found["shop"] = connector.check()[:300]
        keep_locations(channel, connector.fetch_locations())
        declared = {
            name: (each.capacity, each.refill_per_second) for name, each in connector.rate_limits.items()
        }
        found["limits"] = declared | _learnt_limits(channel)
    except ChannelError as error:
        found["problem"] = str(error)[:2000]
    return Onboarding.objects.update_or_create(channel=channel, defaults=found)[0]


def _learnt_limits(channel: Channel) -> dict[str, tuple[float, float]]:
    """Returns what the platform's answers said of its limits."""
    buckets = RateBucket.objects.filter(channel=channel).values_list("name", "capacity", "refill_per_second")
    return {name: (capacity, refill) for name, capacity, refill in buckets}


def ask_for_listings(channel: Channel) -> None:
    """Has places and listings read soon, by the pusher; matches are looked for after that."""
    ensure_feeds()
    ask_for_poll(channel.pk, LISTINGS)


def matches_of(channel: Channel) -> Matches:
    """Counts how far the listings of a channel are known; one statement."""
    listings = Listing.objects.filter(channel=channel, is_active=True)
    unmapped = Q(variant__isnull=True)
    counted = listings.aggregate(
        listings=Count("id"),
        mapped=Count("id", filter=~unmapped),
        suggested=Count("id", filter=unmapped & Q(match__isnull=False)),
    )
    return Matches(**counted)


def progress_of(channel: Channel) -> Progress:
    """Returns where each step of a channel stands; a constant number of statements."""
    run = ShadowRun.objects.filter(channel=channel).order_by("-id").first()
    if run is not None:
        run.channel = channel
    progress = Progress(channel, Onboarding.objects.filter(channel=channel).first(), run)
    is_live = channel.is_active and not channel.is_paused
    matches, (places, sourced) = matches_of(channel), _places_of(channel)
    has_gone_on = bool(sourced) or progress.run is not None or is_live
    progress.steps = [
        _credentials(progress.onboarding, is_live=is_live),
        _listings(PollFeed.objects.filter(channel=channel, name=LISTINGS).first(), matches),
        _matches(matches, has_gone_on=has_gone_on),
        _locations(places, sourced),
        _shadow(progress.run, is_live=is_live),
        _first_push(progress.run, is_live=is_live),
        _live(channel, is_live=is_live),
    ]
    return progress


def _places_of(channel: Channel) -> tuple[int, int]:
    """Counts the active places, and those with a location of ours behind them."""
    sources = ChannelLocationSource.objects.filter(channel_location=OuterRef("pk"), is_active=True)
    places = ChannelLocation.objects.filter(channel=channel, is_active=True).annotate(
        has_source=Exists(sources)
    )
    counted = places.aggregate(places=Count("id"), sourced=Count("id", filter=Q(has_source=True)))
    return counted["places"], counted["sourced"]


def _credentials(onboarding: Onboarding | None, *, is_live: bool) -> Step:
    key, title = StepKey.CREDENTIALS, "Credentials"
    if onboarding is None or onboarding.tested_at is None:
        if is_live:
            return Step(key, title, Standing.PARTLY, "Not tested here; the channel is live.")
        return Step(key, title, Standing.OPEN, "Not tested yet.")
    if onboarding.problem:
        return Step(key, title, Standing.TROUBLE, onboarding.problem)
    return Step(key, title, Standing.DONE, f"Connected to {onboarding.shop}.")


def _listings(feed: PollFeed | None, matches: Matches) -> Step:
    key, title = StepKey.LISTINGS, "Places and listings"
    now = timezone.now()
    if feed is not None and feed.leased_until is not None and feed.leased_until > now:
        return Step(key, title, Standing.RUNNING, f"Being read; {matches.listings:,} listings so far.")
    if matches.listings:
        return Step(key, title, Standing.DONE, f"{matches.listings:,} listings are known.")
    if feed is None or (feed.last_polled_at is None and not feed.last_error and feed.next_poll_at > now):
        return Step(key, title, Standing.OPEN, "Not read yet.")
    if feed.last_error:
        return Step(key, title, Standing.TROUBLE, feed.last_error)
    if feed.last_polled_at is None or feed.next_poll_at <= now:
        return Step(key, title, Standing.RUNNING, "Will be read in a moment.")
    return Step(key, title, Standing.TROUBLE, "The platform lists nothing that is sold.")


def _matches(matches: Matches, *, has_gone_on: bool) -> Step:
    key, title = StepKey.MATCHES, "Matching"
    said = f"{matches.mapped:,} of {matches.listings:,} are matched"
    if not matches.listings:
        return Step(key, title, Standing.OPEN, "There are no listings yet.")
    if not matches.unmapped:
        return Step(key, title, Standing.DONE, f"{said}.")
    left = f"{said}; {matches.unmapped:,} are not, of which {matches.suggested:,} have a suggestion."
    return Step(key, title, Standing.PARTLY if has_gone_on else Standing.OPEN, left)


def _locations(places: int, sourced: int) -> Step:
    key, title = StepKey.LOCATIONS, "Locations"
    if not sourced:
        said = (
            "No place has a location of yours behind it."
            if places
            else "The platform's places are not known yet."
        )
        return Step(key, title, Standing.OPEN, said)
    standing = Standing.DONE if sourced == places else Standing.PARTLY
    return Step(key, title, standing, f"{sourced} of {places} places have locations of yours behind them.")


def _shadow(run: ShadowRun | None, *, is_live: bool) -> Step:
    key, title = StepKey.SHADOW, "Shadow mode"
    if run is None:
        said = "Went live without it." if is_live else "Not begun: nothing is compared yet."
        return Step(key, title, Standing.PARTLY if is_live else Standing.OPEN, said)
    if run.ended_at is None:
        return Step(
            key, title, Standing.DONE, f"Watching since {run.began_at:%Y-%m-%d %H:%M} UTC; nothing is told."
        )
    if is_live:
        return Step(key, title, Standing.DONE, f"Watched until {run.ended_at:%Y-%m-%d %H:%M} UTC.")
    return Step(key, title, Standing.OPEN, f"Stopped at {run.ended_at:%Y-%m-%d %H:%M} UTC.")


def _first_push(run: ShadowRun | None, *, is_live: bool) -> Step:
    key, title = StepKey.FIRST_PUSH, "First push"
    if is_live:
        return Step(key, title, Standing.DONE, "Sent.")
    if run is None or run.ended_at is not None:
        return Step(key, title, Standing.OPEN, "Shown once the channel is in shadow mode.")
    if run.seen_at is None:
        return Step(key, title, Standing.OPEN, "Nobody has looked at its numbers yet.")
    if run.seen_at < timezone.now() - SEEN_FOR:
        return Step(key, title, Standing.OPEN, f"Looked at by {run.seen_by}, more than an hour ago.")
    return Step(key, title, Standing.DONE, f"Looked at by {run.seen_by} at {run.seen_at:%H:%M} UTC.")


def _live(channel: Channel, *, is_live: bool) -> Step:
    key, title = StepKey.LIVE, "Live"
    if is_live:
        return Step(key, title, Standing.DONE, "The channel is told its numbers.")
    if not channel.is_active:
        return Step(key, title, Standing.TROUBLE, "The channel is switched off.")
    return Step(key, title, Standing.OPEN, "The channel is told nothing.")
