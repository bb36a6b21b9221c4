"""The stock grid shows what is where and what each channel was told, and marks what is not as it should be."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from channels.admin.grid import Row
from channels.models import Channel, ListingLevel
from inventory.models import Location
from inventory.stock import StockLine, receive
from tests.back_office import Business, person

pytestmark = pytest.mark.django_db


@pytest.fixture
def business() -> Business:
    business = Business.grown(2)
    # The columns stand by name, in which 10 comes before 9.
    for number, location in enumerate(Location.objects.order_by("pk")):
        Location.objects.filter(pk=location.pk).update(code=f"L{number:03}")
    for number, channel in enumerate(Channel.objects.order_by("pk")):
        Channel.objects.filter(pk=channel.pk).update(name=f"Channel {number:03}")
    # Two of nine fill what is owed, so that seven are left: what the channel was told.
    receive(business.context(), [StockLine(business.variants[0].pk, business.locations[0].pk, 9)])
    ListingLevel.objects.update(wanted=1, done=1)
    return business


@pytest.fixture
def reader(client: Client) -> Client:
    client.force_login(person("read-only"))
    return client


def rows(client: Client, **query: Any) -> dict[str, Row]:
    response = client.get(reverse("admin:channels_stock_grid"), query)
    assert response.status_code == 200
    return {row.variant.sku: row for row in response.context["rows"]}


def test_each_variant_shows_its_locations_and_what_each_channel_was_told(
    reader: Client, business: Business
) -> None:
    receive(business.context(), [StockLine(business.variants[0].pk, business.locations[1].pk, 5)])
    row = rows(reader)[business.variants[0].sku]
    assert (row.on_hand, row.available) == (24, 12)
    # After each of its locations comes one that a warehouse counts, where there is nothing of this.
    assert row.places == [7, None, 5, None]
    told = [None if shelf is None else (shelf.told, shelf.trouble) for shelf in row.shelves]
    assert told == [(7, ""), None]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"wanted": 2}, "to be told"),
        ({"wanted": 2, "dead_at": timezone.now()}, "dead letter"),
        ({"published_quantity": None, "sent_quantity": None}, "never told"),
        ({"sent_quantity": 3}, "sent 3, not confirmed"),
        ({"expected": 4}, "should be 7"),
    ],
)
def test_what_differs_is_marked_and_leads_to_the_shelf(
    reader: Client, business: Business, state: dict[str, Any], words: str
) -> None:
    level = ListingLevel.objects.get(channel=business.channels[0])
    ListingLevel.objects.filter(pk=level.pk).update(**state)
    shelf = rows(reader)[business.variants[0].sku].shelves[0]
    assert shelf is not None
    assert shelf.trouble == words
    assert shelf.address == reverse("admin:channels_listinglevel_change", args=[level.pk])


def test_a_search_narrows_the_grid(reader: Client, business: Business) -> None:
    sku = business.variants[1].sku
    assert sku in rows(reader, q=sku)
    assert business.variants[0].sku not in rows(reader, q=sku)
    assert rows(reader, q="nothing like it") == {}


@pytest.mark.parametrize("page", ["0", "-1", "x", "3", "99999"])
def test_a_page_that_is_not_there_is_no_error(reader: Client, business: Business, page: str) -> None:
    assert reader.get(reverse("admin:channels_stock_grid"), {"page": page}).status_code == 200
    assert business.variants
