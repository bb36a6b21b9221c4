"""How the channels' errors and constraints are answered."""

from channels.errors import BadMessage, ChannelError, InvalidPeriod, RuleRefused
from channels.mapping import UnfitVariant
from config.api.problems import NOT_FOUND, REFUSED, Problem, register, register_constraints

register(ChannelError, lambda error: Problem(REFUSED, str(error)))
register(BadMessage, lambda error: Problem(REFUSED, str(error)))
register(RuleRefused, lambda error: Problem(REFUSED, str(error), field=error.field))
register(InvalidPeriod, lambda error: Problem(REFUSED, str(error), field=error.field))
register(UnfitVariant, lambda error: Problem(NOT_FOUND, "There is no such variant.", field="sku"))
register_constraints(
    {
        "channel_name_is_unique_per_merchant": ("name", "A channel has this name already."),
        "rule_set_name_is_unique_per_merchant": ("name", "A rule set has this name already."),
    }
)
