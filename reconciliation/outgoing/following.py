"""Follows the feed of changes, and makes events of stock and reservations for merchants who want them.

Each merchant's place in the feed moves in the transaction that writes the events: a change becomes part of one event, once.
What changed of a level since the last look is one event, with the version that the level has after the last change.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from django.db import transaction
from django.db.models import Sum
from django.utils import timezone

from inventory.changes import head, read_changes
from inventory.errors import ChangesForgotten
from inventory.models import Change, ChangeKind, StockLevel
from reconciliation.models import WebhookCursor, WebhookEvent, WebhookSubscription
from reconciliation.outgoing.event_types import OF_THE_FEED, expand
from reconciliation.outgoing.making import make_messages

log = structlog.get_logger(__name__)

#: Changes read at once.
PIECE: Final = 1000
_STOCK: Final = "stock."
_OF_RESERVATION: Final = (
    "reservation_id", "reference", "units", "quantity", "open", "fulfilled", "released", "expires_at", "confirmed_at",
    "reason",
)  # fmt: skip

#: Variant and location.
Place = tuple[int, int]


@dataclass(slots=True)
class _Step:
    """What happened to one level since the last look."""

    first: Change
    last: Change
    count: int = 1

    @property
    def available_before(self) -> int:
        told = self.first.payload
        delta = told["on_hand_delta"] - told["reserved_delta"] - told["unavailable_delta"]
        return int(told["available"] - delta)

    @property
    def available(self) -> int:
        return int(self.last.payload["available"])


@dataclass(frozen=True, slots=True)
class _Levels:
    """What else is known of the levels that changed, and of their variants."""

    ids: dict[Place, int] = field(default_factory=dict)
    safety_stock: dict[Place, int] = field(default_factory=dict)
    #: Variant → what is available of it at all places.
    everywhere: dict[int, int] = field(default_factory=dict)


def follow() -> int:
    """Makes events of what changed, for all merchants who want them; returns how many changes were read."""
    return sum(_follow(merchant_id) for merchant_id in _behind())


def _behind() -> list[int]:
    """Returns the merchants who want to hear of stock and whose place is behind the feed's head; two statements."""
    active = WebhookSubscription.objects.filter(is_active=True, merchant__webhook_cursor__isnull=False)
    wants = active.values_list("merchant_id", "merchant__webhook_cursor__position", "events")
    rows = [(merchant, position) for merchant, position, events in wants if OF_THE_FEED & expand(events)]
    if not rows:
        return []
    newest = head()
    return sorted({merchant for merchant, position in rows if position < newest})


@transaction.atomic
def _follow(merchant_id: int) -> int:
    cursors = WebhookCursor.objects.select_for_update(skip_locked=True)
    cursor = cursors.filter(merchant=merchant_id).first()
    if cursor is None:
        return 0
    wanted = _wanted(merchant_id)
    # Asked first: all up to here can be read by then, also of other merchants and kinds.
    newest = head()
    try:
        changes = read_changes(cursor.position, PIECE, merchant_id, kinds=_kinds(wanted))
    except ChangesForgotten:
        log.warning("webhooks_skipped_forgotten_changes", merchant=merchant_id, position=cursor.position)
        changes = []
    _write(merchant_id, changes, wanted)
    last = changes[-1].position if changes else cursor.position
    cursor.position = last if len(changes) == PIECE else max(last, newest)
    cursor.moved_at = timezone.now()
    cursor.save(update_fields=["position", "moved_at"])
    return len(changes)


def _wanted(merchant_id: int) -> frozenset[str]:
    active = WebhookSubscription.objects.filter(merchant=merchant_id, is_active=True)
    named = [name for events in active.values_list("events", flat=True) for name in events]
    return OF_THE_FEED & expand(named)


def _kinds(wanted: Collection[str]) -> list[str]:
    """Returns the kinds of changes that these types are made of."""
    return sorted({ChangeKind.STOCK.value if name.startswith(_STOCK) else name for name in wanted})


def _write(merchant_id: int, changes: Sequence[Change], wanted: Collection[str]) -> None:
    made_at = timezone.now()
    events = [
        WebhookEvent(merchant_id=merchant_id, made_at=made_at, **told)
        for told in (*_of_stock(merchant_id, changes), *_of_reservations(changes))
        if told["type"] in wanted
    ]
    if events:
        make_messages([event.pk for event in WebhookEvent.objects.bulk_create(events)])


def _of_stock(merchant_id: int, changes: Sequence[Change]) -> Iterator[dict[str, Any]]:
    steps: dict[Place, _Step] = {}
    for change in changes:
        if change.kind != ChangeKind.STOCK or change.variant is None or change.location is None:
            continue
        step = steps.setdefault((change.variant.pk, change.location.pk), _Step(change, change, count=0))
        step.last, step.count = change, step.count + 1
    levels = _levels(merchant_id, steps)
    for place, step in steps.items():
        yield from _told_of(place, step, levels)


def _levels(merchant_id: int, places: Collection[Place]) -> _Levels:
    """Returns what else is told of these levels; two statements, whatever their number."""
    found = _Levels()
    if not places:
        return found
    of_variants = StockLevel.objects.filter(merchant=merchant_id, variant__in={place[0] for place in places})
    here = of_variants.filter(location__in={place[1] for place in places})
    for pk, variant, location, safety_stock in here.values_list(
        "pk", "variant_id", "location_id", "safety_stock"
    ):
        found.ids[variant, location] = pk
        found.safety_stock[variant, location] = safety_stock
    total = Sum("on_hand") - Sum("reserved") - Sum("unavailable")
    for variant, units in of_variants.order_by().values_list("variant_id").annotate(units=total):
        found.everywhere[variant] = units
    return found


def _told_of(place: Place, step: _Step, levels: _Levels) -> Iterator[dict[str, Any]]:
    """Returns what is told of a level: that it changed, and that it became low or empty by that."""
    change, safety_stock = step.last, levels.safety_stock.get(place, 0)
    types = ["stock.changed"]
    if step.available <= safety_stock < step.available_before:
        types.append("stock.low")
    if step.available <= 0 < step.available_before:
        types.append("stock.out")
    payload = change.payload
    data = {
        "stock_level_id": levels.ids.get(place),
        **_names(change),
        **{name: payload[name] for name in ("on_hand", "reserved", "unavailable", "available")},
        "available_before": step.available_before,
        "available_everywhere": levels.everywhere.get(place[0], 0),
        "safety_stock": safety_stock,
        "changes": step.count,
        "movement_kind": payload["movement_kind"],
        "reason": payload["reason"],
        "position": change.position,
    }
    subject = f"stock:{place[0]}:{place[1]}"
    for event_type in types:
        yield {
            "type": event_type,
            "subject": subject,
            "version": change.version,
            "data": data,
            "occurred_at": change.happened_at,
        }


def _of_reservations(changes: Iterable[Change]) -> Iterator[dict[str, Any]]:
    for change in changes:
        if change.kind.startswith("reservation."):
            told = {name: change.payload[name] for name in _OF_RESERVATION}
            yield {
                "type": change.kind,
                "subject": f"reservation:{change.payload['reservation_id']}",
                "version": change.position,
                "data": {**told, **_names(change), "position": change.position},
                "occurred_at": change.happened_at,
            }


def _names(change: Change) -> dict[str, Any]:
    return {
        "variant_id": change.variant_id,
        "sku": change.variant.sku if change.variant else None,
        "location_id": change.location_id,
        "location": change.location.code if change.location else None,
    }
