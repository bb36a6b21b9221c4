"""Django's database settings, the same for the embedded server and any other."""

from pathlib import Path
from typing import Any, Final

import psycopg
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from psycopg.conninfo import conninfo_to_dict

from config import postgres_installation as installation
from config.embedded_postgres import DATABASE_NAME, SUPERUSER

#: The oldest release whose behaviour the statements rely on, as PostgreSQL numbers it.
MINIMUM_SERVER_VERSION: Final = 150000

#: Every connection states these itself, so that no server default decides how long a lock is waited for or
#: what "now" prints as.
SESSION_SETTINGS: Final = {
    "timezone": "UTC",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "60s",
    # Compiling a plan takes longer than to run any statement of ours that is asked more than now and then.
    "jit": "off",
}

#: A condition for the WHERE of a single statement outside a transaction whose effect may be lost in a crash of the
#: server: its commit does not wait for the disk.
NEED_NOT_LAST: Final = "set_config('synchronous_commit', 'off', true) IS NOT NULL"

#: Returned by the first statement of a transaction: its prepared statements are planned once and not anew for each
#: length of their arrays, which takes PostgreSQL longer than to run them. They look for few rows in tables that grow: a
#: plan that was made while one was small must not read all of it later.
PLAN_ONCE: Final = (
    "set_config('plan_cache_mode', 'force_generic_plan', true) || set_config('enable_seqscan', 'off', true)"
)

#: The same for all of a process that runs a few statements again and again.
_PLAN_ONCE_ALWAYS: Final = "-c plan_cache_mode=force_generic_plan -c enable_seqscan=off"

#: Options that Django keeps for itself and libpq does not know.
_DJANGO_OPTIONS: Final = frozenset(
    {"server_side_binding", "prepare_threshold", "pool", "isolation_level", "assume_role"}
)
_SCHEMES: Final = ("postgresql://", "postgres://")
_ADDRESS: Final = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}


def embedded_database(home: Path, *, pool_size: int) -> dict[str, Any]:
    """Returns the settings that reach the embedded server under this directory."""
    socket_directory = installation.socket_directory_for(installation.home_for(home))
    address = {
        "ENGINE": "config.postgresql",
        "NAME": DATABASE_NAME,
        "USER": SUPERUSER,
        "HOST": str(socket_directory),
        "PORT": "5432",
    }
    return _with_options(address, pool_size=pool_size)


def external_database(url: str, *, pool_size: int) -> dict[str, Any]:
    """Returns the settings for a URL as libpq understands it, sockets and parameters included."""
    try:
        parameters = conninfo_to_dict(url) if url.startswith(_SCHEMES) else {}
    except psycopg.ProgrammingError:
        # Its message would repeat the URL, and with it the password.
        parameters = {}
    if "dbname" not in parameters:
        raise ImproperlyConfigured("DATABASE_URL must be like postgresql://user:password@host:5432/database.")
    address = {
        "ENGINE": "config.postgresql",
        **{name: str(parameters.pop(key, "")) for name, key in _ADDRESS.items()},
        "OPTIONS": parameters,
    }
    return _with_options(address, pool_size=pool_size)


def _with_options(address: dict[str, Any], *, pool_size: int) -> dict[str, Any]:
    flags = " ".join(f"-c {name}={value}" for name, value in SESSION_SETTINGS.items())
    options = {
        "application_name": "onecount",
        "connect_timeout": 10,
        "server_side_binding": True,
        "prepare_threshold": 3,
        **address.get("OPTIONS", {}),
    }
    options["options"] = f"{flags} {options.get('options', '')}".strip()
    if pool_size:
        options["pool"] = {"min_size": 1, "max_size": pool_size, "timeout": 10}
    # A pool keeps connections itself; without one they stay open between uses and are tested before the next.
    life = {"CONN_MAX_AGE": 0} if pool_size else {"CONN_MAX_AGE": 600, "CONN_HEALTH_CHECKS": True}
    return {**address, **life, "OPTIONS": options}


def plan_once() -> None:
    """Has all connections of this process plan a statement once, when it first runs, not anew for each length of its arrays.

    For residents, which run a few statements again and again on many connections; one that looks for what is rare by its
    parameters would be planned badly. Comes before the first thread that connects.
    """
    connection = connections["default"]
    options = connection.settings_dict["OPTIONS"]
    options["options"] = f"{options.get('options', '')} {_PLAN_ONCE_ALWAYS}".strip()
    # With the usual patience each connection plans each statement three times for nothing.
    options["prepare_threshold"] = 0
    connection.close()


def direct_connection() -> psycopg.Connection:
    """Opens a connection in autocommit, past any transaction pooler, for LISTEN and session locks."""
    if settings.DATABASE_DIRECT_URL:
        return psycopg.connect(settings.DATABASE_DIRECT_URL, autocommit=True)
    address = connections["default"].settings_dict
    options = {name: value for name, value in address["OPTIONS"].items() if name not in _DJANGO_OPTIONS}
    return psycopg.connect(
        host=address["HOST"] or None,
        port=address["PORT"] or None,
        user=address["USER"] or None,
        password=address["PASSWORD"] or None,
        dbname=address["NAME"],
        autocommit=True,
        **options,
    )
