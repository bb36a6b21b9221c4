"""Safeguards switched off from outside the production code: a torture that does not notice proves nothing.

Each names the functions that it replaces, the faults under which its absence shows, and the invariants of which at least
one must then be violated.
"""

import dataclasses
import random
import time
import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final

from channels import deliveries, pushes, sending
from channels.exposure import Exposure, exposures
from inventory import announcements, answers, ledger, locking, posting
from inventory.locking import LockedLevel
from tests.torture.patching import replace

#: Seconds for which a stale number is told again.
_STALE_SECONDS: Final = 120.0
#: Seconds between the reading of a level and the decision by it, and between one lock and the next, in which others get
#: their turn: without them it would be left to chance whether two meet.
_BLINK: Final = 0.02


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
    replace(locking, "_LOCK", locking._LOCK.replace("FOR NO KEY UPDATE", ""))
    read = locking.lock_levels

    def lock_levels(*args: Any) -> list[LockedLevel]:
        levels = read(*args)
        time.sleep(_BLINK)
        return levels

    replace(posting, "lock_levels", lock_levels)


def _without_dedupe() -> None:
    """Every message is stored under a key of its own, however often it comes."""
    replace(deliveries, "_bounded_key", lambda key: f"{uuid.uuid4()}")


def _without_due_marks() -> None:
    """Nobody hears in the ledger's transaction what has to be told."""
    announcements._listeners.remove(pushes.mark_due)


def _with_stale_numbers() -> None:
    """A number is computed before it is leased: what was known then is told, and counts as told."""
    known: dict[int, tuple[float, Exposure]] = {}

    def remembered(ids: Collection[int]) -> dict[int, Exposure]:
        now = time.monotonic()
        for identity, exposure in exposures(ids).items():
            if now - known.get(identity, (-_STALE_SECONDS, exposure))[0] >= _STALE_SECONDS:
                known[identity] = (now, exposure)
        return {identity: known[identity][1] for identity in ids if identity in known}

    replace(sending, "exposures", remembered)


def _with_locks_in_any_order() -> None:
    """Each level is locked by a statement of its own, in no order."""
    lock = locking.lock_levels

    def lock_levels(
        merchant_id: int, variant_ids: Collection[int], location_ids: Collection[int]
    ) -> list[LockedLevel]:
        pairs = [(variant, place) for variant in variant_ids for place in location_ids]
        random.shuffle(pairs)
        found = []
        for variant, place in pairs:
            found += lock(merchant_id, [variant], [place])
            time.sleep(_BLINK / len(pairs))
        return sorted(found, key=lambda level: level.id)

    replace(posting, "lock_levels", lock_levels)


def _without_idempotency() -> None:
    """A key that was used is taken for a new one, by the API and by the ledger."""
    begin_answer, begin_operation = answers._begin, ledger._begin

    def begin_anew(merchant_id: int, key: str, digest: str) -> int | None:
        return begin_answer(merchant_id, f"{key}{uuid.uuid4()}", digest)

    def begin(cursor: Any, start: Any) -> Any:
        context = dataclasses.replace(start.context, key=f"{start.context.key[:150]}:{uuid.uuid4()}")
        return begin_operation(cursor, dataclasses.replace(start, context=context))

    replace(answers, "_begin", begin_anew)
    replace(ledger, "_begin", begin)


SABOTAGES: Final[dict[str, Sabotage]] = {
    "no-lock": Sabotage(
        "levels are locked before anything is decided by them",
        _without_locks,
        ("opposite-lines", "last-unit", "repeated-calls"),
        80,
        2.5,
        ("versions-are-taken-once", "ledger-replays"),
    ),
    "no-dedupe": Sabotage(
        "a message is stored once, however often it comes",
        _without_dedupe,
        ("repeated",),
        40,
        1.5,
        ("acknowledged-is-stored-once",),
    ),
    "no-due-mark": Sabotage(
        "what changes stock marks the shelves that show it, in the same transaction",
        _without_due_marks,
        (),
        40,
        1.5,
        ("shops-show-the-ledger",),
    ),
    "stale-push": Sabotage(
        "a number is computed when it is sent",
        _with_stale_numbers,
        (),
        60,
        3.0,
        ("shops-show-the-ledger",),
    ),
    "unsorted-locks": Sabotage(
        "locks are taken in one order",
        _with_locks_in_any_order,
        ("opposite-lines",),
        80,
        2.5,
        ("no-deadlock",),
    ),
    "double-apply": Sabotage(
        "what is sent again under its key is done once",
        _without_idempotency,
        ("repeated-calls",),
        60,
        2.0,
        ("done-once-for-its-key",),
    ),
}
