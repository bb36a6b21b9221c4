"""What the checks look at once all is quiet."""

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
    #: Every row of the database as text, table by table; filled by who looks first.
    dump: list[tuple[str, str]] = field(default_factory=list)


def rows(sql: str, parameters: list[Any] | None = None) -> list[tuple[Any, ...]]:
    """Returns what a statement finds."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return list(cursor.fetchall())


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
