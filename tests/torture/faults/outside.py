"""Work that cannot be done, and a comparison in the middle of sales."""

from typing import TYPE_CHECKING, Final

from django.db import connection
from django.utils import timezone

from channels.models import WebhookDelivery
from channels.models.inbound import DeliveryPriority
from config.jobs import wake
from reconciliation import runs
from tests.torture.faults.blows import Act, Blow

if TYPE_CHECKING:
    from tests.torture.world import World

#: Before the dedupe keys of messages that no worker can make sense of.
POISON: Final = "torture-poison-"
#: What a task calls that kills whoever runs it.
KILLER: Final = "os.abort"
_TASKS: Final = (
    "not a task",
    "wake channels.tasks.process_deliveries:forged",
    "wake os.abort:forged",
    "\U0001f480",
)
#: An order without an id, in the words of every platform.
_UNREADABLE: Final = {
    "id": None,
    "line_items": {"no": "list"},
    "event": {"resource": "ORDER", "resourceId": None},
}


def _poison(world: "World", act: Act) -> None:
    """Puts garbage into the queue of tasks, one that kills its worker, and messages that cannot be read into the inbox."""
    wake(KILLER)
    with connection.cursor() as cursor:
        for payload in _TASKS:
            cursor.execute(
                "INSERT INTO django_q_ormq (key, payload, lock) VALUES ('onecount', %s, clock_timestamp())",
                [payload],
            )
    for topic in ("orders/create", "order.created", "ORDER.CREATE_ORDER"):
        WebhookDelivery.objects.create(
            channel=world.channels[act.channel],
            dedupe_key=f"{POISON}{act.at:.3f}-{topic}",
            topic=topic,
            payload=_UNREADABLE,
            priority=DeliveryPriority.ORDER,
            received_at=timezone.now(),
        )


def _compare(world: "World", act: Act) -> None:
    for channel in world.channels:
        runs.ask(channel, asked_by="torture")


BLOWS: Final = (
    Blow("poison", "tasks and messages that no worker can make sense of", _poison),
    Blow("reconcile-race", "every channel is compared with the ledger while it sells", _compare),
)
