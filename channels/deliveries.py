"""The inbound door: webhook messages are stored once, and processed one by one by any number of workers.

`accept` runs in the web process, `process_due` in workers. Taking a delivery is a commit of its own, which counts it and
puts it off for a while; what it says is applied in one transaction after that. So a worker that dies leaves it due, one
that cannot be processed keeps nobody waiting, and one that kills whoever takes it is a dead letter after a few times. Were
two workers ever to apply one at the same time, nothing would count twice.
"""

import hashlib
import json
import random
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import Min, Q, QuerySet, prefetch_related_objects
from django.utils import timezone

from channels import error_log, feeds, following, notices, observations, orders, retry_queue
from channels.accounts import channel_of, open_connector
from channels.connectors.base import Connector, InboundMessage, InboundRequest
from channels.errors import BadMessage, ChannelError
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
    WarehouseChanged,
)
from channels.models import Channel, WebhookDelivery
from channels.models.inbound import DeliveryPriority, DeliveryState
from channels.retry_queue import Work
from channels.screening import check_events, check_payload
from channels.warehouses import marks
from channels.warehouses.authorities import keeps_stock
from config.database import NEED_NOT_LAST
from config.jobs import wake
from config.logs import redact_text
from inventory.errors import StockBusy
from inventory.ledger import domain_errors

log = structlog.get_logger(__name__)

#: What says nothing of orders, and can be applied together.
_NOTICES: Final = (LevelObserved, WarehouseChanged, ListingChanged, Ignored, UnknownEvent)
#: Failures after which a delivery goes to the dead letters: about 50 minutes.
LARGEST_ATTEMPTS: Final = 8
_TASK: Final = "channels.tasks.process_deliveries"
#: Argument of the task that leaves notices to the next sweep, which takes all of a second together.
_ORDERS_ONLY: Final = 1
_FIRST_PAUSE: Final = timedelta(seconds=5)
_LONGEST_PAUSE: Final = timedelta(minutes=15)

# One statement, so that a repeat costs no more than the first. `repeats` counts what came again.
_STORE: Final = """
INSERT INTO channels_webhookdelivery AS kept
    (channel_id, dedupe_key, topic, payload, priority, state, received_at, repeats, attempts, error)
VALUES (%s, %s, %s, %s, %s, 'received', %s, 0, 0, '')
ON CONFLICT (channel_id, dedupe_key) DO UPDATE SET repeats = kept.repeats + 1
RETURNING repeats = 0
"""


#: Times that a delivery is taken and never brought to an end, before it is taken for what kills its workers.
MOST_TAKES: Final = 5
#: Seconds until somebody else takes a delivery whose worker died; each time that happens they double, so that a machine that
#: is short of memory has some minutes.
_LEASE: Final = 10.0
_KILLED: Final = f"Its worker died, {MOST_TAKES} times in a row."

# Words in the text, not as parameters: a prepared plan could not use the partial index otherwise. What is counted here may
# be lost in a crash of the server.
_DUE: Final = "state = 'received' AND coalesce(next_attempt_at <= %(now)s, true)"
_TAKE_NEXT: Final = f"""
UPDATE channels_webhookdelivery delivery
SET takes = takes + 1,
    next_attempt_at = %(now)s + make_interval(secs => %(lease)s::float8 * 2 ^ takes),
    state = CASE WHEN takes < {MOST_TAKES} THEN state ELSE 'dead' END,
    error = CASE WHEN takes < {MOST_TAKES} THEN error ELSE %(killed)s END
WHERE id = (
    SELECT id FROM channels_webhookdelivery WHERE {_DUE} AND priority = {DeliveryPriority.ORDER.value}
    ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED
) AND {NEED_NOT_LAST}
RETURNING delivery.*
"""  # noqa: S608  # constants only

# Notices are taken together. One whose worker died may be what killed it: from then on it is taken alone.
_TAKE_NOTICES: Final = f"""
UPDATE channels_webhookdelivery delivery
SET takes = greatest(takes, 1),
    next_attempt_at = CASE WHEN takes = 0 THEN %(now)s + make_interval(secs => %(lease)s::float8) END,
    priority = CASE WHEN takes = 0 THEN priority ELSE {DeliveryPriority.ORDER.value} END
WHERE id IN (
    SELECT id FROM channels_webhookdelivery WHERE {_DUE} AND priority = {DeliveryPriority.NOTICE.value}
    ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
) AND {NEED_NOT_LAST}
RETURNING delivery.*
"""  # noqa: S608  # constants only

_PROCESSED: Final = """
UPDATE channels_webhookdelivery
SET state = %s, processed_at = %s, next_attempt_at = NULL, takes = 0, error = ''
WHERE id = %s
"""


def accept(channel: Channel, request: InboundRequest) -> bool:
    """Verifies a message, stores it once, and wakes a worker for orders; returns whether it is new.

    Notices, which every sale and every push causes, wait for the next order or sweep. It is durable when this
    returns. Raises `BadSignature` or `BadMessage`, and then nothing is stored.
    """
    connector = open_connector(channel)
    connector.verify(request)
    read = _read(connector, request)
    if read is None:
        return False
    is_new = _store(channel, *read, request)
    if read[1] is DeliveryPriority.ORDER:
        wake(_TASK, _ORDERS_ONLY)
    return is_new


