"""What the checks look at once all is quiet."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from django.db import connection

from tests.torture.verdict import Violation
from tests.torture.world import World


@dataclass(slots=True)
class Evidence:
    """The world as it came to rest."""

    world: World
    #: The shops' own books, in the sequence of the channels.
    books: list[dict[str, Any]]
    #: Checksums of the first movements by id, taken in the middle of the run.
    early_movements: dict[int, str] = field(default_factory=dict)
    changed_by_the_late: list[Violation] = field(default_factory=list)
    seconds: float = 0.0
    events: int = 0
    #: From the end of the last fault to the moment from which every shop showed its number; None: never.
    convergence_seconds: float | None = None
    #: Seconds that it may take.
    within: float = 30.0
    #: What was still on its way when nobody waited any longer.
    left: Mapping[str, int] = field(default_factory=dict)
    #: Every row of the database as text, table by table; filled by who looks first.
    dump: list[tuple[str, str]] = field(default_factory=list)
    #: Pages and answers that were opened to look at them: (address, status, text); filled by who looks first.
    pages: list[tuple[str, int, str]] = field(default_factory=list)


def rows(sql: str, parameters: list[Any] | None = None) -> list[tuple[Any, ...]]:
    """Returns what a statement finds."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return list(cursor.fetchall())


def unlike(
    ours: Mapping[Any, Any], theirs: Mapping[Any, Any], words: str, *, missing: object = 0
) -> list[str]:
    """Returns a line for each key under which two mappings differ; `words` are given `key`, `ours` and `theirs`."""
    pairs = {key: (ours.get(key, missing), theirs.get(key, missing)) for key in ours.keys() | theirs.keys()}
    return [
        words.format(key=key, ours=pairs[key][0], theirs=pairs[key][1])
        for key in sorted(pairs)
        if pairs[key][0] != pairs[key][1]
    ]


_CHECKSUMS: Final = """
SELECT id, md5(m::text) FROM inventory_stockmovement m
WHERE %s::bigint[] IS NULL OR id = ANY(%s::bigint[])
ORDER BY id LIMIT %s
"""
#: Movements of which it is kept in mind what they said.
_REMEMBERED: Final = 2_000


def checksums_of_movements(ids: list[int] | None = None) -> dict[int, str]:
    """Returns checksums of these movements, or of the first that there are, by id."""
    return dict(rows(_CHECKSUMS, [ids, ids, _REMEMBERED]))


def levels() -> dict[int, tuple[int, int, int]]:
    """Returns on hand, reserved and unavailable, by level."""
    found = rows("SELECT id, on_hand, reserved, unavailable FROM inventory_stocklevel")
    return {identity: (on_hand, reserved, unavailable) for identity, on_hand, reserved, unavailable in found}
