"""Subscriptions: made, changed, switched off and on, and their secrets renewed.

Lock order: the subscription, then the merchant. The merchant's row is locked wherever somebody begins to hear of stock, so
that the place in the feed from which on events are made is chosen once.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from django.db import transaction
from django.utils import timezone

from channels.errors import Misconfigured
from channels.transport import check_receiver_url
from inventory.changes import head
from inventory.models import Merchant
from reconciliation.errors import Refused
from reconciliation.models import WebhookCursor, WebhookMessage, WebhookSubscription
from reconciliation.outgoing.event_types import OF_THE_FEED, expand, unknown
from reconciliation.signed_posts import OVERLAP, renewed

#: Active subscriptions of one merchant.
MOST: Final = 50
LONGEST_OVERLAP: Final = timedelta(days=30)

#: Columns of whether it is told something. Others are left alone: the messenger writes to the same row.
_SWITCH: Final = ("is_active", "gave_up", "disabled_at", "disabled_because")
#: Of a subscription that does not fail.
_SOUND: Final = {"failures": 0, "failing_since": None, "paused_until": None}


@dataclass(frozen=True, slots=True)
class Wish:
    """Where somebody wants to be told of what."""

    url: str
    events: Collection[str]
    description: str = ""


def check(url: str, events: Collection[str]) -> None:
    """Raises `Refused` for an address that may not be called, or names that stand for no event."""
    try:
        check_receiver_url(url)
    except Misconfigured as error:
        raise Refused(
            "url", f"{error} Enter one that begins with https:// and leads to the internet."
        ) from None
    if not events:
        raise Refused("events", "Name at least one event, or * for all.")
    if wrong := unknown(events):
        raise Refused("events", f"There is no event {', '.join(wrong)[:200]}.")


@transaction.atomic
def subscribe(merchant: Merchant, wish: Wish, *, by: str) -> tuple[WebhookSubscription, str]:
    """Makes a subscription and returns it with its secret, which is shown to nobody again. Raises `Refused`."""
    check(wish.url, wish.events)
    _lock_merchant(merchant.pk)
    _check_room(merchant.pk)
    kept: Any
    secret, kept = renewed([])
    events = sorted(set(wish.events))
    begin_feed(merchant.pk, events)
    subscription = WebhookSubscription(
        merchant=merchant,
        url=wish.url,
        events=events,
        description=wish.description,
        secrets=kept,
        created_by=by[:200],
    )
    subscription.save()
    return subscription, secret


@transaction.atomic
def change(subscription: WebhookSubscription) -> None:
    """Saves what was changed of address, events or description. Raises `Refused`."""
    check(subscription.url, subscription.events)
    _lock(subscription)
    subscription.events = sorted(set(subscription.events))
    if subscription.is_active:
        begin_feed(subscription.merchant_id, subscription.events)
    subscription.save(update_fields=["url", "events", "description"])


@transaction.atomic
def disable(subscription: WebhookSubscription, *, because: str = "") -> None:
    """Has a subscription told nothing more; what is waiting waits."""
    if subscription.is_active:
        subscription.is_active = False
        subscription.disabled_at = timezone.now()
    subscription.gave_up = False
    subscription.disabled_because = because
    subscription.save(update_fields=_SWITCH)


@transaction.atomic
def enable(subscription: WebhookSubscription) -> int:
    """Has a subscription told again, what waited first; returns how many messages did. Raises `Refused`.

    What happened meanwhile was not noted.
    """
    check(subscription.url, subscription.events)
    _lock(subscription)
    if not subscription.is_active:
        _check_room(subscription.merchant_id)
        begin_feed(subscription.merchant_id, subscription.events)
    subscription.is_active, subscription.disabled_at = True, None
    subscription.disabled_because, subscription.gave_up = "", False
    for name, value in _SOUND.items():
        setattr(subscription, name, value)
    subscription.save(update_fields=[*_SWITCH, *_SOUND])
    now = timezone.now()
    waiting = WebhookMessage.objects.filter(subscription=subscription, next_attempt_at__isnull=False)
    return waiting.update(wanted_at=now, next_attempt_at=now, lease_token=None)


def remove(subscription: WebhookSubscription) -> None:
    """Ends a subscription with all its messages; what is on its way to it may still arrive."""
    subscription.delete()


def renew_secret(subscription_id: int, *, overlap: timedelta = OVERLAP) -> str:
    """Gives a subscription a new secret and returns it; those before sign along for the overlap. Raises `Refused`."""
    if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
        raise Refused("overlap_seconds", f"At most {LONGEST_OVERLAP.days} days, and not below 0.")
    with transaction.atomic():
        rows = WebhookSubscription.objects.select_for_update(no_key=True)
        subscription = rows.get(pk=subscription_id)
        secret, subscription.secrets = renewed(subscription.secrets, overlap=overlap)
        subscription.save(update_fields=["secrets"])
    return secret


def give_up(ids: Iterable[int], *, because: str) -> int:
    """Switches off subscriptions that take nothing; returns how many were active. A check opens their alerts."""
    rows = WebhookSubscription.objects.select_for_update(no_key=True).filter(pk__in=ids, is_active=True)
    with transaction.atomic():
        found = list(rows.order_by("pk"))
        for subscription in found:
            subscription.is_active, subscription.gave_up = False, True
            subscription.disabled_at, subscription.disabled_because = timezone.now(), because
            subscription._change_reason = because[:100]  # type: ignore[attr-defined]
            subscription.save(update_fields=_SWITCH)
    return len(found)


def begin_feed(merchant_id: int, events: Collection[str]) -> None:
    """Has changes of stock become events from now on, where these want them and nobody did; under the merchant's lock."""
    if OF_THE_FEED.isdisjoint(expand(events)):
        return
    active = WebhookSubscription.objects.filter(merchant_id=merchant_id, is_active=True)
    if not any(OF_THE_FEED & expand(each) for each in active.values_list("events", flat=True)):
        now = {"position": head(), "moved_at": timezone.now()}
        WebhookCursor.objects.update_or_create(merchant_id=merchant_id, defaults=now)


def _lock(subscription: WebhookSubscription) -> None:
    rows = WebhookSubscription.objects.select_for_update(no_key=True)
    rows.values_list("pk").get(pk=subscription.pk)
    _lock_merchant(subscription.merchant_id)


def _lock_merchant(merchant_id: int) -> None:
    Merchant.objects.select_for_update(no_key=True).values_list("pk").get(pk=merchant_id)


def _check_room(merchant_id: int) -> None:
    if WebhookSubscription.objects.filter(merchant=merchant_id, is_active=True).count() >= MOST:
        raise Refused("url", f"A merchant has at most {MOST} active subscriptions. Disable one first.")
