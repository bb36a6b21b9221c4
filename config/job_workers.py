"""Hooks the job workers into the supervision: they show that they work, and end with their cluster."""

import signal
import threading
import time
from typing import Any

from django.dispatch import receiver
from django_q.signals import post_execute_in_worker, post_spawn, pre_execute

from config import heartbeat
from config.processes import die_with_parent, stay_resident

# An idle worker proves itself by running the beats that the broker slips in between the tasks. A busy one
# cannot, so that a thread beats while a task runs; the task's own time limit ends one that hangs.
_is_busy = threading.Event()


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
