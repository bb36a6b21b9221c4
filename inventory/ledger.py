"""The ledger's one writer: every change of stock is an operation that passes through `perform`.

    insert the operation → lock the levels → check → append movements, levels, reservations, conflicts → announce

The operation row comes first, unique on (merchant, key), so that a concurrent twin waits for it and then gives the first
outcome again. What the operation decides is collected in a `Posting`, in memory, and appended in one statement:
the number of statements does not depend on the number of lines.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final

from django.db import DatabaseError, connection, transaction

from config.database import PLAN_ONCE
from inventory import announcements, kit_backorders
from inventory.arrays import array
from inventory.errors import (
    IdempotencyConflict,
    InvalidStockRequest,
    LedgerIsAppendOnly,
    StockBusy,
    StockError,
)
from inventory.kits import KITS_AS_JSON, Kit, kits_from
from inventory.locking import MoreLevels
from inventory.posting import Posting
from inventory.posting_rows import Held, Promised, Short
from inventory.statements import append_statement
from inventory.validation import check_text


@dataclass(frozen=True, slots=True)
class Context:
    """Who asks for an operation and why, and the key that makes repeating it harmless."""

    merchant_id: int
    #: Unique within the merchant; at most 200 characters.
    key: str
    actor: str = ""
    source: str = ""
    document: str = ""
    #: When it happened by the clock of whoever reports it; None: now.
    occurred_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an operation did; a repeat gets the first one's again."""

    operation_id: int
    held: tuple[Held, ...] = ()
    short: tuple[Short, ...] = ()
    promised: tuple[Promised, ...] = ()
    is_repeat: bool = False


_BEGIN: Final = """
INSERT INTO inventory_stockoperation
    (merchant_id, key, digest, verb, actor, source, document, occurred_at, recorded_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, coalesce(%s::timestamptz, clock_timestamp()), clock_timestamp())
ON CONFLICT (merchant_id, key) DO NOTHING
RETURNING id, ARRAY(
    SELECT nextval(pg_get_serial_sequence('inventory_reservation', 'id')) FROM generate_series(1, %s)),
    ({kits} bundle.merchant_id = inventory_stockoperation.merchant_id AND bundle.variant_id = ANY(%s::bigint[])),
    {plan_once}
"""
_BEGIN_SQL: Final = _BEGIN.format(kits=KITS_AS_JSON, plan_once=PLAN_ONCE)

_FIRST: Final = "SELECT id, digest, outcome FROM inventory_stockoperation WHERE merchant_id = %s AND key = %s"

_MORE_RESERVATION_IDS: Final = """
SELECT nextval(pg_get_serial_sequence('inventory_reservation', 'id')) FROM generate_series(1, %s)
"""

#: How often an operation begins anew because it needs further levels; each time it has all that it needed before.
_ATTEMPTS: Final = 8

#: What PostgreSQL says where others hold the rows; whoever is told so tries again.
BUSY_STATES: Final = {"55P03": "lock timeout", "40P01": "deadlock", "40001": "serialisation failure"}

#: What PostgreSQL says → what it means here. `23001` our own trigger, `22003` a number out of range.
_ERRORS_BY_STATE: Final[dict[str, Callable[[], StockError]]] = {
    **{state: partial(StockBusy, reason) for state, reason in BUSY_STATES.items()},
    "23001": LedgerIsAppendOnly,
    "22003": partial(InvalidStockRequest, "lines", "a number does not fit into 64 bits."),
}


def perform(
    context: Context,
    verb: str,
    request: Any,
    work: Callable[[Posting], None],
    *,
    reservations: int = 0,
    variants: Collection[int] = (),
) -> Outcome:
    """Runs one operation exactly once for its key, and returns its outcome.

    `request` is what the caller asked for, as JSON; its digest tells a repeat from a reused key. `work` locks, checks and
    posts; it may be called again from the start where it turns out to need further levels. `reservations` says how many
    new ones to expect, which saves asking for their ids later; those of `variants` that are kits are in `posting.kits`.

    Raises what `work` raises, `IdempotencyConflict`, and `StockBusy` when the rows could not be had in time; a refused
    operation leaves nothing behind, its key included.
    """
    _check(context)
    start = _Start(context, verb, _digest(verb, request), reservations, sorted(set(variants)))
    also: frozenset[tuple[int, int]] = frozenset()
    for _ in range(_ATTEMPTS):
        try:
            return _perform(start, work, also)
        except MoreLevels as needed:
            also |= needed.pairs
    raise StockBusy


@dataclass(frozen=True, slots=True)
class _Start:
    """What an operation begins with."""

    context: Context
    verb: str
    digest: str
    reservations: int
    variants: list[int]


