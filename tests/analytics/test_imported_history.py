"""Imported history counts for the days on which it happened, as things are counted as they come and counted anew."""

import io
from datetime import date, timedelta
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analytics.facts import movements
from analytics.facts.updating import update
from analytics.models import StockDay, StockFact
from analytics.performance import last_days, stock_in_all
from analytics.reports.csv_files import stock_file
from inventory.import_file import Defaults
from inventory.importing import Import, import_file
from inventory.ledger import Context
from inventory.stock import StockLine, receive
from tests.analytics.counting import assert_rebuilt_is_the_same
from tests.channels.shop import Shop, open_shop

pytestmark = pytest.mark.django_db

TODAY = timezone.now().date()


@pytest.fixture
def shop() -> Shop:
    shop = open_shop()
    shop.add_variant("MUG")
    return shop


def ago(days: int) -> date:
    return TODAY - timedelta(days=days)


def bring(shop: Shop, *rows: tuple[str, int, int], name: str = "history.csv") -> None:
    """Imports rows of kind, units, and days ago; numbered within the file.

    What is imported for today happened at its beginning, which is never to come.
    """
    lines = [
        f"{name}-{number},{kind},MUG,main,{units},{ago(days)}T{12 if days else 0:02}:00:00Z"
        for number, (kind, units, days) in enumerate(rows)
    ]
    text = "\n".join(["key,kind,sku,location,quantity,occurred_at", *lines]) + "\n"
    report = import_file(Import(shop.merchant.pk, Defaults(location="main"), name), io.StringIO(text))
    assert report.errors == []


def flows(shop: Shop) -> dict[int, tuple[int, int]]:
    """Returns by days ago what was received and shipped."""
    update()
    rows = StockFact.objects.filter(merchant=shop.merchant)
    return {(TODAY - row.recorded_on).days: (row.received, row.shipped) for row in rows}


def test_history_falls_on_the_days_on_which_it_happened(shop: Shop) -> None:
    bring(shop, ("receipt", 10, 20), ("shipment", 4, 10), ("shipment", 6, 5))
    assert flows(shop) == {20: (10, 0), 10: (0, 4), 5: (0, 6)}
    days = StockDay.objects.filter(merchant=shop.merchant).order_by("recorded_on")
    assert [(day.recorded_on, day.on_hand) for day in days] == [(ago(20), 10), (ago(10), 6), (ago(5), 0)]
    assert_rebuilt_is_the_same(shop.merchant)


def test_sell_through_turns_and_stock_outs_see_the_history(shop: Shop) -> None:
    bring(shop, ("receipt", 10, 20), ("shipment", 10, 5))
    update()
    month = stock_in_all(last_days(shop.merchant.pk, 30, TODAY))
    assert (month.opening, month.received, month.shipped, month.closing) == (0, 10, 10, 0)
    assert month.average == pytest.approx(10 * 15 / 30)
    assert month.out_days == pytest.approx(4.5, abs=0.01)
    # Sold out before the week began, though recorded within it.
    assert stock_in_all(last_days(shop.merchant.pk, 3, TODAY)).out_days == pytest.approx(3.0)


def test_history_after_later_movements_flows_on_its_day_and_stands_on_the_levels_last(shop: Shop) -> None:
    receive(
        Context(shop.merchant.pk, "live"), [StockLine(shop.variants["MUG"].pk, shop.locations["main"].pk, 5)]
    )
    update()
    bring(shop, ("receipt", 10, 20))
    assert flows(shop) == {0: (5, 0), 20: (10, 0)}
    assert [(day.recorded_on, day.on_hand) for day in StockDay.objects.all()] == [(TODAY, 15)]
    assert_rebuilt_is_the_same(shop.merchant)
    # Its file has a row all the same; what the day ended with is not known.
    assert stock_file(shop.merchant.pk, ago(20)).splitlines()[1].endswith(",10,0,0,0,0,,,")


def test_what_is_recorded_late_but_not_imported_stays_on_the_day_of_the_record(shop: Shop) -> None:
    receive(
        Context(shop.merchant.pk, "late", occurred_at=timezone.now() - timedelta(days=9)),
        [StockLine(shop.variants["MUG"].pk, shop.locations["main"].pk, 5)],
    )
    assert flows(shop) == {0: (5, 0)}


files = st.lists(
    st.lists(st.tuples(st.integers(0, 9), st.integers(1, 5)), min_size=1, max_size=4), min_size=1, max_size=3
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(given=files, most=st.integers(1, 3))
def test_whatever_is_imported_when_a_rebuild_finds_the_same(
    db: None, monkeypatch: pytest.MonkeyPatch, given: list[list[Any]], most: int
) -> None:
    shop = open_shop()
    mug = shop.add_variant("MUG")
    monkeypatch.setattr(movements.count_movements, "__kwdefaults__", {"most": most})
    for number, rows in enumerate(given):
        bring(shop, *(("receipt", units, days) for days, units in rows), name=f"file-{number}")
        update()
        place = StockLine(mug.pk, shop.locations["main"].pk, 1)
        receive(Context(shop.merchant.pk, f"live-{number}"), [place])
    assert_rebuilt_is_the_same(shop.merchant)
