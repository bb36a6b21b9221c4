"""PostgreSQL array literals: one text is one prepared statement, whatever the size of the numbers and lists."""

from collections.abc import Iterable


def array(values: Iterable[object]) -> str:
    """Returns the literal of numbers, NULLs or quoted texts."""
    return "{" + ",".join("NULL" if value is None else str(value) for value in values) + "}"


def text_array(values: Iterable[str]) -> str:
    """Returns the literal of texts."""
    return array(f'"{_escaped(value)}"' for value in values)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"') if "\\" in text or '"' in text else text
