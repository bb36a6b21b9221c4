"""People move stock through forms: once for each form, and only what makes sense."""

from typing import Any
from uuid import uuid4

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from inventory.models import Conflict, StockLevel, StockMovement, StockOperation
from tests.back_office import person
from tests.factories import LocationFactory
from tests.inventory.cast import Cast, level_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    return Cast()


@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(person("operations"))
    return client


def entry(cast: Cast, **fields: Any) -> dict[str, Any]:
    return {"key": uuid4(), "variant": cast.mug.pk, "location": cast.warehouse.pk, **fields}


def send(client: Client, verb: str, data: dict[str, Any]) -> Any:
    return client.post(reverse(f"admin:inventory_{verb}"), data)


def test_a_receipt_is_recorded_with_who_and_why(operator: Client, cast: Cast) -> None:
    response = send(operator, "receive", entry(cast, quantity=5, reason="purchase", document="DN-7"))
    assert response.status_code == 302
    assert level_of(cast.mug, cast.warehouse) == (5, 0, 0)
    operation = StockOperation.objects.get()
    assert (operation.source, operation.document) == ("back office", "DN-7")
    assert operation.actor.startswith("operations-")


def test_a_double_click_records_once_and_says_so(operator: Client, cast: Cast) -> None:
    data = entry(cast, quantity=5, reason="purchase")
    send(operator, "receive", data)
    response = send(operator, "receive", data)
    assert level_of(cast.mug, cast.warehouse) == (5, 0, 0)
    assert "already recorded" in str(list(get_messages(response.wsgi_request))[-1])


def test_the_same_form_with_other_figures_is_refused(operator: Client, cast: Cast) -> None:
    data = entry(cast, quantity=5, reason="purchase")
    send(operator, "receive", data)
    response = send(operator, "receive", {**data, "quantity": 6})
    assert response.status_code == 200
    assert "recorded before with other figures" in response.content.decode()
    assert level_of(cast.mug, cast.warehouse) == (5, 0, 0)


def test_each_opened_form_has_a_key_of_its_own(operator: Client) -> None:
    forms = [operator.get(reverse("admin:inventory_receive")).context["form"] for _ in range(2)]
    assert forms[0].initial["key"] != forms[1].initial["key"]


def test_a_loss_beyond_what_is_available_breaks_reservations_and_says_so(
    operator: Client, cast: Cast
) -> None:
    cast.receive(5)
    cast.hold("cart:1", 4)
    response = send(operator, "adjust", entry(cast, delta=-3, reason="damage"))
    assert level_of(cast.mug, cast.warehouse) == (2, 2, 0)
    assert Conflict.objects.get().open_quantity == 2
    assert "2 reserved units are no longer covered" in str(list(get_messages(response.wsgi_request))[-1])


def test_a_count_sets_what_is_on_hand(operator: Client, cast: Cast) -> None:
    cast.receive(5)
    send(operator, "count", entry(cast, counted=9))
    assert level_of(cast.mug, cast.warehouse) == (9, 0, 0)


@pytest.mark.parametrize(
    ("verb", "fields", "message"),
    [
        ("receive", {"quantity": 0, "reason": "purchase"}, "greater than or equal to 1"),
        ("receive", {"quantity": -4, "reason": "purchase"}, "greater than or equal to 1"),
        ("receive", {"quantity": "2.5", "reason": "purchase"}, "whole number"),
        ("receive", {"quantity": 2**63, "reason": "purchase"}, "less than or equal to"),
        ("receive", {"quantity": 1, "reason": "sale"}, "not one of the available choices"),
        ("receive", {"quantity": 1, "reason": "purchase", "key": "x"}, "Enter a valid UUID"),
        ("adjust", {"delta": 0, "reason": "damage"}, "0 changes nothing"),
        ("count", {"counted": -1}, "greater than or equal to 0"),
        ("count", {"counted": 1, "variant": 0}, "not one of the available choices"),
        ("count", {"counted": 1, "document": "x" * 201}, "at most 200 characters"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(
    operator: Client, cast: Cast, verb: str, fields: dict[str, Any], message: str
) -> None:
    response = send(operator, verb, entry(cast, **fields))
    assert response.status_code == 200
    assert message in response.content.decode()
    assert StockMovement.objects.count() == 0


def test_a_location_of_another_merchant_is_refused(operator: Client, cast: Cast) -> None:
    elsewhere = LocationFactory()
    response = send(operator, "receive", entry(cast, location=elsewhere.pk, quantity=1, reason="purchase"))
    assert "does not belong to" in response.content.decode()
    assert StockLevel.objects.count() == 0


@pytest.mark.parametrize("role", ["commerce", "engineering", "read-only"])
def test_other_roles_cannot_move_stock(client: Client, cast: Cast, role: str) -> None:
    client.force_login(person(role))
    assert send(client, "receive", entry(cast, quantity=5, reason="purchase")).status_code == 403
    assert StockLevel.objects.count() == 0
