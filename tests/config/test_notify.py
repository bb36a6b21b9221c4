"""A wake-up reaches listeners after the commit, seldom, and none that matters is lost."""

import threading
import time
from collections.abc import Iterator

import pytest
from django.db import connection, transaction

from config import notify
from config.database import direct_connection
from config.notify import Listener, listen, notify_after_commit

pytestmark = pytest.mark.django_db(transaction=True)

CHANNEL = "onecount_test"
#: Long enough for a wake-up on a busy machine; a test that passes never waits for it.
PATIENCE = 10.0


@pytest.fixture
def listener() -> Iterator[Listener]:
    """A listener that has connected, and has reported that it has."""
    notify._sent_at.clear()
    with Listener(CHANNEL) as listener:
        assert listener.wait(PATIENCE) == {CHANNEL}
        yield listener


def test_a_wake_up_arrives_after_the_commit_and_not_before(listener: Listener) -> None:
    with transaction.atomic():
        notify_after_commit(CHANNEL)
        assert listener.wait(0.1) == set()
    assert listener.wait(PATIENCE) == {CHANNEL}


def test_a_rollback_wakes_nobody(listener: Listener) -> None:
    with transaction.atomic():
        notify_after_commit(CHANNEL)
        transaction.set_rollback(True)
    assert listener.wait(0.1) == set()


def test_outside_a_transaction_it_is_sent_at_once(listener: Listener) -> None:
    notify_after_commit(CHANNEL)
    assert listener.wait(PATIENCE) == {CHANNEL}


def test_many_commits_in_the_window_are_one_notify(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "WINDOW", 60.0)
    for _ in range(20):
        notify_after_commit(CHANNEL)
    assert listener.wait(PATIENCE) == {CHANNEL}
    assert listener.wait(0.1) == set()


def test_each_wake_up_is_reported_again_after_the_window_for_what_was_swallowed(listener: Listener) -> None:
    notify_after_commit(CHANNEL)
    assert listener.wait(PATIENCE) == {CHANNEL}
    assert listener.wait(PATIENCE) == {CHANNEL}
    assert listener.wait(0.1) == set()


def test_a_listener_sees_every_commit_however_the_wake_ups_were_merged(listener: Listener) -> None:
    """Commits come in a storm from another connection; the listener reads the last one without any sweep."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE storm (n int)")
        cursor.execute("INSERT INTO storm VALUES (0)")
    try:
        storm = threading.Thread(target=_storm, args=(200,))
        storm.start()
        deadline = time.monotonic() + PATIENCE
        while _seen() < 200:
            assert time.monotonic() < deadline, "the last commit was never announced"
            # A wait that ends without a channel is a sweep, which this test does not allow to find anything.
            if not listener.wait(PATIENCE):
                pytest.fail("no wake-up came for the last commit")
        storm.join()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE storm")


def _seen() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT n FROM storm")
        (number,) = cursor.fetchone()
    return int(number)


def _storm(commits: int) -> None:
    try:
        for _ in range(commits):
            with transaction.atomic():
                with connection.cursor() as cursor:
                    cursor.execute("UPDATE storm SET n = n + 1")
                notify_after_commit(CHANNEL)
    finally:
        connection.close()


def test_a_listener_whose_connection_is_cut_connects_again_and_reports_all_channels(
    listener: Listener,
) -> None:
    assert listener._connection is not None
    with direct_connection() as other:
        other.execute("SELECT pg_terminate_backend(%s)", [listener._connection.info.backend_pid])
    assert listener.wait(0.2) == set()
    assert listener.wait(PATIENCE) == {CHANNEL}
    notify_after_commit(CHANNEL)
    assert listener.wait(PATIENCE) == {CHANNEL}


def test_an_unreachable_server_costs_a_listener_its_timeout_and_no_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(connection.settings_dict, "HOST", "/nowhere")
    with Listener(CHANNEL) as listener:
        assert listener.wait(0.05) == set()


def test_listen_yields_an_empty_set_when_nothing_came() -> None:
    waits = listen(CHANNEL, timeout=0.05)
    assert next(waits) == {CHANNEL}
    assert next(waits) == set()
    waits.close()  # type: ignore[attr-defined]
