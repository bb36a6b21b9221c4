"""How many shelves differ from what they should show, as the comparisons of each channel found."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.apps import apps

from channels.models import Channel
from config.admin_panels import address_of
from reconciliation.checks.results import Result
from reconciliation.models import Severity

#: Share of the shelves compared that may differ, and the share at which customers surely notice.
DRIFT_IS_WRONG: Final = 0.002
DRIFT_IS_CRITICAL: Final = 0.02
#: With fewer shelves one of them alone is more than the share.
FEWEST_DRIFTED: Final = 2


@dataclass(frozen=True, slots=True)
class Drift:
    """What the last comparison of a channel came to."""

    channel_id: int
    compared: int
    drifted: int
    finished_at: datetime

    @property
    def rate(self) -> float:
        """The share of the shelves compared that differed."""
        return self.drifted / self.compared if self.compared else 0.0


def latest_drift() -> Iterable[Drift]:
    """Returns the last finished comparison of each channel; none where nothing is compared yet."""
    runs = apps.all_models["reconciliation"].get("reconciliationrun")
    if runs is None:
        return []
    done = runs._default_manager.filter(state="done", compared__gt=0, finished_at__isnull=False)
    newest = done.order_by("channel_id", "-finished_at").distinct("channel_id")
    return [Drift(*row) for row in newest.values_list("channel_id", "compared", "drifted", "finished_at")]


def drift() -> Iterator[Result]:
    """Judges the drift of each active channel that was compared."""
    names = {
        pk: (name, merchant_id)
        for pk, name, merchant_id in Channel.objects.filter(is_active=True).values_list(
            "pk", "name", "merchant_id"
        )
    }
    for each in latest_drift():
        if each.channel_id in names:
            yield judge(each, *names[each.channel_id])


def judge(found: Drift, name: str, merchant_id: int) -> Result:
    """Says whether a channel's shelves show what they should."""
    says = f"{found.drifted} of {found.compared} shelves differ ({found.rate:.2%})"
    is_ok = found.drifted < FEWEST_DRIFTED or found.rate <= DRIFT_IS_WRONG
    return Result(
        "drift",
        f"{name}: drift",
        says,
        is_ok=is_ok,
        remedy=""
        if is_ok
        else "Look at the channel's open discrepancies: each names its likely cause and what mends it.",
        severity=Severity.CRITICAL if found.rate > DRIFT_IS_CRITICAL else Severity.WARNING,
        merchant_id=merchant_id,
        channel_id=found.channel_id,
        link=address_of("channels.channel", found.channel_id),
        evidence={"compared": found.compared, "drifted": found.drifted},
    )
