"""What can be refused here.

AnalyticsError
└── TicketRefused   a line of a help desk's file cannot be used
"""


class AnalyticsError(Exception):
    """Analytics refused something."""


class TicketRefused(AnalyticsError):
    """A ticket cannot be counted."""

    def __init__(self, field: str, message: str) -> None:
        self.field = field
        super().__init__(message)
