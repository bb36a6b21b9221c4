"""What can go wrong with a comparison, as one tree.

ReconciliationError
├── OrdersUnread       the channel's orders could not be read first
├── LeaseLost          somebody else works on the run now
└── Refused            what was asked for makes no sense; names the field
"""


class ReconciliationError(Exception):
    """The comparison could not be made."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").splitlines()[0])


class OrdersUnread(ReconciliationError):
    """The channel's orders could not be read, so that a difference may be a sale."""


class LeaseLost(ReconciliationError):
    """Somebody else works on this run now."""


class Refused(ReconciliationError):
    """What was asked for makes no sense."""

    def __init__(self, field: str, message: str) -> None:
        self.field = field
        super().__init__(message)
