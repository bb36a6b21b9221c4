"""What operators do with discrepancies, schedules and policies."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from reconciliation.models import (
    Discrepancy,
    ReconciliationPolicy,
    ReconciliationRun,
    ReconciliationSchedule,
    StockAuthority,
)
from reconciliation.models.discrepancies import DiscrepancyState, Policy
from tests.back_office import person
from tests.factories import MerchantFactory
from tests.reconciliation.market import Market, open_market

pytestmark = pytest.mark.django_db


@pytest.fixture
def market(monkeypatch: pytest.MonkeyPatch) -> Market:
    """A shop in which somebody wrote 13 where 20 should stand; it is flagged."""
    market = open_market(monkeypatch, {"MUG": 20})
    market.policy(Policy.FLAG)
    market.edit("MUG", 13)
    market.compare()
    return market


@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(person("operations"))
    return client


def act(client: Client, model: str, action: str, *rows: Any) -> str:
    data = {"action": action, "_selected_action": [row.pk for row in rows]}
    response = client.post(reverse(f"admin:reconciliation_{model}_changelist"), data, follow=True)
    return " ".join(str(message) for message in response.context["messages"])


def test_a_discrepancy_shows_its_size_cause_value_and_evidence(operator: Client, market: Market) -> None:
    found = market.discrepancy("MUG")
    page = operator.get(reverse("admin:reconciliation_discrepancy_change", args=[found.pk])).content.decode()
    for text in ("MUG", "Foreign edit", "−7", "unknown", "Last push", "Confirmed: 20"):
        assert text in page, text
    listed = operator.get(reverse("admin:reconciliation_discrepancy_changelist") + "?state=open")
    assert "MUG" in listed.content.decode()


def test_a_discrepancy_is_corrected_by_a_click(operator: Client, market: Market) -> None:
    said = act(operator, "discrepancy", "correct_now", market.discrepancy("MUG"))
    assert said == "1 number being corrected."
    market.settle()
    assert market.number("MUG") == 20
    again = act(operator, "discrepancy", "correct_now", market.discrepancy("MUG"))
    assert "Skipped 1: 1 closed or being corrected already." in again


def test_a_discrepancy_is_dismissed_with_a_reason(operator: Client, market: Market) -> None:
    found = market.discrepancy("MUG")
    address = reverse("admin:reconciliation_discrepancy_dismiss", args=[found.pk])
    assert "This field is required" in operator.post(address, {}).content.decode()
    operator.post(address, {"because": "Seven lie in the window."})
    found.refresh_from_db()
    assert (found.state, found.because) == (DiscrepancyState.DISMISSED, "Seven lie in the window.")
    assert found.closed_by.startswith("operations")


def test_its_goods_are_compared_again_by_a_click(operator: Client, market: Market) -> None:
    act(operator, "discrepancy", "look_again", market.discrepancy("MUG"))
    asked = ReconciliationRun.objects.get(state="asked")
    assert (asked.sku, asked.asked_by.startswith("operations")) == ("MUG", True)


@pytest.mark.parametrize("role", ["commerce", "engineering", "read-only"])
def test_who_may_only_look_decides_nothing(client: Client, market: Market, role: str) -> None:
    client.force_login(person(role))
    found = market.discrepancy("MUG")
    act(client, "discrepancy", "correct_now", found)
    address = reverse("admin:reconciliation_discrepancy_dismiss", args=[found.pk])
    assert client.post(address, {"because": "x"}).status_code == 403
    assert Discrepancy.objects.get().state == DiscrepancyState.OPEN


def schedule(client: Client, market: Market, **values: Any) -> Any:
    data = {"channel": market.shop.channel.pk, "kind": "incremental", "is_active": "on", **values}
    return client.post(reverse("admin:reconciliation_reconciliationschedule_add"), data)


def test_operations_add_and_edit_schedules(operator: Client, market: Market) -> None:
    assert schedule(operator, market, every_minutes=5).status_code == 302
    row = ReconciliationSchedule.objects.get()
    assert (row.every_minutes, row.next_run_at is not None) == (5, True)
    address = reverse("admin:reconciliation_reconciliationschedule_change", args=[row.pk])
    operator.post(address, {"hour": 4, "every_minutes": "", "is_active": "on"})
    row.refresh_from_db()
    assert (row.every_minutes, row.hour, row.history.count()) == (None, 4, 2)
    assert act(operator, "reconciliationschedule", "run_now", row).endswith("1 comparison asked for.")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "Enter either an interval in minutes or an hour of the day."),
        ({"every_minutes": 5, "hour": 3}, "Enter either an interval in minutes or an hour of the day."),
        ({"every_minutes": 0}, "Less than a minute is no interval."),
        ({"hour": 24}, "A day has the hours 0 to 23."),
    ],
)
def test_a_schedule_without_a_sensible_time_is_refused_at_its_field(
    operator: Client, market: Market, values: dict[str, int], message: str
) -> None:
    response = schedule(operator, market, **values)
    assert message in response.content.decode()
    assert not ReconciliationSchedule.objects.exists()


def test_the_usual_schedules_are_switched_off_and_not_deleted(operator: Client, market: Market) -> None:
    schedule(operator, market, every_minutes=5)
    row = ReconciliationSchedule.objects.get()
    address = reverse("admin:reconciliation_reconciliationschedule_delete", args=[row.pk])
    assert operator.post(address, {"post": "yes"}).status_code == 403


def test_a_policy_shows_who_else_writes(operator: Client, market: Market) -> None:
    row = ReconciliationPolicy.objects.get()
    page = operator.get(reverse("admin:reconciliation_reconciliationpolicy_change", args=[row.pk]))
    assert "Written by others" in page.content.decode()
    assert "MUG" in page.content.decode()


def test_an_authority_has_the_say_over_its_own_merchants_locations(operator: Client, market: Market) -> None:
    stranger = MerchantFactory()
    location = market.shop.locations["main"]
    data = {"name": "The ERP", "policy": "flag", "threshold_units": 3, "location": location.pk}
    address = reverse("admin:reconciliation_stockauthority_add")
    refused = operator.post(address, {**data, "merchant": stranger.pk})
    assert "belongs to another merchant" in refused.content.decode()
    operator.post(address, {**data, "merchant": market.shop.merchant.pk})
    assert StockAuthority.objects.get().location == location


def test_a_run_shows_what_it_found(operator: Client, market: Market) -> None:
    run = ReconciliationRun.objects.get(state="done")
    page = operator.get(reverse("admin:reconciliation_reconciliationrun_change", args=[run.pk]))
    assert "100.00%" in page.content.decode()
    assert "MUG" in page.content.decode()
