"""Rows that many tests begin with: made once by each process, and copied within the database from then on."""

import pickle
from collections.abc import Callable
from typing import Final, TypeVar

import psycopg
import time_machine
from django.db import IntegrityError, connections, transaction
from psycopg import sql

from tests.database import beside, filled_tables

World = TypeVar("World")

#: What was made by name, as it was when all its rows had been written.
_made: Final[dict[str, bytes]] = {}


def world(name: str, make: Callable[[], World]) -> World:
    """Returns what `make` makes, with its rows.

    They have the ids and times of the first of their kind. That is made anew where it would hold more than its own, because
    a test has written before it asks or has put the clock elsewhere, and where a test has it already.
    """
    if name not in _made:
        is_alone = not time_machine.escape_hatch.is_travelling() and not filled_tables()
        made = make()
        if is_alone:
            _put_by(name)
            _made[name] = pickle.dumps(made)
        return made
    try:
        with transaction.atomic(), connections["default"].cursor() as cursor:
            cursor.execute(f"SELECT worlds.{name}()")
    except IntegrityError:
        return make()
    found: World = pickle.loads(_made[name])  # noqa: S301 - our own
    return found


def _put_by(name: str) -> None:
    """Copies every table that holds something, over a connection that does not end with the test."""
    with beside() as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS worlds")
        copies = [
            _copy(connection, table, f"{name}_{number}") for number, table in enumerate(filled_tables())
        ]
        connection.execute(_FUNCTION.format(name=name, copies="\n".join(copies)))


def _copy(connection: psycopg.Connection, table: str, copy: str) -> str:
    """Copies a table that others may not see yet; returns the SQL that brings its rows back."""
    connection.execute(f'CREATE UNLOGGED TABLE worlds."{copy}" (LIKE public."{table}")')
    columns = sql.SQL(", ").join(map(sql.Identifier, _columns(connection, table))).as_string(connection)
    with (
        connections["default"].cursor() as cursor,
        cursor.copy(f'COPY public."{table}" ({columns}) TO STDOUT (FORMAT binary)') as source,
        connection.cursor().copy(f'COPY worlds."{copy}" ({columns}) FROM STDIN (FORMAT binary)') as sink,
    ):
        for data in source:
            sink.write(data)
    return f'INSERT INTO public."{table}" ({columns}) SELECT {columns} FROM worlds."{copy}";'


def _columns(connection: psycopg.Connection, table: str) -> list[str]:
    rows = connection.execute(_COLUMNS, [f'public."{table}"']).fetchall()
    return [name for (name,) in rows]


_COLUMNS: Final = """
    SELECT attname FROM pg_attribute
    WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''"""

#: As it was written once, so that no trigger and no reference has a say.
_FUNCTION: Final = """
    CREATE FUNCTION worlds.{name}() RETURNS void LANGUAGE plpgsql SET session_replication_role = replica AS $$
    BEGIN
        {copies}
    END $$"""
