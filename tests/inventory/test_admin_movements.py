"""The movement history of a variant shows every step, and can be narrowed."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from config.admin_panels import Panel
from inventory.admin import references
from tests.back_office import Business, person
from tests.inventory.cast import Cast

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    return Cast()


@pytest.fixture
def reader(client: Client) -> Client:
    client.force_login(person("read-only"))
    return client


def page(client: Client, cast: Cast, **query: Any) -> Any:
    url = reverse("admin:inventory_variant_movements", args=[cast.mug.pk])
    response = client.get(url, query)
    assert response.status_code == 200
    return response


def steps(response: Any) -> list[tuple[str, int]]:
    """Returns the location and what was on hand after each movement shown, newest first."""
    panel: Panel = response.context["panel"]
    return [(row[1], row[7]) for row in panel.rows]


def test_every_movement_shows_the_figures_after_it(reader: Client, cast: Cast) -> None:
    cast.receive(5)
    cast.receive(3, place=cast.store)
    cast.count(4)
    assert steps(page(reader, cast)) == [
        (cast.warehouse.code, 4),
        (cast.store.code, 3),
        (cast.warehouse.code, 5),
    ]


def test_movements_of_other_variants_are_not_shown(reader: Client, cast: Cast) -> None:
    cast.receive(5, variant=cast.shirt)
    assert steps(page(reader, cast)) == []


def test_movements_are_narrowed_by_place_kind_and_time(reader: Client, cast: Cast) -> None:
    cast.receive(5)
    cast.receive(3, place=cast.store)
    cast.count(4)
    assert steps(page(reader, cast, location=cast.store.pk)) == [(cast.store.code, 3)]
    assert steps(page(reader, cast, kind="count")) == [(cast.warehouse.code, 4)]
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert steps(page(reader, cast, since=f"{tomorrow:%Y-%m-%d %H:%M}")) == []
    assert len(steps(page(reader, cast, until=f"{tomorrow:%Y-%m-%d %H:%M}"))) == 3


def test_a_filter_that_cannot_be_read_is_named_and_narrows_nothing(reader: Client, cast: Cast) -> None:
    cast.receive(5)
    response = page(reader, cast, since="yesterday-ish", location="x", kind="nonsense")
    assert len(steps(response)) == 1
    assert "Enter a valid date/time" in response.content.decode()


def test_a_long_history_goes_on_where_the_page_ended(reader: Client, cast: Cast) -> None:
    for number in range(103):
        cast.count(number + 1)
    first = page(reader, cast)
    assert [after for _, after in steps(first)] == list(range(103, 3, -1))
    rest = reader.get(f"{first.request['PATH_INFO']}?{first.context['older']}")
    assert [after for _, after in steps(rest)] == [3, 2, 1]
    assert rest.context["older"] == ""


def test_an_order_is_named_and_linked_where_its_units_moved(reader: Client) -> None:
    business = Business.grown(1)
    order = business.channels[0].orders.earliest("id")
    url = reverse("admin:inventory_variant_movements", args=[business.variants[0].pk])
    text = reader.get(url).content.decode()
    assert reverse("admin:channels_channelorder_change", args=[order.pk]) in text
    assert order.number in text


def test_references_that_nobody_knows_are_shown_as_they_are() -> None:
    unknown = [
        "cart:1",
        "order-line:",
        "order-line:x",
        "order-line:99999999999999999999999",
        "order-line:0",
        "<b>",
    ]
    assert references.linked([*unknown, ""]) == {each: each for each in unknown}


def test_what_a_reference_holds_is_never_markup(reader: Client, cast: Cast) -> None:
    cast.receive(5)
    cast.hold("<script>alert(1)</script>", 2)
    assert "<script>alert(1)" not in page(reader, cast).content.decode()