def _read(connector: Connector, request: InboundRequest) -> tuple[InboundMessage, DeliveryPriority] | None:
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
    return None if is_ping(message, events) else (message, _priority(events))


def _priority(events: Sequence[ChannelEvent]) -> DeliveryPriority:
    is_notice = all(isinstance(event, _NOTICES) for event in events)
    return DeliveryPriority.NOTICE if is_notice else DeliveryPriority.ORDER


def is_ping(message: InboundMessage, events: Sequence[ChannelEvent]) -> bool:
    """Tells whether a message only tries the line: nothing follows from it, and nothing identifies it."""
    is_unnamed = not message.dedupe_key or message.topic == "ping"
    return is_unnamed and all(isinstance(event, Ignored) for event in events)


def _store(
    channel: Channel, message: InboundMessage, priority: DeliveryPriority, request: InboundRequest
) -> bool:
    parameters: list[int | str | datetime] = [
        channel.pk,
        _bounded_key(message.dedupe_key),
        message.topic[:100],
        json.dumps(message.payload),
        priority.value,
        request.received_at,
    ]
    with connection.cursor() as cursor:
        cursor.execute(_STORE, parameters)
        (is_new,) = cursor.fetchone()
    return bool(is_new)


def _bounded_key(key: str) -> str:
    return key if len(key) <= 200 else hashlib.sha256(key.encode()).hexdigest()


def process_due(limit: int = 100, *, orders_only: bool = False) -> int:
    """Processes up to `limit` due deliveries, orders first, then the oldest; returns how many.

    Workers share the work. Notices of shelves and products, which every push and every order causes, are
    taken together, or not at all with `orders_only`.
    """
    count = 0
    while count < limit:
        taken = _process_next()
        if not taken and not orders_only:
            taken = _process_notices(limit - count)
        if not taken:
            break
        count += taken
    return count


def _due() -> QuerySet[WebhookDelivery]:
    now = timezone.now()
    is_due = Q(next_attempt_at__isnull=True) | Q(next_attempt_at__lte=now)
    # In the text, not as a parameter: a prepared plan could not use the partial index otherwise.
    return WebhookDelivery.objects.filter(is_due).extra(where=["channels_webhookdelivery.state = 'received'"])


def seconds_to_next_due() -> float | None:
    """Returns how long until a postponed delivery is due; None when none waits."""
    waiting = WebhookDelivery.objects.extra(where=["channels_webhookdelivery.state = 'received'"])
    due_at = waiting.aggregate(first=Min("next_attempt_at"))["first"]
    return max((due_at - timezone.now()).total_seconds(), 0.0) if due_at else None


def wake_for_due() -> None:
    """Wakes a worker where something waits: notices, or what lost its wake-up."""
    if _due().exists():
        wake(_TASK)


def _process_next() -> int:
    # The channel is read apart: joined, the planner sorts the whole queue for its first row.
    taken = _take(_TAKE_NEXT)
    for delivery in taken:
        delivery.channel = channel_of(delivery.channel_id) or delivery.channel
        if delivery.state == DeliveryState.DEAD:
            log.error("delivery_killed_workers", delivery=delivery.pk, channel=delivery.channel_id)
            error_log.note_delivery(delivery, ChannelError(_KILLED))
        else:
            with transaction.atomic():
                _process(delivery)
    return len(taken)


def _take(statement: str, **more: int) -> list[WebhookDelivery]:
    """Takes what is due, in a commit of its own; returns it, the oldest first."""
    parameters: dict[str, Any] = {"now": timezone.now(), "lease": _LEASE, "killed": _KILLED, **more}
    return sorted(WebhookDelivery.objects.raw(statement, parameters), key=lambda taken: taken.pk)


def _process_notices(limit: int) -> int:
    """Processes notices in one transaction; one that needs more than that is left to be processed alone."""
    taken = _take(_TAKE_NOTICES, limit=max(limit, 1))
    alone = DeliveryPriority.ORDER
    together = [delivery for delivery in taken if delivery.priority != alone]
    if together:
        prefetch_related_objects(together, "channel")
        _process_together(together)
    return len(taken)


@transaction.atomic
def _process_together(taken: Sequence[WebhookDelivery]) -> None:
    events = {delivery: _notices_in(delivery) for delivery in taken}
    plain = [delivery for delivery in taken if events[delivery] is not None]
    _apply_notices([(delivery, event) for delivery in plain for event in events[delivery] or ()])
    unknown = [d.pk for d in plain if any(isinstance(event, UnknownEvent) for event in events[d] or ())]
    known = {delivery.pk for delivery in plain}.difference(unknown)
    rest = {delivery.pk for delivery in taken} - known - set(unknown)
    queue = WebhookDelivery.objects.order_by()
    ended = {"next_attempt_at": None, "takes": 0}
    done = {"processed_at": timezone.now(), "error": "", **ended}
    queue.filter(pk__in=known).update(state=DeliveryState.PROCESSED, **done)
    queue.filter(pk__in=unknown).update(state=DeliveryState.UNKNOWN, **done)
    queue.filter(pk__in=rest).update(priority=DeliveryPriority.ORDER, **ended)


