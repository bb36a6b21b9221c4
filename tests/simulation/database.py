"""The database of the simulation: tables in memory behind what Django calls a connection, with a clock of its own."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import psycopg.errors
from django.db import OperationalError
from django.db.models import Model

from channels.models import (
    Channel,
    ChannelHealth,
    ChannelLocation,
    ChannelLocationSource,
    ChannelOrder,
    ChannelOrderLine,
    Listing,
    ListingLevel,
    PollFeed,
    Push,
    RateBucket,
    ShelfObservation,
    WebhookDelivery,
)
from inventory.models import Conflict, Reservation, StockLevel, StockMovement, StockOperation
from tests.simulation.statements import Result, Row, Tables, run

_MODELS: Final[tuple[type[Model], ...]] = (
    Channel,
    ChannelHealth,
    ChannelLocation,
    ChannelLocationSource,
    ChannelOrder,
    ChannelOrderLine,
    Listing,
    ListingLevel,
    PollFeed,
    Push,
    RateBucket,
    ShelfObservation,
    WebhookDelivery,
    Conflict,
    Reservation,
    StockLevel,
    StockMovement,
    StockOperation,
)


def _defaults(model: type[Model]) -> Row:
    return {
        str(field.column): field.default if field.has_default() and not callable(field.default) else None
        for field in model._meta.concrete_fields
    }


DEFAULTS: Final = {model._meta.db_table: _defaults(model) for model in _MODELS}


class Died(BaseException):
    """The process was killed here."""


def disk_full() -> OperationalError:
    """Returns what Django raises when PostgreSQL has no room left."""
    error = OperationalError("could not extend file: No space left on device")
    error.__cause__ = psycopg.errors.DiskFull()
    return error


@dataclass
class Clockwork:
    """The time, and a server with a clock of its own and its database."""

    now: datetime
    #: How far the clock of our server is ahead.
    offset: timedelta = timedelta()
    database: "Database" = field(init=False)

    def __post_init__(self) -> None:
        self.database = Database(self.server_time)

    def server_time(self) -> datetime:
        """What the clock of our server shows."""
        return self.now + self.offset


@dataclass
class Database:
    """What the code under simulation takes for `django.db.connection` and `django.db.transaction`."""

    clock: Callable[[], datetime]
    tables: Tables = field(default_factory=lambda: Tables(defaults=DEFAULTS))
    #: Statements that still work, and what the one after them raises.
    works_for: int | None = None
    breaks_with: Callable[[], BaseException] = Died
    in_atomic_block: bool = True

    def execute(self, sql: str, parameters: Any = ()) -> Result:
        """Runs a statement at the instant of the clock."""
        if self.works_for is not None:
            self.works_for -= 1
            if self.works_for < 0:
                self.works_for = None
                raise self.breaks_with()
        return run(sql, parameters, self.tables, now=self.clock())

    @contextmanager
    def cursor(self) -> Iterator["Cursor"]:
        """Opens a cursor."""
        yield Cursor(self)

    @contextmanager
    def atomic(self) -> Iterator[None]:
        """Undoes what is inside where it raises."""
        with self.tables.atomic():
            yield


@dataclass
class Cursor:
    """As much of a cursor as is used."""

    database: Database
    _found: Result = field(default_factory=Result)

    def execute(self, sql: str, parameters: Any = ()) -> None:
        """Runs a statement."""
        self._found = self.database.execute(sql, parameters)

    @property
    def rowcount(self) -> int:
        """Rows written, or found."""
        return self._found.count

    @property
    def description(self) -> Sequence[str]:
        """The columns of what was returned; none of a statement that returns nothing."""
        return self._found.names

    def fetchone(self) -> tuple[Any, ...] | None:
        """Returns the first row."""
        return self._found.rows[0] if self._found.rows else None

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Returns all rows."""
        return self._found.rows
