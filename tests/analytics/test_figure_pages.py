"""The pages of key figures and performance: for every role, at a cost that does not grow, readable without seeing charts."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from analytics.kpis import sources
from analytics.models import Kpi, KpiDay, KpiTarget
from analytics.tasks import keep_facts
from channels.orders import apply_state
from config.roles import ROLES
from tests.back_office import person
from tests.channels.shop import NOON, Shop, line, open_shop, order

pytestmark = pytest.mark.django_db

KPIS = "admin:analytics_kpis"
PERFORMANCE = "admin:analytics_performance"


@pytest.fixture
def shop(db: None) -> Shop:
    """A shop with three weeks of figures."""
    found = open_shop({"MUG": 5})
    grow(found, 21)
    return found


def grow(shop: Shop, days: int) -> None:
    """Adds figures of every kind for so many days, of all channels and of the first."""
    today = timezone.now()
    KpiDay.objects.bulk_create(
        KpiDay(
            merchant=shop.merchant,
            kpi=kpi,
            channel=channel,
            measured_on=today.date() - timedelta(days=back),
            part=1,
            whole=1000,
            p50=0.1,
            p95=0.4,
            p99=0.9,
            measured_at=today,
        )
        for back in range(days)
        for kpi in Kpi
        for channel in (None, *shop.merchant.channels.all())
    )


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("page", [KPIS, PERFORMANCE])
def test_every_role_sees_the_figures(role: str, page: str, shop: Shop, client: Client) -> None:
    client.force_login(person(role))
    assert client.get(reverse(page)).status_code == 200


def content(client: Client, address: str, /, **query: Any) -> str:
    response = client.get(reverse(address), query)
    assert response.status_code == 200
    return response.content.decode()


def test_every_figure_has_its_target_a_chart_in_words_and_a_table(shop: Shop, client: Client) -> None:
    client.force_login(person("read-only"))
    page = content(client, KPIS)
    assert page.count('role="img" aria-label="') == len(Kpi)
    assert "Oversell rate, units, 21 days up to" in page
    assert "target 0.50 %" in page
    assert "The dashed line is the target, 5.0 s." in page
    assert page.count("<details>") == len(Kpi)


def test_what_nobody_measures_says_so(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_drift", [])
    open_shop()
    client.force_login(person("read-only"))
    page = content(client, KPIS)
    assert "Not measured: nothing reconciles channels yet." in page
    assert "Nothing measured yet." in page


def test_a_merchant_is_chosen(shop: Shop, client: Client) -> None:
    quiet = open_shop()
    client.force_login(person("read-only"))
    assert "21 days up to" not in content(client, KPIS, merchant=quiet.merchant.pk)
    assert "21 days up to" in content(client, KPIS, merchant=shop.merchant.pk)
    assert "Select a valid choice" in content(client, KPIS, merchant="0")


def test_pages_without_any_merchant_open(client: Client) -> None:
    client.force_login(person("read-only"))
    assert "No merchant yet." in content(client, KPIS)
    assert "No merchant yet." in content(client, PERFORMANCE)


def queries(client: Client, page: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        content(client, page)
    return len(captured)


def test_pages_cost_the_same_whatever_there_is(shop: Shop, client: Client) -> None:
    client.force_login(person("read-only"))
    few = {page: queries(client, page) for page in (KPIS, PERFORMANCE)}
    KpiDay.objects.all().delete()
    for number in range(5):
        other = shop.add_channel(f"Other {number}")
        shop.add_variant(f"SKU-{number}", {"main": 3})
        apply_state(other, order(line(f"SKU-{number}"), id=str(number)), arrived_at=NOON)
    keep_facts()
    KpiDay.objects.all().delete()
    grow(shop, 30)
    assert {page: queries(client, page) for page in (KPIS, PERFORMANCE)} == few


def test_performance_lists_channels_and_skus(shop: Shop, client: Client) -> None:
    apply_state(shop.channel, order(line("MUG", 2, fulfilled=2)), arrived_at=NOON)
    keep_facts()
    client.force_login(person("commerce"))
    page = content(client, PERFORMANCE, days=90, by="out", merchant=shop.merchant.pk)
    assert "Web shop" in page
    assert "40.0%" in page, "two of five were shipped"
    assert "No SKU matches." in content(client, PERFORMANCE, q="nothing", merchant=shop.merchant.pk)
    assert content(client, PERFORMANCE, days="x", by="x", page="-1")


def test_a_target_of_another_merchants_channel_is_refused(shop: Shop, client: Client) -> None:
    other = open_shop()
    client.force_login(person("operations"))
    url = reverse("admin:analytics_kpitarget_add")
    given = {"merchant": shop.merchant.pk, "kpi": Kpi.LATENCY, "channel": other.channel.pk, "value": "3"}
    assert "belongs to another merchant" in client.post(url, given).content.decode()
    client.post(url, {**given, "channel": shop.channel.pk})
    assert KpiTarget.objects.get().value == 3
    too_much = {"merchant": shop.merchant.pk, "kpi": Kpi.DRIFT, "value": "300"}
    assert "at most 100" in client.post(url, too_much).content.decode()


def test_the_dashboard_shows_the_headlines(shop: Shop, client: Client) -> None:
    client.force_login(person("read-only"))
    page = client.get(reverse("admin:index")).content.decode()
    assert "Oversell rate, units" in page
    assert "7 days, target 0.50 %" in page
