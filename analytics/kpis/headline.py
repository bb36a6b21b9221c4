"""The figures that the dashboard shows: the rates of the last seven days, of all merchants together."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from django.db.models import Sum
from django.utils import timezone

from analytics.kpis.charts import percent
from analytics.kpis.targets import DEFAULTS
from analytics.kpis.trends import WEEK, value_of
from analytics.models import Kpi, KpiDay, KpiTarget
from config.admin_panels import NOTHING
from inventory.models import Merchant

SHOWN: Final = (Kpi.OVERSOLD_UNITS, Kpi.DRIFT, Kpi.CANCELLED)


@dataclass(frozen=True, slots=True)
class Headline:
    """A rate of the last seven days."""

    label: str
    value: float | None
    target: float | None

    @property
    def shown(self) -> str:
        """The value as people read it."""
        return NOTHING if self.value is None else percent(self.value)

    @property
    def shown_target(self) -> str:
        """The target as people read it."""
        return NOTHING if self.target is None else percent(self.target)

    @property
    def is_missed(self) -> bool:
        """Whether it is beyond its target."""
        return self.value is not None and self.target is not None and self.value > self.target


def headlines() -> list[Headline]:
    """Returns the rates with the strictest target that any merchant holds them against; three statements."""
    since = timezone.now().date() - timedelta(days=WEEK)
    days = KpiDay.objects.filter(kpi__in=SHOWN, channel__isnull=True, measured_on__gt=since)
    sums = days.order_by().values_list("kpi").annotate(Sum("part"), Sum("whole"))
    counts = {kpi: (part, whole) for kpi, part, whole in sums}
    targets = _strictest()
    return [
        Headline(str(kpi.label), value_of(kpi, *counts.get(kpi, (0, 0))), targets.get(kpi)) for kpi in SHOWN
    ]


def _strictest() -> dict[str, float]:
    """Returns by figure the smallest target that holds for a merchant, entered or not."""
    merchants = Merchant.objects.count()
    entered: dict[str, list[float]] = {kpi: [] for kpi in SHOWN}
    rows = KpiTarget.objects.filter(kpi__in=SHOWN, channel__isnull=True)
    for kpi, value in rows.values_list("kpi", "value"):
        entered[kpi].append(float(value))
    for kpi, values in entered.items():
        if len(values) < max(merchants, 1):
            values.append(DEFAULTS[kpi])
    return {kpi: min(values) for kpi, values in entered.items()}
