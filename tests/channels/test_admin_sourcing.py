"""The back office: where an order is served from, another location chosen by hand, and answers for a location."""

from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from channels.models import ChannelLocationSource, ChannelOrderLine, FulfilmentRequest
from inventory.models import Location
from inventory.models.catalogue import LocationKind
from tests.back_office import person
from tests.channels.shop import Shop, line
from tests.channels.test_bundles import bundle
from tests.channels.test_sourcing import apply, request_of, reserved, shop_with

pytestmark = pytest.mark.django_db


@pytest.fixture
def operations(client: Client) -> Client:
    client.force_login(person("operations"))
    return client


def page_of(line: ChannelOrderLine) -> str:
    return reverse("admin:channels_resource_line", args=[line.pk])


def posted(shop: Shop, source: str, target: str, **more: object) -> dict[str, object]:
    return {
        "key": str(uuid4()),
        "source": source if source == "owed" else str(shop.locations[source].pk),
        "target": str(shop.locations[target].pk),
        **more,
    }


def test_the_order_shows_where_it_is_served_from_and_leads_to_the_choice(operations: Client) -> None:
    shop = shop_with({"MUG": (2, 9)})
    placed = apply(shop, line("MUG", 3))
    text = operations.get(reverse("admin:channels_channelorder_change", args=[placed.pk])).content.decode()
    assert "Served from" in text
    assert page_of(ChannelOrderLine.objects.get()) in text
    assert "Fulfilment requests" in text


def test_a_line_is_moved_by_the_form_once(operations: Client) -> None:
    shop = shop_with({"MUG": (2, 9)})
    apply(shop, line("MUG", 2))
    sold = ChannelOrderLine.objects.get()
    form = posted(shop, "main", "north", quantity=1)
    for _ in range(2):
        response = operations.post(page_of(sold), form)
        assert response.status_code == 302, response.content
    assert reserved(shop, "MUG") == (1, 1)


def test_kits_are_counted_and_moved_by_the_form(operations: Client) -> None:
    shop = shop_with({"MUG": (4, 5), "SPOON": (9, 9)})
    bundle(shop, "SET", {"MUG": 2, "SPOON": 1})
    apply(shop, line("SET", 2))
    sold = ChannelOrderLine.objects.get()
    text = operations.get(page_of(sold)).content.decode()
    assert "2 held at main" in text
    assert "north (2 available)" in text
    response = operations.post(page_of(sold), posted(shop, "main", "north", quantity=1))
    assert response.status_code == 302, response.content
    assert (reserved(shop, "MUG"), reserved(shop, "SPOON")) == ((2, 2), (1, 1))


@pytest.mark.parametrize(
    ("source", "target", "quantity", "words"),
    [
        ("main", "main", "", "there already"),
        ("main", "north", "", "0 units are available there"),
        ("main", "north", "9", "enter at most as many"),
        ("owed", "north", "", "Select a valid choice"),
    ],
)
def test_what_cannot_be_is_refused_beside_its_input(
    operations: Client, source: str, target: str, quantity: str, words: str
) -> None:
    shop = shop_with({"MUG": (2, 0)})
    apply(shop, line("MUG", 2))
    form = posted(shop, source, target, quantity=quantity)
    response = operations.post(page_of(ChannelOrderLine.objects.get()), form)
    assert response.status_code == 200
    assert words in response.content.decode()
    assert reserved(shop, "MUG") == (2, 0)


@pytest.mark.parametrize("role", ["commerce", "engineering", "read-only"])
def test_only_operations_choose_locations_and_answer_for_them(client: Client, role: str) -> None:
    shop = shop_with({"MUG": (2, 9)})
    apply(shop, line("MUG", 2))
    client.force_login(person(role))
    assert client.get(page_of(ChannelOrderLine.objects.get())).status_code == 403
    request = request_of(shop, "main")
    address = reverse("admin:channels_fulfilmentrequest_do", args=[request.pk, "refuse"])
    assert client.post(address).status_code == 403
    assert request_of(shop, "main").state == "new"


@pytest.mark.parametrize(
    ("action", "state"),
    [("accept", "accepted"), ("pick", "picked"), ("ship", "shipped"), ("refuse", "refused")],
)
def test_operations_answer_for_a_location(operations: Client, action: str, state: str) -> None:
    shop = shop_with({"MUG": (2, 9)})
    apply(shop, line("MUG", 2))
    request = request_of(shop, "main")
    response = operations.post(
        reverse("admin:channels_fulfilmentrequest_do", args=[request.pk, action]), follow=True
    )
    assert f"1 request {state}." in response.content.decode()
    request.refresh_from_db()
    assert request.state == state


def test_answers_in_bulk_skip_what_is_over(operations: Client) -> None:
    shop = shop_with({"MUG": (9, 9)})
    for number in ("1", "2"):
        apply(shop, line("MUG", 1), id=number)
    apply(shop, line("MUG", 1, cancelled=1), id="1", at=1)
    ids = list(FulfilmentRequest.objects.values_list("pk", flat=True))
    response = operations.post(
        reverse("admin:channels_fulfilmentrequest_changelist"),
        {"action": "ship", "_selected_action": ids},
        follow=True,
    )
    assert "1 request shipped. Skipped 1: 1 cancelled already." in response.content.decode()


def test_a_platforms_own_warehouse_serves_one_channel_only(operations: Client) -> None:
    shop = shop_with({})
    other = shop.add_channel("Other shop")
    Location.objects.filter(pk=shop.locations["main"].pk).update(kind=LocationKind.CHANNEL_OWNED)
    place = other.locations.get()
    ChannelLocationSource.objects.filter(channel_location=place).delete()
    response = operations.post(
        reverse("admin:channels_channellocation_change", args=[place.pk]),
        {
            "name": "Shop", "is_active": "on",
            "sources-TOTAL_FORMS": "1", "sources-INITIAL_FORMS": "0",
            "sources-0-location": str(shop.locations["main"].pk), "sources-0-priority": "0",
            "sources-0-is_active": "on",
        },
    )  # fmt: skip
    assert "it can serve no other channel" in response.content.decode()
    assert not place.sources.exists()
