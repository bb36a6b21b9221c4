"""A django-q2 broker that hands a task over within milliseconds, over PostgreSQL alone.

It keeps django-q2's own table and claims rows with SKIP LOCKED, so that any number of clusters may share the
database. The process that pulls tasks sleeps in LISTEN between them. A claim lasts `retry` seconds; a task
whose worker died comes up again after that. It is counted as it is claimed, because a worker that is killed
counts nothing: after a few times it is kept among the dead tasks instead, for a person to look at.
"""

from typing import Final

from django.db import close_old_connections, connection
from django_q.brokers import Broker
from django_q.conf import Conf
from django_q.signing import SignedPackage

from config.heartbeat import Ticker
from config.jobs import CHANNEL, build_task, task_of
from config.notify import Listener, notify_after_commit

#: Seconds after which the queue is looked at without a wake-up: tasks whose claim ran out send none.
_SWEEP_SECONDS: Final = 1.0

_ENQUEUE: Final = (
    "INSERT INTO django_q_ormq (key, payload, lock) VALUES (%s, %s, clock_timestamp()) RETURNING id"
)
#: Times that a task is begun without coming to an end, before it is taken for what kills its workers.
MOST_TAKES: Final = 5
_CLAIM: Final = """
    WITH due AS MATERIALIZED (
        SELECT id, takes FROM django_q_ormq WHERE key = %(queue)s AND lock <= clock_timestamp()
        ORDER BY lock, id LIMIT %(bulk)s FOR UPDATE SKIP LOCKED
    ), dead AS (
        DELETE FROM django_q_ormq task USING due WHERE task.id = due.id AND due.takes >= %(most)s
        RETURNING task.payload, task.takes
    ), kept AS (
        INSERT INTO config_deadtask AS known (payload, takes, first_at, last_at)
        SELECT payload, sum(takes), clock_timestamp(), clock_timestamp() FROM dead GROUP BY payload
        ON CONFLICT (md5(payload)) DO UPDATE SET takes = known.takes + excluded.takes, last_at = excluded.last_at
    )
    UPDATE django_q_ormq task
    SET lock = clock_timestamp() + make_interval(secs => %(seconds)s), takes = task.takes + 1
    FROM due WHERE task.id = due.id AND due.takes < %(most)s
    RETURNING task.id, task.payload
"""
_COUNT_WAITING: Final = "SELECT count(*) FROM django_q_ormq WHERE key = %s AND lock <= clock_timestamp()"
_COUNT_CLAIMED: Final = "SELECT count(*) FROM django_q_ormq WHERE key = %s AND lock > clock_timestamp()"


class PostgresBroker(Broker):
    """Queues, claims and acknowledges tasks; named by `Q_CLUSTER["broker_class"]`."""

    def __init__(self, list_key: str | None = None) -> None:
        super().__init__(list_key=list_key or Conf.CLUSTER_NAME)
        self._listener: Listener | None = None
        self._ticker = Ticker()

    def enqueue(self, task: str) -> int:
        """Stores the signed task and wakes a cluster after commit; returns the row's id."""
        with connection.cursor() as cursor:
            cursor.execute(_ENQUEUE, [self.list_key, task])
            (row_id,) = cursor.fetchone()
        notify_after_commit(CHANNEL)
        return int(row_id)

    def dequeue(self) -> list[tuple[int, str]]:
        """Returns claimed tasks as (id, signed task), or none after at most a second of waiting."""
        close_old_connections()
        tasks = self._beat() + self._claim()
        if tasks:
            return tasks
        # Made here, in the process that pulls: the broker object itself is handed through a fork.
        self._listener = self._listener or Listener(CHANNEL)
        self._listener.wait(_SWEEP_SECONDS)
        return self._claim()

    def _claim(self) -> list[tuple[int, str]]:
        with connection.cursor() as cursor:
            cursor.execute(
                _CLAIM,
                {"queue": self.list_key, "bulk": Conf.BULK, "seconds": Conf.RETRY, "most": MOST_TAKES},
            )
            return [(row_id, _signed(payload)) for row_id, payload in cursor.fetchall()]

    def _beat(self) -> list[tuple[int, str]]:
        """Slips in a task that shows that a worker works; its id 0 belongs to no row."""
        return (
            [(0, SignedPackage.dumps(build_task("config.heartbeat.beat")))] if self._ticker.is_due() else []
        )

    def close(self) -> None:
        """Closes the connection it listens on."""
        if self._listener is not None:
            self._listener.close()

    def acknowledge(self, task_id: int) -> None:
        """Forgets a task that is done."""
        self.delete(task_id)

    def fail(self, task_id: int) -> None:
        """Forgets a task that cannot be read."""
        self.delete(task_id)

    def delete(self, task_id: int) -> None:
        """Deletes the task's row, if there still is one."""
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM django_q_ormq WHERE id = %s", [task_id])

    def queue_size(self) -> int:
        """Returns how many tasks wait to be claimed."""
        return self._count(_COUNT_WAITING)

    def lock_size(self) -> int:
        """Returns how many tasks are claimed."""
        return self._count(_COUNT_CLAIMED)

    def _count(self, statement: str) -> int:
        with connection.cursor() as cursor:
            cursor.execute(statement, [self.list_key])
            (count,) = cursor.fetchone()
        return int(count)

    def purge_queue(self) -> None:
        """Deletes all tasks of this queue, claimed ones too."""
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM django_q_ormq WHERE key = %s", [self.list_key])

    def delete_queue(self) -> None:
        """Deletes all tasks of this queue."""
        self.purge_queue()

    def ping(self) -> bool:
        """Returns True; what is wrong with the database shows when tasks are pulled."""
        return True

    def info(self) -> str:
        """Returns the broker's name for `qinfo`."""
        return "PostgreSQL"


def _signed(payload: str) -> str:
    """Returns a queued wake-up as the signed task that workers take; any other payload is one already."""
    task = task_of(payload)
    return payload if task is None else SignedPackage.dumps(task)
