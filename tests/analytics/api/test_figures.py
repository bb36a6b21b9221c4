"""Figures through the API: by channel and variant, over time, page by page."""

import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from analytics.models import Kpi, KpiDay, SalesFact, StockFact
from inventory.models import StockLevel
from tests.api import Api, problem_of
from tests.channels.shop import Shop, open_shop

pytestmark = pytest.mark.django_db

FIRST = date(2026, 3, 1)
SPAN = {"from": "2026-03-01", "to": "2026-03-10"}


@pytest.fixture
def shop(db: None) -> Shop:
    """A merchant with a mug and a cup."""
    found = open_shop()
    found.add_variant("MUG")
    found.add_variant("CUP")
    return found


@pytest.fixture
def api(shop: Shop) -> Api:
    """A key of the merchant that may do everything."""
    return Api(shop.merchant)


def sale(shop: Shop, day: int, sku: str | None = "MUG", **figures: Any) -> None:
    SalesFact.objects.create(
        merchant=shop.merchant,
        channel=figures.pop("channel", shop.channel),
        variant=shop.variants[sku] if sku else None,
        currency=figures.pop("currency", "EUR"),
        ordered_on=FIRST + timedelta(days=day),
        lines=1,
        **figures,
    )


def move(shop: Shop, day: int, sku: str = "MUG", **units: int) -> None:
    StockFact.objects.create(
        merchant=shop.merchant,
        variant=shop.variants[sku],
        location=shop.locations["main"],
        recorded_on=FIRST + timedelta(days=day),
        **units,
    )


def rows(api: Api, path: str, **query: Any) -> list[dict[str, Any]]:
    """Reads a list to its end, two rows at a time."""
    found: list[dict[str, Any]] = []
    query = {**SPAN, "limit": 2, **query}
    while True:
        answer = api.get(path, query)
        assert answer.status_code == 200, answer.content
        page = answer.json()
        found += page["data"]
        if not page["has_more"]:
            return found
        query["cursor"] = page["next_cursor"]


def test_sales_are_told_by_channel_day_and_currency(api: Api, shop: Shop) -> None:
    other = shop.add_channel("Counter")
    sale(shop, 0, orders=2, ordered=3, amount=Decimal(30), cancelled=1, cancelled_amount=Decimal(10))
    sale(shop, 0, "CUP", orders=1, ordered=1, amount=Decimal(5))
    sale(shop, 0, currency="USD", orders=1, ordered=1, amount=Decimal(7))
    sale(shop, 0, channel=other, orders=1, ordered=4, amount=Decimal(40))
    sale(shop, 9, None, orders=1, ordered=1)
    sale(shop, 10, orders=1, ordered=1)  # after the last day
    found = rows(api, "/sales")
    assert [(row["day"], row["channel_id"], row["currency"], row["ordered"]) for row in found] == [
        ("2026-03-01", shop.channel.pk, "EUR", 4),
        ("2026-03-01", shop.channel.pk, "USD", 1),
        ("2026-03-01", other.pk, "EUR", 4),
        ("2026-03-10", shop.channel.pk, "EUR", 1),
    ]
    assert (found[0]["gmv"], found[0]["orders"]) == ("25.0000", 3)


def test_sales_are_told_by_variant_and_added_up_over_weeks(api: Api, shop: Shop) -> None:
    sale(shop, 0, ordered=3)
    sale(shop, 1, ordered=2)
    sale(shop, 2, ordered=1)
    sale(shop, 1, "CUP", ordered=5)
    sale(shop, 1, None, ordered=7)
    weekly = rows(api, "/sales", by="variant", interval="week")
    mug, cup = shop.variants["MUG"].pk, shop.variants["CUP"].pk
    assert [(row["day"], row["variant_id"], row["sku"], row["ordered"]) for row in weekly] == [
        ("2026-02-23", mug, "MUG", 3),
        ("2026-03-02", None, None, 7),
        ("2026-03-02", mug, "MUG", 3),
        ("2026-03-02", cup, "CUP", 5),
    ]
    assert {row["orders"] for row in weekly} == {None}
    assert [row["ordered"] for row in rows(api, "/sales", by="variant", interval="total", sku="MUG")] == [6]
    assert rows(api, "/sales", sku="nothing") == []
    assert rows(api, "/sales", channel=10**9) == []


def test_stock_moves_are_told_by_day_and_place(api: Api, shop: Shop) -> None:
    move(shop, 0, received=10)
    move(shop, 1, shipped=3, held=4)
    move(shop, 1, "CUP", adjusted=-1)
    found = rows(api, "/stock-moves", location="main")
    assert [(row["day"], row["sku"], row["on_hand_delta"]) for row in found] == [
        ("2026-03-01", "MUG", 10),
        ("2026-03-02", "MUG", -3),
        ("2026-03-02", "CUP", -1),
    ]
    assert [row["on_hand_delta"] for row in rows(api, "/stock-moves", interval="month", sku="MUG")] == [7]
    assert rows(api, "/stock-moves", location="elsewhere") == []


