"""How many of something can be had, asked for many variants at once."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from inventory.bundles import Component, define
from inventory.ledger import Context
from inventory.models import BundleKind, Supplier
from inventory.ordering import OrderedLine, order_goods
from inventory.reservations import Demand, reserve
from inventory.stock import StockLine, receive
from tests.api import Api, make_key, problem_of
from tests.channels.shop import Shop, open_shop

pytestmark = pytest.mark.django_db


def found(api: Api, **query: Any) -> dict[str, Any]:
    response = api.get("/availability", query)
    assert response.status_code == 200, response.content
    first: dict[str, Any] = response.json()["data"][0]
    return first


def test_what_can_be_had_is_told_by_location(api: Api, shop: Shop) -> None:
    store = shop.add_location("store")
    receive(Context(shop.merchant.pk, "more"), [StockLine(shop.variants["MUG"].pk, store.pk, 5)])
    demand = Demand("cart", shop.variants["MUG"].pk, 4, (shop.locations["main"].pk,))
    reserve(Context(shop.merchant.pk, "hold"), [demand])
    mug = found(api, sku="MUG")
    assert mug["available"] == 11
    assert {place["location"]: place["available"] for place in mug["locations"]} == {"main": 6, "store": 5}
    assert found(api, sku="MUG", location="store")["available"] == 5
    assert mug["available_to_promise"] is mug["offered"] is None


def test_names_are_told_as_they_are_written(api: Api, shop: Shop) -> None:
    store = shop.add_location('sto"re\\')
    strange = shop.add_variant('Bécher "5"\\')
    receive(Context(shop.merchant.pk, "more"), [StockLine(strange.pk, store.pk, 5)])
    shown = found(api, sku=strange.sku)
    assert (shown["sku"], shown["variant_id"], shown["available"]) == (strange.sku, strange.pk, 5)
    assert shown["locations"] == [
        {"location": store.code, "on_hand": 5, "reserved": 0, "unavailable": 0, "available": 5}
    ]


def test_a_variant_without_stock_is_told_with_none(api: Api, shop: Shop) -> None:
    shop.add_variant("NEW")
    shown = found(api, sku="NEW")
    assert (shown["available"], shown["locations"], shown["is_kit"]) == (0, [], False)


def test_what_is_not_asked_for_is_null(api: Api, shop: Shop) -> None:
    mug = found(api, sku="MUG")
    assert [mug[name] for name in ("available_to_promise", "inbound", "offered", "arrives")] == [None] * 4
    assert list(mug) == list(found(api, sku="MUG", by_date=timezone.localdate().isoformat()))


def test_skus_that_there_are_not_are_named(api: Api) -> None:
    answer = api.get("/availability", {"sku": ["MUG", "mug", "NOTHING"]}).json()
    assert [each["sku"] for each in answer["data"]] == ["MUG"]
    assert answer["unknown"] == ["mug", "NOTHING"]


def test_a_kit_can_be_had_as_often_as_its_scarcest_part(api: Api, shop: Shop) -> None:
    pair = shop.add_variant("PAIR")
    define(Context(shop.merchant.pk, "kit"), pair.pk, BundleKind.KIT, [Component(shop.variants["MUG"].pk, 3)])
    kit = found(api, sku="PAIR")
    assert (kit["is_kit"], kit["available"]) == (True, 3)
    assert kit["locations"][0]["on_hand"] is None
    assert found(api, sku="PAIR", by_date=timezone.localdate().isoformat())["available_to_promise"] == 3


def test_inbound_by_a_day_may_be_promised(api: Api, shop: Shop) -> None:
    supplier = Supplier.objects.create(merchant=shop.merchant, code="acme", name="Acme")
    on = timezone.localdate() + timedelta(days=3)
    lines = [OrderedLine(shop.variants["MUG"].pk, 7, confirmed_on=on)]
    order_goods(Context(shop.merchant.pk, "order"), "PO-1", supplier, shop.locations["main"], lines)
    late = found(api, sku="MUG", by_date=on.isoformat())
    assert (late["available_to_promise"], late["inbound"]) == (17, 7)
    early = found(api, sku="MUG", by_date=(on - timedelta(days=1)).isoformat())
    assert early["available_to_promise"] == 10


def test_the_past_is_what_it_was(api: Api, shop: Shop) -> None:
    before = timezone.now()
    receive(
        Context(shop.merchant.pk, "more"), [StockLine(shop.variants["MUG"].pk, shop.locations["main"].pk, 5)]
    )
    assert found(api, sku="MUG", as_of=before.isoformat())["available"] == 10
    assert found(api, sku="MUG")["available"] == 15


def test_of_the_future_nothing_is_recorded(api: Api, shop: Shop) -> None:
    soon = (timezone.now() + timedelta(minutes=5)).isoformat()
    listing = shop.list_variant("MUG")
    for path, query in (("/availability", {"sku": "MUG"}), (f"/listings/{listing.pk}/why", {})):
        problem = problem_of(api.get(path, {**query, "as_of": soon}), 400, "invalid-request")
        assert problem["field"] == "as_of"


def test_a_channel_is_asked_for_what_it_is_to_be_told(api: Api, shop: Shop) -> None:
    shop.list_variant("MUG")
    shop.channel.buffer_units = 2
    shop.channel.save()
    assert found(api, sku="MUG", channel=shop.channel.pk)["offered"] == 8
    shop.add_variant("UNLISTED", {"main": 4})
    assert found(api, sku="UNLISTED", channel=shop.channel.pk)["offered"] is None


@pytest.mark.parametrize(
    "query",
    [
        {}, {"sku": ""}, {"sku": "x" * 201}, {"sku": [str(n) for n in range(201)]}, {"sku": "MUG", "as_of": "yesterday"},
        {"sku": "MUG", "as_of": "2026-01-31T14:00:00"}, {"sku": "MUG", "as_of": "0001-01-01T00:00:00Z"},
        {"sku": "MUG", "by_date": "2026-02-30"}, {"sku": "MUG", "channel": "x"}, {"sku": "MUG", "channel": "9" * 30},
        {"sku": "MUG", "as_of": "2026-01-31T14:00:00Z", "by_date": "2026-01-31"}, {"sku": "MUG", "colour": "blue"},
        {"sku": "M\x00G"},
    ],
)  # fmt: skip
def test_a_question_that_makes_no_sense_is_refused(query: dict[str, Any], api: Api) -> None:
    assert api.get("/availability", query).status_code == 400


def test_a_hundred_variants_take_two_statements(api: Api, shop: Shop) -> None:
    skus = [shop.add_variant(f"SKU-{n}", {"main": n + 1}).sku for n in range(100)]
    with CaptureQueriesContext(connection) as captured:
        answer = api.get("/availability", {"sku": skus}).json()
    assert len(answer["data"]) == 100
    assert len(captured) == 2


def test_a_place_that_there_is_not_is_told_as_that_and_not_as_an_empty_one(api: Api, shop: Shop) -> None:
    other = open_shop().add_location("theirs")
    for code in ("mian", other.code):
        query = {"sku": "MUG", "location": ["main", code]}
        assert problem_of(api.get("/availability", query), 404, "not-found")["field"] == "location"


def test_a_channel_of_somebody_else_is_unknown(api: Api) -> None:
    other = open_shop().channel
    query = {"sku": "MUG", "channel": other.pk}
    assert problem_of(api.get("/availability", query), 404, "not-found")["field"] == "channel"


def test_what_a_channel_is_told_needs_the_scope_of_channels(shop: Shop) -> None:
    reader = Api(shop.merchant, make_key(shop.merchant, "stock:read")[1])
    assert reader.get("/availability", {"sku": "MUG"}).status_code == 200
    query = {"sku": "MUG", "channel": shop.channel.pk}
    problem_of(reader.get("/availability", query), 403, "missing-scope")
    both = Api(shop.merchant, make_key(shop.merchant, "stock:read", "channels:read")[1])
    assert both.get("/availability", query).status_code == 200
