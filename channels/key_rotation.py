"""Encrypts every stored secret anew under the newest key, wherever a model keeps one.

What is under the newest key already is left alone, so that a run that was ended goes on where it stopped. A value is only
replaced where it is still the one that was read: whoever enters other credentials meanwhile wins.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.fernet import Fernet, InvalidToken
from django.apps import apps
from django.conf import settings
from django.db import models
from django.db.models.functions import Cast

from channels.credentials import EncryptedJSONField, key_ring

_BATCH: Final = 500
#: Values that no key opens and that are named one by one.
_NAMED: Final = 20

#: Told of every value: how many have been looked at.
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Column:
    """Where a model keeps secrets."""

    model: type[models.Model]
    name: str

    def rows(self) -> "models.QuerySet[Any]":
        """Returns its rows, with the ciphertext as `sealed`."""
        # Read as plain text: the field itself would decrypt it.
        sealed = Cast(self.name, models.TextField())
        return self.model._base_manager.annotate(sealed=sealed)

    def values(self) -> Iterator[tuple[Any, str]]:
        """Yields key and ciphertext of each row, in batches, so that nothing is held for long."""
        rows = self.rows().filter(sealed__isnull=False).order_by("pk").values_list("pk", "sealed")
        batch = list(rows[:_BATCH])
        while batch:
            yield from batch
            batch = list(rows.filter(pk__gt=batch[-1][0])[:_BATCH])

    def replace(self, pk: Any, old: str, new: str) -> bool:
        """Stores another ciphertext in the place of one; False where it is no longer there."""
        sealed = models.Value(new, output_field=models.TextField())
        return bool(self.rows().filter(pk=pk, sealed=old).update(**{self.name: sealed}))


@dataclass(frozen=True, slots=True)
class KeyUse:
    """A key in force, and what it is needed for."""

    #: From 1, in the order of `ONECOUNT_CREDENTIAL_KEYS`.
    position: int
    #: Tells keys apart; nothing of the key can be got from it.
    fingerprint: str
    #: Stored values that it encrypts.
    values: int

    @property
    def may_be_removed(self) -> bool:
        """Whether nothing in the database needs it, and nothing new is encrypted with it."""
        return self.position > 1 and not self.values


@dataclass(slots=True)
class Rotation:
    """What a run did, and how things stand after it."""

    is_dry_run: bool = False
    #: Encrypted anew by this run, or what would be.
    rotated: int = 0
    #: Under the newest key before.
    current: int = 0
    #: Entered anew by somebody while this ran.
    overtaken: int = 0
    keys: list[KeyUse] = field(default_factory=list)
    #: How many values no key opens, and the first of them by name.
    unreadable: int = 0
    unreadable_named: list[str] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        """Whether every value is under the newest key."""
        return not self.unreadable and all(key.position == 1 or not key.values for key in self.keys)


def columns() -> list[Column]:
    """Returns every column of every model that holds secrets, histories included."""
    return [
        Column(model, each.name)
        for model in apps.get_models(include_auto_created=True)
        if not model._meta.proxy
        for each in model._meta.local_concrete_fields
        if isinstance(each, EncryptedJSONField)
    ]


def count_values() -> int:
    """Returns how many values there are."""
    return sum(column.rows().filter(sealed__isnull=False).count() for column in columns())


def rotate(*, is_dry_run: bool = False, on_progress: Progress = lambda done: None) -> Rotation:
    """Encrypts what stands under older keys anew, then looks at what each key is still needed for."""
    keys = _keys()
    rotation = Rotation(is_dry_run=is_dry_run)
    done = 0
    for column in columns():
        for pk, sealed in column.values():
            _rotate_one(rotation, keys, column, pk, sealed)
            done += 1
            on_progress(done)
    rotation.keys = _uses(keys)
    return rotation


def _rotate_one(rotation: Rotation, keys: Sequence[Fernet], column: Column, pk: Any, sealed: str) -> None:
    position = _position(keys, sealed)
    if position is None:
        rotation.unreadable += 1
        if len(rotation.unreadable_named) < _NAMED:
            rotation.unreadable_named.append(f"{column.model._meta.label_lower} {pk}: {column.name}")
    elif position == 0:
        rotation.current += 1
    elif rotation.is_dry_run or column.replace(pk, sealed, key_ring().rotate(sealed.encode()).decode()):
        rotation.rotated += 1
    else:
        rotation.overtaken += 1


def _uses(keys: Sequence[Fernet]) -> list[KeyUse]:
    """Counts anew: processes that still know the old keys alone may have written meanwhile."""
    used = Counter(_position(keys, sealed) for column in columns() for _, sealed in column.values())
    prints = [hashlib.sha256(key.encode()).hexdigest()[:8] for key in settings.ONECOUNT_CREDENTIAL_KEYS]
    return [KeyUse(number + 1, text, used[number]) for number, text in enumerate(prints)]


def _keys() -> list[Fernet]:
    return [Fernet(key) for key in settings.ONECOUNT_CREDENTIAL_KEYS]


def _position(keys: Sequence[Fernet], sealed: str) -> int | None:
    """Returns the position of the key that opens a value; None where none does."""
    for position, key in enumerate(keys):
        try:
            key.decrypt(sealed.encode())
        except InvalidToken:
            continue
        return position
    return None
