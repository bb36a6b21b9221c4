"""What only one process does at a time: counting facts, and measuring key figures."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

from django.db import connection, transaction


class Task(IntEnum):
    """Names of advisory locks of PostgreSQL, unlike any other of the program."""

    COUNTING = 4_020_517
    MEASURING = 4_020_518


@contextmanager
def alone(task: Task) -> Iterator[None]:
    """Opens a transaction in which nobody else does the same; waits for whoever does, however long."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', '0', true), pg_advisory_xact_lock(%s)", [task])
        yield


def is_alone(task: Task) -> bool:
    """Takes the lock until the end of the transaction; False where somebody else has it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [task])
        is_ours: bool = cursor.fetchone()[0]
    return is_ours
