"""Statements written by hand, for figures and checks that no queryset says as well."""

from typing import Any

from django.db import connection


def rows(sql: str, parameters: Any = None) -> list[tuple[Any, ...]]:
    """Runs a statement and returns its rows; none for one that answers nothing."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        found: list[tuple[Any, ...]] = cursor.fetchall() if cursor.description else []
    return found
