"""How the errors of analytics are answered."""

from analytics.errors import AnalyticsError, TicketRefused
from config.api.problems import REFUSED, Problem, register

register(AnalyticsError, lambda error: Problem(REFUSED, str(error)))
register(TicketRefused, lambda error: Problem(REFUSED, str(error), field=error.field))
