"""What can be refused here.

AnalyticsError
└── TicketRefused   a line of a help desk's file cannot be used
"""


class AnalyticsError(Exception):
    """Analytics refused something."""


class TicketRefused(AnalyticsError):
    """A ticket cannot be counted."""

    def __init__(self, field: str, message: str, *, position: int | None = None) -> None:
        self.field = field
        #: Which of several tickets it is, from 1; None where it is about the whole file.
        self.position = position
        super().__init__(message)
