"""Key figures: measured from what happened, with their denominators, targets and trends."""

import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from analytics.facts.updating import update
from analytics.kpis import measures, sources
from analytics.kpis.charts import chart_of
from analytics.kpis.headline import headlines
from analytics.kpis.measuring import measure, measure_due, measure_late
from analytics.kpis.sources import Drift, Handled
from analytics.kpis.trends import Point, Series, series_of
from analytics.models import DayChange, FastSeller, Kpi, KpiDay, KpiTarget
from analytics.tasks import keep_facts
from channels.events import OrderState
from channels.models import Channel, ChannelOrder
from channels.orders import apply_state
from tests.channels.shop import NOON, Shop, line, open_shop, order

pytestmark = pytest.mark.django_db

#: Conflicts are opened now, so that orders have to be of today.
START = timezone.now()
DAY = START.date()


@pytest.fixture(autouse=True)
def _no_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_drift", [])
    monkeypatch.setattr(sources, "_handled", [])


def sell(shop: Shop, state: OrderState, channel: Channel | None = None) -> None:
    state = replace(state, ordered_at=state.ordered_at - NOON + START)
    apply_state(channel or shop.channel, state, arrived_at=START)


def measured(shop: Shop, kpi: Kpi, channel: Channel | None = None, day: date = DAY) -> tuple[int, int] | None:
    """Returns part and whole of a day, as measured now."""
    update()
    measure(shop.merchant.pk, [day])
    row = KpiDay.objects.filter(merchant=shop.merchant, kpi=kpi, channel=channel, measured_on=day).first()
    return None if row is None else (row.part, row.whole)


def test_oversell_is_counted_in_units_and_orders_with_what_they_are_part_of() -> None:
    shop = open_shop({"MUG": 5})
    sell(shop, order(line("MUG", 4), id="1"))
    sell(shop, order(line("MUG", 3), id="2"))
    sell(shop, order(line("MUG", 1), id="3"))
    assert measured(shop, Kpi.OVERSOLD_UNITS) == (3, 8)
    assert measured(shop, Kpi.OVERSOLD_ORDERS) == (2, 3)
    assert measured(shop, Kpi.OVERSOLD_UNITS, shop.channel) == (3, 8)


def test_each_channel_is_held_to_its_own_orders() -> None:
    shop = open_shop({"MUG": 1})
    other = shop.add_channel("Other")
    sell(shop, order(line("MUG", 1), id="1"))
    sell(shop, order(line("MUG", 1), id="2"), other)
    assert measured(shop, Kpi.OVERSOLD_ORDERS, shop.channel) == (0, 1)
    assert measured(shop, Kpi.OVERSOLD_ORDERS, other) == (1, 1)
    assert measured(shop, Kpi.OVERSOLD_ORDERS) == (1, 2)


def test_an_oversold_line_that_is_cancelled_is_a_cancellation_for_want_of_stock() -> None:
    shop = open_shop({"MUG": 1})
    sell(shop, order(line("MUG", 2), id="1"))
    sell(shop, order(line("MUG", 1), id="2"))
    sell(shop, order(line("MUG", 2, cancelled=1), id="1", at=1))
    assert measured(shop, Kpi.CANCELLED) == (1, 2)
    assert measured(shop, Kpi.OVERSOLD_UNITS) == (2, 3), "it was oversold all the same"


def test_a_cancellation_of_what_was_there_is_none_for_want_of_stock() -> None:
    shop = open_shop({"MUG": 5})
    sell(shop, order(line("MUG", 2, cancelled=2)))
    assert measured(shop, Kpi.CANCELLED) == (0, 1)


def test_fast_sellers_are_the_best_tenth_of_the_four_weeks_before() -> None:
    shop = open_shop({f"SKU-{number}": 50 for number in range(10)})
    for number in range(10):
        early = order(line(f"SKU-{number}", 20 if number == 3 else 1), id=f"early-{number}")
        sell(shop, replace(early, ordered_at=NOON - timedelta(days=5)))
    sell(shop, order(line("SKU-3", 40), line("SKU-4", 1), id="now"))
    assert measured(shop, Kpi.OVERSOLD_FAST) == (1, 1)
    assert [each.variant for each in FastSeller.objects.filter(measured_on=DAY)] == [shop.variants["SKU-3"]]


def test_what_sold_fast_is_decided_once_a_day() -> None:
    shop = open_shop({"MUG": 50, "CUP": 50})
    sell(shop, replace(order(line("MUG", 5), id="1"), ordered_at=NOON - timedelta(days=2)))
    measured(shop, Kpi.OVERSOLD_FAST)
    sell(shop, replace(order(line("CUP", 9), id="2"), ordered_at=NOON - timedelta(days=2)))
    measured(shop, Kpi.OVERSOLD_FAST)
    assert [each.variant for each in FastSeller.objects.filter(measured_on=DAY)] == [shop.variants["MUG"]]


