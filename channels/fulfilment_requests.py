"""What warehouses are told of requests, and what they answer.

    due → leased → told once under its key → answered

Due means `wanted > done`. A lease copies `wanted` with the lines as they are, and is written down only under its token. A
message says what the request is now, all of it, and its key names request and count: sent again, it is the same
message. The newest message counts; a warehouse that gets an older one later may leave it. Connectors of warehouses lease,
tell and answer; without one, people answer in the back office.
"""

import uuid
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F
from django.utils import timezone

from channels.errors import ImpossibleMove
from channels.models import ChannelOrder, ChannelOrderLine, FulfilmentLine, FulfilmentRequest
from channels.models.fulfilment import RequestState
from channels.order_lines import variant_id_of
from channels.orders import Occasion, bring_up
from channels.places import places_of
from channels.request_states import (
    ACCEPTED,
    CANCELLED,
    NEW,
    PICKED,
    REFUSED,
    SENT,
    SHIPPED,
    check_move,
)
from channels.sourcing import locked_order, units_per_kit
from inventory import holds
from inventory.errors import InvalidStockRequest, StockBusy
from inventory.kits import current_kits
from inventory.ledger import domain_errors
from inventory.locking import lock_levels

#: Seconds; a call to a warehouse must end in less than half of it.
LEASE_SECONDS: Final = 120.0
_FIRST_PAUSE: Final = 2.0
_LONGEST_PAUSE: Final = 600.0


@dataclass(frozen=True, slots=True)
class RequestedLine:
    """Units of one order line."""

    order_line_id: int
    variant_id: int
    sku: str
    #: Units that the location is to ship, those that left included; 0: none any more.
    quantity: int


