"""What all rules together come to for one listing; pure data, so that recorded states can be computed with it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Pool:
    """Units of the variant that are ring-fenced for the channels of a group: so many, or a share."""

    group_id: int
    name: str
    #: Whether the listing's own channel belongs to the group.
    is_own: bool
    #: Used up by the orders of the group's channels until the pool is filled again; None for a share.
    units: int | None = None
    #: Of what is available at each moment, after the pools of units.
    percent: int = 0
    #: The rule it comes from.
    origin: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class ResolvedRules:
    """The settings for one listing, each from the most specific rule that states it; all counts in units.

    Two of them are equal when they lead to the same numbers, wherever the settings come from.
    """

    buffer_units: int = 0
    buffer_percent: int = 0
    #: 90, 95 or 99; 0: no buffer by velocity.
    velocity_quantile: int = 0
    velocity_least: int = 0
    velocity_most: int | None = None
    minimum: int = 0
    maximum: int | None = None
    #: 0: stock is never scarce.
    scarce_below: int = 0
    #: Best ranked listings that share what is scarce; None: all.
    scarce_listings: int | None = None
    channel_cap: int | None = None
    #: 0: nothing is offered for pre-order.
    preorder_limit: int = 0
    daily_increases: int | None = None
    #: Pools of the variant, those of units first, in the order in which they are filled.
    pools: tuple[Pool, ...] = ()
    #: Of a kit: the pools of each of its parts that has any, by the part's variant id.
    part_pools: tuple[tuple[int, tuple[Pool, ...]], ...] = ()
    #: Setting → the rule version and rule that states it; what is missing is the channel's own.
    origins: Mapping[str, str] = field(default_factory=dict, compare=False)

    def names_pool(self, group_id: int) -> bool:
        """Returns whether a group's pool of units bears on the number: one of the variant, or of a part of it."""
        of_parts = (pool for _, pools in self.part_pools for pool in pools)
        return any(pool.group_id == group_id and pool.units for pool in (*self.pools, *of_parts))

    def origin(self, *settings: str) -> str:
        """Names the rules that state these settings, each once; empty where none does."""
        named = (self.origins[each] for each in settings if each in self.origins)
        return "; ".join(dict.fromkeys(named))


#: A channel without rules of its own or of a set.
NO_RULES: Final = ResolvedRules()
