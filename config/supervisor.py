"""Keeps a group of child processes running, and leaves none behind.

Each child leads a session of its own. When one ends, or its heartbeat stops, everything it started is killed
and it is started again, each time a little later. The children and all that they start carry the supervisor's
identity in their environment. It is stored before the first child starts, so that the next supervisor finds
and kills what a killed one left, whatever has become of the process tree.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

import psutil
import structlog

from config import heartbeat, processes

#: Seconds without a heartbeat after which a child counts as hung.
SILENCE_LIMIT: Final = 10.0
#: Seconds that a child is given for its first beat.
START_LIMIT: Final = 60.0
#: A child that was replaced for its silence is given twice as long the next time, up to the above: on a machine that has far
#: too much to do it is starved and not hung, and to begin it anew takes more than to let it be. Seconds for which a child has
#: to run until that is forgotten.
_TRUSTED_AFTER: Final = 600.0
#: Seconds between the request to stop and the kill.
STOP_LIMIT: Final = 2.0

_PROBE_INTERVAL: Final = 2.0
_TICK: Final = 0.1
_FIRST_DELAY: Final = 0.5
_LONGEST_DELAY: Final = 30.0
#: A child that has run this long is healthy, and its next restart is not delayed by earlier ones.
_SETTLED_AFTER: Final = 60.0

_log = structlog.get_logger(__name__)


class AlreadySupervised(RuntimeError):
    """Another supervisor runs in this data directory."""


@dataclass(frozen=True)
class Child:
    """A resident process: what to run, and how it shows that it works."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    #: Asked every two seconds on behalf of a child that does not write its heartbeat itself.
    probe: Callable[[], bool] | None = None
    #: Whether silence ends it; False for a child that neither beats nor can be asked.
    is_watched: bool = True


class Supervisor:
    """Starts, watches, restarts and stops children; `directory` holds its lock and the heartbeats.

    It forks, so that the process that runs it should have no other threads when children start.
    """

    def __init__(self, children: Sequence[Child], *, directory: Path) -> None:
        self._directory = directory
        self._identity = uuid.uuid4().hex
        self._running = [
            _RunningChild(child, directory / f"{child.name}.heartbeat", self._identity) for child in children
        ]
        self._lock: IO[bytes] | None = None
        self._is_stopping = False

    def take_over(self) -> None:
        """Ends what a killed predecessor left; raises AlreadySupervised beside a living one."""
        self._directory.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(self._directory / "serve.lock")
        record = self._directory / "serve.json"
        _kill_leftovers(record)
        _write(
            record,
            {"identity": self._identity, "pid": os.getpid(), "started_at": psutil.Process().create_time()},
        )

    def start(self) -> None:
        """Starts the children; after `take_over`."""
        for child in self._running:
            child.start()

    def tick(self) -> None:
        """Restarts whatever has ended or hangs; to be called several times a second."""
        for child in self._running:
            child.look_after()

    def run(self, on_tick: Callable[[], None]) -> None:
        """Looks after the children until `request_stop`; `on_tick` is called in between."""
        while not self._is_stopping:
            self.tick()
            on_tick()
            time.sleep(_TICK)

    def request_stop(self) -> None:
        """Makes `run` return; safe in a signal handler."""
        self._is_stopping = True

    def is_up(self, name: str) -> bool:
        """Returns whether the child of this name has shown since its last start that it works."""
        return any(child.has_beaten() for child in self._running if child.spec.name == name)

    def stop(self) -> None:
        """Asks all children to end, then kills what is left of them and of what they started."""
        for child in self._running:
            child.ask_to_end()
        deadline = time.monotonic() + STOP_LIMIT
        while any(child.is_alive() for child in self._running) and time.monotonic() < deadline:
            time.sleep(0.02)
        killed = processes.kill_marked(self._identity)
        if killed:
            _log.warning("killed_at_stop", processes=killed)
        for child in self._running:
            child.reap()
        if self._lock is not None:
            self._lock.close()
            self._lock = None


