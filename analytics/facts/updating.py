"""Brings the facts up to date: what was committed since the last time, in small transactions of which each may be the last."""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from django.db import transaction

from analytics.facts.movements import count_movements
from analytics.facts.sales import count_changes
from analytics.locks import Task, is_alone


@dataclass(slots=True)
class Update:
    """What one run counted."""

    movements: int = 0
    #: Notes of changed orders.
    changes: int = 0
    #: Whether all is counted that was committed when the run ended.
    is_complete: bool = False


def update(*, seconds: float | None = None, note: Callable[[Update], None] = lambda _: None) -> Update:
    """Counts what is new, in as many transactions as it takes; stops after `seconds`, and the next run goes on from there.

    Does nothing while another one counts. `note` is told after each transaction.
    """
    until = None if seconds is None else monotonic() + seconds
    done = Update()
    while _count_once(done):
        note(done)
        if until is not None and monotonic() > until:
            break
    return done


@transaction.atomic
def _count_once(done: Update) -> bool:
    """Counts a piece; tells whether there may be more to count by this run."""
    if not is_alone(Task.COUNTING):
        return False
    movements, changes = count_movements(), count_changes()
    done.movements += movements
    done.changes += changes
    done.is_complete = not movements and not changes
    return not done.is_complete