def arrived(shop: Shop, seconds: float | None, *, marks: bool = True, **more: Any) -> ChannelOrder:
    """Adds an applied order that needed so long to reach every other shelf; None: it is on its way."""
    number = ChannelOrder.objects.count()
    done = None if seconds is None else START + timedelta(seconds=seconds)
    return ChannelOrder.objects.create(
        channel=shop.channel,
        external_id=f"timed-{number}",
        arrived_at=START,
        applied_at=START,
        state_digest="x",
        marks={"1": 1} if marks else {},
        propagated_at=done,
        **more,
    )


def test_latency_is_from_arrival_to_the_last_shelf() -> None:
    shop = open_shop()
    for seconds in (0.2, 0.4, 0.6, 8.0):
        arrived(shop, seconds)
    assert measured(shop, Kpi.LATENCY) == (3, 4)
    row = KpiDay.objects.get(kpi=Kpi.LATENCY, channel=shop.channel)
    assert (row.p50, row.p95, row.p99) == (0.4, 8.0, 8.0)


def test_an_order_on_its_way_is_infinitely_late() -> None:
    shop = open_shop()
    arrived(shop, 0.2)
    arrived(shop, None)
    assert measured(shop, Kpi.LATENCY) == (1, 2)
    row = KpiDay.objects.get(kpi=Kpi.LATENCY, channel=None)
    assert (row.p50, row.p95) == (0.2, math.inf)


def test_orders_that_concern_nobody_else_are_no_samples() -> None:
    shop = open_shop()
    arrived(shop, 0.0, marks=False)
    arrived(shop, 0.1, is_test=True)
    assert measured(shop, Kpi.LATENCY) is None


def test_an_order_of_which_only_a_hint_came_is_on_its_way() -> None:
    shop = open_shop()
    ChannelOrder.objects.create(channel=shop.channel, external_id="hint", arrived_at=START)
    assert measured(shop, Kpi.LATENCY) == (0, 1)


def test_a_target_of_the_channel_decides_what_is_late() -> None:
    shop = open_shop()
    arrived(shop, 8.0)
    KpiTarget.objects.create(merchant=shop.merchant, kpi=Kpi.LATENCY, channel=shop.channel, value=10)
    assert measured(shop, Kpi.LATENCY) == (1, 1)


def test_drift_and_what_was_resolved_come_from_whoever_counts_them() -> None:
    shop = open_shop()
    asked: list[tuple[int, date]] = []

    def drift(merchant_id: int, day: date) -> Iterator[Drift]:
        asked.append((merchant_id, day))
        yield Drift(shop.channel.pk, compared=1000, drifted=2)
        yield Drift(shop.channel.pk, compared=500, drifted=1)

    sources.measure_drift_with(drift)
    sources.count_handled_with(lambda merchant_id, day: [Handled(shop.channel.pk, 2, 6, minutes=9.5)])
    sources.count_handled_with(lambda merchant_id, day: [Handled(None, 1, 1, minutes=1)])
    # Nobody knows how long these took: they do not make the others look shorter.
    sources.count_handled_with(lambda merchant_id, day: [Handled(None, 4, 0)])
    assert measured(shop, Kpi.DRIFT) == (3, 1500)
    assert measured(shop, Kpi.DRIFT, shop.channel) == (3, 1500)
    assert measured(shop, Kpi.AUTOMATIC) == (7, 14)
    assert measured(shop, Kpi.AUTOMATIC, shop.channel) == (6, 8)
    assert measured(shop, Kpi.HANDLING) == (630, 3)
    assert asked[0] == (shop.merchant.pk, DAY)


def test_a_day_is_measured_again_when_its_sales_change() -> None:
    shop = open_shop({"MUG": 5})
    keep_facts()
    sell(shop, order(line("MUG", 2)))
    update()
    assert DayChange.objects.get().changed_on == DAY
    measure_due()
    assert not DayChange.objects.exists()
    assert KpiDay.objects.get(kpi=Kpi.OVERSOLD_UNITS, channel=None).whole == 2
    sell(shop, order(line("MUG", 3), at=1))
    keep_facts()
    assert KpiDay.objects.get(kpi=Kpi.OVERSOLD_UNITS, channel=None).whole == 3


def test_an_order_that_arrived_late_on_a_shelf_is_found_at_night() -> None:
    shop = open_shop()
    yesterday = timezone.now() - timedelta(days=3)
    late = arrived(shop, None)
    ChannelOrder.objects.filter(pk=late.pk).update(
        arrived_at=yesterday, propagated_at=yesterday + timedelta(hours=5)
    )
    measure_late()
    assert KpiDay.objects.get(kpi=Kpi.LATENCY, channel=None).p95 == 5 * 3600


