"""What must hold whatever happens: each a named check over database, shops and logs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from tests.torture.invariants import books, doors, ledger, logs, secrecy, shelves
from tests.torture.invariants.evidence import Evidence
from tests.torture.verdict import Violation

Check = Callable[[Evidence], list[Violation]]

#: Looked at again and again while everything goes wrong.
DURING: Final[Sequence[Callable[[], list[Violation]]]] = (
    ledger.available_is_never_negative,
    ledger.levels_reserve_what_is_held,
    ledger.versions_are_gapless,
)

#: Name → what must hold, and what looks whether it does, once all is quiet.
AFTER: Final[dict[str, tuple[str, Check]]] = {
    "available-is-never-negative": (
        "No level promises more than it has.",
        lambda evidence: ledger.available_is_never_negative(),
    ),
    "levels-reserve-what-is-held": (
        "What a level has reserved is what its reservations hold.",
        lambda evidence: ledger.levels_reserve_what_is_held(),
    ),
    "ledger-replays": (
        "The sum of the movements is the level, version by version and in time.",
        ledger.replays,
    ),
    "ledger-is-append-only": ("No movement changes or goes.", ledger.is_append_only),
    "done-once-for-its-key": ("What was sent again under its key was done once.", ledger.done_once),
    "orders-are-in-the-books": (
        "Sales and cancellations are those of the shops' own books, and what is not held or shipped is owed.",
        books.orders_are_in_the_books,
    ),
    "stock-is-accounted-for": ("What is there is what came less what was shipped.", books.stock_adds_up),
    "nothing-is-held-for-nobody": (
        "No reservation is lost, and none outlives its demand or its end.",
        books.nothing_is_held_for_nobody,
    ),
    "shops-show-the-ledger": ("Every shop sells what is available.", shelves.shops_show_the_ledger),
    "shops-agree-in-time": (
        "Every shop shows the ledger within seconds of the last fault, where webhooks were lost within one more poll.",
        shelves.shops_agree_in_time,
    ),
    "pools-are-exclusive": (
        "Nobody else is offered what is ring-fenced, or ever was.",
        lambda evidence: shelves.pools_are_exclusive(evidence) + shelves.pools_were_exclusive(evidence),
    ),
    "acknowledged-is-stored-once": (
        "Every message that was answered with 200 is stored, and once.",
        doors.acknowledged_is_stored_once,
    ),
    "acknowledged-is-applied": ("What is stored is applied.", doors.acknowledged_is_applied),
    "forgeries-are-refused": ("What is not authentic is refused.", doors.forgeries_are_refused),
    "nothing-answers-500": ("No caller is answered with an error of ours.", doors.nothing_answers_500),
    "repeats-are-answered-alike": (
        "Calls under one key get one answer, and every call gets one.",
        doors.repeats_are_answered_alike,
    ),
    "late-messages-change-nothing": (
        "What comes when all is over changes nothing.",
        lambda evidence: evidence.changed_by_the_late,
    ),
    "no-deadlock": ("Nobody waits in a circle.", logs.no_deadlock),
    "versions-are-taken-once": (
        "No two operations decide by the same reading.",
        logs.versions_are_taken_once,
    ),
    "nothing-fails": ("Nothing fails for a reason of ours.", logs.nothing_fails),
    "retries-are-bounded": ("Nothing is tried for ever.", logs.retries_are_bounded),
    "nothing-is-given-up": ("Nothing is given up but what cannot be read.", logs.nothing_is_given_up),
    "no-secret-leaks": ("No secret is anywhere but encrypted.", secrecy.no_secret_leaks),
    "no-foreign-merchant-shows": (
        "Nobody sees anything of another merchant.",
        secrecy.no_foreign_merchant_shows,
    ),
    "no-customer-is-kept": ("Nothing of a customer is kept.", secrecy.no_customer_is_kept),
}

#: What must hold as soon as nothing new happens, however much is still on its way.
WITHOUT_REST: Final = frozenset(
    {
        "ledger-replays",
        "done-once-for-its-key",
        "acknowledged-is-stored-once",
        "no-deadlock",
        "versions-are-taken-once",
    }
)


@dataclass(frozen=True, slots=True)
class Found:
    """What was violated while it went on; the same thing once."""

    violations: dict[str, Violation]

    def look(self) -> None:
        """Looks at what must hold at any moment."""
        for check in DURING:
            for violation in check():
                self.violations.setdefault(violation.invariant, violation)


def judge(evidence: Evidence) -> list[Violation]:
    """Looks at everything."""
    return [violation for _, check in AFTER.values() for violation in check(evidence)]
