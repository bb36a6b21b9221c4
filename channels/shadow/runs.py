"""Begins and ends shadow runs: which channels are only watched, and until when.

A channel in shadow is paused as well, so that nothing of it is leased; a constraint of the database keeps the two together.
"""

from typing import Final

from django.db import connection, transaction
from django.utils import timezone

from channels import subscriptions
from channels.accounts import open_connector
from channels.connectors import CONNECTORS
from channels.errors import Misconfigured
from channels.feeds import SHELVES, ensure_feeds
from channels.models import (
    Channel,
    ChannelLocationSource,
    ListingLevel,
    PollFeed,
    ShadowRun,
    ShadowSpan,
    ShelfObservation,
)
from channels.models.shadow import ShadowOutcome
from channels.tuning import tell_anew
from config.notify import notify_after_commit

#: Listing levels changed by one transaction.
_PIECE: Final = 1_000

_FORGET: Final = """
WITH piece AS (
    SELECT id FROM channels_listinglevel WHERE id = ANY(%s::bigint[]) ORDER BY id FOR NO KEY UPDATE
)
UPDATE channels_listinglevel level
SET expected = NULL, published_quantity = NULL, confirmed_at = NULL, seen_quantity = NULL, seen_expected = NULL,
    seen_at = NULL, is_outcome_unknown = false, attempts = 0, last_error = '', dead_at = NULL
FROM piece
WHERE level.id = piece.id
"""


def open_run_of(channel: Channel) -> ShadowRun | None:
    """Returns the run of a channel that is in shadow now."""
    run = ShadowRun.objects.filter(channel=channel.pk, ended_at__isnull=True).first()
    if run is not None:
        run.channel = channel
    return run


def begin(channel: Channel, *, by: str, may_subscribe: bool = False) -> ShadowRun:
    """Puts a channel into shadow, from being paused or live; with consent its webhooks are subscribed to.

    One that is in shadow goes on as it is. Raises `Misconfigured` where there is nothing to watch, and what the platform
    answers to the subscription, with the channel in shadow by then.
    """
    run = _begin(channel, by, may_subscribe=may_subscribe)
    # In pieces of its own: no sale waits for a whole catalogue.
    tell_anew(channel)
    if may_subscribe and CONNECTORS[channel.kind].capabilities.manages_subscriptions:
        subscriptions.register(channel, open_connector(channel))
    notify_after_commit("onecount_push")
    return run


@transaction.atomic
def _begin(channel: Channel, by: str, *, may_subscribe: bool) -> ShadowRun:
    locked = Channel.objects.select_for_update().defer("credentials").get(pk=channel.pk)
    if locked.kind not in CONNECTORS or not locked.is_active:
        raise Misconfigured(f"{locked} is switched off, or no connector speaks for it.")
    if not _has_source(locked):
        raise Misconfigured(f"No place of {locked} has a location of yours behind it: map one first.")
    run = open_run_of(locked)
    if run is None:
        newest = (
            ShelfObservation.objects.filter(channel=locked)
            .order_by("-id")
            .values_list("id", flat=True)
            .first()
        )
        run = ShadowRun.objects.create(
            channel=locked, began_at=timezone.now(), began_by=by[:200], observed_id=newest or 0
        )
        _switch(locked, in_shadow=True)
        ensure_feeds()
        PollFeed.objects.update_or_create(
            channel=locked, name=SHELVES, defaults={"next_poll_at": timezone.now()}
        )
    if run.may_subscribe is not may_subscribe:
        ShadowRun.objects.filter(pk=run.pk).update(may_subscribe=may_subscribe)
        run.may_subscribe = may_subscribe
    channel.in_shadow = channel.is_paused = True
    return run


def end(channel: Channel, outcome: ShadowOutcome, *, by: str) -> ShadowRun | None:
    """Ends the shadow of a channel, which is paused from then on; returns the run, None where there was none."""
    with transaction.atomic():
        locked = Channel.objects.select_for_update().defer("credentials").get(pk=channel.pk)
        run = (
            ShadowRun.objects.select_for_update(of=("self",))
            .filter(channel=locked, ended_at__isnull=True)
            .first()
        )
        if run is None:
            return None
        now = timezone.now()
        run.ended_at, run.ended_by, run.outcome = now, by[:200], outcome
        run.save(update_fields=["ended_at", "ended_by", "outcome"])
        _close_spans(run)
        _switch(locked, in_shadow=False)
        PollFeed.objects.filter(channel=locked, name=SHELVES).delete()
    channel.in_shadow = False
    return run


def reopen(run: ShadowRun, channel: Channel) -> None:
    """Takes an end back: the channel could not go live after all."""
    with transaction.atomic():
        locked = Channel.objects.select_for_update().defer("credentials").get(pk=channel.pk)
        ShadowRun.objects.filter(pk=run.pk).update(ended_at=None, ended_by="", outcome="")
        ShadowSpan.objects.filter(run=run, ended_at=run.ended_at).update(ended_at=None)
        _switch(locked, in_shadow=True)
        PollFeed.objects.update_or_create(
            channel=locked, name=SHELVES, defaults={"next_poll_at": timezone.now()}
        )
    channel.in_shadow = channel.is_paused = True


def forget_what_was_known(channel: Channel) -> None:
    """Has the channel's shelves count as never told: somebody else has written there since."""
    ids = list(ListingLevel.objects.filter(channel=channel).order_by("id").values_list("id", flat=True))
    for start in range(0, len(ids), _PIECE):
        with connection.cursor() as cursor:
            cursor.execute(_FORGET, [ids[start : start + _PIECE]])


def _close_spans(run: ShadowRun) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE channels_shadowspan SET ended_at = greatest(%s, began_at) WHERE run_id = %s AND ended_at IS NULL",
            [run.ended_at, run.pk],
        )


def _switch(channel: Channel, *, in_shadow: bool) -> None:
    """Writes both flags with their line in the history; a channel that leaves the shadow stays paused."""
    channel.in_shadow = in_shadow
    channel.is_paused = True
    channel.save(update_fields=["in_shadow", "is_paused"])


def _has_source(channel: Channel) -> bool:
    sources = ChannelLocationSource.objects.filter(is_active=True, channel_location__is_active=True)
    return sources.filter(channel_location__channel=channel).exists()