def test_measuring_costs_the_same_whatever_the_days_channels_and_orders(
    django_assert_num_queries: Any,
) -> None:
    shop = open_shop({"MUG": 50})
    others = [shop.add_channel(f"Other {number}") for number in range(4)]
    for number, channel in enumerate(others):
        sell(shop, order(line("MUG", 1), id=str(number)), channel)
        arrived(shop, 1.0)
    update()
    days = [DAY - timedelta(days=back) for back in range(10)]
    with django_assert_num_queries(5):
        measures.figures_of_orders(shop.merchant.pk, days)


def series(*values: float, kpi: Kpi = Kpi.DRIFT, target: float | None = 0.2) -> Series:
    """Returns a series with a value a day up to the day of the tests."""
    days = [DAY - timedelta(days=len(values) - 1 - number) for number in range(len(values))]
    points = tuple(
        Point(day, 0 if math.isinf(value) else round(value * 100), 10_000, value, p95=value)
        for day, value in zip(days, values, strict=True)
    )
    return Series(kpi, None, "All channels", points, DAY, target, is_time=kpi is Kpi.LATENCY)


def test_a_week_is_compared_with_the_week_before() -> None:
    worse = series(*[0.1] * 7, *[0.4] * 7)
    assert (worse.value, worse.before, worse.trend, worse.is_met) == (0.4, 0.1, "worse", False)
    better = series(*[0.4] * 7, *[0.1] * 7)
    assert (better.trend, better.is_met) == ("better", True)
    assert series(0.1, kpi=Kpi.AUTOMATIC, target=80.0).is_met is False
    assert series(*[50.0] * 7, *[90.0] * 7, kpi=Kpi.AUTOMATIC, target=80.0).trend == "better"
    assert series().value is None


def test_the_latency_of_a_week_is_that_of_its_middle_day() -> None:
    week = series(1.0, 1.0, 2.0, 3.0, 9.0, math.inf, 2.5, kpi=Kpi.LATENCY, target=5.0)
    assert (week.value, week.is_met) == (2.5, True)


def test_a_chart_says_in_words_what_it_shows() -> None:
    chart = chart_of(series(0.1, 0.5, 0.3), "Drift rate")
    assert chart.label == (
        f"Drift rate, 3 days up to {DAY}, on {DAY} 0.30 %, highest 0.50 % on {DAY - timedelta(days=1)}, "
        "target 0.20 %."
    )
    assert [row[0] for row in chart.rows] == [f"{DAY - timedelta(days=back)}" for back in range(3)]
    assert len(chart.lines) == 1
    assert chart.target_y is not None


def test_a_chart_leaves_a_gap_where_nothing_was_measured() -> None:
    whole = series(0.1, 0.1, 0.1, 0.1, 0.1)
    gap = replace(whole, points=(*whole.points[:2], *whole.points[3:]))
    assert len(chart_of(gap, "Drift rate").lines) == 2
    assert chart_of(series(), "Drift rate").label == "Drift rate: nothing measured yet."


def test_what_is_still_on_its_way_lies_at_the_top_of_the_chart() -> None:
    chart = chart_of(series(1.0, math.inf, kpi=Kpi.LATENCY, target=5.0), "Update latency")
    assert [dot.is_endless for dot in chart.dots] == [False, True]
    assert "on its way" in chart.label


def test_series_name_all_channels_first_and_then_those_that_have_figures() -> None:
    shop = open_shop({"MUG": 5})
    shop.add_channel("Quiet")
    sell(shop, order(line("MUG", 7)))
    measured(shop, Kpi.OVERSOLD_UNITS)
    found = series_of(shop.merchant.pk, until=DAY)
    assert [each.name for each in found[Kpi.OVERSOLD_UNITS]] == ["All channels", "Web shop"]
    assert [each.name for each in found[Kpi.DRIFT]] == ["All channels"]
    assert found[Kpi.OVERSOLD_UNITS][0].value == pytest.approx(100 * 2 / 7)


def test_headlines_add_up_all_merchants_and_name_the_strictest_target() -> None:
    today = timezone.now().date()
    for part, whole in ((1, 100), (2, 500)):
        shop = open_shop()
        KpiDay.objects.create(
            merchant=shop.merchant,
            kpi=Kpi.OVERSOLD_UNITS,
            measured_on=today,
            part=part,
            whole=whole,
            measured_at=datetime.now(UTC),
        )
        KpiTarget.objects.create(merchant=shop.merchant, kpi=Kpi.OVERSOLD_UNITS, value=part)
    oversell, drift, _ = headlines()
    assert (oversell.value, oversell.target, oversell.is_missed) == (0.5, 1.0, False)
    assert (drift.value, drift.shown, drift.target) == (None, "–", 0.2)
