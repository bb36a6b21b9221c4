"""Processes that do one kind of work again and again, started once: what is measured is the work, not the start of Python."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any

from config.environment import BASE_DIR
from tests.benchmarks.scratch import environment


@contextmanager
def workers(count: int, work: str) -> Iterator[list["Worker"]]:
    """Starts processes that do this work (`module:function`) on the database in use; ends them afterwards."""
    started = [Worker(work) for _ in range(count)]
    try:
        for worker in started:
            worker.wait()
        yield started
    finally:
        for worker in started:
            worker.stop()


class Worker:
    """One of them. A job is a JSON object, and so is its answer."""

    def __init__(self, work: str) -> None:
        command = [sys.executable, "-m", "tests.benchmarks.worker", work]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=BASE_DIR,
            env=environment(),
        )

    def begin(self, job: dict[str, Any]) -> None:
        """Hands over a job."""
        pipe = _pipe(self._process.stdin)
        pipe.write(json.dumps(job) + "\n")
        pipe.flush()

    def wait(self) -> dict[str, Any]:
        """Returns the answer to the job, or to the start."""
        line = _pipe(self._process.stdout).readline()
        if not line:
            raise RuntimeError("A process of the benchmark has ended; what it said stands above.")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def do(self, job: dict[str, Any]) -> dict[str, Any]:
        """Has a job done."""
        self.begin(job)
        return self.wait()

    def stop(self) -> None:
        """Ends the process."""
        try:
            self._process.communicate(timeout=30)
        except (subprocess.TimeoutExpired, BrokenPipeError):
            self._process.kill()
            self._process.wait()


def together(chosen: Sequence[Worker], job: dict[str, Any]) -> list[dict[str, Any]]:
    """Has all of them do the same job at the same time; returns their answers."""
    for worker in chosen:
        worker.begin(job)
    return [worker.wait() for worker in chosen]


def _pipe(pipe: IO[str] | None) -> IO[str]:
    if pipe is None:
        raise RuntimeError("the worker has no pipe")
    return pipe
