"""Databases of a benchmark's own, on the same durable server, dropped at its end."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final
from urllib.parse import quote, urlencode

from django.core.management import call_command
from django.db import connection
from psycopg import sql

#: Options of a connection that name the server, and not how Django talks to it.
_OF_THE_SERVER: Final = ("sslmode", "sslrootcert", "sslcert", "sslkey", "hostaddr")


@contextmanager
def scratch_database(suffix: str = "") -> Iterator[str]:
    """Creates and migrates an empty database, points the default connection at it, and drops it afterwards.

    Several at a time are told apart by their suffixes.
    """
    name = f"benchmark_onecount_{os.getpid()}{suffix}"
    usual = connection.settings_dict["NAME"]
    create(name)
    try:
        use_database(name)
        call_command("migrate", verbosity=0, interactive=False)
        yield name
    finally:
        use_database(usual)
        execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def create(name: str) -> None:
    """Creates an empty database."""
    execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))


def use_database(name: str) -> None:
    """Points this process's default connection at another database of the same server."""
    connection.close()
    connection.settings_dict["NAME"] = name


def environment(**more: str) -> Mapping[str, str]:
    """Returns the environment of a process that works on the database in use, with more variables."""
    return {**os.environ, "DATABASE_URL": _url(), "DATABASE_DIRECT_URL": "", **more}


def _url() -> str:
    address = connection.settings_dict
    named = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD"}
    parts = {name: str(address[key]) for name, key in named.items() if address[key]}
    options = address["OPTIONS"]
    parts |= {name: str(options[name]) for name in _OF_THE_SERVER if name in options}
    return f"postgresql:///{quote(address['NAME'])}?{urlencode(parts, quote_via=quote)}"


def execute(statement: sql.Composed) -> None:
    """Runs a statement that no transaction may hold, on a connection that is closed afterwards."""
    with connection.cursor() as cursor:
        cursor.execute(statement)
    connection.close()
