"""Brings up the database of the test run, and isolates the run from the settings of the machine."""

import gc
import os
import signal
from collections.abc import Generator, Iterator

import hypothesis
import pytest
from cryptography.fernet import Fernet
from django.conf import settings
from django.contrib import admin
from django.db import connections
from django.test import TransactionTestCase
from hypothesis import is_hypothesis_test
from pytest_django import DjangoDbBlocker

from config import logs, startup
from config.embedded_postgres import EmbeddedServer
from tests import database, shortcuts
from tests.properties import examples

# An accepted change must not fail by the luck of the draw; elsewhere every run tries other examples. No machine is too slow.
hypothesis.settings.register_profile(
    "tests", deadline=None, derandomize=bool(os.environ.get("CI")), max_examples=examples(100)
)
hypothesis.settings.load_profile("tests")

# Nothing is garbage while modules are loaded and tests are found.
gc.disable()

# Processes that tests start inherit these, so that both sides read the same secrets.
os.environ.setdefault("ONECOUNT_CREDENTIAL_KEYS", Fernet.generate_key().decode())
os.environ.setdefault("SECRET_KEY", "the test run signs nothing that outlives it")
settings.ONECOUNT_CREDENTIAL_KEYS = os.environ["ONECOUNT_CREDENTIAL_KEYS"].split(",")
settings.SECRET_KEY = os.environ["SECRET_KEY"]
# Each test client has middleware of its own, and listing all static files takes it 20 ms.
settings.WHITENOISE_AUTOREFRESH = True
# The hash of a password is meant to take long.
settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


#: Lets code outside a test reach the database; there once there is one.
_BLOCKER = pytest.StashKey[DjangoDbBlocker]()


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
def seconds_left() -> float:
    """Stops the clock of the test that happens to be the first to need the database; its set-up is nobody's."""
    return signal.setitimer(signal.ITIMER_REAL, 0)[0]


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    seconds_left: float, database_server: None, django_db_blocker: DjangoDbBlocker
) -> None:
    """Names the test database after this process, so that simultaneous runs and workers keep apart."""
    test = connections["default"].settings_dict["TEST"]
    test["NAME"] = f"test_onecount_{os.getpid()}"
    database.drop_databases_of_ended_runs()
    if settings.EMBEDDED_POSTGRES_HOME is not None:
        with django_db_blocker.unblock():
            test["TEMPLATE"] = database.template()


@pytest.fixture(scope="session")
def django_db_setup(
    seconds_left: float,
    django_db_setup: None,
    django_db_blocker: DjangoDbBlocker,
    request: pytest.FixtureRequest,
) -> Iterator[None]:
    """Keeps what the migrations left, for tests that commit: it is brought back after each of them."""
    with django_db_blocker.unblock():
        database.keep()
    request.config.stash[_BLOCKER] = django_db_blocker
    signal.setitimer(signal.ITIMER_REAL, seconds_left)
    yield
    del request.config.stash[_BLOCKER]


database.keep_plans()
shortcuts.keep_managers_of_history()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks every property as one, so that the slow run tries it on all examples."""
    for item in items:
        if isinstance(item, pytest.Function) and is_hypothesis_test(item.function):
            item.add_marker("property")


def pytest_collection_finish() -> None:
    """Spares the collector of garbage what is there for good: thousands of tests, and all modules."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)
    gc.enable()


def _bring_back(case: TransactionTestCase) -> None:
    database.reset()


TransactionTestCase._fixture_teardown = _bring_back  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def no_secret_in_mind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has each test begin without the secrets of others, which are words that its texts may hold."""
    monkeypatch.setattr(logs, "_registered", {})


@pytest.fixture(autouse=True)
def pages_without_the_menu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves out of the back office's pages what is the same on all of them, and takes longer than most of them."""
    if not {"menu", "browser"} & {marker.name for marker in request.node.iter_markers()}:
        monkeypatch.setattr(admin.site, "get_sidebar_list", lambda request: [])
        monkeypatch.setattr(admin.site, "get_app_list", lambda request, app_label=None: [])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Sees to it that a test that fails, above all one whose time is up, takes no other with it."""
    report = yield
    blocker = item.config.stash.get(_BLOCKER, None)
    if report.failed and blocker is not None:
        left = database.end_what_is_left()
        if left:
            report.sections.append(("Ended at the database", left))
        if report.when == "teardown":
            with blocker.unblock():
                database.start_over()
    return report
