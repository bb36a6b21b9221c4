"""Runs one of PostgreSQL's own programs on the database in use."""

import os
import shutil
import subprocess
import sys
from argparse import REMAINDER
from typing import Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection

from config import postgres_installation as installation

_ADDRESS: Final = {
    "PGHOST": "HOST",
    "PGPORT": "PORT",
    "PGUSER": "USER",
    "PGPASSWORD": "PASSWORD",
    "PGDATABASE": "NAME",
}
#: What a connection string says of encryption.
_TLS: Final = ("sslmode", "sslrootcert", "sslcert", "sslkey")


class Command(BaseCommand):
    """Calls psql, pg_dump, pg_restore, pg_basebackup and the like with the address of the database in use."""

    help = (
        "Run one of PostgreSQL's own programs (psql, pg_dump, pg_restore, pg_basebackup, createdb …) on the database in "
        "use, with its own arguments: manage.py postgres pg_dump -Fc -f onecount.dump. The embedded server brings its "
        "programs along; for a server of your own those on the PATH are taken first."
    )
    requires_system_checks: tuple[str, ...] = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Declares the program; everything after its name is its own."""
        parser.add_argument("program", help="name of the program")
        parser.add_argument("arguments", nargs=REMAINDER, help="what it is called with")

    def handle(self, *, program: str, arguments: list[str], **options: Any) -> None:
        """Runs it, and ends as it does."""
        done = subprocess.run([_path_of(program), *arguments], env=_environment(), check=False)
        if done.returncode:
            sys.exit(done.returncode)


def _path_of(program: str) -> str:
    """Returns where the program is. Raises `CommandError` for one that there is not."""
    own = str(installation.binaries())
    is_embedded = settings.EMBEDDED_POSTGRES_HOME is not None
    places = [own] if is_embedded else [os.environ.get("PATH", os.defpath), own]
    found = shutil.which(os.path.basename(program), path=os.pathsep.join(places))
    if found is None:
        raise CommandError(f"PostgreSQL brings no program {program}. There are psql, pg_dump, pg_restore …")
    return found


def _environment() -> dict[str, str]:
    """Returns the environment in which libpq finds the database."""
    address = connection.settings_dict
    known = {name: str(address[key]) for name, key in _ADDRESS.items() if address[key]}
    known |= {
        f"PG{name.upper()}": str(address["OPTIONS"][name]) for name in _TLS if name in address["OPTIONS"]
    }
    return {**os.environ, **known}
