"""How the errors of reconciliation are answered."""

from typing import Final

from config.api.problems import REFUSED, Problem, refused, register
from reconciliation.errors import ReconciliationError, Refused

#: What the back office calls a field → what callers call it.
_FIELDS: Final = {"channel": "channel_id"}

register(ReconciliationError, lambda error: Problem(REFUSED, str(error)))
register(Refused, lambda error: refused(str(error), _FIELDS.get(error.field, error.field)))
