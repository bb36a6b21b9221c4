"""How the errors of analytics are answered."""

from typing import Final

from analytics.errors import AnalyticsError, TicketRefused
from config.api.problems import REFUSED, Problem, register

#: What a help desk's file calls a field → what callers call it.
_FIELDS: Final = {"ticket": "number", "channel": "channel_id"}


def _of_ticket(error: TicketRefused) -> Problem:
    field = _FIELDS.get(error.field, error.field)
    path = field if error.position is None else f"tickets[{error.position - 1}].{field}"
    return Problem(REFUSED, str(error), field=path)


register(AnalyticsError, lambda error: Problem(REFUSED, str(error)))
register(TicketRefused, _of_ticket)
