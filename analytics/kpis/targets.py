"""What figures are held against."""

from dataclasses import dataclass
from typing import Final

from analytics.models import Kpi, KpiTarget

#: Percent for rates, seconds for times; a figure that is not named has none.
DEFAULTS: Final[dict[str, float]] = {
    Kpi.OVERSOLD_UNITS: 0.5,
    Kpi.OVERSOLD_ORDERS: 0.5,
    Kpi.OVERSOLD_FAST: 0.5,
    Kpi.LATENCY: 5.0,
    Kpi.TOLD: 5.0,
    Kpi.DRIFT: 0.2,
    Kpi.CANCELLED: 1.0,
}

#: Figures in seconds; the others are percentages.
TIMES: Final = frozenset({Kpi.LATENCY, Kpi.TOLD, Kpi.HANDLING})

#: Figures with percentiles; a week's value is the median of its days'.
LATENCIES: Final = frozenset({Kpi.LATENCY, Kpi.TOLD})

#: Figures of which more is better.
FLOORS: Final = frozenset({Kpi.AUTOMATIC})


@dataclass(frozen=True, slots=True)
class Targets:
    """One merchant's targets: a channel's own, else the merchant's, else the default."""

    #: By figure and channel; None for all channels.
    entered: dict[tuple[str, int | None], float]

    def of(self, kpi: str, channel_id: int | None = None) -> float | None:
        """Returns the target of a figure; None where it has none."""
        own = self.entered.get((kpi, channel_id))
        return own if own is not None else self.entered.get((kpi, None), DEFAULTS.get(kpi))


def targets_of(merchant_id: int) -> Targets:
    """Reads a merchant's targets."""
    rows = KpiTarget.objects.filter(merchant_id=merchant_id).values_list("kpi", "channel_id", "value")
    return Targets({(kpi, channel_id): float(value) for kpi, channel_id, value in rows})
