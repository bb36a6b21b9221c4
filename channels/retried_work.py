"""Has work done again that was given up because others were in the way."""

from collections.abc import Iterable

from django.utils import timezone

from channels.deliveries import replay
from channels.models import ChannelOrder, Retry, WebhookDelivery
from channels.models.inbound import DeliveryState
from channels.models.retry_queue import RetryKind, RetryState
from channels.orders import hint


def try_again(retries: Iterable[Retry]) -> int:
    """Begins given up work anew; returns how much of it. What a page was asked for, a person has to ask for again."""
    return sum(_begin(retry) for retry in retries if retry.state == RetryState.EXHAUSTED)


def _begin(retry: Retry) -> bool:
    match retry.kind:
        case RetryKind.DELIVERY:
            dead = WebhookDelivery.objects.filter(pk=int(retry.key), state=DeliveryState.DEAD)
            replay(dead.values_list("pk", flat=True))
        case RetryKind.ORDER:
            _fetch(retry)
        case _:
            # A job has run since, or will by its schedule.
            pass
    return bool(
        Retry.objects.filter(pk=retry.pk, state=RetryState.EXHAUSTED).update(
            state=RetryState.DONE, ended_at=timezone.now()
        )
    )


def _fetch(retry: Retry) -> None:
    channel_id, _, external_id = retry.key.partition(":")
    orders = ChannelOrder.objects.filter(channel=int(channel_id), external_id=external_id)
    order = orders.select_related("channel").defer("channel__credentials").first()
    if order is not None:
        orders.update(next_fetch_at=timezone.now())
        hint(order.channel, external_id)
