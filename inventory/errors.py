"""What can go wrong in the inventory, as one tree.

StockError
├── InsufficientStock      shortages, one entry a demand
├── StockBusy              somebody else holds the rows; try again
├── ReservationExpired     the hold ended before it was confirmed
├── ReservationClosed      nothing is left to confirm, fulfil or release
├── IdempotencyConflict    the key was used for something else
├── InsufficientInbound    less inbound is confirmed than asked for
├── InvalidStockRequest    the request contradicts itself
│   └── LineRefused        …about one line of a purchase order
├── ChangesForgotten       the feed does not know any more what came after a position
├── UnknownStock           a variant or location that the merchant does not have
└── LedgerIsAppendOnly     an attempt to change history
"""

from collections.abc import Sequence
from dataclasses import dataclass


class StockError(Exception):
    """The stock operation was refused."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").splitlines()[0])


@dataclass(frozen=True, slots=True)
class Shortage:
    """How far one demand goes beyond what is there, in base units."""

    reference: str
    variant_id: int
    requested: int
    available: int


class InsufficientStock(StockError):
    """There is less available than asked for."""

    def __init__(self, shortages: Sequence[Shortage]) -> None:
        self.shortages = tuple(shortages)
        listed = ", ".join(
            f"{s.reference or f'variant {s.variant_id}'}: asked {s.requested}, available {s.available}"
            for s in self.shortages
        )
        super().__init__(f"There is less available than asked for ({listed}).")


class StockBusy(StockError):
    """The stock is being changed by somebody else; try again in a moment."""

    def __init__(self, reason: str = "changed meanwhile") -> None:
        #: What came in between: a lock timeout, a deadlock, a serialisation failure, rows that had changed meanwhile.
        self.reason = reason
        super().__init__()


class ReservationExpired(StockError):
    """The reservation has expired; reserve again."""

    def __init__(self, reservation_ids: Sequence[int]) -> None:
        self.reservation_ids = tuple(reservation_ids)
        super().__init__()


class ReservationClosed(StockError):
    """The reservation holds fewer units than asked for; they were fulfilled or released before."""

    def __init__(self, reservation_ids: Sequence[int]) -> None:
        self.reservation_ids = tuple(reservation_ids)
        super().__init__()


class IdempotencyConflict(StockError):
    """This idempotency key was used before for a different request; use a new key."""

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__()


class InvalidStockRequest(StockError):
    """The request contradicts itself."""

    def __init__(self, field: str, message: str) -> None:
        self.field = field
        self.message = message
        super().__init__(f"{field}: {message}")


class LineRefused(InvalidStockRequest):
    """A line of a purchase order does not allow it."""

    def __init__(self, line_id: int, message: str, *, field: str = "line_id") -> None:
        self.line_id = line_id
        super().__init__(field, message)


class InsufficientInbound(StockError):
    """Less inbound is confirmed in time than asked for."""

    def __init__(self, shortages: Sequence[Shortage]) -> None:
        self.shortages = tuple(shortages)
        listed = ", ".join(
            f"{s.reference}: asked {s.requested}, in stock or confirmed in time {s.available}"
            for s in self.shortages
        )
        super().__init__(
            f"Less inbound is confirmed in time than asked for ({listed}). Choose a later day, or ask for less."
        )


class ChangesForgotten(StockError):
    """What came after this position is not kept any more, or was never told; take a new snapshot."""

    def __init__(self, after: int) -> None:
        self.after = after
        super().__init__()


class UnknownStock(StockError):
    """The merchant has no such variant or location."""


class LedgerIsAppendOnly(StockError):
    """The ledger is append-only; record a correction instead."""
