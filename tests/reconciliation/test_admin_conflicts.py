"""The back office of conflicts: why, timeline, remedies with a confirm step, many at once, checklists and policies."""

from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from channels.models import Channel
from inventory.models import Conflict
from reconciliation.causes import examine_new
from reconciliation.models import ConflictPolicy, RemedyKind, Resolution
from tests.back_office import person
from tests.reconciliation.desk import Desk, apply, remedy

pytestmark = pytest.mark.django_db


@pytest.fixture
def operations(client: Client) -> Client:
    client.force_login(person("operations"))
    return client


def page_of(conflict: Conflict) -> str:
    return reverse("admin:inventory_conflict_change", args=[conflict.pk])


def confirm_page(conflict: Conflict, kind: RemedyKind) -> str:
    target = remedy(conflict, kind).target
    address = reverse("admin:reconciliation_resolve", args=[conflict.pk])
    return f"{address}?kind={kind.value}&target={target}&seen=1700000000"


def test_the_page_says_why_and_offers_remedies_as_buttons(operations: Client, desk: Desk) -> None:
    conflict = desk.oversell(2)
    desk.order_goods(9)
    desk.receive(9, "away")
    text = operations.get(page_of(conflict)).content.decode()
    for words in ("Remedies", "Timeline", "What each channel had been told", "Conflict opened: 2 units"):
        assert words in text
    for kind in ("backorder", "cancel"):
        assert f"kind={kind}" in text
    assert "kind=serve" not in text
    assert "does not refund, does not restock" in text
    assert "does not serve Web shop" in text


def test_a_remedy_is_confirmed_before_it_is_done_and_done_once(operations: Client, desk: Desk) -> None:
    conflict = desk.oversell(2)
    desk.order_goods(9)
    address = confirm_page(conflict, RemedyKind.BACKORDER)
    text = operations.get(address).content.decode()
    assert "The customer waits 3 days." in text
    assert not Resolution.objects.exists()
    form = {"key": str(uuid4()), "quantity": "2", "note": "agreed", "seen": "1700000000"}
    for _ in range(2):
        assert operations.post(address, form).status_code == 302
    resolution = Resolution.objects.get()
    assert (resolution.state, resolution.note) == ("done", "agreed")
    assert resolution.handling_seconds == 8 * 3600
    conflict.refresh_from_db()
    assert conflict.open_quantity == 0


@pytest.mark.parametrize(
    ("quantity", "words"),
    [("3", "can end 1 to 2 units"), ("0", "greater than or equal to 1"), ("", "required")],
)
def test_what_cannot_be_is_refused_beside_its_input(
    operations: Client, desk: Desk, quantity: str, words: str
) -> None:
    conflict = desk.oversell(2)
    form = {"key": str(uuid4()), "quantity": quantity}
    response = operations.post(confirm_page(conflict, RemedyKind.CANCEL), form)
    assert response.status_code == 200
    assert words in response.content.decode()
    assert not Resolution.objects.exists()


def test_a_remedy_that_is_gone_leads_back_with_a_message(operations: Client, desk: Desk) -> None:
    conflict = desk.oversell(2)
    address = confirm_page(conflict, RemedyKind.CANCEL)
    desk.receive(2)
    response = operations.get(address, follow=True)
    assert "not to be had any more" in response.content.decode()


@pytest.mark.parametrize("role", ["commerce", "engineering", "read-only"])
def test_others_see_conflicts_and_resolve_none(client: Client, desk: Desk, role: str) -> None:
    conflict = desk.oversell(2)
    address = confirm_page(conflict, RemedyKind.CANCEL)
    client.force_login(person(role))
    assert "kind=cancel" not in client.get(page_of(conflict)).content.decode()
    assert client.get(address).status_code == 403
    assert client.get(reverse("admin:reconciliation_resolve_many") + "?ids=1").status_code == 403


def test_many_are_resolved_at_once_after_a_confirm_step(operations: Client, desk: Desk) -> None:
    first, second = desk.oversell(1), desk.oversell(2)
    desk.order_goods(3)
    listed = reverse("admin:inventory_conflict_changelist")
    response = operations.post(listed, {"action": "resolve_many", "_selected_action": [first.pk, second.pk]})
    address = response["Location"]
    assert "Resolve 2 conflicts" in operations.get(address).content.decode()
    form = {"key": str(uuid4()), "kind": "best", "seen": "1700000000"}
    text = operations.post(address, form, follow=True).content.decode()
    assert "2 conflicts resolved, or on the way to it." in text
    assert sum(Conflict.objects.values_list("open_quantity", flat=True)) == 0
    assert "None of the chosen" in operations.post(address, form, follow=True).content.decode()
    assert Resolution.objects.count() == 2


