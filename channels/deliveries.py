"""The inbound door: webhook messages are stored once, and processed one by one by any number of workers.

`accept` runs in the web process, `process_due` in workers. A delivery is processed in one transaction that
holds its row, so that a worker that dies leaves it due, and one that cannot be processed keeps nobody
waiting.
"""

import hashlib
import json
import random
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import Min, Q, QuerySet
from django.utils import timezone

from channels import notices, observations, orders
from channels.accounts import open_connector
from channels.connectors.base import Connector, InboundMessage, InboundRequest
from channels.errors import BadMessage
from channels.events import (
    ChannelEvent,
    Disconnected,
    Ignored,
    LevelObserved,
    ListingChanged,
    OrderDeleted,
    OrderHint,
    OrderState,
    UnknownEvent,
)
from channels.models import Channel, WebhookDelivery
from channels.models.inbound import DeliveryState
from channels.screening import check_events, check_payload
from config.jobs import wake
from inventory.errors import StockBusy
from inventory.ledger import domain_errors

log = structlog.get_logger(__name__)

#: Failures after which a delivery goes to the dead letters: about 50 minutes.
LARGEST_ATTEMPTS: Final = 8
_FIRST_PAUSE: Final = timedelta(seconds=5)
_LONGEST_PAUSE: Final = timedelta(minutes=15)
#: Wait after somebody else held the rows; does not count as a failure.
_BUSY_PAUSE: Final = timedelta(milliseconds=150)

# One statement, so that a repeat costs no more than the first. `repeats` counts what came again.
_STORE: Final = """
INSERT INTO channels_webhookdelivery AS kept
    (channel_id, dedupe_key, topic, payload, state, received_at, repeats, attempts, error)
VALUES (%s, %s, %s, %s, 'received', %s, 0, 0, '')
ON CONFLICT (channel_id, dedupe_key) DO UPDATE SET repeats = kept.repeats + 1
RETURNING repeats = 0
"""


def accept(channel: Channel, request: InboundRequest) -> bool:
    """Verifies a message, stores it once, and wakes a worker; returns whether it is new.

    It is durable when this returns. Raises `BadSignature` or `BadMessage`, and then nothing is stored.
    """
    connector = open_connector(channel)
    connector.verify(request)
    message = _read(connector, request)
    if message is None:
        return False
    is_new = _store(channel, message, request)
    wake("channels.tasks.process_deliveries")
    return is_new


def _read(connector: Connector, request: InboundRequest) -> InboundMessage | None:
    """Reads a verified message in full, so that what no worker could process is refused at once.

    None for a ping: it says nothing and is not stored.
    """
    try:
        message = connector.receive(request)
        check_payload([message.topic, message.dedupe_key, message.payload])
        events = connector.parse(message.topic, message.payload)
    except RecursionError as error:
        raise BadMessage("The message is nested too deeply.") from error
    check_events(events)
    return None if is_ping(message, events) else message


def is_ping(message: InboundMessage, events: Sequence[ChannelEvent]) -> bool:
    """Tells whether a message only tries the line: nothing follows from it, and nothing identifies it."""
    is_unnamed = not message.dedupe_key or message.topic == "ping"
    return is_unnamed and all(isinstance(event, Ignored) for event in events)


def _store(channel: Channel, message: InboundMessage, request: InboundRequest) -> bool:
    parameters: list[int | str | datetime] = [
        channel.pk,
        _bounded_key(message.dedupe_key),
        message.topic[:100],
        json.dumps(message.payload),
        request.received_at,
    ]
    with connection.cursor() as cursor:
        cursor.execute(_STORE, parameters)
        (is_new,) = cursor.fetchone()
    return bool(is_new)


def _bounded_key(key: str) -> str:
    return key if len(key) <= 200 else hashlib.sha256(key.encode()).hexdigest()


def process_due(limit: int = 100) -> int:
    """Processes up to `limit` due deliveries, oldest first; returns how many. Workers share the work."""
    count = 0
    while count < limit and _process_next():
        count += 1
    return count


