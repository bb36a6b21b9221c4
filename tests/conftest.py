"""Brings up the database of the test run, and isolates the run from the settings of the machine."""

import os
from collections.abc import Iterator

import hypothesis
import psutil
import psycopg
import pytest
from cryptography.fernet import Fernet
from django.conf import settings
from django.db import connections
from psycopg import sql
from pytest_django import DjangoDbBlocker

from config import startup
from config.embedded_postgres import EmbeddedServer

# An accepted change must not fail by the luck of the draw; elsewhere every run tries other examples.
hypothesis.settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    hypothesis.settings.load_profile("ci")

# Processes that tests start inherit these, so that both sides read the same secrets.
os.environ.setdefault("ONECOUNT_CREDENTIAL_KEYS", Fernet.generate_key().decode())
os.environ.setdefault("SECRET_KEY", "the test run signs nothing that outlives it")
settings.ONECOUNT_CREDENTIAL_KEYS = os.environ["ONECOUNT_CREDENTIAL_KEYS"].split(",")
settings.SECRET_KEY = os.environ["SECRET_KEY"]


@pytest.fixture(scope="session")
def database_server() -> Iterator[None]:
    """Points the default connection at a server without fsync that all test runs of this checkout share.

    With `DATABASE_URL` the tests run against that server instead.
    """
    if settings.EMBEDDED_POSTGRES_HOME is None:
        yield
        return
    startup.create_directory(settings.DATA_DIR)
    server = EmbeddedServer(settings.DATA_DIR / "postgres-test", is_durable=False)
    server.acquire()
    connections["default"].settings_dict["HOST"] = str(server.socket_directory)
    yield
    connections.close_all()
    server.release()


@pytest.fixture(scope="session")
def django_db_modify_db_settings(database_server: None, request: pytest.FixtureRequest) -> None:
    """Names the test database after this process, so that simultaneous runs and workers keep apart."""
    settings_dict = connections["default"].settings_dict
    settings_dict["TEST"]["NAME"] = f"test_onecount_{os.getpid()}"
    _drop_databases_of_ended_runs()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    """Lets tests on real connections empty the ledger between them; `test_append_only.py` proves the trigger."""
    with django_db_blocker.unblock(), connections["default"].cursor() as cursor:
        cursor.execute("ALTER TABLE inventory_stockmovement DISABLE TRIGGER movement_is_never_truncated")


def _drop_databases_of_ended_runs() -> None:
    """Drops the test databases that a killed run of this machine left behind."""
    parameters = connections["default"].settings_dict
    address = {"host": parameters["HOST"], "port": parameters["PORT"], "user": parameters["USER"]}
    with psycopg.connect(
        **address, password=parameters["PASSWORD"], dbname="postgres", autocommit=True
    ) as connection:
        rows = connection.execute(
            "SELECT datname FROM pg_database WHERE datname ~ '^test_onecount_[0-9]+$'"
        ).fetchall()
        for (name,) in rows:
            if not psutil.pid_exists(int(name.rsplit("_", 1)[1])):
                connection.execute(
                    sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
                )
