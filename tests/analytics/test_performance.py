"""Sell-through, turns, stock-out time and sales by channel, worked out from the facts of a few days."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from analytics.facts.updating import update
from analytics.models import StockDay, StockFact
from analytics.performance import ORDERS, Span, last_days, sales_by_channel, stock_in_all, stock_page
from channels.models import Channel
from channels.orders import apply_state
from inventory.models import Location, StockLevel
from tests.channels.shop import Shop, line, open_shop, order

pytestmark = pytest.mark.django_db

FIRST = date(2026, 3, 1)
TEN_DAYS = timedelta(days=10)


@pytest.fixture
def shop(db: None) -> Shop:
    """A merchant with a mug and a place."""
    found = open_shop()
    found.add_variant("MUG")
    return found


def span(shop: Shop) -> Span:
    return Span(shop.merchant.pk, FIRST, FIRST + TEN_DAYS)


def at(day: int, hour: int = 0) -> datetime:
    """Returns an instant of the span; days begin at 0."""
    return datetime(FIRST.year, FIRST.month, FIRST.day, hour, tzinfo=UTC) + timedelta(days=day)


def fact(shop: Shop, day: int, channel: Channel | None = None, **units: int) -> None:
    StockFact.objects.create(
        merchant=shop.merchant,
        variant=shop.variants["MUG"],
        location=shop.locations["main"],
        channel=channel,
        recorded_on=FIRST + timedelta(days=day),
        **units,
    )


def level(shop: Shop, on_hand: int, moved_at: datetime | None) -> StockLevel:
    return StockLevel.objects.create(
        merchant=shop.merchant,
        variant=shop.variants["MUG"],
        location=shop.locations["main"],
        on_hand=on_hand,
        recorded_at=moved_at,
    )


def day_of(
    shop: Shop, day: int, opening: int, closing: int, *, hour: int = 0, first_version: int = 5, out: int = 0
) -> None:
    """A day with one movement at an hour, or with several around it."""
    StockDay.objects.create(
        merchant=shop.merchant,
        variant=shop.variants["MUG"],
        location=shop.locations["main"],
        recorded_on=FIRST + timedelta(days=day),
        first_at=at(day, hour),
        last_at=at(day, hour) + timedelta(hours=out),
        first_version=first_version,
        version=first_version,
        opening_available=opening,
        on_hand=closing,
        available=closing,
        out_for=timedelta(hours=out),
    )


def test_what_was_on_hand_before_follows_from_what_moved_since(shop: Shop) -> None:
    level(shop, 40, at(12))
    fact(shop, 2, received=50)
    fact(shop, 4, shop.channel, shipped=30)
    fact(shop, 12, shop.channel, shipped=10)
    found = stock_in_all(span(shop))
    assert (found.opening, found.closing, found.received, found.shipped) == (30, 50, 50, 30)
    # Two closings of 30, two of 80, six of 50.
    assert found.average == pytest.approx((2 * 30 + 2 * 80 + 6 * 50) / 10)
    assert found.sell_through == pytest.approx(30 / 80)
    assert found.turns == pytest.approx(30 / found.average * 36.5)


def test_nothing_there_has_no_rates(shop: Shop) -> None:
    found = stock_in_all(span(shop))
    assert (found.sell_through, found.turns, found.out_days) == (None, None, 0)


def test_time_out_of_stock_runs_on_through_days_without_movement(shop: Shop) -> None:
    level(shop, 5, at(6))
    day_of(shop, 2, opening=3, closing=0, hour=12)
    day_of(shop, 6, opening=0, closing=5)
    assert stock_in_all(span(shop)).out_days == pytest.approx(3.5)


def test_it_counts_from_the_beginning_of_the_span_and_up_to_its_end(shop: Shop) -> None:
    level(shop, 0, at(8))
    day_of(shop, 1, opening=0, closing=4)
    day_of(shop, 8, opening=4, closing=0)
    assert stock_in_all(span(shop)).out_days == pytest.approx(1 + 2)


def test_a_level_that_did_not_move_was_as_it_is(shop: Shop) -> None:
    level(shop, 0, at(-20))
    assert stock_in_all(span(shop)).out_days == pytest.approx(10)


def test_a_level_that_moved_only_later_was_as_it_was_before_that(shop: Shop) -> None:
    level(shop, 7, at(15))
    day_of(shop, 15, opening=0, closing=7)
    assert stock_in_all(span(shop)).out_days == pytest.approx(10)


def test_a_level_is_not_out_of_stock_before_its_first_movement(shop: Shop) -> None:
    level(shop, 7, at(5))
    day_of(shop, 5, opening=0, closing=7, first_version=1)
    assert stock_in_all(span(shop)).out_days == 0


def test_time_within_a_day_is_added(shop: Shop) -> None:
    level(shop, 7, at(5))
    day_of(shop, 5, opening=3, closing=7, hour=6, out=6)
    assert stock_in_all(span(shop)).out_days == pytest.approx(0.25)


def test_places_that_are_not_in_use_are_never_out_of_stock(shop: Shop) -> None:
    level(shop, 0, at(-20))
    Location.objects.filter(merchant=shop.merchant).update(is_active=False)
    assert stock_in_all(span(shop)).out_days == 0


def test_sales_are_by_channel_and_currency() -> None:
    shop = open_shop({"MUG": 50})
    other = shop.add_channel("Another")
    for number, channel in enumerate((shop.channel, shop.channel, other)):
        stated = order(line("MUG", 2, cancelled=number % 2), id=str(number))
        apply_state(channel, stated, arrived_at=timezone.now())
    update()
    found = sales_by_channel(last_days(shop.merchant.pk, 3, date(2026, 11, 22)))
    assert [(each.channel, each.currency, each.orders, each.ordered, each.cancelled) for each in found] == [
        ("Another", "EUR", 1, 2, 0),
        ("Web shop", "EUR", 2, 4, 1),
    ]
    assert (found[0].gmv, found[0].unpriced) == (Decimal(0), 2)


def test_a_page_of_variants_is_one_statement() -> None:
    shop = open_shop({f"SKU-{number:02}": number for number in range(12)})
    days = last_days(shop.merchant.pk, 30, timezone.now().date() + timedelta(days=1))
    with CaptureQueriesContext(connection) as captured:
        every, page = stock_page(days, by="sku", search="sku-0", offset=1, limit=3)
    assert [each.sku for each in page] == ["SKU-02", "SKU-03", "SKU-04"]
    assert len(captured) == 1
    assert every == stock_in_all(days)
    assert every.closing == sum(range(12))
    for by in ORDERS:
        assert len(stock_page(days, by=by, limit=2)[1]) == 2
    assert [each.sku for each in stock_page(days, by="slow", limit=2)[1]] == ["SKU-11", "SKU-10"]
