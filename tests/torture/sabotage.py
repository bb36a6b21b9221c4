"""Safeguards switched off from outside the production code: a torture that does not notice proves nothing.

Each names the functions that it replaces, the faults under which its absence shows, and the invariants of which at least
one must then be violated.
"""

import random
import time
import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any, Final

from django.db import connection

from channels import deliveries, pushes, sending
from inventory import announcements, answers, ledger, locking, posting
from inventory.locking import LockedLevel

#: Seconds for which a stale number is told again.
_STALE_SECONDS: Final = 20.0
#: Seconds between the reading of a level and the decision by it, in which others get their turn.
_BLINK: Final = 0.003


@dataclass(frozen=True, slots=True)
class Sabotage:
    """One safeguard, and how it is missed."""

    #: What it keeps from happening.
    safeguard: str
    switch_off: Callable[[], None]
    #: Under which its absence shows soonest.
    faults: tuple[str, ...]
    events: int
    seconds: float
    #: At least one of these must be violated.
    breaks: tuple[str, ...]


def _without_locks() -> None:
    """Levels are read and not locked: two operations decide by the same numbers."""
    locking._LOCK = locking._LOCK.replace("FOR NO KEY UPDATE", "")  # type: ignore[misc]
    posting.lock_levels = _slowly(locking.lock_levels)


def _slowly(lock_levels: Callable[..., list[LockedLevel]]) -> Callable[..., list[LockedLevel]]:
    def read(*args: Any) -> list[LockedLevel]:
        levels = lock_levels(*args)
        time.sleep(_BLINK)
        return levels

    return read


def _without_dedupe() -> None:
    """Every message is stored under a key of its own, however often it comes."""
    deliveries._bounded_key = lambda key: f"{uuid.uuid4()}"


def _without_due_marks() -> None:
    """Nobody hears in the ledger's transaction what has to be told."""
    announcements._listeners.remove(pushes.mark_due)


def _with_stale_numbers() -> None:
    """A number is computed before it is leased: what was known then is told, and counts as told."""
    compute = sending.exposures
    known: dict[int, tuple[float, Any]] = {}

    def remembered(ids: Collection[int]) -> dict[int, Any]:
        now = time.monotonic()
        for identity, exposure in compute(ids).items():
            if now - known.get(identity, (-_STALE_SECONDS, None))[0] >= _STALE_SECONDS:
                known[identity] = (now, exposure)
        return {identity: known[identity][1] for identity in ids if identity in known}

    sending.exposures = remembered


def _with_locks_in_any_order() -> None:
    """Each level is locked by a statement of its own, in no order."""

    def lock_levels(
        merchant_id: int, variant_ids: Collection[int], location_ids: Collection[int]
    ) -> list[LockedLevel]:
        pairs = [(variant, place) for variant in variant_ids for place in location_ids]
        random.shuffle(pairs)
        found = []
        with connection.cursor() as cursor:
            for variant, place in pairs:
                cursor.execute(locking._LOCK, [merchant_id, [variant], [place]])
                found += [LockedLevel(*row) for row in cursor.fetchall()]
        return sorted(found, key=lambda level: level.id)

    posting.lock_levels = lock_levels


def _without_idempotency() -> None:
    """A key that was used is taken for a new one, by the API and by the ledger."""
    begin_answer, begin_operation = answers._begin, ledger._begin
    answers._begin = lambda merchant, key, digest: begin_answer(merchant, f"{key}{uuid.uuid4()}", digest)

    def begin(cursor: Any, start: Any) -> Any:
        context = replace(start.context, key=f"{start.context.key[:150]}:{uuid.uuid4()}")
        return begin_operation(cursor, replace(start, context=context))

    ledger._begin = begin


SABOTAGES: Final[dict[str, Sabotage]] = {
    "no-lock": Sabotage(
        "levels are locked before anything is decided by them",
        _without_locks,
        ("opposite-lines", "last-unit", "repeated-calls"),
        240,
        6.0,
        ("versions-are-taken-once", "ledger-replays", "nothing-fails"),
    ),
    "no-dedupe": Sabotage(
        "a message is stored once, however often it comes",
        _without_dedupe,
        ("repeated",),
        60,
        3.0,
        ("acknowledged-is-stored-once",),
    ),
    "no-due-mark": Sabotage(
        "what changes stock marks the shelves that show it, in the same transaction",
        _without_due_marks,
        (),
        60,
        3.0,
        ("shops-show-the-ledger",),
    ),
    "stale-push": Sabotage(
        "a number is computed when it is sent",
        _with_stale_numbers,
        (),
        120,
        5.0,
        ("shops-show-the-ledger",),
    ),
    "unsorted-locks": Sabotage(
        "locks are taken in one order",
        _with_locks_in_any_order,
        ("opposite-lines",),
        240,
        5.0,
        ("no-deadlock",),
    ),
    "double-apply": Sabotage(
        "what is sent again under its key is done once",
        _without_idempotency,
        ("repeated-calls",),
        100,
        4.0,
        ("done-once-for-its-key", "stock-is-accounted-for"),
    ),
}
