"""A database of its own for a benchmark, on the same durable server, dropped at its end."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management import call_command
from django.db import connection
from psycopg import sql


@contextmanager
def scratch_database() -> Iterator[str]:
    """Creates and migrates an empty database, points the default connection at it, and drops it afterwards."""
    name = f"benchmark_onecount_{os.getpid()}"
    usual = connection.settings_dict["NAME"]
    _execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        use_database(name)
        call_command("migrate", verbosity=0, interactive=False)
        yield name
    finally:
        use_database(usual)
        _execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def use_database(name: str) -> None:
    """Points this process's default connection at another database of the same server."""
    connection.close()
    connection.settings_dict["NAME"] = name


def _execute(statement: sql.Composed) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)
    connection.close()
