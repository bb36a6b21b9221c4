"""Tickets of a help desk through the API: counted once, named back, refused whole."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from analytics.models import DayChange, SupportTicket
from inventory.models import Merchant
from tests.api import Api, make_key
from tests.channels.shop import Shop, open_shop

pytestmark = pytest.mark.django_db

OPENED = timezone.now() - timedelta(hours=1)


@pytest.fixture
def shop() -> Shop:
    return open_shop({"MUG": 1})


@pytest.fixture
def api(shop: Shop) -> Api:
    return Api(shop.merchant)


def ticket(number: str = "T-1", **more: Any) -> dict[str, Any]:
    return {"ticket": number, "opened_at": OPENED.isoformat(), **more}


def send(api: Api, *tickets: dict[str, Any], **headers: str) -> Any:
    return api.post("/support-tickets", {"tickets": list(tickets)}, **headers)


def test_tickets_are_counted_once_and_listed_with_what_they_name(api: Api) -> None:
    sent = [ticket(channel="Web shop", sku="MUG"), ticket("T-2")]
    assert (send(api, *sent).status_code, send(api, *sent, ticket("T-3")).json()) == (
        201,
        {"new": 1, "known": 2},
    )
    listed = api.get("/support-tickets").json()["data"]
    assert [(each["ticket"], each["channel"], each["sku"]) for each in listed] == [
        ("T-1", "Web shop", "MUG"), ("T-2", None, None), ("T-3", None, None),
    ]  # fmt: skip
    assert DayChange.objects.filter(changed_on=OPENED.date()).exists()


@pytest.mark.parametrize(
    ("wrong", "status", "said"),
    [
        ({"sku": "CUP"}, 404, "CUP"),
        ({"channel": "Elsewhere"}, 404, "Elsewhere"),
        ({"opened_at": "2999-01-01T00:00:00Z"}, 422, "still to come"),
        ({"opened_at": "yesterday"}, 400, "opened_at"),
        ({"customer": "Ann"}, 400, "no such field"),
    ],
)
def test_one_that_cannot_be_counted_has_none_counted(
    api: Api, wrong: dict[str, Any], status: int, said: str
) -> None:
    response = send(api, ticket("T-9"), {**ticket(), **wrong})
    assert response.status_code == status
    assert said in response.content.decode()
    assert not SupportTicket.objects.exists()


def test_names_of_another_merchant_are_not_known(api: Api) -> None:
    other = open_shop({"VASE": 1})
    assert send(api, ticket(sku="VASE")).status_code == 404
    send(Api(other.merchant), ticket(sku="VASE"))
    assert api.get("/support-tickets").json()["data"] == []


def test_it_takes_the_scope(shop: Shop) -> None:
    def may(*scopes: str) -> tuple[int, int]:
        merchant: Merchant = shop.merchant
        api = Api(merchant, make_key(merchant, *scopes)[1])
        return api.get("/support-tickets").status_code, send(api, ticket()).status_code

    assert may("tickets:read") == (200, 403)
    assert may("tickets:write") == (403, 201)
    assert may("orders:write") == (403, 403)
