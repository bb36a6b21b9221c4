"""Conflicts through the API: why, what may end them, and resolving them once."""

from functools import partial
from typing import Any

import pytest

from inventory.models import Conflict
from reconciliation.models import Resolution
from tests.api import Api, make_key, problem_of
from tests.inventory.cast import assert_ledger_holds
from tests.inventory.racing import race
from tests.reconciliation.desk import Desk, open_desk

pytestmark = pytest.mark.django_db


@pytest.fixture
def api(desk: Desk) -> Api:
    """A key of the shop's merchant that may do everything."""
    return Api(desk.shop.merchant)


def served(desk: Desk, units: int = 2) -> Conflict:
    """Returns a conflict that another location can end."""
    conflict = desk.oversell(units)
    Conflict.objects.filter(pk=conflict.pk).update(location_ids=[desk.shop.locations["main"].pk])
    desk.receive(5, "north")
    return conflict


def best(api: Api, conflict: Conflict) -> dict[str, Any]:
    found: dict[str, Any] = api.get(f"/conflicts/{conflict.pk}/remedies").json()["remedies"][0]
    return found


def decision(remedy: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"remedy": remedy["remedy"], "target": remedy["target"], **more}


def test_a_conflict_is_resolved_as_the_back_office_does(api: Api, desk: Desk) -> None:
    conflict = served(desk)
    remedy = best(api, conflict)
    assert (remedy["remedy"], remedy["units"], remedy["is_feasible"]) == ("serve", 2, True)
    made = api.post(f"/conflicts/{conflict.pk}/resolve", decision(remedy), Idempotency_Key="one")
    assert made.status_code == 201, made.content
    assert (made.json()["state"], made.json()["quantity"]) == ("done", 2)
    shown = api.get(f"/conflicts/{conflict.pk}").json()
    assert (shown["open_quantity"], shown["channel_id"]) == (0, desk.shop.channel.pk)
    assert shown["came_from"]
    operation = Resolution.objects.get().operation
    assert operation is not None
    assert (operation.source, operation.actor) == ("api", made.json()["actor"])
    assert [each["id"] for each in api.get("/resolutions", {"conflict": conflict.pk}).json()["data"]] == [
        made.json()["id"]
    ]
    assert_ledger_holds()


def test_a_repeat_resolves_nothing_more(api: Api, desk: Desk) -> None:
    conflict = served(desk)
    body, path = decision(best(api, conflict), quantity=1), f"/conflicts/{conflict.pk}/resolve"
    first = api.post(path, body, Idempotency_Key="one")
    assert api.post(path, body, Idempotency_Key="one").json() == first.json()
    assert desk.shop.level("MUG", "north") == (5, 1)


def test_what_is_not_to_be_had_any_more_is_refused(api: Api, desk: Desk) -> None:
    conflict = served(desk)
    path = f"/conflicts/{conflict.pk}/resolve"
    problem_of(api.post(path, {"remedy": "serve", "target": "999"}), 422, "refused")
    problem_of(api.post(path, {"remedy": "serve", "target": "x" * 50}), 400, "invalid-request")
    too_many = problem_of(api.post(path, decision(best(api, conflict), quantity=9)), 422, "refused")
    assert too_many["field"] == "quantity"
    assert not Resolution.objects.exists()


def test_the_timeline_tells_why(api: Api, desk: Desk) -> None:
    conflict = desk.oversell(2)
    found = api.get(f"/conflicts/{conflict.pk}/timeline").json()
    assert found["because"]
    assert any("Conflict opened" in event["what"] for event in found["events"])
    assert found["told"][0]["channel"] == desk.shop.channel.name


def test_conflicts_are_filtered(api: Api, desk: Desk) -> None:
    conflict = served(desk)

    def count(**query: Any) -> int:
        return len(api.get("/conflicts", query).json()["data"])

    assert count(is_open="true") == count(sku="MUG") == count(reference=conflict.reference) == 1
    assert count(is_open="false") == count(sku="CUP") == count(cause="broken") == count(channel=1) == 0


def test_a_cancellation_waits_for_its_platform_and_may_be_dropped(api: Api, desk: Desk) -> None:
    conflict = desk.oversell(2)
    made = api.post(f"/conflicts/{conflict.pk}/resolve", decision(best(api, conflict))).json()
    assert (made["remedy"], made["state"]) == ("cancel", "wanted")
    path = f"/resolutions/{made['id']}"
    problem_of(api.post(f"{path}/done"), 409, "wrong-state")
    problem_of(api.post(f"{path}/again"), 409, "wrong-state")
    assert api.post(f"{path}/drop").json()["state"] == "dropped"
    assert api.get(f"/conflicts/{conflict.pk}/remedies").json()["undecided_units"] == 2


def test_a_checklist_is_ticked_off(api: Api, desk: Desk) -> None:
    desk.shop.channel.is_paused = True
    desk.shop.channel.save()
    conflict = desk.oversell(2)
    made = api.post(f"/conflicts/{conflict.pk}/resolve", decision(best(api, conflict))).json()
    assert (made["state"], bool(made["checklist"])) == ("checklist", True)
    assert api.post(f"/resolutions/{made['id']}/done").json()["state"] == "confirmed"


def test_resolving_needs_its_own_scope(desk: Desk) -> None:
    conflict = served(desk)
    reader = Api(desk.shop.merchant, make_key(desk.shop.merchant, "conflicts:read", "stock:write")[1])
    body = decision(best(reader, conflict))
    problem_of(reader.post(f"/conflicts/{conflict.pk}/resolve", body), 403, "missing-scope")


@pytest.mark.django_db(transaction=True)
def test_of_two_who_resolve_at_once_one_comes_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = open_desk(monkeypatch)
    conflict = served(desk)
    key = Api(desk.shop.merchant).key
    body = decision(best(Api(desk.shop.merchant, key), conflict))
    callers = [Api(desk.shop.merchant, key) for _ in range(2)]
    answers = race([partial(each.post, f"/conflicts/{conflict.pk}/resolve", body) for each in callers])
    assert sorted(answer.status_code for answer in answers) == [201, 422]
    assert desk.shop.level("MUG", "north") == (5, 2)