@dataclass(frozen=True, slots=True)
class LeasedRequest:
    """One message to a warehouse: what the request is now."""

    request_id: int
    location_id: int
    token: uuid.UUID
    #: The request's own key, the same in all its messages.
    key: uuid.UUID
    #: The count that the message brings the warehouse to.
    wanted: int
    attempts: int
    state: RequestState
    order_number: str
    country: str
    external_id: str
    lines: tuple[RequestedLine, ...]
    #: When the warehouse was first asked, where the last attempt ended without a word: what became of it is not known.
    interrupted_since: datetime | None = None

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt at this message, another one for every other message."""
        return f"{self.key}:{self.wanted}"

    @property
    def is_cancelled(self) -> bool:
        """Whether the location is to ship nothing of it any more."""
        return self.state is CANCELLED


_LEASE: Final = """
WITH chosen AS (
    SELECT id, lease_token IS NOT NULL AS is_interrupted FROM channels_fulfilmentrequest
    WHERE location_id = ANY(%s::bigint[]) AND wanted > done AND dead_at IS NULL
      AND coalesce(leased_until < clock_timestamp(), true)
      AND coalesce(next_attempt_at <= clock_timestamp(), true)
    ORDER BY due_since, id
    LIMIT %s
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE channels_fulfilmentrequest request
SET lease_token = %s, leased_until = clock_timestamp() + make_interval(secs => %s),
    asked_at = coalesce(request.asked_at, clock_timestamp())
FROM chosen, channels_channelorder placed
WHERE request.id = chosen.id AND placed.id = request.order_id
RETURNING request.id, request.location_id, request.key, request.wanted, request.attempts, request.state,
          CASE placed.number WHEN '' THEN placed.external_id ELSE placed.number END, placed.country,
          request.external_id, CASE WHEN chosen.is_interrupted THEN request.asked_at END
"""


def lease(location_ids: Collection[int], *, size: int = 50) -> list[LeasedRequest]:
    """Leases up to `size` requests of these locations that have to be told, the longest due first; commits at once.

    The lines are read under the locks, so that a message with the same key always says the same.
    """
    token = uuid.uuid4()
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(_LEASE, [sorted(location_ids), size, token, LEASE_SECONDS])
            rows = cursor.fetchall()
        lines = _lines_of([row[0] for row in rows])
    leased = [_leased(row, token, lines.get(row[0], ())) for row in rows]
    return sorted(leased, key=lambda each: each.request_id)


def _leased(row: tuple[Any, ...], token: uuid.UUID, lines: Collection[RequestedLine]) -> LeasedRequest:
    request_id, location_id, key, wanted, attempts, state, number, country, external_id, since = row
    return LeasedRequest(
        request_id, location_id, token, key, wanted, attempts, RequestState(state), number, country, external_id,
        tuple(lines), since,
    )  # fmt: skip


def _lines_of(request_ids: Collection[int]) -> dict[int, list[RequestedLine]]:
    found: dict[int, list[RequestedLine]] = {}
    rows = FulfilmentLine.objects.filter(request__in=request_ids).order_by("id")
    columns = ("request_id", "order_line_id", "variant_id", "variant__sku", "quantity")
    for request_id, line_id, variant_id, sku, quantity in rows.values_list(*columns):
        found.setdefault(request_id, []).append(RequestedLine(line_id, variant_id, sku, quantity))
    return found


def note_told(
    leased: LeasedRequest, *, external_id: str = "", is_too_late: bool = False, remark: str = ""
) -> bool:
    """Notes that the warehouse has a message; False when the lease is no longer ours, and nothing was noted.

    `is_too_late`: it will not follow it, having shipped or picked what an earlier one said. `remark` is shown with the request.
    """
    with transaction.atomic():
        request = _held(leased)
        if request is None:
            return False
        if request.state == NEW:
            check_move(NEW, SENT)
            request.state = SENT
        # Answered meanwhile, the request may be further than what this message said.
        request.done = max(request.done, leased.wanted)
        request.due_since = request.due_since if request.wanted > request.done else None
        request.external_id = external_id[:200] or request.external_id
        request.attempts, request.last_error, request.next_attempt_at = 0, remark[:1000], None
        _give_back(request)
        if not is_too_late:
            _note_lines(leased)
    return True


def put_back(leased: LeasedRequest, error: str, *, is_unknown: bool = False) -> bool:
    """Gives a request back that could not be told, for the warehouse as a whole does not answer; that is no failure of its own.

    `is_unknown`: it may have arrived. Then the lease only ends soon, so that whoever takes it next knows to find out.
    """
    with transaction.atomic():
        request = _held(leased)
        if request is None:
            return False
        request.last_error = error[:1000]
        until = timezone.now() + timedelta(seconds=_FIRST_PAUSE)
        if is_unknown:
            request.leased_until = until
            request.save(update_fields=["last_error", "leased_until"])
            return True
        request.next_attempt_at = until
        _give_back(request)
    return True


def note_failed(leased: LeasedRequest, error: str, *, may_retry: bool = True) -> bool:
    """Notes that a message did not arrive, or that nobody knows; it is told again later, or given up until replayed."""
    with transaction.atomic():
        request = _held(leased)
        if request is None:
            return False
        request.attempts += 1
        request.last_error = error[:1000]
        pause = min(_FIRST_PAUSE * 2.0 ** min(request.attempts - 1, 20), _LONGEST_PAUSE)
        request.next_attempt_at = timezone.now() + timedelta(seconds=pause)
        if not may_retry or request.attempts >= settings.PUSH_ATTEMPTS:
            request.dead_at = timezone.now()
        _give_back(request)
    return True


def _held(leased: LeasedRequest) -> FulfilmentRequest | None:
    rows = FulfilmentRequest.objects.select_for_update(no_key=True)
    return rows.filter(pk=leased.request_id, lease_token=leased.token).first()


def _give_back(request: FulfilmentRequest) -> None:
    request.lease_token = request.leased_until = None
    request.save(
        update_fields=[
            "state", "done", "due_since", "external_id", "attempts", "last_error", "next_attempt_at", "dead_at",
            "lease_token", "leased_until",
        ]
    )  # fmt: skip


_NOTE_LINES: Final = """
UPDATE channels_fulfilmentline line SET told = said.quantity
FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) AS said (order_line_id, variant_id, quantity)
WHERE line.request_id = %s AND line.order_line_id = said.order_line_id AND line.variant_id = said.variant_id
"""


def _note_lines(leased: LeasedRequest) -> None:
    columns = [
        [line.order_line_id for line in leased.lines],
        [line.variant_id for line in leased.lines],
        [line.quantity for line in leased.lines],
    ]
    with connection.cursor() as cursor:
        cursor.execute(_NOTE_LINES, [*columns, leased.request_id])


def replay(request_ids: Collection[int]) -> int:
    """Has requests told again that were given up; returns how many."""
    dead = FulfilmentRequest.objects.filter(pk__in=list(request_ids), dead_at__isnull=False)
    return dead.update(dead_at=None, attempts=0, next_attempt_at=None, last_error="")


def answer(
    request_id: int, to: RequestState, *, reason: str = "", shipped: Mapping[int, int] | None = None
) -> FulfilmentRequest:
    """Takes a location's word on a request, and returns the request. The same word again changes nothing.

    Accepted and picked are noted. Refused has its units served by other locations, or owed where none has them. Shipped
    takes the goods out of the ledger there: all of them, or `shipped`, which counts units so far by order line, of kits whole
    ones. Raises
    `ImpossibleMove`, `InvalidStockRequest`, and `StockBusy`, after which it may be tried again.
    """
    with domain_errors(), transaction.atomic():
        order = locked_order(_order_id(request_id))
        request = FulfilmentRequest.objects.select_related("location").get(pk=request_id)
        was = RequestState(request.state)
        if was is to and to is not SHIPPED:
            return request
        if to is REFUSED:
            _refuse(order, request, reason)
        elif to is SHIPPED:
            _ship(order, request, shipped)
        elif to in (NEW, SENT, CANCELLED):
            raise ImpossibleMove(was.label.lower(), to.label.lower())
        else:
            _go(request, to)
    request.refresh_from_db()
    return request


def _order_id(request_id: int) -> int:
    order_id: int = FulfilmentRequest.objects.values_list("order_id", flat=True).get(pk=request_id)
    return order_id


def _go(request: FulfilmentRequest, to: RequestState, **fields: Any) -> None:
    """Moves a request from the state it was read in. Raises `StockBusy` where that is not its state any more."""
    check_move(RequestState(request.state), to)
    rows = FulfilmentRequest.objects.filter(pk=request.pk, state=request.state)
    if not rows.update(state=to, **fields):
        raise StockBusy
    request.state = to


def _lock_levels(order: ChannelOrder, request: FulfilmentRequest) -> None:
    """Takes the ledger's locks before the request's own, as everybody does: at once for all that the order may touch.

    Its settlement locks every line's goods, where they are held and where they may be; later on it would take locks out of
    order.
    """
    merchant_id = order.channel.merchant_id
    lines = list(order.lines.filter(variant__isnull=False))
    references = [line.reference for line in lines]
    held = holds.places_of(merchant_id, references, shipped=references)
    sold = {variant_id_of(line) for line in lines}
    parts = {part for kit in current_kits(merchant_id, sold).values() for part, _ in kit.parts}
    serving = {site.location_id for site in places_of(order.channel).sites}
    variants = sold | parts | {variant for variant, _ in held}
    lock_levels(merchant_id, variants, {request.location_id, *serving, *(place for _, place in held)})


def _refuse(order: ChannelOrder, request: FulfilmentRequest, reason: str) -> None:
    """Closes the request, and has the whole order planned again without its location."""
    _lock_levels(order, request)
    _go(request, REFUSED, reason=reason[:1000], closed_at=timezone.now(), done=F("wanted"))
    ChannelOrderLine.objects.filter(requested__request=request).update(is_sourced_by_hand=False)
    bring_up(order, Occasion(f"refused:{request.pk}", is_replanned=True))


def _ship(order: ChannelOrder, request: FulfilmentRequest, shipped: Mapping[int, int] | None) -> None:
    """Notes what left, and has the ledger follow: the order is shipped as far as platform or warehouses say."""
    if request.state != SHIPPED:
        check_move(RequestState(request.state), SHIPPED)
    _lock_levels(order, request)
    counts = _note_reported(order, request, shipped)
    bring_up(order, Occasion(f"shipped:{request.pk}:{counts}"))
    request.refresh_from_db(fields=["state"])
    if request.state == CANCELLED:
        request.lines.update(quantity=F("reported"), shipped=F("reported"))
        units = sum(counts.values())
        _go(request, SHIPPED, units=units, shipped_units=units, done=F("wanted"))
    elif request.state in (NEW, SENT, ACCEPTED):
        _go(request, PICKED)


def _note_reported(
    order: ChannelOrder, request: FulfilmentRequest, shipped: Mapping[int, int] | None
) -> dict[int, int]:
    """Writes down the units that left by the warehouse's word; a count never falls. Returns them by order line.

    `shipped` counts what the order lines sell: of a line of kits, kits.
    """
    lines = list(request.lines.select_related("order_line").order_by("id"))
    unknown = set(shipped or {}) - {line.order_line_id for line in lines}
    if unknown or any(units < 0 for units in (shipped or {}).values()):
        raise InvalidStockRequest("shipped", "names units of lines that the request does not have.")
    of_kits = {line.order_line_id for line in lines if line.variant_id != line.order_line.variant_id}
    per_kit = units_per_kit(order, of_kits) if shipped and of_kits else {}
    counts: Counter[int] = Counter()
    for line in lines:
        everything = line.quantity or line.told or 0
        per_unit = per_kit.get((line.order_line_id, request.location_id, line.variant_id), 1)
        said = everything if shipped is None else shipped.get(line.order_line_id, 0) * per_unit
        line.reported = max(line.reported, said)
        counts[line.order_line_id] += line.reported
    FulfilmentLine.objects.bulk_update(lines, ["reported"])
    return dict(counts)
