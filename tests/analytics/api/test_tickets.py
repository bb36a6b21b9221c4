"""Support tickets through the API: each counts once."""

import pytest

from analytics.models import DayChange, SupportTicket
from tests.api import Api, problem_of
from tests.channels.shop import Shop, open_shop

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop(db: None) -> Shop:
    """A merchant with a mug."""
    return open_shop({"MUG": 1})


@pytest.fixture
def api(shop: Shop) -> Api:
    """A key of the merchant that may do everything."""
    return Api(shop.merchant)


def test_tickets_are_counted_once(api: Api, shop: Shop) -> None:
    body = {
        "tickets": [
            {
                "number": "T-1",
                "opened_at": "2026-01-31T14:00:00Z",
                "channel_id": shop.channel.pk,
                "sku": "MUG",
            },
            {"number": "T-2", "opened_at": "2026-01-31T15:00:00Z"},
        ]
    }
    made = api.post("/support-tickets", body)
    assert (made.status_code, made.json()) == (201, {"new": 2, "known": 0})
    assert api.post("/support-tickets", body).json() == {"new": 0, "known": 2}
    first, second = api.get("/support-tickets").json()["data"]
    assert (first["number"], first["channel_id"], first["sku"]) == ("T-1", shop.channel.pk, "MUG")
    assert (second["channel_id"], second["sku"]) == (None, None)
    assert DayChange.objects.filter(merchant_id=shop.merchant.pk).exists()


def test_a_ticket_that_cannot_be_is_refused_with_all_others(api: Api, shop: Shop) -> None:
    good = {"number": "T-1", "opened_at": "2026-01-31T14:00:00Z"}
    future = {"number": "T-2", "opened_at": "2999-01-31T14:00:00Z"}
    problem = problem_of(api.post("/support-tickets", {"tickets": [good, future]}), 422, "refused")
    assert problem["field"] == "tickets[1].opened_at"
    unknown = problem_of(api.post("/support-tickets", {"tickets": [{**good, "sku": "x"}]}), 404, "not-found")
    assert unknown["errors"][0]["field"] == "tickets[0].sku"
    elsewhere = api.post("/support-tickets", {"tickets": [good, {**good, "channel_id": 10**9}]})
    assert problem_of(elsewhere, 404, "not-found")["field"] == "tickets[1].channel_id"
    assert not SupportTicket.objects.exists()
