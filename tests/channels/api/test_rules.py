"""Rule sets through the API: drawn up, approved, put in force, rolled back, rehearsed."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from channels.models import Rehearsal, Rule, RuleSetVersion
from inventory.models import Tag
from tests.api import Api, problem_of
from tests.channels.shop import Shop, open_shop

pytestmark = pytest.mark.django_db


def draw_up(api: Api, rules: list[dict[str, Any]]) -> Any:
    rule_set = api.post("/rule-sets", {"name": "Buffers"}).json()
    return api.post(f"/rule-sets/{rule_set['id']}/draw-up", {"why": "a test", "rules": rules})


def test_rules_come_into_force_and_are_rolled_back(api: Api, shop: Shop) -> None:
    listing = shop.list_variant("MUG")
    Tag.objects.create(merchant=shop.merchant, name="fragile")
    rules = [{"sku": "MUG", "buffer_units": 4}, {"tag": "fragile", "maximum": 2}]
    drawn = draw_up(api, rules)
    assert (drawn.status_code, drawn.json()["state"]) == (201, "draft")
    version = drawn.json()
    assert [(rule["sku"], rule["tag"]) for rule in version["rules"]] == [("MUG", None), (None, "fragile")]
    path = f"/rule-versions/{version['id']}"
    assert api.post(f"{path}/approve", {"because": "a test"}).json()["state"] == "approved"
    activated = api.post(f"{path}/activate", {"because": "a test"}).json()
    assert (activated["is_in_force"], activated["version"]["state"]) == (True, "active")
    why = api.get(f"/listings/{listing.pk}/why").json()["levels"][0]
    assert why["quantity"] == 6
    api.post(f"/rule-sets/{version['rule_set_id']}/roll-back", {"because": "a test"})
    assert api.get(f"/listings/{listing.pk}/why").json()["levels"][0]["quantity"] == 10


@pytest.mark.parametrize(
    ("rule", "status", "field"),
    [
        ({"minimum": 5, "maximum": 4}, 400, "rules[0].minimum"),
        ({"buffer_percent": 101}, 400, "rules[0].buffer_percent"),
        ({"pool_units": 4}, 400, "rules[0].pool_units"),
        ({"sku": "NOBODY"}, 404, "rules[0].sku"),
        ({"tag": "nothing"}, 404, "rules[0].tag"),
        ({"channel_id": 10**12}, 404, "rules[0].channel_id"),
    ],
)
def test_a_rule_that_makes_no_sense_leaves_no_draft(
    rule: dict[str, Any], status: int, field: str, api: Api
) -> None:
    response = draw_up(api, [rule])
    assert (response.status_code, response.json()["field"]) == (status, field)
    assert not RuleSetVersion.objects.exists()


def test_a_channel_of_somebody_else_is_unknown(api: Api) -> None:
    assert draw_up(api, [{"channel_id": open_shop().channel.pk}]).status_code == 404


def test_what_its_state_does_not_allow_is_refused(api: Api) -> None:
    version = draw_up(api, []).json()
    path = f"/rule-versions/{version['id']}"
    problem_of(api.post(f"{path}/activate", {"because": "x"}), 409, "wrong-state")
    api.post(f"{path}/approve", {"because": "x"})
    assert api.post(f"{path}/withdraw").json()["state"] == "draft"


def test_a_period_is_rehearsed(api: Api) -> None:
    version = draw_up(api, []).json()
    now = timezone.now()
    body = {"version_id": version["id"], "since": (now - timedelta(days=2)).isoformat()}
    made = api.post("/rehearsals", {**body, "until": (now - timedelta(days=1)).isoformat()})
    assert (made.status_code, made.json()["state"]) == (202, "waiting")
    problem_of(api.post(f"/rehearsals/{made.json()['id']}/again"), 409, "wrong-state")
    late = {**body, "until": (now + timedelta(days=1)).isoformat()}
    assert problem_of(api.post("/rehearsals", late), 422, "refused")["field"] == "until"
    Rehearsal.objects.update(state="failed")
    assert api.post(f"/rehearsals/{made.json()['id']}/again").json()["state"] == "waiting"


def test_a_draft_costs_the_same_with_two_and_with_forty_rules(api: Api, shop: Shop) -> None:
    def cost(count: int) -> int:
        rule_set = api.post("/rule-sets", {"name": f"Of {count}"}).json()
        rules = [{"sku": "MUG", "maximum": each} for each in range(count)]
        with CaptureQueriesContext(connection) as captured:
            drawn = api.post(f"/rule-sets/{rule_set['id']}/draw-up", {"rules": rules})
        assert len(drawn.json()["rules"]) == count
        return len(captured)

    assert cost(2) == cost(40)
    rule = Rule.history.latest("history_id")
    assert rule.history_change_reason.startswith("API: tests (")
