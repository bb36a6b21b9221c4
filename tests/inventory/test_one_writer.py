"""Law 1: only the ledger writes levels, operations and movements."""

import re
from pathlib import Path

import pytest
from django.conf import settings

_APPS = ("config", "inventory", "channels", "reconciliation", "analytics")
#: The ledger, its statements, and the lock module that creates empty levels.
_WRITERS = {"inventory/ledger.py", "inventory/statements.py", "inventory/locking.py"}
_WRITES = re.compile(
    r"""
    (?:INSERT\s+INTO|UPDATE|DELETE\s+FROM|TRUNCATE(?:\s+TABLE)?|MERGE\s+INTO|COPY)\s+(?:ONLY\s+)?["']?
    inventory_stock(?:level|operation|movement)\b
    |
    \bStock(?:Level|Operation|Movement)\.objects\b[^;]*?
    \.(?:create|get_or_create|update_or_create|bulk_create|bulk_update|delete|update)\((?!safety_stock=)
    |
    \bStock(?:Level|Operation|Movement)\([^)]*\)\.save\(
    """,
    re.VERBOSE | re.IGNORECASE,
)


def _writes(source: str) -> bool:
    """Tells whether any statement of a source text writes the ledger's tables."""
    statements = re.split(r"\n(?=\S)|\n\s*\n", source)
    return any(_WRITES.search(statement) for statement in statements)


def _sources() -> list[Path]:
    root = Path(settings.BASE_DIR)
    return [
        path
        for app in _APPS
        for path in (root / app).rglob("*.py")
        if "migrations" not in path.relative_to(root).parts
    ]


def test_no_other_module_writes_the_ledgers_tables() -> None:
    root = Path(settings.BASE_DIR)
    writers = {str(path.relative_to(root)) for path in _sources() if _writes(path.read_text())}
    assert writers - _WRITERS == set()


def test_the_writers_are_seen_by_this_search() -> None:
    root = Path(settings.BASE_DIR)
    assert {name for name in _WRITERS if _writes((root / name).read_text())} == _WRITERS


@pytest.mark.parametrize(
    "source",
    [
        "StockLevel.objects.filter(pk=1).update(on_hand=3)",
        "StockMovement.objects.bulk_create(rows)",
        "StockLevel.objects.get_or_create(variant=v)",
        "cursor.execute('update inventory_stocklevel set on_hand = 1')",
        "cursor.execute('''DELETE\n  FROM inventory_stockmovement''')",
        "StockOperation(key='x').save()",
    ],
)
def test_the_search_finds_every_kind_of_write(source: str) -> None:
    assert _writes(source)


@pytest.mark.parametrize(
    "source",
    [
        "StockLevel.objects.filter(variant=v).values_list('on_hand')",
        "StockLevel.objects.filter(pk=1).update(safety_stock=3)",
        "SELECT * FROM inventory_stocklevel",
    ],
)
def test_the_search_lets_reading_and_planning_pass(source: str) -> None:
    assert not _writes(source)