class _RunningChild:
    """One child and what is known about its present run."""

    def __init__(self, spec: Child, heartbeat_file: Path, identity: str) -> None:
        self.spec = spec
        self._file = heartbeat_file
        self._identity = identity
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._start_due_at = 0.0
        self._probed_at = 0.0
        self._delay = _FIRST_DELAY
        self._patience = SILENCE_LIMIT

    def start(self) -> None:
        self._file.unlink(missing_ok=True)
        added = {processes.MARK: self._identity, heartbeat.FILE_VARIABLE: str(self._file)}
        self._process = subprocess.Popen(
            list(self.spec.command),
            env={**os.environ, **self.spec.environment, **added},
            stdin=subprocess.DEVNULL,
            # Standard output is for what the command itself reports.
            stdout=2,
            start_new_session=True,
            preexec_fn=_end_with_supervisor,
        )
        self._started_at = time.monotonic()
        _log.info("child_started", child=self.spec.name, pid=self._process.pid)

    def look_after(self) -> None:
        if self._process is None:
            if time.monotonic() >= self._start_due_at:
                self.start()
            return
        self._probe()
        status = self._process.poll()
        if status is not None:
            self._restart_later("child_ended", status=status)
        elif self.spec.is_watched and self._silence() > self._limit():
            silent = self._silence()
            self._be_more_patient()
            self._restart_later("child_hung", silent_seconds=round(silent, 1))

    def has_beaten(self) -> bool:
        return self.is_alive() and self._file.exists()

    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def ask_to_end(self) -> None:
        if self._process is not None and self.is_alive():
            self._process.terminate()

    def reap(self) -> None:
        if self._process is not None:
            self._process.wait()
        self._file.unlink(missing_ok=True)

    def _probe(self) -> None:
        if self.spec.probe is not None and time.monotonic() - self._probed_at >= (
            _PROBE_INTERVAL if self.has_beaten() else _TICK
        ):
            self._probed_at = time.monotonic()
            if self.spec.probe():
                self._file.touch()

    def _limit(self) -> float:
        return self._patience if self._file.exists() else START_LIMIT

    def _be_more_patient(self) -> None:
        is_first = time.monotonic() - self._started_at > _TRUSTED_AFTER
        self._patience = min(2 * (SILENCE_LIMIT if is_first else self._patience), START_LIMIT)

    def _silence(self) -> float:
        """Returns the seconds since the last beat, or since the start where there was none."""
        try:
            # A clock that was set back must not look like silence, nor one set forward hide it for ever.
            age = abs(time.time() - self._file.stat().st_mtime)
        except FileNotFoundError:
            return time.monotonic() - self._started_at
        return min(age, time.monotonic() - self._started_at)

    def _restart_later(self, event: str, **details: float) -> None:
        if time.monotonic() - self._started_at > _SETTLED_AFTER:
            self._delay = _FIRST_DELAY
        _log.error(event, child=self.spec.name, restart_in_seconds=self._delay, **details)
        self._kill_session()
        self._start_due_at = time.monotonic() + self._delay
        self._delay = min(self._delay * 2, _LONGEST_DELAY)

    def _kill_session(self) -> None:
        """Kills the child with everything that is still in the process group it leads."""
        if self._process is None:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None


def _end_with_supervisor() -> None:
    processes.die_with_parent(signal.SIGTERM)


def _locked(path: Path) -> IO[bytes]:
    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise AlreadySupervised(f"Another `serve` or `demo` runs here; {path} is locked.") from None
    return file


def _kill_leftovers(record: Path) -> None:
    try:
        identity = json.loads(record.read_text(encoding="utf-8"))["identity"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return
    killed = processes.kill_marked(identity)
    if killed:
        _log.warning("took_over_from_killed_supervisor", killed=killed)


def _write(path: Path, content: dict[str, object]) -> None:
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(content), encoding="utf-8")
    draft.replace(path)


def python_child(name: str, *arguments: str, probe: Callable[[], bool] | None = None) -> Child:
    """Returns a child that runs this Python with the arguments."""
    return Child(name=name, command=(sys.executable, *arguments), probe=probe)