@pytest.mark.parametrize("state", ["undecided", "open", "pending", "failed", "resolved"])
def test_the_list_filters_by_state_cause_and_channel(operations: Client, desk: Desk, state: str) -> None:
    waiting, pending = desk.oversell(1), desk.oversell(1)
    apply(pending, RemedyKind.CANCEL)
    failed = apply(waiting, RemedyKind.CANCEL)
    Resolution.objects.filter(pk=failed.pk).update(state="failed")
    ended = desk.oversell(1)
    Conflict.objects.filter(pk=ended.pk).update(open_quantity=0)
    examine_new()
    expected = {
        "undecided": {waiting.pk},
        "open": {waiting.pk, pending.pk},
        "pending": {pending.pk},
        "failed": {waiting.pk},
        "resolved": {ended.pk},
    }
    address = reverse("admin:inventory_conflict_changelist")
    rows = operations.get(f"{address}?state={state}").context["cl"].result_list
    assert {row.pk for row in rows} == expected[state]
    query = f"?class=unexplained&channel__id__exact={desk.shop.channel.pk}"
    assert len(operations.get(f"{address}{query}").context["cl"].result_list) == 2


def test_the_page_costs_the_same_whatever_hangs_on_it(operations: Client, desk: Desk) -> None:
    conflict = desk.oversell(1)
    desk.order_goods(1)
    apply(conflict, RemedyKind.CANCEL)
    Resolution.objects.update(state="failed")
    operations.get(page_of(conflict))

    def cost() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert operations.get(page_of(conflict)).status_code == 200
        return len(captured)

    few = cost()
    for number in range(10):
        desk.shop.add_location(f"more-{number}")
        desk.receive(1, f"more-{number}")
        desk.order_goods(1, days=number + 2)
        desk.oversell(1)
        resolution = apply(conflict, RemedyKind.CANCEL)
        Resolution.objects.filter(pk=resolution.pk).update(state="failed")
    assert cost() == few


def test_a_checklist_is_shown_and_ended_by_a_person(operations: Client, desk: Desk) -> None:
    Channel.objects.update(is_paused=True)
    resolution = apply(desk.oversell(1), RemedyKind.CANCEL)
    page = reverse("admin:reconciliation_resolution_change", args=[resolution.pk])
    text = operations.get(page).content.decode()
    assert "Refund the customer" in text
    assert "Done at the platform" in text
    done = reverse("admin:reconciliation_resolution_do", args=[resolution.pk, "say_done"])
    text = operations.post(done, follow=True).content.decode()
    assert "1 cancellation awaited" in text
    resolution.refresh_from_db()
    assert resolution.state == "confirmed"


def test_failed_and_unneeded_cancellations_are_told_again_or_dropped(operations: Client, desk: Desk) -> None:
    failed, wanted = apply(desk.oversell(1), RemedyKind.CANCEL), apply(desk.oversell(1), RemedyKind.CANCEL)
    Resolution.objects.filter(pk=failed.pk).update(state="failed", attempts=3)
    listed = reverse("admin:reconciliation_resolution_changelist")
    chosen = {"_selected_action": [failed.pk, wanted.pk]}
    text = operations.post(listed, {"action": "retry", **chosen}, follow=True).content.decode()
    assert "1 cancellation told again. Skipped 1: 1 in another state." in text
    operations.post(listed, {"action": "give_up", **chosen})
    assert set(Resolution.objects.values_list("state", flat=True)) == {"dropped"}


def test_operations_switch_a_policy_on_and_its_history_is_kept(operations: Client, desk: Desk) -> None:
    form = {
        "channel": desk.shop.channel.pk,
        "after_minutes": "15",
        "backorder_days": "14",
        "may_serve": "on",
    }
    added = reverse("admin:reconciliation_conflictpolicy_add")
    response = operations.post(added, form | {"backorder_days": "0"})
    assert "greater than or equal to 1" in response.content.decode()
    assert operations.post(added, form).status_code == 302
    policy = ConflictPolicy.objects.get()
    assert not policy.is_active
    page = reverse("admin:reconciliation_conflictpolicy_change", args=[policy.pk])
    assert operations.post(page, form | {"is_active": "on"}).status_code == 302
    policy.refresh_from_db()
    assert (policy.is_active, policy.history.count()) == (True, 2)
