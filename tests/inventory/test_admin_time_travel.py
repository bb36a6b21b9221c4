"""The pages of time travel show a variant or a location as it was, whoever may see the movements."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from config.admin_panels import Panel
from inventory.checkpoints import write
from inventory.models import StockOperation
from tests.back_office import person
from tests.factories import VariantFactory
from tests.inventory.cast import Cast

pytestmark = pytest.mark.django_db


@pytest.fixture
def reader(client: Client) -> Client:
    client.force_login(person("read-only"))
    return client


def _page(client: Client, name: str, pk: int, **query: Any) -> Any:
    response = client.get(reverse(f"admin:inventory_{name}_time_travel", args=[pk]), query)
    assert response.status_code == 200
    return response


def _rows(response: Any, number: int) -> list[Any]:
    panel: Panel = response.context["panels"][number]
    return list(panel.rows)


def _last() -> datetime:
    at: datetime = StockOperation.objects.latest("id").recorded_at
    return at


def test_a_variant_is_shown_as_it_was(reader: Client, cast: Cast) -> None:
    cast.receive(5)
    cast.hold("cart", 2)
    then = _last()
    cast.count(1)
    shown = _page(reader, "variant", cast.mug.pk, at=then.strftime("%Y-%m-%d %H:%M:%S.%f"))
    ((place, on_hand, reserved, _, available, *_),) = _rows(shown, 0)
    assert (place, on_hand, reserved, available) == (cast.warehouse.code, 5, 2, 3)
    ((_, reference, sku, place, units),) = _rows(shown, 1)
    assert (reference, sku, place, units) == ("cart", cast.mug.sku, cast.warehouse.code, 2)
    now = _page(reader, "variant", cast.mug.pk)
    assert _rows(now, 0)[0][1:3] == (1, 1)


def test_the_page_says_from_which_checkpoint_it_starts(reader: Client, cast: Cast) -> None:
    cast.receive(5)
    kept = write(cast.merchant.pk, _last())
    assert str(kept) in _page(reader, "variant", cast.mug.pk).content.decode()


@pytest.mark.parametrize("given", ["yesterday", "2026-13-01 00:00"])
def test_what_is_no_instant_is_refused_by_name(reader: Client, cast: Cast, given: str) -> None:
    assert _page(reader, "variant", cast.mug.pk, at=given).context["form"].errors["at"]


def test_what_is_still_to_come_is_refused_with_the_remedy(reader: Client, cast: Cast) -> None:
    tomorrow = timezone.now() + timedelta(days=1)
    shown = _page(reader, "variant", cast.mug.pk, at=f"{tomorrow:%Y-%m-%d %H:%M}")
    (error,) = shown.context["form"].errors["at"]
    assert "still to come" in error
    assert "Enter an instant that has been" in error


def test_a_location_is_shown_page_by_page(reader: Client, cast: Cast) -> None:
    for number in range(55):
        cast.receive(1, VariantFactory(merchant=cast.merchant, sku=f"GOODS-{number:02}"))
    shown = _page(reader, "location", cast.warehouse.pk)
    assert len(_rows(shown, 0)) == 50
    assert "55 levels: 55 on hand" in shown.context["panels"][0].note
    rest = _page(reader, "location", cast.warehouse.pk, page=2)
    assert len(_rows(rest, 0)) == 5
    assert rest.context["older"] == ""
    one = _page(reader, "location", cast.warehouse.pk, q="goods-07")
    assert len(_rows(one, 0)) == 1


def test_the_statements_of_a_location_do_not_grow(
    reader: Client, cast: Cast, django_assert_max_num_queries: Any
) -> None:
    def statements() -> int:
        with django_assert_max_num_queries(60) as seen:
            _page(reader, "location", cast.warehouse.pk)
        return len(seen)

    cast.receive(3)
    cast.hold("a", 1)
    few = statements()
    for number in range(10):
        variant = VariantFactory(merchant=cast.merchant)
        cast.receive(3, variant)
        cast.hold(f"b{number}", 1, variant)
    assert statements() == few


def test_whoever_may_not_see_movements_sees_no_history(client: Client, cast: Cast) -> None:
    client.force_login(User.objects.create_user("nobody", is_staff=True))
    address = reverse("admin:inventory_variant_time_travel", args=[cast.mug.pk])
    assert client.get(address).status_code == 403


def test_variants_and_locations_lead_to_their_past(reader: Client, cast: Cast) -> None:
    for kind, pk in (("variant", cast.mug.pk), ("location", cast.warehouse.pk)):
        page = reader.get(reverse(f"admin:inventory_{kind}_change", args=[pk]))
        assert reverse(f"admin:inventory_{kind}_time_travel", args=[pk]) in page.content.decode()
