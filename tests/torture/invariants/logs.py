"""What the logs and the rows of retries tell: no deadlock, no failure of ours, nothing without end."""

import re
from pathlib import Path
from typing import Final

from channels.deliveries import LARGEST_ATTEMPTS
from channels.deliveries import MOST_TAKES as MOST_DELIVERY_TAKES
from config.job_broker import MOST_TAKES
from config.models import DeadTask
from tests.torture import server
from tests.torture.faults.outside import KILLER, POISON
from tests.torture.invariants.evidence import Evidence, rows
from tests.torture.verdict import Violation, violated

#: What only a defect can cause.
_OURS: Final = re.compile(
    r"\b(IntegrityError|DataError|ProgrammingError|TransactionManagementError|KeyError|TypeError|AttributeError"
    r"|AssertionError|IndexError|ZeroDivisionError|RecursionError|UnboundLocalError|NameError|UnicodeDecodeError)\b"
)
#: PostgreSQL's words for what a defect makes of data; a lock that is waited for too long, or a connection that ends, is none.
_REFUSED: Final = re.compile(
    r"ERROR:  .*(violates|division by zero|out of range|does not exist|syntax error)"
)
_VERSION: Final = "movement_version_is_unique_per_level"
_DEADLOCK: Final = "ERROR:  deadlock detected"

_GIVEN_UP: Final = """
SELECT channel.name, delivery.topic, delivery.error FROM channels_webhookdelivery delivery
JOIN channels_channel channel ON channel.id = delivery.channel_id
WHERE delivery.state = 'dead' AND delivery.dedupe_key NOT LIKE %s
"""
_STUCK: Final = """
SELECT channel.name, delivery.topic, delivery.attempts FROM channels_webhookdelivery delivery
JOIN channels_channel channel ON channel.id = delivery.channel_id
WHERE delivery.state = 'received' AND delivery.dedupe_key LIKE %s
"""
_ATTEMPTS: Final = "SELECT topic, attempts FROM channels_webhookdelivery WHERE attempts > %s"
_TAKES: Final = "SELECT topic, takes FROM channels_webhookdelivery WHERE takes > %s"
_TASKS: Final = "SELECT takes FROM django_q_ormq WHERE takes > %s"
#: Pushes of a shelf beyond what its marks asked for.
_PUSHES: Final = """
SELECT level.id, level.wanted, count(*) FROM channels_push push
JOIN channels_listinglevel level ON level.id = push.listing_level_id
GROUP BY 1, 2 HAVING count(*) > 5 * level.wanted + 60
"""
#: Calls of a shop for an event and for a second.
_CALLS: Final = 60


def no_deadlock(evidence: Evidence) -> list[Violation]:
    """Looks for deadlocks in PostgreSQL's log."""
    return violated("no-deadlock", "{count} deadlocks", _lines(_database_log(evidence), _DEADLOCK))


def versions_are_taken_once(evidence: Evidence) -> list[Violation]:
    """Looks for versions that PostgreSQL had to refuse because another operation had taken them."""
    what = "{count} operations decided by a reading that was not true any more"
    return violated("versions-are-taken-once", what, _lines(_database_log(evidence), _VERSION))


def nothing_fails(evidence: Evidence) -> list[Violation]:
    """Looks for what only a defect can cause, in the logs of the database and of the program."""
    refused = [line for line in _lines(_database_log(evidence), "ERROR:") if _REFUSED.search(line)]
    failed = [line for line in _lines(_program_log(evidence), "") if _OURS.search(line)]
    return violated("nothing-fails", "PostgreSQL refused {count} statements", refused) + violated(
        "nothing-fails", "{count} lines of the log tell of a defect", failed
    )


def retries_are_bounded(evidence: Evidence) -> list[Violation]:
    """Counts attempts, pushes and calls."""
    cases = [f"message {topic}: {count} attempts" for topic, count in rows(_ATTEMPTS, [LARGEST_ATTEMPTS])]
    cases += [f"message {topic}: taken {count} times" for topic, count in rows(_TAKES, [MOST_DELIVERY_TAKES])]
    cases += [f"a task was begun {count} times" for (count,) in rows(_TASKS, [MOST_TAKES])]
    cases += [f"shelf {level}: {count} pushes for {wanted} marks" for level, wanted, count in rows(_PUSHES)]
    largest = _CALLS * (evidence.events + evidence.seconds)
    for channel, book in zip(evidence.world.channels, evidence.books, strict=True):
        calls = sum(book["requests"].values())
        if calls > largest:
            cases.append(f"{channel.name}: {calls} calls for {evidence.events} events")
    return violated("retries-are-bounded", "{count} times without end", cases)


def nothing_is_given_up(evidence: Evidence) -> list[Violation]:
    """Looks for dead letters beside the poison, and for poison that is still being tasted."""
    name = "nothing-is-given-up"
    tasks = [str(task) for task in DeadTask.objects.all() if str(task) != f"{KILLER}()"]
    return (
        violated(name, "{count} messages were given up", rows(_GIVEN_UP, [f"{POISON}%"]))
        + violated(name, "{count} tasks were given up", tasks)
        + violated(
            name, "{count} messages that cannot be read are still being tried", rows(_STUCK, [f"{POISON}%"])
        )
    )


def _database_log(evidence: Evidence) -> str:
    return _since(evidence, server.log_of(evidence.world.server))


def _program_log(evidence: Evidence) -> str:
    return _since(evidence, evidence.world.program.log)


def _since(evidence: Evidence, path: Path) -> str:
    """Returns what a log has said since the world stood; all of it where it has been begun anew since."""
    content = path.read_bytes() if path.exists() else b""
    start = evidence.world.log_starts.get(path, 0)
    return content[start if start <= len(content) else 0 :].decode("utf-8", "replace")


def _lines(text: str, word: str) -> list[str]:
    return [line[:400] for line in text.splitlines() if word in line]
