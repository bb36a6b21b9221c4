"""Processes that die in the middle of their work, as by a shortage of memory: no handler of theirs runs."""

import os
import signal
from collections.abc import Callable

from django.db import connections


def die_at(work: Callable[[Callable[[], None]], object]) -> None:
    """Has a process of its own do something with the database until it calls what it is given, which kills it.

    Raises `AssertionError` where it ended otherwise.
    """
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), f"it ended with {os.waitstatus_to_exitcode(status)}"
        return
    try:
        # The connection is the parent's; kept, because to drop it would end it.
        parents, connections["default"].connection = connections["default"].connection, None
        work(lambda: os.kill(os.getpid(), signal.SIGKILL))
        del parents
    finally:
        os._exit(1)
