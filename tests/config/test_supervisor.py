"""Children are kept running, hung ones are replaced, and nothing outlives its supervisor."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from config import processes, supervisor
from config.environment import BASE_DIR
from config.supervisor import AlreadySupervised, Child, Supervisor

from .conftest import has_ended

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("processes")]

PATIENCE = 20.0

_BEATS = "import time; from config import heartbeat\nwhile True: heartbeat.beat(); time.sleep(0.05)"
_HANGS = "import time; from config import heartbeat\nheartbeat.beat(); time.sleep(600)"
#: A child that shrugs off SIGTERM, with a grandchild in a session of its own that does so too.
_STUBBORN = """
import signal, subprocess, sys, time
from config import heartbeat
signal.signal(signal.SIGTERM, signal.SIG_IGN)
code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
while True: heartbeat.beat(); time.sleep(0.05)
"""
_SUPERVISES = """
import sys
from pathlib import Path
from config.supervisor import Child, Supervisor
group = Supervisor([Child("stubborn", (sys.executable, "-c", sys.argv[2]))], directory=Path(sys.argv[1]))
group.take_over()
group.start()
group.run(lambda: None)
"""


def python(name: str, code: str) -> Child:
    return Child(name, (sys.executable, "-c", code))


@pytest.fixture(autouse=True)
def project_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the children import the project wherever they start."""
    monkeypatch.setenv("PYTHONPATH", str(BASE_DIR))


Start = Callable[..., Supervisor]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a supervisor over the children, and stops it after the test."""
    groups: list[Supervisor] = []

    def start(*children: Child) -> Supervisor:
        group = Supervisor(children, directory=tmp_path)
        groups.append(group)
        group.take_over()
        group.start()
        return group

    yield start
    for group in groups:
        group.stop()


def tick_until(group: Supervisor, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come about"
        group.tick()
        time.sleep(0.02)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come about"
        time.sleep(0.02)


def pids(group: Supervisor) -> set[int]:
    return {process.pid for process in processes.marked(group._identity)}


def test_a_child_that_dies_is_started_again(start: Start) -> None:
    group = start(python("beats", _BEATS))
    tick_until(group, lambda: group.is_up("beats"))
    (first,) = pids(group)
    os.kill(first, signal.SIGKILL)
    tick_until(group, lambda: group.is_up("beats") and first not in pids(group))


def test_a_child_that_keeps_dying_is_started_ever_more_seldom(start: Start) -> None:
    group = start(python("dies", "raise SystemExit(3)"))
    tick_until(group, lambda: group._running[0]._delay >= 4 * supervisor._FIRST_DELAY)


def test_a_child_that_falls_silent_is_replaced(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "SILENCE_LIMIT", 0.5)
    group = start(python("hangs", _HANGS))
    tick_until(group, lambda: group.is_up("hangs"))
    (first,) = pids(group)
    tick_until(group, lambda: bool(pids(group)) and first not in pids(group))


def is_replaced(group: Supervisor, pid: int) -> bool:
    return bool(pids(group)) and pid not in pids(group)


def test_a_child_that_falls_silent_again_is_given_longer_each_time(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "SILENCE_LIMIT", 0.5)
    monkeypatch.setattr(supervisor, "START_LIMIT", 8.0)
    group = start(python("hangs", _HANGS))
    (child,) = group._running
    limits = []
    for _ in range(3):
        tick_until(group, lambda: group.is_up("hangs"))
        limits.append(child._limit())
        (pid,) = pids(group)
        tick_until(group, partial(is_replaced, group, pid))
    assert limits == [0.5, 1.0, 2.0]
    # It has run well for long: what was is forgotten.
    monkeypatch.setattr(supervisor, "_TRUSTED_AFTER", 0.0)
    tick_until(group, lambda: group.is_up("hangs"))
    (pid,) = pids(group)
    tick_until(group, lambda: pid not in pids(group))
    assert child._patience == 1.0


def test_a_child_that_is_probed_needs_no_heartbeat_of_its_own(start: Start) -> None:
    answers = iter([False, False, True])
    child = Child(
        "asked", (sys.executable, "-c", "import time; time.sleep(600)"), probe=lambda: next(answers, True)
    )
    group = start(child)
    tick_until(group, lambda: group.is_up("asked"))


def test_stopping_ends_children_and_grandchildren_that_refuse_to(start: Start) -> None:
    group = start(python("stubborn", _STUBBORN))
    tick_until(group, lambda: group.is_up("stubborn") and len(pids(group)) == 2)
    group.stop()
    assert pids(group) == set()


def test_a_second_supervisor_beside_a_living_one_is_refused(start: Start, tmp_path: Path) -> None:
    start(python("beats", _BEATS))
    with pytest.raises(AlreadySupervised):
        Supervisor([], directory=tmp_path).take_over()


def test_the_next_supervisor_ends_what_a_killed_one_left(start: Start, tmp_path: Path) -> None:
    killed = subprocess.Popen([sys.executable, "-c", _SUPERVISES, str(tmp_path), _STUBBORN])
    wait_for(lambda: (tmp_path / "stubborn.heartbeat").exists())
    strays = psutil.Process(killed.pid).children(recursive=True)
    assert strays
    killed.kill()
    killed.wait()
    group = start(python("beats", _BEATS))
    tick_until(group, lambda: group.is_up("beats"))
    assert all(has_ended(stray) for stray in strays)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent has ended")
def test_children_end_by_themselves_when_their_supervisor_is_killed(tmp_path: Path) -> None:
    killed = subprocess.Popen([sys.executable, "-c", _SUPERVISES, str(tmp_path), _BEATS])
    wait_for(lambda: (tmp_path / "stubborn.heartbeat").exists())
    (child,) = psutil.Process(killed.pid).children(recursive=True)
    killed.kill()
    killed.wait()
    wait_for(lambda: has_ended(child))
