"""The installation starts with one command, answers, survives mishaps, and leaves nothing behind."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
import pytest
import requests

from config import postgres_installation as installation
from config import processes
from config.embedded_postgres import SUPERUSER
from config.environment import BASE_DIR

from .conftest import directory_for_servers, has_ended

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("processes"), pytest.mark.timeout(240)]

PATIENCE = 60.0


@dataclass
class Installation:
    """A `serve` of its own data directory."""

    process: "subprocess.Popen[str]"
    data: Path
    port: int

    def get(self, path: str) -> int:
        return requests.get(
            f"http://127.0.0.1:{self.port}{path}", timeout=5, allow_redirects=False
        ).status_code

    def answers(self) -> bool:
        with suppress(requests.RequestException):
            return self.get("/readyz") == 200
        return False

    def identity(self) -> str:
        return str(json.loads((self.data / "run" / "serve.json").read_text())["identity"])

    def children(self, word: str) -> list[psutil.Process]:
        """Returns the live processes of this installation whose command line has the word."""
        return [process for process in processes.marked(self.identity()) if word in command_line(process)]

    def servers(self) -> list[psutil.Process]:
        """Returns the live database processes of this installation."""
        return [process for process in psutil.process_iter() if self._is_server(process)]

    def _is_server(self, process: psutil.Process) -> bool:
        with suppress(psutil.Error):
            is_alive = process.status() != psutil.STATUS_ZOMBIE
            return is_alive and process.name() == "postgres" and self.data in Path(process.cwd()).parents
        return False

    def connect(self) -> psycopg.Connection:
        sockets = installation.socket_directory_for(installation.home_for(self.data / "postgres"))
        return psycopg.connect(
            host=str(sockets), port=5432, user=SUPERUSER, dbname="onecount", autocommit=True
        )


def command_line(process: psutil.Process) -> list[str]:
    with suppress(psutil.NoSuchProcess):
        return process.cmdline()
    return []


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come about"
        time.sleep(0.05)


Serve = Callable[[], Installation]


@pytest.fixture(scope="module")
def migrated() -> Iterator[Path]:
    """A data directory with keys and a migrated database, which is down: to make it takes longer than most of these tests."""
    with directory_for_servers() as path:
        subprocess.run(
            [sys.executable, "manage.py", "migrate", "-v", "0"],
            cwd=BASE_DIR,
            env=_environment(path),
            check=True,
        )
        yield path


@pytest.fixture
def installed(open_directory: Path, migrated: Path) -> Path:
    """A migrated data directory of a test's own: a copy, with the owners that its server insists on."""
    subprocess.run(["cp", "--archive", f"{migrated}/.", str(open_directory)], check=True)
    return open_directory


@pytest.fixture
def serve(installed: Path) -> Iterator[Serve]:
    """Starts `manage.py serve`, each time in the same data directory, which is migrated, and on the same port."""
    yield from _serve(installed)


@pytest.fixture
def serve_anew(open_directory: Path) -> Iterator[Serve]:
    """Starts `manage.py serve` in an empty data directory."""
    yield from _serve(open_directory)


def _environment(data: Path) -> dict[str, str]:
    return {**os.environ, "ONECOUNT_DATA_DIR": str(data), "DATABASE_URL": ""}


def _serve(directory: Path) -> Iterator[Serve]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    started: list[Installation] = []
    log = (directory / "serve.log").open("w")

    def start() -> Installation:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "serve", "--port", str(port)],
            cwd=BASE_DIR,
            env=_environment(directory),
            stdout=log,
            stderr=log,
            text=True,
        )
        started.append(Installation(process, directory, port))
        wait_for(lambda: started[-1].answers() or process.poll() is not None)
        assert process.poll() is None, (directory / "serve.log").read_text()
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()
        processes.kill_marked(one.identity())
    log.close()


def test_it_answers_and_ctrl_c_ends_everything(serve_anew: Serve) -> None:
    running = serve_anew()
    assert running.get("/healthz") == 200
    assert running.get("/admin/") == 302
    assert running.get("/static/unfold/css/styles.css") == 200
    wait_for(lambda: len(running.children("qcluster")) >= 4)
    identity = running.identity()
    running.process.send_signal(signal.SIGINT)
    assert running.process.wait(PATIENCE) == 0
    assert processes.marked(identity) == []
    assert running.servers() == []


def test_a_job_that_is_woken_runs_in_a_worker(serve: Serve) -> None:
    running = serve()
    beat = running.data / "run" / "jobs.heartbeat"
    wait_for(beat.exists)
    seen = beat.stat().st_mtime
    # The file is touched by a worker that ran a task the broker slipped in.
    wait_for(lambda: beat.stat().st_mtime > seen)


def test_what_a_killed_serve_left_is_taken_over_by_the_next(serve: Serve) -> None:
    first = serve()
    wait_for(lambda: len(first.children("qcluster")) >= 4)
    strays = processes.marked(first.identity())
    assert len(strays) > 4
    # Stopped, they can follow no signal but one, however politely the kernel passes it on.
    for stray in strays:
        stray.suspend()
    first.process.kill()
    first.process.wait()
    second = serve()
    assert all(has_ended(stray) for stray in strays)
    second.process.send_signal(signal.SIGTERM)
    second.process.wait(PATIENCE)
    assert second.servers() == []


def test_a_killed_web_server_jobs_and_database_come_back(serve: Serve) -> None:
    running = serve()
    with running.connect() as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
    for word in ("granian", "qcluster"):
        leader = min(running.children(word), key=lambda process: process.create_time())
        leader.kill()
    postmaster = psutil.Process(
        int((running.data / "postgres/data/postmaster.pid").read_text().split("\n")[0])
    )
    postmaster.kill()
    wait_for(lambda: has_ended(postmaster))
    wait_for(lambda: running.answers() and len(running.children("qcluster")) >= 4)
    with running.connect() as connection:
        assert connection.execute("SELECT n FROM kept").fetchone() == (7,)


def test_a_taken_port_is_named_with_its_remedy(installed: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        run = subprocess.run(
            [sys.executable, "manage.py", "serve", "--port", str(port)],
            cwd=BASE_DIR,
            env=_environment(installed),
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
    assert run.returncode == 1
    assert f"127.0.0.1:{port}" in run.stderr
    assert "--port" in run.stderr
    assert "Traceback" not in run.stderr
