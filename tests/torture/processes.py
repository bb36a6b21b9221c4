"""The processes of a tortured world: shops that outlive everything, and the program, which is killed and started again."""

import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import IO, Final

import psutil

from channels.demo.shops import Shop, is_up
from channels.sandbox import HEALTHY, SANDBOXES
from config import processes
from config.environment import BASE_DIR
from config.residents import answers

#: Long enough for any machine; nothing waits this long unless something is broken.
PATIENCE: Final = 300.0
HOST: Final = "127.0.0.1"
#: A simulated shop needs nothing that has to be loaded first.
_FORK: Final = multiprocessing.get_context("fork")


def free_ports(count: int) -> list[int]:
    """Returns ports on which nobody listens, all different."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind((HOST, 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


class NotUp(RuntimeError):
    """A process of the world does not come up; its log says why."""


class Shops:
    """Simulated shops, each in a process of its own; their order books are the oracle."""

    def __init__(self, kinds: Sequence[str], *, seed: int, log: Path) -> None:
        ports = free_ports(len(kinds))
        self.shops = [
            Shop(kind, f"{kind} {number}", port)
            for number, (kind, port) in enumerate(zip(kinds, ports, strict=True), start=1)
        ]
        self._seed = seed
        self._log = log
        self._children: list[ForkProcess] = []

    def start(self) -> None:
        """Starts all and waits until they are open. They are forked, so call it before there are threads."""
        for shop in self.shops:
            child = _FORK.Process(
                target=_keep_shop, args=(shop.kind, shop.name, shop.port, self._seed, self._log), daemon=True
            )
            child.start()
            self._children.append(child)
        for shop in self.shops:
            wait_until(partial(is_up, shop.client), f"{shop.name} does not open")

    def stop(self) -> None:
        """Ends them."""
        for shop in self.shops:
            shop.client.close()
        for child in self._children:
            child.kill()
        for child in self._children:
            child.join()


def _keep_shop(kind: str, name: str, port: int, seed: int, log: Path) -> None:
    """Is a shop until it is killed; what it writes goes to the log."""
    processes.die_with_parent(signal.SIGKILL)
    with log.open("ab") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    with SANDBOXES[kind](name=name, port=port, profile=HEALTHY, seed=seed, limits="generous"):
        threading.Event().wait()


class Program:
    """`serve` with all its children, in a data directory of its own."""

    def __init__(self, directory: Path, *, port: int, workers: int, environment: Mapping[str, str]) -> None:
        self.directory = directory
        self.port = port
        self.workers = workers
        self.log = directory / "serve.log"
        self.environment = dict(environment)
        self._file: IO[bytes] = self.log.open("ab")
        self._process: subprocess.Popen[bytes] | None = None
        self.starts = 0

    def start(self) -> None:
        """Starts it, through the entry that can switch a safeguard off."""
        self.starts += 1
        options = (f"--port={self.port}", f"--workers={self.workers}")
        self._process = _start(
            "-m", "tests.torture.entry", "serve", *options, log=self._file, environment=self.environment
        )

    def wait_until_up(self) -> None:
        """Waits until the web server answers and every resident process has shown a sign of life."""
        beats = [self.directory / "run" / f"{name}.heartbeat" for name in ("jobs", "pusher", "reconciler")]
        wait_until(lambda: answers(host=HOST, port=self.port), "the web server does not answer")
        wait_until(lambda: all(beat.exists() for beat in beats), "not every resident process works")

    def kill(self) -> None:
        """Kills the supervisor alone, as an operator in a hurry does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> None:
        """Asks it to end, and sees to it that nothing is left of it."""
        if self._process is not None:
            _end([self._process])
            self._process = None
        with suppress(FileNotFoundError, ValueError, KeyError):
            processes.kill_marked(
                str(json.loads((self.directory / "run" / "serve.json").read_text())["identity"])
            )

    def close(self) -> None:
        """Ends it for good."""
        self.stop()
        self._file.close()

    def children(self, word: str) -> list[psutil.Process]:
        """Returns the live processes that it started and whose command line has the word, the oldest first."""
        if self._process is None:
            return []
        found = []
        with suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self._process.pid).children(recursive=True):
                with suppress(psutil.Error):
                    if word in child.cmdline() and child.status() != psutil.STATUS_ZOMBIE:
                        found.append(child)
        return sorted(found, key=lambda child: child.create_time())


def _start(*words: str, log: IO[bytes], environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, *words],
        cwd=BASE_DIR,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
    )


def _end(children: Sequence["subprocess.Popen[bytes]"]) -> None:
    for child in children:
        child.terminate()
    for child in children:
        try:
            child.wait(20.0)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def wait_until(condition: Callable[[], bool], why: str, seconds: float = PATIENCE) -> None:
    """Waits for a condition. Raises `NotUp`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise NotUp(f"{why} within {seconds:.0f} s.")
        time.sleep(0.05)
