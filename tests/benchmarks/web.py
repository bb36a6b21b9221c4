"""The web server as `serve` runs it, on the database in use."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from config.residents import answers, web_command
from tests.benchmarks.scratch import environment

HOST: Final = "127.0.0.1"
#: Worker processes, as `serve` has them by default.
WORKERS: Final = 2
_PATIENCE: Final = 60.0


@contextmanager
def web_server(**variables: str) -> Iterator[int]:
    """Runs the web server with a view that does nothing beside the others, on a port that it returns."""
    port = free_ports(1)[0]
    command = web_command(
        host=HOST, port=port, workers=WORKERS, application="tests.benchmarks.web_application:application"
    )
    server = subprocess.Popen(
        [sys.executable, *command], env=environment(**variables), start_new_session=True
    )
    try:
        until = time.monotonic() + _PATIENCE
        while not answers(host=HOST, port=port):
            if server.poll() is not None or time.monotonic() > until:
                raise RuntimeError("The web server did not start; what it said stands above.")
            time.sleep(0.1)
        yield port
    finally:
        server.terminate()
        server.wait(30)


def free_ports(count: int) -> list[int]:
    """Returns ports that nobody listens on now, all different."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind((HOST, 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()
