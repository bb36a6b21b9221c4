"""Any conflicts resolved by any remedies, in any sequence and repeated, lose no unit and double none."""

from dataclasses import dataclass

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from channels.models import ChannelOrderLine
from inventory.errors import StockError
from inventory.holds import OWED_CAUSES
from inventory.models import Backorder, Conflict, Reservation
from reconciliation.models import RemedyKind, Resolution
from reconciliation.remedies import remedies_of
from reconciliation.resolving import Decision, done_by_hand, drop, resolve, try_again
from tests.inventory.cast import assert_ledger_holds
from tests.properties import examples
from tests.reconciliation.desk import Desk, open_desk

pytestmark = pytest.mark.django_db


@dataclass(frozen=True)
class Step:
    """Something that happens; the numbers choose among what there is then."""

    what: str
    units: int
    which: int
    choice: int


STEPS = st.builds(
    Step,
    st.sampled_from(
        [
            "sell",
            "sell",
            "receive",
            "order",
            "resolve",
            "resolve",
            "resolve",
            "repeat",
            "tell",
            "fetch",
            "person",
        ]
    ),
    st.integers(1, 4),
    st.integers(0, 7),
    st.integers(0, 7),
)


class _World:
    """One shop, and what is decided about its conflicts."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.decided: list[tuple[int, Decision]] = []

    def do(self, step: Step) -> None:
        try:
            getattr(self, f"_{step.what}")(step)
        except StockError:
            return

    def _sell(self, step: Step) -> None:
        self.desk.sell(step.units)

    def _receive(self, step: Step) -> None:
        self.desk.receive(step.units, ("main", "north", "away")[step.choice % 3])

    def _order(self, step: Step) -> None:
        self.desk.order_goods(step.units, days=1 + step.choice)

    def _resolve(self, step: Step) -> None:
        conflicts = list(Conflict.objects.filter(open_quantity__gt=0).order_by("pk"))
        if not conflicts:
            return
        conflict = conflicts[step.which % len(conflicts)]
        remedies = remedies_of(conflict)
        if not remedies:
            return
        remedy = remedies[step.choice % len(remedies)]
        decision = Decision(f"key-{len(self.decided)}", remedy.kind, remedy.target, step.units)
        self.decided.append((conflict.pk, decision))
        resolve(conflict, decision)

    def _repeat(self, step: Step) -> None:
        if self.decided:
            conflict_id, decision = self.decided[step.which % len(self.decided)]
            resolve(Conflict.objects.get(pk=conflict_id), decision)

    def _tell(self, step: Step) -> None:
        self.desk.tell()

    def _fetch(self, step: Step) -> None:
        self.desk.fetch()

    def _person(self, step: Step) -> None:
        resolutions = list(Resolution.objects.filter(remedy=RemedyKind.CANCEL).order_by("pk"))
        if resolutions:
            act = (drop, try_again, done_by_hand)[step.choice % 3]
            act(resolutions[step.which % len(resolutions)])


def assert_every_unit_is_somewhere_once() -> None:
    for line in ChannelOrderLine.objects.all():
        mine = {"reference": line.reference, "open_quantity__gt": 0}
        held = sum(Reservation.objects.filter(**mine).values_list("open_quantity", flat=True))
        promised = sum(Backorder.objects.filter(**mine).values_list("open_quantity", flat=True))
        owed = sum(
            Conflict.objects.filter(**mine, cause__in=OWED_CAUSES).values_list("open_quantity", flat=True)
        )
        assert held + promised + owed == line.applied_demand
        assert line.applied_demand + line.cancelled == line.quantity


@pytest.mark.property
@given(st.lists(STEPS, min_size=3, max_size=14))
@settings(
    max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_resolving_loses_and_doubles_no_unit(steps: list[Step]) -> None:
    with pytest.MonkeyPatch.context() as patch, transaction.atomic():
        world = _World(open_desk(patch, mugs=2))
        for step in [Step("sell", 3, 0, 0), Step("sell", 2, 0, 0), *steps]:
            world.do(step)
            assert_every_unit_is_somewhere_once()
        for _ in range(6):
            world.desk.tell()
            world.desk.fetch()
        assert_every_unit_is_somewhere_once()
        assert_ledger_holds()
        transaction.set_rollback(True)
