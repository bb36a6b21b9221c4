"""Reservations can be released from the back office, and nothing else of them can be changed."""

import pytest
from django.test import Client
from django.urls import reverse

from inventory.ledger import Context
from inventory.models import Reservation
from inventory.reservations import ReservedUnits, release
from tests.back_office import person
from tests.inventory.cast import Cast, held, level_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    cast = Cast()
    cast.receive(10)
    return cast


def run(client: Client, *reservation_ids: int) -> str:
    """Releases the chosen reservations from the list; returns what was said."""
    data = {"action": "release_units", "_selected_action": reservation_ids}
    response = client.post(reverse("admin:inventory_reservation_changelist"), data, follow=True)
    return " ".join(str(message) for message in response.context["messages"])


def test_units_are_released_and_those_that_hold_none_are_skipped(client: Client, cast: Cast) -> None:
    first, second = cast.hold("cart:1", 3), cast.hold("cart:2", 2)
    release(Context(cast.merchant.pk, "before"), [ReservedUnits(second)])
    client.force_login(person("operations"))
    said = run(client, first, second)
    assert said == "1 reservation released. Skipped 1: 1 holding none any more."
    assert held() == {}
    assert level_of(cast.mug, cast.warehouse) == (10, 0, 0)


def test_reservations_of_two_merchants_are_released_each_in_its_own_ledger(
    client: Client, cast: Cast
) -> None:
    other = Cast()
    other.receive(4)
    ids = [cast.hold("cart:1", 3), other.hold("cart:1", 4)]
    client.force_login(person("operations"))
    assert run(client, *ids) == "2 reservations released."
    assert held() == {}


def test_a_reservation_is_released_from_its_own_page(client: Client, cast: Cast) -> None:
    reservation_id = cast.hold("cart:1", 3)
    client.force_login(person("operations"))
    page = reverse("admin:inventory_reservation_change", args=[reservation_id])
    assert "Release the units" in client.get(page).content.decode()
    url = reverse("admin:inventory_reservation_do", args=[reservation_id, "release_units"])
    assert client.post(url).status_code == 302
    assert held() == {}
    assert "Release the units" not in client.get(page).content.decode()


def test_whoever_may_only_read_cannot_release(client: Client, cast: Cast) -> None:
    reservation_id = cast.hold("cart:1", 3)
    client.force_login(person("read-only"))
    run(client, reservation_id)
    url = reverse("admin:inventory_reservation_do", args=[reservation_id, "release_units"])
    assert client.post(url).status_code == 403
    assert held() == {"cart:1": 3}
    assert Reservation.objects.get().open_quantity == 3


def test_a_form_from_another_site_is_refused(cast: Cast) -> None:
    reservation_id = cast.hold("cart:1", 3)
    client = Client(enforce_csrf_checks=True)
    client.force_login(person("superuser"))
    url = reverse("admin:inventory_reservation_do", args=[reservation_id, "release_units"])
    assert client.post(url).status_code == 403
    assert held() == {"cart:1": 3}