def _due() -> QuerySet[WebhookDelivery]:
    now = timezone.now()
    return WebhookDelivery.objects.filter(
        Q(next_attempt_at__isnull=True) | Q(next_attempt_at__lte=now), state=DeliveryState.RECEIVED
    )


def seconds_to_next_due() -> float | None:
    """Returns how long until a postponed delivery is due; None when none waits."""
    waiting = WebhookDelivery.objects.filter(state=DeliveryState.RECEIVED)
    due_at = waiting.aggregate(first=Min("next_attempt_at"))["first"]
    return max((due_at - timezone.now()).total_seconds(), 0.0) if due_at else None


def _process_next() -> bool:
    with transaction.atomic():
        queue = _due().order_by("id").select_for_update(skip_locked=True, of=("self",))
        delivery = queue.select_related("channel").first()
        if delivery is None:
            return False
        _process(delivery)
        return True


def _process(delivery: WebhookDelivery) -> None:
    """Processes one delivery, or notes why it could not be; effects of a failed attempt are undone."""
    try:
        with domain_errors(), transaction.atomic():
            is_known = _dispatch(delivery)
    except StockBusy as error:
        _postpone(delivery, str(error), _BUSY_PAUSE)
    except (OperationalError, InterfaceError):
        raise  # the database is gone: nothing is wrong with this delivery
    except Exception as error:  # the outermost loop: one bad delivery must not hold up the others
        log.warning("delivery_failed", delivery=delivery.pk, channel=delivery.channel_id, exc_info=True)
        _fail(delivery, error)
    else:
        delivery.state = DeliveryState.PROCESSED if is_known else DeliveryState.UNKNOWN
        delivery.processed_at = timezone.now()
        delivery.error = ""
        delivery.save(update_fields=["state", "processed_at", "error"])


def _fail(delivery: WebhookDelivery, error: Exception) -> None:
    delivery.attempts += 1
    reason = str(error) or type(error).__name__
    if delivery.attempts >= LARGEST_ATTEMPTS or isinstance(error, BadMessage):
        delivery.state = DeliveryState.DEAD
        delivery.error = reason[:2000]
        delivery.save(update_fields=["state", "attempts", "error"])
    else:
        _postpone(delivery, reason, min(_FIRST_PAUSE * 3 ** (delivery.attempts - 1), _LONGEST_PAUSE))


def _postpone(delivery: WebhookDelivery, reason: str, pause: timedelta) -> None:
    delivery.next_attempt_at = timezone.now() + pause * random.uniform(0.75, 1.25)  # noqa: S311
    delivery.error = reason[:2000]
    delivery.save(update_fields=["attempts", "next_attempt_at", "error"])


def replay(ids: Iterable[int]) -> int:
    """Has deliveries processed again from the start, which counts nothing twice; returns how many."""
    replayed = WebhookDelivery.objects.filter(pk__in=list(ids)).update(
        state=DeliveryState.RECEIVED, attempts=0, next_attempt_at=None, processed_at=None, error=""
    )
    if replayed:
        wake("channels.tasks.process_deliveries")
    return replayed


def _dispatch(delivery: WebhookDelivery) -> bool:
    """Applies what the message says; False when the connector does not know it."""
    connector = open_connector(delivery.channel)
    events = connector.parse(delivery.topic, delivery.payload)
    check_events(events)
    for event in events:
        _apply(delivery, event)
    return not any(isinstance(event, UnknownEvent) for event in events)


def _apply(delivery: WebhookDelivery, event: ChannelEvent) -> None:
    channel, arrived_at = delivery.channel, delivery.received_at
    match event:
        case OrderState():
            orders.apply_state(channel, event, arrived_at=arrived_at)
        case OrderHint():
            orders.hint(channel, event.external_id, arrived_at=arrived_at)
        case OrderDeleted():
            orders.apply_deleted(channel, event.external_id, arrived_at=arrived_at)
        case LevelObserved():
            observations.observe(channel, event, received_at=arrived_at)
        case ListingChanged():
            notices.note_listing_change(channel, event)
        case Disconnected():
            notices.note_disconnected(channel, event)
        case Ignored() | UnknownEvent():
            pass
