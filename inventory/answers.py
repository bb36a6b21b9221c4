"""Answers that repeats of a request are given again, kept under the idempotency key of the caller.

The row is inserted first and committed with what the request did, so that a concurrent twin waits at the unique key and
then reads the first one's answer. A request that is refused leaves no row: the same key may be used for another try.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from inventory.errors import IdempotencyConflict, StockError
from inventory.models import ApiAnswer

#: For how long repeats are answered; callers are told of 24 hours.
KEPT_FOR: Final = timedelta(hours=48)
#: Rows deleted by one statement.
_PIECE: Final = 5_000

_BEGIN: Final = """
INSERT INTO inventory_apianswer (merchant_id, key, digest, status, body, headers, created_at)
VALUES (%s, %s, %s, 0, '', '{}', clock_timestamp())
ON CONFLICT (merchant_id, key) DO NOTHING
RETURNING id
"""

_KEEP: Final = "UPDATE inventory_apianswer SET status = %s, body = %s, headers = %s::jsonb WHERE id = %s"

_LOCK_TIMEOUT: Final = "55P03"


class StillRunning(StockError):
    """The first request under this idempotency key has not ended yet; send it again in a moment."""


@dataclass(slots=True)
class Answer:
    """What a request is answered: found, or to be filled in before the block ends."""

    status: int = 0
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    is_repeat: bool = False


def digest_of(*parts: bytes) -> str:
    """Returns the SHA-256 of a request's parts; what one part ends with, the next one cannot begin with."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()


@contextmanager
def once(merchant_id: int, key: str, digest: str) -> Iterator[Answer]:
    """Has a request worked on exactly once for its key, in one transaction with the answer that the block fills in.

    Raises `IdempotencyConflict` where the key belongs to another request, `StillRunning` where the first one takes
    longer than the lock timeout.
    """
    with transaction.atomic():
        identity = _begin(merchant_id, key, digest)
        if identity is None:
            yield _first(merchant_id, key, digest)
            return
        answer = Answer()
        yield answer
        with connection.cursor() as cursor:
            cursor.execute(_KEEP, [answer.status, answer.body, json.dumps(answer.headers), identity])


def _begin(merchant_id: int, key: str, digest: str) -> int | None:
    """Inserts the row; None where there is one already, after waiting for whoever is writing it."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(_BEGIN, [merchant_id, key, digest])
            row: Any = cursor.fetchone()
    except DatabaseError as error:
        if getattr(error.__cause__, "sqlstate", None) == _LOCK_TIMEOUT:
            raise StillRunning from error
        raise
    return None if row is None else row[0]


def _first(merchant_id: int, key: str, digest: str) -> Answer:
    row = ApiAnswer.objects.filter(merchant_id=merchant_id, key=key).first()
    if row is None:  # forgotten in this very moment
        raise StillRunning
    if row.digest != digest:
        raise IdempotencyConflict(key)
    return Answer(row.status, row.body, row.headers, is_repeat=True)


def forget_old() -> int:
    """Deletes answers that are older than repeats are answered; returns how many."""
    before = timezone.now() - KEPT_FOR
    count = 0
    while True:
        old = ApiAnswer.objects.filter(created_at__lt=before).order_by("created_at").values("pk")[:_PIECE]
        gone, _ = ApiAnswer.objects.filter(pk__in=list(old.values_list("pk", flat=True))).delete()
        count += gone
        if gone < _PIECE:
            return count
