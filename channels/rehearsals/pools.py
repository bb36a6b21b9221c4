"""What pools have left in a rehearsal: uses as they were when the period began, and what the other world sells of them."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from django.db import connection

from channels.rules.book import channels_of

#: Uses of now, less what was demanded since: of the groups' channels, after the pool was last filled.
_USES: Final = """
SELECT used.variant_id, used.group_id, used.filled_at, used.units - coalesce(later.units, 0)
FROM channels_pooluse used
LEFT JOIN LATERAL (
    SELECT sum(line.applied_demand)::bigint AS units
    FROM channels_channelorderline line
    JOIN channels_channelorder placed ON placed.id = line.order_id AND placed.applied_at >= %(since)s
    JOIN channels_channelgroup_channels member
        ON member.channel_id = placed.channel_id AND member.channelgroup_id = used.group_id
    WHERE line.variant_id = used.variant_id
) later ON true
WHERE used.variant_id = ANY(%(variants)s::bigint[])
"""

_UNUSED: Final[Mapping[int, int]] = MappingProxyType({})


@dataclass(slots=True)
class PoolUses:
    """Units that the channels of each group have sold, by variant and group, in the other world."""

    merchant_id: int
    since: datetime
    uses: defaultdict[int, dict[int, int]] = field(default_factory=lambda: defaultdict(dict))
    #: When pools were filled during the period, by (variant, group).
    fills: dict[tuple[int, int], datetime] = field(default_factory=dict)
    _groups: dict[int, frozenset[int]] | None = None

    def load(self, variant_ids: Collection[int]) -> None:
        """Reads the uses of these variants as they were when the period began."""
        parameters: dict[str, Any] = {"since": self.since, "variants": sorted(variant_ids)}
        with connection.cursor() as cursor:
            cursor.execute(_USES, parameters)
            for variant_id, group_id, filled_at, units in cursor.fetchall():
                if filled_at is not None and filled_at > self.since:
                    # What had been used before it was filled is not known any more.
                    self.fills[variant_id, group_id] = filled_at
                    units = 0
                self.uses[variant_id][group_id] = units

    def sell(self, channel_id: int, variant_id: int, units: int) -> None:
        """Counts units that a channel's orders demand, or (negative) cancel."""
        for group_id in self._groups_of(channel_id):
            uses = self.uses[variant_id]
            uses[group_id] = uses.get(group_id, 0) + units

    def of(self, variant_id: int, at: datetime) -> Mapping[int, int]:
        """Returns the uses of a variant's pools at an instant, by group."""
        for group_id in list(self.uses.get(variant_id, ())):
            filled_at = self.fills.get((variant_id, group_id))
            if filled_at is not None and filled_at <= at:
                self.uses[variant_id][group_id] = 0
                del self.fills[variant_id, group_id]
        return self.uses.get(variant_id, _UNUSED)

    def _groups_of(self, channel_id: int) -> frozenset[int]:
        if self._groups is None:
            self._groups = {pk: facts.group_ids for pk, facts in channels_of(self.merchant_id).items()}
        return self._groups.get(channel_id, frozenset())
