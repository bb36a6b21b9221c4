"""Wakes a job: says that there may be something to do, and nothing more.

What there is to do lies in rows of the apps; a wake-up carries integers at most, may be lost, doubled or late
without harm, and a sweeper of the app wakes again whatever is still due. A job that fails is therefore logged
and forgotten here, not repeated.
"""

from typing import Any, Final

from django.core.signing import BadSignature, Signer
from django.db import connection, transaction
from django.utils import timezone
from django_q.conf import Conf
from django_q.humanhash import uuid as random_id
from django_q.signing import SignedPackage

from config.database import NEED_NOT_LAST
from config.notify import notify_after_commit

CHANNEL: Final = "onecount_jobs"

_SALT: Final = "onecount.wake"
_PREFIX: Final = "wake "

# A wake-up may be lost in a crash.
_ENQUEUE_ONCE: Final = """
    INSERT INTO django_q_ormq (key, payload, lock)
    SELECT queued.key, queued.payload, clock_timestamp()
    FROM (SELECT %(key)s::text AS key, %(payload)s::text AS payload) AS queued
    WHERE {need_not_last}
      AND NOT EXISTS (
        SELECT FROM django_q_ormq AS other
        WHERE md5(other.payload) = md5(queued.payload) AND other.payload = queued.payload
          AND other.key = queued.key AND other.lock <= clock_timestamp()
      )
"""
_ENQUEUE_ONCE_SQL: Final = _ENQUEUE_ONCE.format(need_not_last=NEED_NOT_LAST)


def wake(task_path: str, *args: int) -> None:
    """Has a worker call the function at this dotted path soon, once the current transaction has committed.

    While the same wake-up is queued and no worker has claimed it, no second one is added: the one to come
    will see what has been committed by now. A failure to queue is logged and not raised.
    """
    payload = Signer(salt=_SALT).sign(_PREFIX + " ".join([task_path, *map(str, args)]))
    transaction.on_commit(lambda: _enqueue_once(payload), robust=True)


def _enqueue_once(payload: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_ENQUEUE_ONCE_SQL, {"key": Conf.CLUSTER_NAME, "payload": payload})
    notify_after_commit(CHANNEL)


def task_of(payload: str) -> dict[str, Any] | None:
    """Returns the django-q2 task of a queued wake-up, or None where the payload is none of ours."""
    if not payload.startswith(_PREFIX):
        return None
    try:
        task_path, *args = Signer(salt=_SALT).unsign(payload).removeprefix(_PREFIX).split(" ")
    except BadSignature:
        return None
    return build_task(task_path, *map(int, args))


def name_of(payload: str) -> str:
    """Returns what a queued task calls and with what, for people; its signature decides whether it is read at all."""
    try:
        task = task_of(payload) or SignedPackage.loads(payload)
        arguments = ", ".join(repr(each)[:40] for each in task["args"])
        return f"{task['func']}({arguments})"[:200]
    except (BadSignature, TypeError, ValueError, KeyError):
        return "a task that cannot be read"


def build_task(task_path: str, *args: int) -> dict[str, Any]:
    """Returns a task as django-q2 passes it to its workers, acknowledged even when it fails."""
    _name, identity = random_id()
    return {
        "id": identity,
        "name": task_path,
        "func": task_path,
        "args": args,
        "kwargs": {},
        "started": timezone.now(),
        "ack_failure": True,
    }
