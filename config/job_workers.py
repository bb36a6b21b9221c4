"""Hooks the job workers into the supervision: they show that they work, end with their cluster, and share its memory."""

import os
import signal
import sys
import threading
import time
from functools import cache
from typing import Any

from django.dispatch import receiver
from django.urls import get_resolver
from django_q.signals import post_execute_in_worker, post_spawn, pre_execute

from config import heartbeat
from config.processes import die_with_parent, stay_resident

# An idle worker proves itself by running the beats that the broker slips in between the tasks. A busy one
# cannot, so that a thread beats while a task runs; the task's own time limit ends one that hangs.
_is_busy = threading.Event()


@cache
def load_and_share() -> None:
    """Loads what every worker would load for itself, and has the collector of garbage leave all of it alone for good.

    Forked processes share what none of them writes to. The collector writes to everything that it looks at: without this the
    cluster's five children would soon have a copy each.
    """
    _ = get_resolver().url_patterns
    stay_resident()


if sys.argv[1:2] == ["qcluster"]:
    os.register_at_fork(before=load_and_share)


@receiver(post_spawn)
def _worker_spawned(**_: Any) -> None:
    # django-q2 leaves its workers running when its main process is killed.
    die_with_parent(signal.SIGKILL)
    stay_resident()
    if heartbeat.is_wanted():
        threading.Thread(target=_beat_while_busy, name="heartbeat", daemon=True).start()


@receiver(pre_execute)
def _task_starts(**_: Any) -> None:
    _is_busy.set()


@receiver(post_execute_in_worker)
def _task_ends(**_: Any) -> None:
    _is_busy.clear()


def _beat_while_busy() -> None:
    while _is_busy.wait():
        heartbeat.beat()
        time.sleep(heartbeat.INTERVAL)
