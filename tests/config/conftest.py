"""Directories for real servers, and processes that hold them."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from config.embedded_postgres import EmbeddedServer
from config.environment import BASE_DIR

_HOLDER = """
import sys
from pathlib import Path
from config.embedded_postgres import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]), is_durable=False)
server.acquire()
print("held", flush=True)
sys.stdin.read()
server.release()
"""


def has_ended(process: psutil.Process) -> bool:
    """Returns whether the process runs no more; one that nobody has laid to rest yet has ended, too."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that any account may pass through, which those that pytest makes for root are not."""
    with directory_for_servers() as path:
        yield path


@contextmanager
def directory_for_servers() -> Iterator[Path]:
    """Makes a directory that any account may pass through; at the end it is gone, with the servers in it."""
    path = Path(tempfile.mkdtemp(prefix="onecount-test-"))
    path.chmod(0o711)
    try:
        yield path
    finally:
        _end_servers_in(path)
        shutil.rmtree(path, ignore_errors=True)


def _end_servers_in(path: Path) -> None:
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.name() == "postgres" and Path(process.cwd()).is_relative_to(path):
                process.kill()
                process.wait(5)


@pytest.fixture
def server(open_directory: Path) -> Iterator[EmbeddedServer]:
    """A server that has not been started; it forgets on a crash of the machine, not on one of a process."""
    server = EmbeddedServer(open_directory / "postgres", is_durable=False)
    yield server
    server.release()


Hold = Callable[[Path], "subprocess.Popen[str]"]


@pytest.fixture
def hold() -> Iterator[Hold]:
    """Starts another process that acquires the server in a directory and keeps it until its input closes."""
    holders: list[subprocess.Popen[str]] = []

    def start(home: Path) -> "subprocess.Popen[str]":
        holder = subprocess.Popen(
            [sys.executable, "-c", _HOLDER, str(home)],
            cwd=BASE_DIR,
            env={**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        holders.append(holder)
        return holder

    yield start
    for holder in holders:
        holder.kill()
        holder.communicate()
