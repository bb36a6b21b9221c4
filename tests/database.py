"""The database of a test run: a copy of one that is migrated once for each state of the migrations."""

import hashlib
from pathlib import Path
from typing import Any

import psutil
import psycopg
from django.apps import apps
from django.core.management import call_command
from django.db import connections
from django.db.backends.signals import connection_created
from django.db.migrations.loader import MigrationLoader
from psycopg import sql
from psycopg._preparing import PrepareManager
from psycopg.pq import TransactionStatus

#: The session lock under which a server's test databases are made and dropped.
_LOCK = "SELECT pg_advisory_lock(hashtext('the templates of the tests'))"


def maintenance() -> psycopg.Connection:
    """Opens a connection beside the databases of the tests, in autocommit."""
    return _connect("postgres")


def beside() -> psycopg.Connection:
    """Opens a second connection to the database of the tests, in autocommit."""
    return _connect(connections["default"].settings_dict["NAME"])


def _connect(database: str) -> psycopg.Connection:
    parameters = connections["default"].settings_dict
    return psycopg.connect(
        host=parameters["HOST"],
        port=parameters["PORT"],
        user=parameters["USER"],
        password=parameters["PASSWORD"],
        dbname=database,
        autocommit=True,
    )


def drop_databases_of_ended_runs() -> None:
    """Drops the test databases that a killed run of this machine left behind."""
    with maintenance() as connection:
        for name in _names(connection, "^test_onecount_[0-9]+$"):
            if not psutil.pid_exists(int(name.rsplit("_", 1)[1])):
                _drop(connection, name)


def template() -> str:
    """Returns the name of a migrated database that others may be copied from; the first to ask makes it.

    Every process would need a quarter of a minute for the migrations.
    """
    name = f"template_onecount_{digest_of_migrations()}"
    with maintenance() as connection:
        connection.execute(_LOCK)
        others = _names(connection, "^template_onecount_")
        if name not in others:
            for other in others:
                _drop(connection, other)
            _make(connection, name)
    return name


def digest_of_migrations() -> str:
    """Returns what tells one state of the migrations from another."""
    digest = hashlib.sha256()
    for app in apps.get_app_configs():
        package = MigrationLoader.migrations_module(app.label)[0]
        directory = Path(app.path, "migrations") if package else None
        for path in sorted(directory.glob("*.py")) if directory else ():
            digest.update(f"{app.label}/{path.name}".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _make(maintenance: psycopg.Connection, name: str) -> None:
    """Migrates a database under another name first: one that is half made must not be taken for a template."""
    unfinished = f"{name}_unfinished"
    _drop(maintenance, unfinished)
    maintenance.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(unfinished)))
    connection = connections["default"]
    usual = connection.settings_dict["NAME"]
    connection.close()
    connection.settings_dict["NAME"] = unfinished
    try:
        call_command("migrate", verbosity=0, interactive=False, run_syncdb=True)
    finally:
        connection.close()
        connection.settings_dict["NAME"] = usual
    rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
    maintenance.execute(rename.format(sql.Identifier(unfinished), sql.Identifier(name)))


def _names(connection: psycopg.Connection, pattern: str) -> list[str]:
    rows = connection.execute("SELECT datname FROM pg_database WHERE datname ~ %s", [pattern]).fetchall()
    return [name for (name,) in rows]


def _drop(connection: psycopg.Connection, name: str) -> None:
    connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def keep_plans() -> None:
    """Lets statements stay prepared from test to test: parsing and planning them anew is half of the database's work.

    psycopg forgets what is prepared whenever a transaction is rolled back, in case it has changed the tables; here each test
    ends with that, and none changes a table.
    """
    PrepareManager.clear = lambda manager: False  # type: ignore[assignment]
    connection_created.connect(_prepare_more, dispatch_uid="tests.database")


def _prepare_more(connection: Any, **more: Any) -> None:
    connection.connection.prepared_max = 2000


