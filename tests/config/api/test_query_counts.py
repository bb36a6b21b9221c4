"""What a list costs does not grow with its rows: every list of the description."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from config.api.pagination import cursor_for
from tests.api import Api
from tests.back_office import Business
from tests.config.api.endpoints import ROOT, endpoints, lists
from tests.config.api.test_isolation import row_of

pytestmark = pytest.mark.django_db


def costs(api: Api, business: Business) -> dict[str, int]:
    found = {}
    for endpoint in lists():
        query: dict[str, object] = {"limit": 200}
        if endpoint.rows == "availability":
            skus = [variant.sku for variant in business.variants]
            query = {"sku": skus, "channel": business.channels[0].pk, "by_date": "2099-01-01"}
        if endpoint.rows == "changes":
            query = {"limit": 200, "cursor": cursor_for(0)}
        with CaptureQueriesContext(connection) as captured:
            response = api.get(endpoint.path.removeprefix(ROOT), query)
        assert response.status_code == 200, (endpoint, response.content)
        assert len(response.json()["data"]) >= len(business.variants), endpoint
        found[endpoint.name] = len(captured)
    return found


def row_costs(api: Api, business: Business) -> dict[str, int]:
    """Returns what each endpoint costs that shows one row, or lists what belongs to it."""
    found = {}
    for endpoint in [each for each in endpoints() if each.method == "GET" and each.is_on_row]:
        path = endpoint.path.removeprefix(ROOT).replace("{id}", str(row_of(endpoint, business).pk))
        with CaptureQueriesContext(connection) as captured:
            response = api.get(path)
        assert response.status_code == 200, (endpoint, response.content)
        found[endpoint.name] = len(captured)
    return found


def test_a_row_costs_the_same_beside_two_and_beside_ten_others() -> None:
    business = Business.grown(2)
    api = Api(business.merchant)
    few = row_costs(api, business)
    business.grow(8)
    assert row_costs(api, business) == few
    assert len(few) > 30


def test_a_list_costs_the_same_with_two_and_with_ten_rows() -> None:
    business = Business.grown(2)
    api = Api(business.merchant)
    few = costs(api, business)
    business.grow(8)
    assert costs(api, business) == few
    assert len(few) > 34
    assert max(few.values()) < 25
    assert few["variants_list"] == 2
