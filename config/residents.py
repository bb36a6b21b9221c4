"""The processes that make up a running installation beside its database: the table that `serve` runs."""

import http.client
import socket
from collections.abc import Sequence
from functools import partial
from typing import Final

from config.environment import BASE_DIR
from config.supervisor import Child, python_child

_MANAGE: Final = str(BASE_DIR / "manage.py")

#: Management commands that stay resident; each calls `config.heartbeat.beat` at least every two seconds.
RESIDENT_COMMANDS: Final = {
    "jobs": ("qcluster",),
    "pusher": ("run_pusher",),
    "reconciler": ("run_reconciler",),
}


def residents(*, host: str, port: int, workers: int) -> list[Child]:
    """Returns the web server on this address, and a child for each resident command."""
    commands = [python_child(name, _MANAGE, *command) for name, command in RESIDENT_COMMANDS.items()]
    return [_web(host=host, port=port, workers=workers), *commands]


def _web(*, host: str, port: int, workers: int) -> Child:
    command = web_command(host=host, port=port, workers=workers)
    return python_child("web", *command, probe=partial(answers, host=host, port=port))


def web_command(
    *, host: str, port: int, workers: int, application: str = "config.wsgi:application"
) -> list[str]:
    """Returns what Python is called with to run the web server."""
    options = {
        "--interface": "wsgi",
        "--host": host,
        "--port": port,
        "--workers": workers,
        "--blocking-threads": 2,
        "--workers-kill-timeout": 1,
        "--working-dir": BASE_DIR,
        "--log-level": "warning",
    }
    words = [str(word) for option in options.items() for word in option]
    return ["-m", "granian", *words, "--no-ws", "--respawn-failed-workers", application]


def answers(*, host: str, port: int) -> bool:
    """Returns whether the web server answers `/healthz` within half a second."""
    connection = http.client.HTTPConnection(_reachable(host), port, timeout=0.5)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def is_free(*, host: str, port: int) -> bool:
    """Returns whether a server can listen on the address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _reachable(host: str) -> str:
    """Returns the loopback address for a server that listens on all."""
    any_addresses: Sequence[tuple[str, str]] = (("0.0.0.0", "127.0.0.1"), ("::", "::1"))  # noqa: S104
    return dict(any_addresses).get(host, host)
