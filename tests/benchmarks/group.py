"""Processes that a benchmark starts on the database in use, under a supervisor as `serve` has it."""

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

import psutil

from config import processes
from config.supervisor import Child, Supervisor
from tests.benchmarks.scratch import environment

#: Seconds in which all of them have to show that they work.
PATIENCE: Final = 120.0


class Group:
    """Processes that were started together; call `look_after` every few seconds."""

    def __init__(self, children: Sequence[Child], directory: Path, variables: Mapping[str, str]) -> None:
        given = environment(**variables)
        self._names = [child.name for child in children]
        self._commands = {child.name: list(child.command) for child in children}
        self._supervisor = Supervisor(
            [replace(child, environment=given) for child in children], directory=directory
        )
        self._record = directory / "serve.json"

    def start(self) -> None:
        """Starts all of them and waits until each has shown that it works."""
        self._supervisor.take_over()
        self._supervisor.start()
        until = time.monotonic() + PATIENCE
        while not all(self._supervisor.is_up(name) for name in self._names):
            if time.monotonic() > until:
                raise RuntimeError(
                    f"Of {', '.join(self._names)} not all came up; what they said stands above."
                )
            self.look_after()
            time.sleep(0.05)

    def look_after(self) -> None:
        """Restarts what has ended."""
        self._supervisor.tick()

    def stop(self) -> None:
        """Ends all of them."""
        self._supervisor.stop()

    def processes(self) -> dict[str, list[psutil.Process]]:
        """Returns what is alive of each by name, with all that it has started."""
        identity = json.loads(self._record.read_text(encoding="utf-8"))["identity"]
        found: dict[str, list[psutil.Process]] = {name: [] for name in self._names}
        for process in processes.marked(identity):
            with suppress(psutil.Error, ProcessLookupError):
                found[self._name_of(process)].append(process)
        return found

    def _name_of(self, process: psutil.Process) -> str:
        """Each child leads a session, in which all that it starts stays."""
        command = psutil.Process(os.getsid(process.pid)).cmdline()
        return next((name for name, own in self._commands.items() if own == command), self._names[0])


@contextmanager
def running(children: Sequence[Child], **variables: str) -> Iterator[Group]:
    """Runs processes while the block runs, with these variables in their environment."""
    directory = Path(tempfile.mkdtemp(prefix="onecount-benchmark-"))
    group = Group(children, directory, variables)
    try:
        group.start()
        yield group
    finally:
        group.stop()
        shutil.rmtree(directory, ignore_errors=True)
