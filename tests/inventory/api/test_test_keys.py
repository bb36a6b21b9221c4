"""Test keys: what they may never reach, whatever they are allowed."""

from typing import Any

import pytest

from channels.models import Channel
from inventory.models import ApiKey
from tests.api import Api, make_key, problem_of
from tests.back_office import Business
from tests.config.api.endpoints import ROOT, endpoints, lists
from tests.config.api.test_isolation import MODELS, row_of
from tests.inventory.cast import Cast

pytestmark = pytest.mark.django_db


@pytest.fixture
def tester(cast: Cast) -> Api:
    """A caller with a test key that may do everything, of a merchant without channels."""
    return Api(cast.merchant, make_key(cast.merchant, is_test=True)[1])


def test_a_test_key_makes_no_live_key(tester: Api) -> None:
    body = {"name": "x", "scopes": ["owner"]}
    problem_of(tester.post("/keys", body), 403, "test-key")
    made = tester.post("/keys", {**body, "is_test": True})
    assert made.json()["key"]["is_test"]


def test_a_test_key_neither_sees_nor_replaces_nor_revokes_live_keys(tester: Api, cast: Cast) -> None:
    live, _ = make_key(cast.merchant)
    assert all(key["is_test"] for key in tester.get("/keys").json()["data"])
    for path in (f"/keys/{live.pk}/rotate", f"/keys/{live.pk}/revoke"):
        problem_of(tester.post(path), 404, "not-found")
    assert ApiKey.objects.get(pk=live.pk).revoked_at is None


def test_a_test_key_connects_simulated_systems_alone(tester: Api, cast: Cast) -> None:
    body: dict[str, Any] = {"name": "Counter", "locations": [cast.warehouse.code]}
    problem = problem_of(tester.post("/channels", body), 403, "test-key")
    assert problem["field"] == "is_simulated"
    assert not Channel.objects.filter(merchant=cast.merchant).exists()
    assert tester.post("/channels", {**body, "is_simulated": True}).status_code == 201


def test_beside_live_channels_a_test_key_sees_nothing_of_them() -> None:
    """Every list and every page of a row that belongs to a channel."""
    business = Business.grown(1)
    live = business.channels[0]
    tester = Api(business.merchant, make_key(business.merchant, is_test=True)[1])
    for endpoint in lists():
        if endpoint.rows == "availability":
            continue
        for row in tester.get(endpoint.path.removeprefix(ROOT)).json()["data"]:
            assert row.get("channel_id") != live.pk, endpoint
    for endpoint in endpoints():
        fields = {field.name for field in MODELS[endpoint.rows]._meta.fields} if endpoint.is_on_row else set()
        if "channel" in fields and endpoint.method == "GET":
            path = endpoint.path.removeprefix(ROOT).replace("{id}", str(row_of(endpoint, business).pk))
            problem_of(tester.get(path), 404, "not-found")
