"""How much memory a set of processes takes: a page that several share counts once in all (PSS)."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import psutil
from django.db import connection

#: Seconds between two looks.
EVERY: Final = 1.0

Processes = Callable[[], Mapping[str, Iterable[psutil.Process]]]


def server_processes() -> list[psutil.Process]:
    """Returns the processes of the PostgreSQL server in use; none where it runs on another machine."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    try:
        backend = psutil.Process(pid)
        parent = backend.parent() if backend.name() == "postgres" else None
    except psutil.NoSuchProcess:
        return []
    return [parent, *parent.children(recursive=True)] if parent is not None else []


def bytes_of(processes: Iterable[psutil.Process]) -> int:
    """Returns what these processes take; one that has ended meanwhile takes nothing."""
    return sum(_pss(process.pid) for process in processes)


def _pss(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0
    found = next((line for line in text.splitlines() if line.startswith("Pss:")), "Pss: 0 kB")
    return int(found.split()[1]) * 1024


class Watch:
    """Looks at the memory of processes again and again, in a thread of its own, while its block runs."""

    def __init__(self, processes: Processes, *, every: float = EVERY) -> None:
        self._processes = processes
        self._every = every
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="memory", daemon=True)
        #: Seconds since the start, and bytes by kind of process.
        self.looks: list[tuple[float, dict[str, int]]] = []
        self._started = time.monotonic()

    def __enter__(self) -> Self:
        self._look()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join(30)
        if error is None:
            self._look()

    def peak(self, measure: Callable[[Mapping[str, int]], int]) -> dict[str, int]:
        """Returns the look at which this was the largest: bytes by kind of process."""
        return max((look for _, look in self.looks), key=measure)

    def _run(self) -> None:
        try:
            while not self._stopping.wait(self._every):
                self._look()
        finally:
            connection.close()

    def _look(self) -> None:
        taken = {name: bytes_of(processes) for name, processes in self._processes().items()}
        self.looks.append((time.monotonic() - self._started, taken))


def megabytes(taken: int) -> float:
    """Returns bytes as megabytes of a million."""
    return round(taken / 1e6, 1)
