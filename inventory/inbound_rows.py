"""Rows of goods still to come, as one operation has them in memory: lines of purchase orders, and what they are promised to."""

from dataclasses import dataclass, field
from datetime import date

from django.utils import timezone

from inventory.errors import InvalidStockRequest
from inventory.kits import Kit
from inventory.models.purchasing import InboundEventKind
from inventory.validation import check_text


@dataclass(frozen=True, slots=True)
class PromiseTerms:
    """On what terms units may be promised that are not there yet."""

    #: The last day for which goods may be confirmed that are promised.
    by: date
    #: The rule that allows it, or who; kept with the promise.
    allowed_by: str

    def __post_init__(self) -> None:
        if not self.allowed_by:
            raise InvalidStockRequest(
                "allowed_by",
                "goods still to come are promised only where a rule allows it. Name the rule, or who.",
            )
        check_text("allowed_by", self.allowed_by)

    def check_day(self) -> None:
        """Refuses a day that is over. Raises `InvalidStockRequest`."""
        if self.by < timezone.localdate():
            raise InvalidStockRequest("by", "lies in the past. Choose today or a later day.")


@dataclass(slots=True)
class InboundLine:
    """A line of a purchase order under lock, as it is and as the operation in progress changes it; in base units."""

    id: int
    order_id: int
    variant_id: int
    location_id: int
    quantity: int
    received: int
    cancelled: int
    confirmed: int
    confirmed_on: date | None
    expected_on: date | None
    promised: int
    spare_before: int = field(init=False)
    promised_before: int = field(init=False)
    _before: tuple[object, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.spare_before = self.spare
        self.promised_before = self.promised
        self._before = self._state()

    def _state(self) -> tuple[object, ...]:
        return (
            self.received,
            self.cancelled,
            self.confirmed,
            self.promised,
            self.confirmed_on,
            self.expected_on,
        )

    @property
    def is_changed(self) -> bool:
        """Whether the operation changed it."""
        return self._state() != self._before

    @property
    def outstanding(self) -> int:
        """Units still to come."""
        return max(self.quantity - self.received - self.cancelled, 0)

    @property
    def spare(self) -> int:
        """Confirmed units that are promised to nobody."""
        return self.confirmed - self.promised

    def limit_confirmed(self) -> None:
        """No more is confirmed than is still to come: unconfirmed units count as cancelled first."""
        self.confirmed = min(self.confirmed, self.outstanding)


@dataclass(slots=True)
class PromisedUnits:
    """A backorder, new or loaded under its line's lock, with what the operation does to it."""

    line: InboundLine
    reference: str
    location_ids: tuple[int, ...]
    open: int
    promised_on: date
    id: int = 0
    allowed_by: str = ""
    #: The kits that the units are a part of; 0: none.
    kit_id: int = 0
    filled: int = 0
    cancelled: int = 0
    broken: int = 0

    def fill(self, units: int) -> None:
        """Units that arrived leave the promise."""
        self.filled += units
        self._leave(units)

    def cancel(self, units: int) -> None:
        """Units no longer wanted leave the promise."""
        self.cancelled += units
        self._leave(units)

    def give_up(self, units: int) -> None:
        """Units that will not come in time leave the promise."""
        self.broken += units
        self._leave(units)

    def _leave(self, units: int) -> None:
        self.open -= units
        self.line.promised -= units


@dataclass(slots=True)
class PromisedKits:
    """A promise of kits, new or loaded under the locks of its parts, with what the operation does to it; in kits."""

    id: int
    reference: str
    kit: Kit
    location_id: int
    location_ids: tuple[int, ...]
    open: int
    promised_on: date
    allowed_by: str = ""
    is_new: bool = False
    filled: int = 0
    cancelled: int = 0
    broken: int = 0

    @property
    def pairs(self) -> set[tuple[int, int]]:
        """The (variant, location) pairs of its parts."""
        return {(part, self.location_id) for part, _ in self.kit.parts}

    @property
    def is_changed(self) -> bool:
        """Whether the operation changed it."""
        return bool(self.filled or self.cancelled or self.broken)


@dataclass(frozen=True, slots=True)
class LineEvent:
    """What is remembered of a line."""

    line_id: int
    kind: InboundEventKind
    quantity: int
    day: date | None = None