def _perform(start: _Start, work: Callable[[Posting], None], also: frozenset[tuple[int, int]]) -> Outcome:
    context = start.context
    with domain_errors(), transaction.atomic():
        with connection.cursor() as cursor:
            begun = _begin(cursor, start)
            if begun is None:
                return _first_outcome(cursor, context, start.digest)
            operation_id, reservation_ids, kits = begun
            posting = Posting(context.merchant_id, operation_id=operation_id, kits=kits, also=also)
            work(posting)
            kit_backorders.balance(posting)
            _name_reservations(cursor, posting, reservation_ids)
            kit_backorders.write(posting, operation_id)
            if posting.inbound is not None:
                posting.inbound.write(operation_id)
            _append(cursor, context, operation_id, posting)
        announcements.announce_holds(context.merchant_id, posting.hold_changes())
        announcements.announce(context.merchant_id, posting.level_changes())
    return Outcome(operation_id, tuple(posting.held()), tuple(posting.short()), tuple(posting.promised))


def _check(context: Context) -> None:
    if not context.key:
        raise InvalidStockRequest("key", "an operation needs an idempotency key.")
    for field, longest in (("key", 200), ("actor", 200), ("source", 100), ("document", 200)):
        check_text(field, getattr(context, field), longest=longest)


def _digest(verb: str, request: Any) -> str:
    text = json.dumps([verb, request], sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _begin(cursor: Any, start: _Start) -> tuple[int, list[int], dict[int, Kit]] | None:
    """Inserts the operation; None when its key is taken (after waiting for whoever is taking it)."""
    c = start.context
    cursor.execute(
        _BEGIN_SQL,
        [
            c.merchant_id,
            c.key,
            start.digest,
            start.verb,
            c.actor,
            c.source,
            c.document,
            c.occurred_at,
            start.reservations,
            array(start.variants),
        ],
    )
    row = cursor.fetchone()
    return None if row is None else (row[0], row[1], kits_from(row[2]))


def _name_reservations(cursor: Any, posting: Posting, ids: list[int]) -> None:
    """Gives the new reservations their ids: those fetched with the operation, and more where they do not suffice."""
    missing = len(posting.new_reservations) - len(ids)
    if missing > 0:
        cursor.execute(_MORE_RESERVATION_IDS, [missing])
        ids = ids + [identity for (identity,) in cursor.fetchall()]
    for reservation, identity in zip(posting.new_reservations, ids, strict=False):
        reservation.id = identity


def _first_outcome(cursor: Any, context: Context, digest: str) -> Outcome:
    """Gives the outcome of the operation that has the key already."""
    cursor.execute(_FIRST, [context.merchant_id, context.key])
    operation_id, first_digest, stored = cursor.fetchone()
    if first_digest != digest:
        raise IdempotencyConflict(context.key)
    outcome = json.loads(stored) if isinstance(stored, str) else stored
    held = tuple(Held(*row) for row in outcome["held"])
    short = tuple(Short(*row) for row in outcome["short"])
    promised = tuple(Promised(*row) for row in outcome.get("promised", ()))
    return Outcome(operation_id, held, short, promised, is_repeat=True)


def _append(cursor: Any, context: Context, operation_id: int, posting: Posting) -> None:
    """Writes everything the posting holds in one statement."""
    outcome = {
        "held": [h.as_row() for h in posting.held()],
        "short": [s.as_row() for s in posting.short()],
        "promised": [p.as_row() for p in posting.promised],
        **posting.renewed(),
    }
    sql, parameters = append_statement(
        posting,
        operation_id=operation_id,
        occurred_at=context.occurred_at,
        outcome=json.dumps(outcome),
    )
    cursor.execute(sql, parameters)


@contextmanager
def domain_errors() -> Iterator[None]:
    """Turns what PostgreSQL refuses into the inventory's own errors."""
    try:
        yield
    except DatabaseError as error:
        _refuse_stock_of_kit(error)
        state = getattr(error.__cause__, "sqlstate", None)
        domain_error = _ERRORS_BY_STATE.get(state or "")
        if domain_error is None:
            raise
        raise domain_error() from error


def _refuse_stock_of_kit(error: DatabaseError) -> None:
    """Raises `InvalidStockRequest` where a level of a kit would have gained units."""
    said = getattr(error.__cause__, "diag", None)
    if said is not None and said.constraint_name == "kit_has_no_stock":
        message = (
            f"{said.message_detail} is a kit by now, and a kit has no stock of its own. Record what came as its "
            "components, or dissolve the kit first and repeat this."
        )
        raise InvalidStockRequest("variant_id", message) from error
