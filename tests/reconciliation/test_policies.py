"""Policies resolve what they allow, by the best remedy; off until switched on, and never what needs a person."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from channels.models import Channel
from inventory.models import Backorder, Conflict
from reconciliation.causes import examine_new
from reconciliation.models import ConflictPolicy, Resolution
from reconciliation.policies import apply_policies
from reconciliation.tasks import look_after_conflicts
from tests.inventory.cast import assert_ledger_holds
from tests.reconciliation.desk import Desk

pytestmark = pytest.mark.django_db


def policy(desk: Desk, **settings: Any) -> ConflictPolicy:
    defaults: dict[str, Any] = {"is_active": True, "after_minutes": 0, "may_serve": False}
    return ConflictPolicy.objects.create(channel=desk.shop.channel, **defaults | settings)


def applied() -> int:
    examine_new()
    return apply_policies()


def test_without_a_policy_nothing_is_done(desk: Desk) -> None:
    desk.oversell()
    desk.order_goods(9)
    assert applied() == 0


def test_a_new_policy_is_off(desk: Desk) -> None:
    desk.oversell()
    desk.order_goods(9)
    assert not ConflictPolicy.objects.create(channel=desk.shop.channel, may_backorder=True).is_active
    assert applied() == 0


def test_it_backorders_within_the_longest_wait(desk: Desk) -> None:
    conflict = desk.oversell(2)
    desk.order_goods(9, days=10)
    allowed = policy(desk, may_backorder=True, backorder_days=9)
    assert applied() == 0
    allowed.backorder_days = 10
    allowed.save()
    assert applied() == 1
    conflict.refresh_from_db()
    resolution = Resolution.objects.get()
    assert (conflict.open_quantity, resolution.is_automatic, resolution.handling_seconds) == (0, True, None)
    assert Backorder.objects.get().allowed_by.startswith("policy of Web shop")
    assert_ledger_holds()


def test_it_serves_from_elsewhere_before_it_cancels_the_rest(desk: Desk) -> None:
    conflict = desk.oversell(3)
    Conflict.objects.update(location_ids=[desk.shop.locations["main"].pk])
    desk.receive(2, "north")
    policy(desk, may_serve=True, may_cancel=True)
    assert applied() == 2
    assert list(Resolution.objects.order_by("pk").values_list("remedy", "quantity", "state")) == [
        ("serve", 2, "done"),
        ("cancel", 1, "wanted"),
    ]
    assert applied() == 0
    desk.tell()
    desk.fetch()
    conflict.refresh_from_db()
    assert conflict.open_quantity == 0
    assert_ledger_holds()


def test_it_cancels_nothing_that_a_person_would_have_to(desk: Desk) -> None:
    desk.oversell()
    policy(desk, may_cancel=True)
    Channel.objects.update(kind="retired")
    assert applied() == 0


@pytest.mark.parametrize(
    "limit",
    [{"largest_units": 1}, {"after_minutes": 5}],
)
def test_what_is_too_large_or_too_new_waits(desk: Desk, limit: dict[str, int]) -> None:
    desk.oversell(2)
    policy(desk, may_cancel=True, **limit)
    assert applied() == 0
    Conflict.objects.update(opened_at=timezone.now() - timedelta(minutes=6), open_quantity=1)
    assert applied() == 1


def test_a_remedy_that_failed_is_left_to_a_person(desk: Desk) -> None:
    desk.oversell()
    policy(desk, may_cancel=True)
    assert applied() == 1
    Resolution.objects.update(state="failed")
    assert applied() == 0


def test_the_schedule_judges_resolves_and_tells(desk: Desk) -> None:
    desk.oversell()
    policy(desk, may_cancel=True)
    assert look_after_conflicts() == {"examined": 1, "resolved": 1, "told": 1}
    assert len(desk.platform.told) == 1
