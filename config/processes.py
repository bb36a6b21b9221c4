"""What processes ask of the operating system and the interpreter: not to outlive their parent, and to stay quick."""

import ctypes
import gc
import os
import signal
import sys
import time
from contextlib import suppress
from typing import Final

import psutil

_PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None

#: The supervisor puts this into the environment of its children; whatever they start in turn inherits it.
MARK: Final = "ONECOUNT_SERVE_ID"


def die_with_parent(number: signal.Signals) -> None:
    """Has the kernel send this signal to the current process when its parent ends; on Linux only."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)


def marked(identity: str) -> list[psutil.Process]:
    """Returns the live processes that this supervisor started, grandchildren and orphans too."""
    return [process for process in psutil.process_iter() if _is_marked(process, identity)]


def _is_marked(process: psutil.Process, identity: str) -> bool:
    if process.pid == os.getpid():
        return False
    try:
        return process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARK) == identity
    except (psutil.NoSuchProcess, psutil.AccessDenied, OSError):
        return False


def kill_marked(identity: str) -> int:
    """Kills what `marked` finds, again until nothing is left, and returns how many processes there were."""
    killed: set[int] = set()
    deadline = time.monotonic() + 5.0
    while (processes := marked(identity)) and time.monotonic() < deadline:
        for process in processes:
            kill(process)
        killed |= {process.pid for process in processes}
        psutil.wait_procs(processes, timeout=0.2)
    return len(killed)


def kill(process: psutil.Process) -> None:
    """Kills the process, if it still is the one it was."""
    with suppress(psutil.NoSuchProcess):
        process.kill()


def stay_resident() -> None:
    """Has the garbage collector leave alone what a process has loaded, and look less often at what it makes.

    Requests, tasks and pushes free nearly all they make by reference counts; the collector would walk over everything
    that lives for ever again and again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
