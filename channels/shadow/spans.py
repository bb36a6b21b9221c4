"""What a shelf showed and what we would have shown, side by side over time: one open span a shelf, closed by every change.

Whoever writes holds the run's lock first, so that spans of a shelf follow each other without a gap. A few statements a
batch, whatever its size.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db import connection, transaction

from channels.models import ShadowRun
from inventory.arrays import array

_CLOSE: Final = """
UPDATE channels_shadowspan span
SET ended_at = greatest(%(now)s, span.began_at)
FROM unnest(%(levels)s::bigint[], %(numbers)s::bigint[]) AS said (level_id, number)
WHERE span.run_id = %(run)s AND span.listing_level_id = said.level_id AND span.ended_at IS NULL
  AND span.{name} IS DISTINCT FROM said.number
"""

# The other number goes on as it was.
_OPEN: Final = """
INSERT INTO channels_shadowspan (run_id, listing_level_id, would, shown, began_at, ended_at, caused_at, said_at)
SELECT %(run)s, said.level_id, {numbers}, greatest(%(now)s, before.ended_at), NULL, {times}
FROM unnest(%(levels)s::bigint[], %(numbers)s::bigint[], %(times)s::timestamptz[]) AS said (level_id, number, at)
LEFT JOIN LATERAL (
    SELECT would, shown, said_at, ended_at FROM channels_shadowspan span
    WHERE span.run_id = %(run)s AND span.listing_level_id = said.level_id
    ORDER BY span.began_at DESC, span.id DESC LIMIT 1
) before ON true
WHERE NOT EXISTS (
    SELECT FROM channels_shadowspan span
    WHERE span.run_id = %(run)s AND span.listing_level_id = said.level_id AND span.ended_at IS NULL
)
"""
_WOULD: Final = (
    _CLOSE.format(name="would"),
    _OPEN.format(
        numbers="said.number, before.shown",
        times="CASE WHEN before.would IS NOT NULL THEN said.at END, before.said_at",
    ),
)
_SHOWN: Final = (
    _CLOSE.format(name="shown"),
    _OPEN.format(numbers="before.would, said.number", times="NULL, said.at"),
)

_SAID: Final = """
UPDATE channels_shadowspan span
SET said_at = greatest(span.said_at, said.at)
FROM unnest(%(levels)s::bigint[], %(times)s::timestamptz[]) AS said (level_id, at)
WHERE span.run_id = %(run)s AND span.listing_level_id = said.level_id AND span.ended_at IS NULL
"""


@dataclass(frozen=True, slots=True)
class Number:
    """A number of one shelf, and the instant that belongs to it."""

    #: None: it shows none.
    number: int | None
    #: Of what we would show: when that happened for which it changed. Of what is shown: when the platform said so.
    at: datetime | None


@contextmanager
def open_run(run_id: int) -> Iterator[ShadowRun | None]:
    """Holds a run against everybody else who writes its spans; None where it has ended. One transaction."""
    with transaction.atomic():
        rows = ShadowRun.objects.select_for_update(of=("self",), no_key=True)
        yield rows.filter(pk=run_id, ended_at__isnull=True).first()


def note_would(run: ShadowRun, numbers: Mapping[int, Number]) -> None:
    """Notes what we would show, by listing level id. Demands the run's lock."""
    _execute(_WOULD, run, numbers)


def note_shown(run: ShadowRun, numbers: Mapping[int, Number]) -> None:
    """Notes what the platform says that it shows, by listing level id. Demands the run's lock."""
    _execute((*_SHOWN, _SAID), run, numbers)


def _execute(statements: Sequence[str], run: ShadowRun, numbers: Mapping[int, Number]) -> None:
    """Runs statements as of one instant, so that spans meet."""
    if not numbers:
        return
    parameters: dict[str, Any] = {
        "run": run.pk,
        "levels": array(numbers),
        "numbers": [each.number for each in numbers.values()],
        "times": [each.at for each in numbers.values()],
    }
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (parameters["now"],) = cursor.fetchone()
        for sql in statements:
            cursor.execute(sql, parameters)
