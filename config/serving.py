"""Runs a group of resident processes until it is told to stop: what `serve` and `demo` share."""

import signal
import time
from collections.abc import Callable, Sequence
from typing import Final

import structlog
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from config import startup
from config.health import is_migrated
from config.residents import is_free
from config.supervisor import AlreadySupervised, Child, Supervisor

_DATABASE_WATCH_SECONDS: Final = 1.0

_log = structlog.get_logger(__name__)


def prepare_database() -> None:
    """Migrates the embedded database; an external one, which others may use, must have been migrated."""
    if settings.EMBEDDED_POSTGRES_HOME is not None:
        call_command("migrate", interactive=False, verbosity=0)
    elif not is_migrated():
        raise CommandError("The database has unapplied migrations. Run `manage.py migrate` first.")
    connection.close()


def run(
    children: Sequence[Child],
    *,
    host: str,
    port: int,
    on_tick: Callable[[Supervisor], None],
    before_stop: Callable[[], None] = lambda: None,
    further_ports: Sequence[int] = (),
) -> None:
    """Supervises the children until SIGINT, SIGTERM or `request_stop`, then ends them within three seconds.

    `on_tick` is called ten times a second; `before_stop`, which must be brief, once before the children are
    ended. The embedded database is watched too, and started again when it dies. Raises CommandError when
    the address is taken or another group runs in this data directory.
    """
    supervisor = Supervisor(children, directory=settings.DATA_DIR / "run")
    database = _DatabaseWatch()

    def tick() -> None:
        database.look_after()
        on_tick(supervisor)

    _stop_on_signals(supervisor)
    try:
        supervisor.take_over()
        for wanted, option in ((port, "--port"), *((each, "--shop-port") for each in further_ports)):
            if not is_free(host=host, port=wanted):
                raise CommandError(
                    f"Another program listens on {host}:{wanted}. Choose another port with {option}."
                )
        supervisor.start()
        supervisor.run(tick)
    except AlreadySupervised as error:
        raise CommandError(str(error)) from None
    finally:
        try:
            before_stop()
        finally:
            supervisor.stop()


class _DatabaseWatch:
    """Revives the embedded server, if this process holds one."""

    def __init__(self) -> None:
        self._server = startup.hold_database()
        self._looked_at = 0.0

    def look_after(self) -> None:
        if self._server is None or time.monotonic() - self._looked_at < _DATABASE_WATCH_SECONDS:
            return
        self._looked_at = time.monotonic()
        if self._server.revive():
            _log.error("database_restarted")


def _stop_on_signals(supervisor: Supervisor) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: supervisor.request_stop())