def keep() -> None:
    """Keeps what the migrations have left, for `reset` to go back to."""
    with connections["default"].cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        )
        tables = sorted(name for (name,) in cursor.fetchall())
        cursor.execute("CREATE SCHEMA kept")
        kept = [table for table in tables if _is_filled(cursor, table)]
        for table in kept:
            cursor.execute(f'CREATE TABLE kept."{table}" AS TABLE public."{table}"')
        cursor.execute(_filled_function([table for table in tables if table not in kept]))
        cursor.execute(_reset_function(kept))


def filled_tables() -> list[str]:
    """Returns the tables that hold something now and held nothing after the migrations."""
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT unnest(kept.filled())")
        return [name for (name,) in cursor.fetchall()]


def reset() -> None:
    """Brings every table back to what was kept, whatever has been committed since.

    Deletes from the few tables that hold something; Django's own flush truncates all and makes the permissions anew, which
    takes fifty times as long.
    """
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT kept.reset()")


def end_what_is_left() -> str:
    """Ends all sessions of a test that failed but the one that can still be rolled back; returns what they were doing.

    A test whose time is up is torn from its statement. The server does not notice: it goes on with it, and meanwhile keeps
    everything locked that the test has written.
    """
    current = connections["default"]
    raw = current.connection
    is_sound = raw is not None and not raw.closed and raw.info.transaction_status != TransactionStatus.ACTIVE
    with maintenance() as connection:
        own = raw.info.backend_pid if is_sound else 0
        rows = connection.execute(_END, [current.settings_dict["NAME"], own]).fetchall()
    return "\n".join(f"{state}: {statement}" for state, statement in rows if state != "idle")


def start_over() -> None:
    """Leaves the transaction of a test that could not be torn down, and all that it has committed."""
    current = connections["default"]
    if current.connection is not None:
        current.connection.close()
    current.connect()
    reset()


#: In two steps, because a condition may be tried on any row.
_END = """
    WITH left_behind AS MATERIALIZED (
        SELECT pid, state, query FROM pg_stat_activity
        WHERE datname = %s AND pid <> %s AND backend_type = 'client backend')
    SELECT state, query FROM left_behind WHERE pg_terminate_backend(pid)"""


def _is_filled(cursor: Any, table: str) -> bool:
    cursor.execute(f'SELECT EXISTS (SELECT FROM public."{table}")')
    return bool(cursor.fetchone()[0])


def _filled_function(empty: list[str]) -> str:
    """Returns the SQL of a function that tells which of the tables that were empty are so no more."""
    filled = ",".join(f"CASE WHEN EXISTS (SELECT FROM public.\"{name}\") THEN '{name}' END" for name in empty)
    return f"""
        CREATE FUNCTION kept.filled() RETURNS text[] LANGUAGE plpgsql AS $$
        BEGIN
            RETURN array_remove(ARRAY[{filled}], NULL);
        END $$"""


def _reset_function(kept: list[str]) -> str:
    """Returns the SQL of a function that runs in a transaction of its own, in which no trigger and no reference has a say."""
    restored = "\n".join(_RESTORED.format(name=name) for name in kept)
    return f"""
        CREATE FUNCTION kept.reset() RETURNS void LANGUAGE plpgsql SET session_replication_role = replica AS $$
        DECLARE
            name text;
        BEGIN
            FOREACH name IN ARRAY kept.filled() LOOP
                EXECUTE format('DELETE FROM public.%I', name);
            END LOOP;
            {restored}
        END $$"""


_RESTORED = """
    IF EXISTS ((TABLE public."{name}" EXCEPT TABLE kept."{name}") UNION ALL (TABLE kept."{name}" EXCEPT TABLE public."{name}"))
    THEN
        DELETE FROM public."{name}";
        INSERT INTO public."{name}" TABLE kept."{name}";
    END IF;"""