def level(shop: Shop, sku: str, on_hand: int) -> None:
    StockLevel.objects.create(
        merchant=shop.merchant,
        variant=shop.variants[sku],
        location=shop.locations["main"],
        on_hand=on_hand,
        recorded_at=datetime(2026, 2, 1, tzinfo=UTC),
    )


def test_stock_figures_tell_sell_through_turns_and_days_without_stock(api: Api, shop: Shop) -> None:
    level(shop, "MUG", 7)
    level(shop, "CUP", 0)
    shop.add_variant("HAT")
    move(shop, 0, received=10)
    move(shop, 1, shipped=3)
    mug, cup = rows(api, "/stock-figures", limit=1)
    assert (mug["sku"], mug["opening"], mug["closing"], mug["days"]) == ("MUG", 0, 7, 10)
    assert mug["sell_through"] == 0.3
    assert mug["turns"] == pytest.approx(3 / 7.3 * 36.5)
    assert (cup["sku"], cup["out_days"], cup["sell_through"], cup["turns"]) == ("CUP", 10.0, None, None)
    assert [row["sku"] for row in rows(api, "/stock-figures", sku="CUP")] == ["CUP"]


def kpi(shop: Shop, day: date, part: int, whole: int, **more: Any) -> KpiDay:
    values = {"kpi": Kpi.DRIFT, "channel": None, **more}
    return KpiDay.objects.create(
        merchant=shop.merchant, measured_on=day, part=part, whole=whole, measured_at=timezone.now(), **values
    )


def test_key_figures_are_read_on_in_order_while_they_are_measured_anew(api: Api, shop: Shop) -> None:
    days = [kpi(shop, FIRST + timedelta(days=number), 1, 4) for number in range(4)]
    kpi(shop, FIRST, 1, 2, channel=shop.channel)
    first = api.get("/kpi-days", {**SPAN, "limit": 2}).json()
    assert [(row["channel_id"], row["value"]) for row in first["data"]] == [
        (None, 25.0),
        (shop.channel.pk, 50.0),
    ]
    for row in days[:2]:  # as `measure` does: the rows are replaced, with larger ids
        row.delete()
        kpi(shop, row.measured_on, 1, 4)
    rest = api.get("/kpi-days", {**SPAN, "cursor": first["next_cursor"]}).json()["data"]
    assert [row["day"] for row in rest] == ["2026-03-02", "2026-03-03", "2026-03-04"]
    assert len(rows(api, "/kpi-days", by="total")) == 4
    assert len(rows(api, "/kpi-days", channel=shop.channel.pk)) == 1
    assert rows(api, "/kpi-days", kpi="latency") == []


def test_what_is_still_on_its_way_is_no_number(api: Api, shop: Shop) -> None:
    today = timezone.now().date()
    kpi(shop, today, 0, 1, kpi=Kpi.LATENCY, p50=1.5, p95=math.inf, p99=math.inf)
    query = {"from": today.isoformat(), "to": today.isoformat()}
    row = api.get("/kpi-days", query).json()["data"][0]
    assert (row["p50"], row["p95"], row["value"]) == (1.5, None, None)
    week = api.get("/kpis").json()["data"][0]
    assert (week["kpi"], week["value"], week["is_on_its_way"]) == ("latency", None, True)


def test_the_week_is_held_against_its_target(api: Api, shop: Shop) -> None:
    today = timezone.now().date()
    kpi(shop, today, 1, 1000)
    kpi(shop, today - timedelta(days=8), 5, 1000)
    (week,) = api.get("/kpis").json()["data"]
    assert (week["value"], week["before"], week["target"], week["is_met"], week["trend"]) == (
        0.1,
        0.5,
        0.2,
        True,
        "better",
    )
    assert (week["unit"], week["part"], week["whole"]) == ("percent", 1, 1000)


@pytest.mark.parametrize(
    "query",
    [
        {"from": "2026-03-02", "to": "2026-03-01"}, {"from": "2020-01-01", "to": "2026-01-01"}, {"to": "9999-12-31"},
        {"to": "0001-01-01"}, {"from": "0001-01-01"}, {"from": "x"}, {"interval": "hour"}, {"by": "x"}, {"cursor": "x"},
        {"cursor": "WzFd"}, {"cursor": "WyIyMDI2LTAxLTAxIiwgdHJ1ZSwgIiJd"}, {"limit": "201"}, {"channel": "1e400"},
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(query: dict[str, str], api: Api) -> None:
    problem_of(api.get("/sales", query), 400, "invalid-request")


def test_figures_cost_the_same_however_much_was_sold(api: Api, shop: Shop) -> None:
    def cost(path: str, **query: Any) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert api.get(path, {**SPAN, **query}).status_code == 200
        return len(captured)

    asked: list[tuple[str, dict[str, Any]]] = [
        ("/sales", {}),
        ("/sales", {"by": "variant"}),
        ("/stock-figures", {}),
    ]
    few = [cost(path, **query) for path, query in asked]
    for day in range(5):
        sale(shop, day, ordered=1)
        move(shop, day, received=1)
    level(shop, "MUG", 5)
    assert [cost(path, **query) for path, query in asked] == [few[0], few[1], few[2] + 1]
