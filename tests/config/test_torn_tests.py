"""A test that runs out of time, or fails in the middle of things, leaves nothing behind that others could wait for."""

import subprocess
import sys
from pathlib import Path

import pytest

from config.environment import BASE_DIR

_PLAIN = ("-p", "no:randomly", "-p", "no:cacheprovider")
_SUITE = '''
import threading

import pytest
from django.db import connection, transaction

from inventory.models import Merchant


def write():
    Merchant.objects.create(name="Torn", slug="torn")


def wait():
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(600)")


@pytest.mark.django_db
def test_a():
    """Pays for what is imported late."""


@pytest.mark.django_db
@pytest.mark.timeout(0.7)
@pytest.mark.parametrize("depth", [0, 1])
def test_a_torn_statement(depth):
    write()
    with transaction.atomic(savepoint=bool(depth)):
        wait()


@pytest.mark.django_db
def test_b_next():
    assert Merchant.objects.count() == 0
    write()


@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(0.7)
def test_c_torn_thread():
    def hold():
        with transaction.atomic():
            write()
            wait()

    thread = threading.Thread(target=hold, daemon=True)
    thread.start()
    thread.join()


@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(0.7)
def test_d_torn_commit():
    Merchant.objects.create(name="Kept", slug="kept")
    with transaction.atomic():
        write()
        wait()


@pytest.fixture
def stuck(transactional_db):
    yield
    wait()


@pytest.mark.timeout(0.7)
def test_e_torn_at_the_end(stuck):
    write()


@pytest.mark.django_db(transaction=True)
def test_f_next():
    test_b_next()
'''


@pytest.mark.slow
def test_after_tests_whose_time_is_up_the_next_find_everything_free_and_empty(tmp_path: Path) -> None:
    suite = BASE_DIR / "tests" / "config" / f"torn_{tmp_path.name}.py"
    suite.write_text(_SUITE)
    try:
        run = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-rA", *_PLAIN, str(suite)],
            cwd=BASE_DIR,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        suite.unlink()
    for name in ("test_b_next", "test_f_next"):
        assert f"PASSED {suite.relative_to(BASE_DIR)}::{name}" in run.stdout, run.stdout
    assert "Ended at the database" in run.stdout
