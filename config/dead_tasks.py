"""What becomes of tasks that killed whoever ran them: a person has them run again, or forgets them."""

from collections.abc import Collection
from typing import Final

from django.db import connection
from django_q.conf import Conf

from config.jobs import CHANNEL
from config.models import DeadTask
from config.notify import notify_after_commit

_RUN_AGAIN: Final = """
    WITH gone AS (DELETE FROM config_deadtask WHERE id = ANY(%s::bigint[]) RETURNING payload)
    INSERT INTO django_q_ormq (key, payload, lock) SELECT %s, payload, clock_timestamp() FROM gone
"""


def run_again(ids: Collection[int]) -> int:
    """Puts tasks back into the queue, as if nobody had begun them; returns how many."""
    with connection.cursor() as cursor:
        cursor.execute(_RUN_AGAIN, [list(ids), Conf.CLUSTER_NAME])
        count = int(cursor.rowcount)
    notify_after_commit(CHANNEL)
    return count


def forget(ids: Collection[int]) -> int:
    """Forgets tasks: a wake-up loses nothing, since what there is to do lies in rows. Returns how many."""
    count, _ = DeadTask.objects.filter(pk__in=ids).delete()
    return count
