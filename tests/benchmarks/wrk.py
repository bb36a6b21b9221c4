"""wrk, which asks a web server as fast as it answers, over so many connections at once."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.benchmarks.programs import ProgramFailed, path_of

#: Posts messages, or reads one page, and prints what came of it as JSON.
SCRIPT: Final = Path(__file__).with_name("wrk.lua")
_MARK: Final = "measured: "


@dataclass(frozen=True, slots=True)
class Load:
    """What came of a while of asking."""

    #: Answers with a status below 400.
    answered: int
    #: Answers with another one, and connections that failed.
    failed: int
    seconds: float
    #: Milliseconds by percentile.
    p50: float
    p95: float
    p99: float
    longest: float

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answered / self.seconds


def find() -> str:
    """Returns where wrk is. Raises `ProgramFailed` where it is not installed."""
    return path_of("wrk", package="wrk")


def read(url: str, *, connections: int, seconds: float) -> Load:
    """Reads one page again and again."""
    return _run(url, connections, seconds)


def post(url: str, messages: Path, *, prefix: str, connections: int, seconds: float) -> Load:
    """Posts the messages of a file in turn, each time under another id that begins with the prefix."""
    return _run(url, connections, seconds, str(messages), prefix)


def _run(url: str, connections: int, seconds: float, *arguments: str) -> Load:
    command = [
        find(),
        # One thread: more would take the cores that the server needs.
        *("--threads", "1", "--connections", str(connections), "--duration", f"{max(round(seconds), 1)}s"),
        *("--timeout", "30s", "--script", str(SCRIPT), url, "--", *arguments),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = [line for line in done.stdout.splitlines() if line.startswith(_MARK)]
    if done.returncode or not found:
        raise ProgramFailed(f"wrk failed: {(done.stderr or done.stdout)[-2000:]}")
    return Load(**json.loads(found[0].removeprefix(_MARK)))
