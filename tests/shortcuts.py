"""What tests may spare themselves when they make rows."""

from functools import cache
from typing import Any, TypeVar

from django.db.models import Model
from simple_history.manager import HistoryDescriptor

Row = TypeVar("Row", bound=Model)


def insert(row: Row) -> Row:
    """Inserts a row, and the first entry of its history where it keeps one, in a third of the time that `save` takes."""
    return insert_all([row])[0]


def insert_all(rows: list[Row]) -> list[Row]:
    """Inserts rows of one model, with the history that they keep: no signal is sent."""
    model = type(rows[0])
    model._default_manager.bulk_create(rows)
    history = getattr(model, "history", None)
    if history is not None:
        history.bulk_history_create(rows)
    return rows


def keep_managers_of_history() -> None:
    """Has the class of a manager of history made once, and not whenever a row is saved, which takes half of that time."""
    HistoryDescriptor.__get__ = _history


def _history(descriptor: Any, instance: Model | None, owner: type[Model]) -> Any:
    kind = _kind_of_manager(descriptor.manager_class, descriptor.queryset_class)
    return kind(descriptor.model, instance)


@cache
def _kind_of_manager(manager: Any, rows: Any) -> Any:
    return manager.from_queryset(rows)
