"""Connections stay open between requests, and are found out when the server has closed them meanwhile."""

from collections.abc import Iterator
from unittest.mock import patch

import pytest
from django.db import connection

from config.postgresql.base import DatabaseWrapper

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def kept() -> Iterator[DatabaseWrapper]:
    """A connection of its own, kept open as one of the web server's is."""
    own = connection.copy()
    assert isinstance(own, DatabaseWrapper)
    own.settings_dict = {**own.settings_dict, "CONN_HEALTH_CHECKS": True}
    own.connect()
    yield own
    own.close()


def _pid(kept: DatabaseWrapper) -> int:
    with kept.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def _begin_request(kept: DatabaseWrapper) -> None:
    kept.close_if_unusable_or_obsolete()
    assert not kept.health_check_done


def test_a_connection_that_stands_is_not_asked(kept: DatabaseWrapper) -> None:
    pid = _pid(kept)
    _begin_request(kept)
    with patch.object(DatabaseWrapper, "is_usable", side_effect=AssertionError("asked the server")):
        assert _pid(kept) == pid


def test_a_connection_that_the_server_closed_is_replaced(kept: DatabaseWrapper) -> None:
    pid = _pid(kept)
    with connection.cursor() as cursor:
        # With a second argument it returns when the process has ended.
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    _begin_request(kept)
    assert _pid(kept) not in (0, pid)


def test_a_connection_that_was_closed_here_is_replaced(kept: DatabaseWrapper) -> None:
    pid = _pid(kept)
    kept.connection.close()
    _begin_request(kept)
    assert _pid(kept) != pid
