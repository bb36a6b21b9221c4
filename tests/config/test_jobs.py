"""Tasks reach exactly one worker, come up again when it dies, and wake-ups do not pile up."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.signing import BadSignature
from django.db import connection, transaction
from django_q.models import OrmQ
from django_q.signing import SignedPackage
from django_q.tasks import async_task
from pytest_django import DjangoAssertNumQueries

from config import heartbeat, jobs, notify
from config.environment import BASE_DIR
from config.job_broker import PostgresBroker
from config.jobs import wake

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def broker() -> Iterator[PostgresBroker]:
    """The broker that the settings name."""
    broker = PostgresBroker()
    yield broker
    broker.close()


def pull(broker: PostgresBroker) -> list[dict[str, Any]]:
    return [SignedPackage.loads(task) for _row_id, task in broker.dequeue()]


def test_a_wake_up_becomes_a_task_with_its_integers(broker: PostgresBroker) -> None:
    wake("config.heartbeat.beat", 7, 8)
    (task,) = pull(broker)
    assert (task["func"], task["args"], task["kwargs"]) == ("config.heartbeat.beat", (7, 8), {})
    assert task["ack_failure"] is True


def test_a_wake_up_is_queued_with_the_commit_and_not_before(broker: PostgresBroker) -> None:
    with transaction.atomic():
        wake("config.heartbeat.beat")
        assert broker.queue_size() == 0
    assert broker.queue_size() == 1


def test_the_same_wake_up_is_queued_once_and_another_beside_it(broker: PostgresBroker) -> None:
    for number in (1, 1, 2, 1):
        wake("config.heartbeat.beat", number)
    assert broker.queue_size() == 2


def test_a_claimed_wake_up_does_not_swallow_a_new_one(broker: PostgresBroker) -> None:
    wake("config.heartbeat.beat", 1)
    assert len(pull(broker)) == 1
    wake("config.heartbeat.beat", 1)
    assert (broker.queue_size(), broker.lock_size()) == (1, 1)


def test_a_wake_up_costs_one_statement_beside_the_notify(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    notify._sent_at.clear()
    with django_assert_num_queries(2):
        wake("config.heartbeat.beat", 1)


def test_a_queue_that_cannot_be_written_does_not_fail_what_was_committed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(jobs, "_ENQUEUE_ONCE_SQL", "SELECT 1 / 0")
    with transaction.atomic():
        wake("config.heartbeat.beat")
    assert "division by zero" in caplog.text


def test_an_ordinary_task_of_django_q_passes_unchanged(broker: PostgresBroker) -> None:
    identity = async_task("config.heartbeat.beat")
    (task,) = pull(broker)
    assert task["id"] == identity


def test_a_wake_up_that_was_not_signed_here_is_never_run(broker: PostgresBroker) -> None:
    OrmQ.objects.create(key=broker.list_key, payload="wake os.system 1:forged", lock="2020-01-01T00:00Z")
    ((_row_id, payload),) = broker.dequeue()
    assert jobs.task_of(payload) is None
    with pytest.raises(BadSignature):
        SignedPackage.loads(payload)


def test_a_task_whose_claim_ran_out_comes_up_again(broker: PostgresBroker) -> None:
    wake("config.heartbeat.beat")
    assert len(pull(broker)) == 1
    assert broker._claim() == []
    with connection.cursor() as cursor:
        cursor.execute("UPDATE django_q_ormq SET lock = lock - interval '1 hour'")
    assert len(pull(broker)) == 1


def test_an_acknowledged_task_is_gone(broker: PostgresBroker) -> None:
    wake("config.heartbeat.beat")
    ((row_id, _task),) = broker.dequeue()
    broker.acknowledge(row_id)
    assert not OrmQ.objects.exists()


def test_pullers_side_by_side_claim_every_task_once(broker: PostgresBroker) -> None:
    for number in range(200):
        wake("config.heartbeat.beat", number)
    claimed: list[int] = []
    pullers = [threading.Thread(target=_claim_all, args=(claimed,)) for _ in range(4)]
    for puller in pullers:
        puller.start()
    for puller in pullers:
        puller.join()
    assert len(claimed) == 200
    assert len(set(claimed)) == 200


def _claim_all(claimed: list[int]) -> None:
    broker = PostgresBroker()
    try:
        while rows := broker._claim():
            claimed.extend(row_id for row_id, _task in rows)
    finally:
        connection.close()


def test_a_puller_that_sleeps_is_woken(broker: PostgresBroker) -> None:
    broker.dequeue()  # connects its listener
    broker.dequeue()
    waker = threading.Timer(0.1, _wake_elsewhere)
    waker.start()
    tasks = pull(broker) or pull(broker)
    waker.join()
    assert [task["args"] for task in tasks] == [(5,)]


def _wake_elsewhere() -> None:
    try:
        wake("config.heartbeat.beat", 5)
    finally:
        connection.close()


def test_under_supervision_the_broker_slips_in_a_heartbeat_that_belongs_to_no_row(
    broker: PostgresBroker, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv(heartbeat.FILE_VARIABLE, str(tmp_path / "beat"))
    ((row_id, package),) = broker.dequeue()
    task = SignedPackage.loads(package)
    assert (row_id, task["func"]) == (0, "config.heartbeat.beat")
    heartbeat.beat()
    assert (tmp_path / "beat").exists()


def test_the_cluster_shares_what_it_has_loaded_with_its_workers() -> None:
    script = (
        "import gc, os, sys; sys.argv = ['manage.py', 'qcluster']\n"
        "from config import startup; startup.prepare()\n"
        "import django; django.setup()\n"
        "before = gc.get_freeze_count()\n"
        "pid = os.fork()\n"
        "if not pid: print(before, gc.get_freeze_count(), flush=True); os._exit(0)\n"
        "os.waitpid(pid, 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=BASE_DIR, capture_output=True, text=True, timeout=60, check=True
    )
    before, after = map(int, done.stdout.split())
    # Frozen by the parent, before the fork: the child's collector has nothing of it to look at.
    assert before == 0
    assert after > 100_000
