"""How the channels' errors and constraints are answered."""

from channels.errors import BadMessage, ChannelError, InvalidPeriod, OrderRefused, RuleRefused
from channels.mapping import UnfitVariant
from config.api.problems import NOT_FOUND, REFUSED, Problem, refused, register, register_constraints

register(ChannelError, lambda error: Problem(REFUSED, str(error)))
register(BadMessage, lambda error: Problem(REFUSED, str(error)))
register(OrderRefused, lambda error: refused(str(error), error.field))
register(RuleRefused, lambda error: refused(str(error), error.field))
register(InvalidPeriod, lambda error: refused(str(error), error.field))
register(UnfitVariant, lambda error: Problem(NOT_FOUND, "There is no such variant.", field="sku"))
register_constraints(
    {
        "channel_name_is_unique_per_merchant": ("name", "A channel has this name already."),
        "rule_set_name_is_unique_per_merchant": ("name", "A rule set has this name already."),
    }
)
