"""Discrepancies and comparisons through the API."""

import pytest

from reconciliation import runs
from reconciliation.models import ReconciliationRun
from reconciliation.models.discrepancies import Policy
from tests.api import Api, problem_of
from tests.reconciliation.market import Market, open_market

pytestmark = pytest.mark.django_db


@pytest.fixture
def market(monkeypatch: pytest.MonkeyPatch) -> Market:
    """A shop in which somebody wrote a number."""
    found = open_market(monkeypatch, {"MUG": 20, "CUP": 8})
    found.policy(Policy.FLAG)
    found.edit("MUG", 15)
    return found


@pytest.fixture
def api(market: Market) -> Api:
    """A key of the shop's merchant that may do everything."""
    return Api(market.shop.merchant)


def test_a_discrepancy_is_told_with_its_evidence_and_corrected(api: Api, market: Market) -> None:
    market.compare()
    found = api.get("/discrepancies", {"is_open": "true"}).json()["data"][0]
    assert (found["sku"], found["shown"], found["expected"], found["difference"]) == ("MUG", 15, 20, -5)
    assert (found["cause"], found["state"], found["value"]) == ("foreign_edit", "open", None)
    assert found["evidence"]
    path = f"/discrepancies/{found['id']}"
    corrected = api.post(f"{path}/correct").json()
    assert (corrected["state"], corrected["closed_by"]) == ("correcting", corrected["closed_by"])
    problem_of(api.post(f"{path}/correct"), 409, "wrong-state")
    market.settle()
    assert api.get(path).json()["state"] == "corrected"
    assert market.number("MUG") == 20


def test_a_discrepancy_is_dismissed_with_a_reason(api: Api, market: Market) -> None:
    market.compare()
    path = f"/discrepancies/{market.discrepancy('MUG').pk}"
    for because in ("", "  "):
        problem_of(api.post(f"{path}/dismiss", {"because": because}), 400, "invalid-request")
    assert api.post(f"{path}/dismiss", {"because": "Known."}).json()["state"] == "dismissed"
    problem_of(api.post(f"{path}/dismiss", {"because": "Known."}), 409, "wrong-state")
    assert market.number("MUG") == 15


def test_a_comparison_is_asked_for_and_followed(api: Api, market: Market) -> None:
    asked = api.post("/reconciliation-runs", {"channel_id": market.shop.channel.pk, "sku": "MUG"})
    assert (asked.status_code, asked.json()["state"], asked.json()["sku"]) == (202, "asked", "MUG")
    again = api.post("/reconciliation-runs", {"channel_id": market.shop.channel.pk, "sku": "MUG"})
    assert again.json()["id"] == asked.json()["id"]
    runs.perform(asked.json()["id"])
    done = api.get(f"/reconciliation-runs/{asked.json()['id']}").json()
    assert (done["state"], done["read"], done["drifted"]) == ("done", 1, 1)
    assert done["asked_by"].startswith("tests (")


def test_a_comparison_says_how_far_it_is(api: Api, market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    run = runs.ask(market.shop.channel)

    def look(line: str) -> None:
        if line.endswith("shelves read."):
            seen.append(api.get(f"/reconciliation-runs/{run.pk}").json())

    runs.perform(run.pk, report=look)
    assert [(each["state"], each["read"]) for each in seen] == [("running", 2)]


def test_a_scope_that_there_is_not_is_refused(api: Api, market: Market) -> None:
    channel = market.shop.channel.pk
    for body, field in (
        ({"channel_id": channel, "tag": "nothing"}, "tag"),
        ({"channel_id": channel, "sku": "nothing"}, "sku"),
        ({"channel_id": 10**9}, "channel_id"),
    ):
        assert problem_of(api.post("/reconciliation-runs", body), 404, "not-found")["field"] == field
    market.shop.channel.is_active = False
    market.shop.channel.save()
    problem_of(api.post("/reconciliation-runs", {"channel_id": channel}), 422, "refused")
    assert not ReconciliationRun.objects.filter(state="asked").exists()


def test_looking_again_compares_the_sku(api: Api, market: Market) -> None:
    market.compare()
    answer = api.post(f"/discrepancies/{market.discrepancy('MUG').pk}/look-again")
    assert (answer.status_code, answer.json()["sku"]) == (202, "MUG")
