"""How the errors of reconciliation are answered."""

from config.api.problems import REFUSED, Problem, register
from reconciliation.errors import ReconciliationError, Refused

register(ReconciliationError, lambda error: Problem(REFUSED, str(error)))
register(Refused, lambda error: Problem(REFUSED, str(error), field=error.field))
