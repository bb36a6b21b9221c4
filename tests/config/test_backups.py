"""The handbook's commands for backup and recovery do what they say, and the ledger is proven afterwards."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.db import connection

from config import postgres_installation as installation
from config.embedded_postgres import SUPERUSER, EmbeddedServer
from config.environment import BASE_DIR

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("processes"), pytest.mark.timeout(600)]

#: Receives a unit so many times, each in a transaction of its own; prints the clock of the database, and proves the ledger.
_RECEIVE = """
from django.core.management import call_command
from django.db import connection
from inventory.ledger import Context
from inventory.models import Location, Merchant, Product, Variant
from inventory.stock import StockLine, receive
merchant, _ = Merchant.objects.get_or_create(slug="kept", defaults={{"name": "Kept"}})
place, _ = Location.objects.get_or_create(merchant=merchant, code="main", defaults={{"name": "Main"}})
product, _ = Product.objects.get_or_create(merchant=merchant, title="Mug")
mug, _ = Variant.objects.get_or_create(merchant=merchant, sku="MUG", defaults={{"product": product}})
for number in range({count}):
    receive(Context(merchant.pk, f"{name} {{number}}"), [StockLine(mug.pk, place.pk, 1)])
with connection.cursor() as cursor:
    cursor.execute("SELECT clock_timestamp()::text")
    print(cursor.fetchone()[0])
call_command("verify_ledger", "--json")
"""


def block(first_words: str) -> str:
    """Returns the one block of the handbook's commands that holds these words."""
    text = (BASE_DIR / "config" / "README.md").read_text()
    section = text.partition("\n## Backups\n")[2].partition("\n## ")[0]
    (found,) = [each for each in re.findall(r"```sh\n(.*?)```", section, re.DOTALL) if first_words in each]
    return f"set -euo pipefail\n{found}"


class Installation:
    """Commands on a data directory."""

    def __init__(self, directory: Path, **variables: str) -> None:
        self._known = {
            **os.environ,
            "ONECOUNT_DATA_DIR": str(directory / "data"),
            "DATABASE_URL": "",
            "BACKUP": str(directory),
            **variables,
        }

    def sh(self, commands: str, **variables: str) -> str:
        """Runs a block of the handbook."""
        return self._run(["bash", "-c", commands], variables)

    def manage(self, *arguments: str) -> str:
        """Runs a command."""
        return self._run([sys.executable, "manage.py", *arguments], {})

    def migrate(self, schema: Path) -> None:
        """Makes the tables, from a dump: the migrations take much longer."""
        self.manage("postgres", "pg_restore", "--exit-on-error", "--dbname=onecount", str(schema))

    def receive(self, count: int, name: str) -> tuple[str, int]:
        """Receives units; returns the time after that, and how many movements the ledger has, which is proven."""
        said = self.manage("shell", "-v", "0", "-c", _RECEIVE.format(count=count, name=name))
        *_, instant, proof = said.splitlines()
        return instant, _movements(proof)

    def proven_movements(self) -> int:
        """Proves the ledger, and returns how many movements it has."""
        return _movements(self.manage("verify_ledger", "--json"))

    def _run(self, command: list[str], variables: dict[str, str]) -> str:
        done = subprocess.run(
            command, cwd=BASE_DIR, env=self._known | variables, capture_output=True, text=True, timeout=250
        )
        assert done.returncode == 0, (command, done.stdout[-2000:], done.stderr[-4000:])
        return done.stdout


def _movements(said: str) -> int:
    proof = json.loads(said)
    assert proof["ledger_ok"], proof
    return int(proof["movements"])


@pytest.fixture
def schema(transactional_db: None, open_directory: Path) -> Path:
    """A dump of the tests' own database, which is migrated and empty."""
    address, path = connection.settings_dict, open_directory / "schema.dump"
    subprocess.run(
        [
            *(str(installation.binaries() / "pg_dump"), "-Fc", "-N", "kept", "-N", "worlds", "-f", str(path)),
            *("-h", address["HOST"], "-p", str(address["PORT"]), "-U", address["USER"], address["NAME"]),
        ],
        env={**os.environ, "PGPASSWORD": address["PASSWORD"]},
        check=True,
        timeout=120,
    )
    return path


@pytest.fixture
def held(open_directory: Path) -> Iterator[Callable[[EmbeddedServer], EmbeddedServer]]:
    """Keeps servers up, as a running `serve` does, until they are released or the test ends."""
    servers: list[EmbeddedServer] = []

    def hold(server: EmbeddedServer) -> EmbeddedServer:
        server.acquire()
        servers.append(server)
        return server

    yield hold
    for server in servers:
        server.release()


def test_a_dump_comes_back_in_a_fresh_installation_and_on_a_server_of_ones_own(
    open_directory: Path, schema: Path, held: Callable[[EmbeddedServer], EmbeddedServer]
) -> None:
    first = Installation(open_directory)
    first.migrate(schema)
    first.receive(3, "before the dump")
    first.sh(block("pg_dump"))
    assert first.receive(2, "after it")[1] == 5

    fresh = Installation(open_directory, ONECOUNT_DATA_DIR=str(open_directory / "fresh"))
    fresh.sh(block("pg_restore"))
    assert fresh.proven_movements() == 3
    assert fresh.receive(1, "goes on")[1] == 4

    server = held(EmbeddedServer(open_directory / "own", is_durable=False))
    address = f"postgresql:///onecount?host={server.socket_directory}&user={SUPERUSER}"
    # Programs of an older release, which the machine may have, do not read the dump.
    programs = f"{installation.binaries()}{os.pathsep}{os.environ['PATH']}"
    own = Installation(open_directory, DATABASE_URL=address, PATH=programs)
    own.sh(block("pg_restore"))
    assert own.proven_movements() == 3


def test_the_embedded_database_is_recovered_to_the_instant_before_a_mistake(
    open_directory: Path, schema: Path
) -> None:
    archive = open_directory / "wal"
    running = Installation(open_directory, ONECOUNT_WAL_ARCHIVE=str(archive))
    running.migrate(schema)
    running.receive(2, "before the backup")
    running.sh(block("pg_basebackup"))
    instant, _ = running.receive(3, "after it")
    assert running.receive(4, "the mistake")[1] == 9
    assert any(archive.iterdir())

    running.sh(block("manage.py recover"), INSTANT=instant)
    assert running.proven_movements() == 5
    assert running.receive(1, "goes on")[1] == 6

    # All of it, where what was there is lost altogether.
    lost = Installation(
        open_directory, ONECOUNT_WAL_ARCHIVE=str(archive), ONECOUNT_DATA_DIR=str(open_directory / "new")
    )
    lost.manage("recover", str(open_directory / "base"))
    assert lost.proven_movements() == 6


def test_what_cannot_be_recovered_is_said_and_changes_nothing(open_directory: Path) -> None:
    running = Installation(open_directory, ONECOUNT_WAL_ARCHIVE=str(open_directory / "wal"))
    running.manage("postgres", "psql", "-c", "CREATE TABLE kept ()")
    (open_directory / "wal").mkdir(exist_ok=True)

    with pytest.raises(AssertionError, match="is no base backup"):
        running.manage("recover", str(open_directory))
    running.manage("postgres", "psql", "-c", "TABLE kept")