def _notices_in(delivery: WebhookDelivery) -> list[ChannelEvent] | None:
    """Returns the events of a notice; None where it is none, or cannot be read."""
    try:
        events = open_connector(delivery.channel).parse(delivery.topic, delivery.payload)
        check_events(events)
    except ChannelError:
        return None
    return events if all(isinstance(event, _NOTICES) for event in events) else None


def _apply_notices(noticed: Sequence[tuple[WebhookDelivery, ChannelEvent]]) -> None:
    seen = observations.observe_all(
        [(d.channel, event, d.received_at) for d, event in noticed if isinstance(event, LevelObserved)]
    )
    following.confirm_seen(seen)
    _note_warehouses([(d, event) for d, event in noticed if isinstance(event, WarehouseChanged)])
    notices.note_listing_changes(
        (d.channel, event) for d, event in noticed if isinstance(event, ListingChanged)
    )


def _note_warehouses(noticed: Sequence[tuple[WebhookDelivery, WarehouseChanged]]) -> None:
    """Has warehouses asked: platforms' own ones as a whole, those that keep our stock for what was named."""
    channels = {delivery.channel_id: delivery.channel for delivery, _ in noticed}
    for channel_id in sorted(channels):
        if not keeps_stock(channels[channel_id].kind):
            feeds.ask_for_poll(channel_id, feeds.WAREHOUSE)
            continue
        events = [event for delivery, event in noticed if delivery.channel_id == channel_id]
        marks.note_changed(channel_id, events)


def _process(delivery: WebhookDelivery) -> None:
    """Processes one delivery, or notes why it could not be; effects of a failed attempt are undone."""
    try:
        with domain_errors(), transaction.atomic():
            is_known = _dispatch(delivery)
    except StockBusy as error:
        _put_off(delivery, error)
    except (OperationalError, InterfaceError):
        raise  # the database is gone: nothing is wrong with this delivery
    except Exception as error:  # the outermost loop: one bad delivery must not hold up the others
        log.warning("delivery_failed", delivery=delivery.pk, channel=delivery.channel_id, exc_info=True)
        _fail(delivery, error)
    else:
        if delivery.error:
            retry_queue.settle(Work.of_delivery(delivery))
        state = DeliveryState.PROCESSED if is_known else DeliveryState.UNKNOWN
        with connection.cursor() as cursor:
            cursor.execute(_PROCESSED, [state.value, timezone.now(), delivery.pk])


def _put_off(delivery: WebhookDelivery, error: StockBusy) -> None:
    """Tries again soon, because somebody else held the rows; that is no failure of the delivery."""
    pause = retry_queue.postpone(Work.of_delivery(delivery), error.reason)
    if pause is not None:
        _postpone(delivery, str(error), pause)
        return
    delivery.state = DeliveryState.DEAD
    delivery.takes = 0
    delivery.error = f"{error} Others were in the way {retry_queue.ATTEMPTS} times in a row; replay it."
    delivery.save(update_fields=["state", "takes", "error"])


def _fail(delivery: WebhookDelivery, error: Exception) -> None:
    delivery.attempts += 1
    reason = redact_text(str(error)) or type(error).__name__
    error_log.note_delivery(delivery, error)
    if delivery.attempts >= LARGEST_ATTEMPTS or isinstance(error, BadMessage):
        delivery.state = DeliveryState.DEAD
        delivery.takes = 0
        delivery.error = reason[:2000]
        delivery.save(update_fields=["state", "attempts", "takes", "error"])
    else:
        _postpone(delivery, reason, min(_FIRST_PAUSE * 3 ** (delivery.attempts - 1), _LONGEST_PAUSE))


def _postpone(delivery: WebhookDelivery, reason: str, pause: timedelta) -> None:
    delivery.next_attempt_at = timezone.now() + pause * random.uniform(0.75, 1.25)  # noqa: S311
    delivery.takes = 0
    delivery.error = reason[:2000]
    delivery.save(update_fields=["attempts", "next_attempt_at", "takes", "error"])


def replay(ids: Iterable[int]) -> int:
    """Has deliveries processed again from the start, which counts nothing twice; returns how many."""
    replayed = WebhookDelivery.objects.filter(pk__in=list(ids)).update(
        state=DeliveryState.RECEIVED,
        attempts=0,
        takes=0,
        next_attempt_at=None,
        processed_at=None,
        error="",
    )
    if replayed:
        wake(_TASK)
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
        case LevelObserved() | WarehouseChanged() | ListingChanged():
            _apply_notices([(delivery, event)])
        case Disconnected():
            notices.note_disconnected(channel, event)
        case Ignored() | UnknownEvent():
            pass
