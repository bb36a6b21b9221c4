"""People say what bundles are made of, assemble composites, and read how many can be had."""

from typing import Any
from uuid import uuid4

import pytest
from django.contrib.messages import get_messages
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from inventory.models import Bundle, BundleKind, UnitOfMeasure, Variant
from inventory.reservations import reserve
from tests.back_office import person
from tests.inventory.bundling import Kitchen, made_of
from tests.inventory.cast import Cast, level_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def kitchen() -> Kitchen:
    return Kitchen()


@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(person("operations"))
    return client


@pytest.fixture
def flour(kitchen: Kitchen) -> Variant:
    """Flour, counted in grams and spoken of in kilograms."""
    flour = kitchen.new("FLOUR")
    flour.unit = UnitOfMeasure.objects.create(
        merchant=kitchen.merchant, code="kg", base_code="g", base_units=1_000
    )
    flour.save()
    return flour


def entry(bundle: Variant, *components: tuple[Variant | None, object], kind: str = "kit") -> dict[str, Any]:
    """Returns what the form sends for these components."""
    data: dict[str, Any] = {"key": uuid4(), "variant": bundle.pk, "kind": kind}
    data |= {"components-TOTAL_FORMS": len(components), "components-INITIAL_FORMS": 0}
    for number, (variant, amount) in enumerate(components):
        data[f"components-{number}-variant"] = "" if variant is None else variant.pk
        data[f"components-{number}-amount"] = amount
    return data


def send(client: Client, data: dict[str, Any]) -> Any:
    return client.post(reverse("admin:inventory_bundle_add"), data)


def test_components_are_entered_in_their_units(operator: Client, kitchen: Kitchen, flour: Variant) -> None:
    bread = kitchen.new()
    response = send(
        operator, entry(bread, (flour, "0.25"), (kitchen.shirt, "1"), (None, ""), kind="composite")
    )
    assert response.status_code == 302
    assert made_of(bread) == {"FLOUR": 250, kitchen.shirt.sku: 1}
    bundle = Bundle.objects.get(variant=bread)
    assert bundle.kind == BundleKind.COMPOSITE
    assert bundle.operation.actor.startswith("operations-")


def test_the_form_opens_with_what_there_is_and_takes_it_again(
    operator: Client, kitchen: Kitchen, flour: Variant
) -> None:
    bread = kitchen.new()
    kitchen.make(bread, {flour: 250, kitchen.shirt: 1}, BundleKind.COMPOSITE)
    response = operator.get(f"{reverse('admin:inventory_bundle_add')}?variant={bread.pk}")
    rows = [row.initial for row in response.context["rows"] if row.initial]
    assert rows == [
        {"variant": flour.pk, "amount": "0.25kg"},
        {"variant": kitchen.shirt.pk, "amount": "1"},
    ]
    send(operator, entry(bread, (flour, "0.25 kg"), (kitchen.shirt, "1"), kind="composite"))
    assert Bundle.objects.filter(variant=bread).count() == 1


def test_a_double_click_records_once(operator: Client, kitchen: Kitchen) -> None:
    data = entry(kitchen.set, (kitchen.mug, 5))
    for _ in range(2):
        assert send(operator, data).status_code == 302
    assert Bundle.objects.filter(variant=kitchen.set).count() == 2


@pytest.mark.parametrize(
    ("amount", "message"),
    [
        ("0.0005", "0.0005 kg is finer than 1 g, the smallest amount that is counted."),
        ("0", "Enter more than 0"),
        ("-1", "Enter more than 0"),
        ("", "enter a number"),
        ("some", "enter a number"),
        ("2000000", "at most 1,000,000,000 of one component"),
    ],
)
def test_amounts_that_make_no_sense_are_refused_with_the_reason(
    operator: Client, kitchen: Kitchen, flour: Variant, amount: str, message: str
) -> None:
    response = send(operator, entry(kitchen.set, (flour, amount)))
    assert response.status_code == 200
    assert message in response.content.decode()
    assert Bundle.objects.filter(variant=kitchen.set).count() == 1


def test_circles_and_goods_of_others_are_refused_on_the_form(operator: Client, kitchen: Kitchen) -> None:
    hamper = kitchen.new()
    kitchen.make(hamper, {kitchen.set: 1})
    page = send(operator, entry(kitchen.set, (hamper, 1))).content.decode()
    assert "a bundle cannot contain itself" in page
    page = send(operator, entry(kitchen.set, (Cast().mug, 1))).content.decode()
    assert "It does not belong to" in page
    page = send(operator, entry(kitchen.set)).content.decode()
    assert "a bundle needs at least one component" in page
    page = send(operator, entry(kitchen.set, (None, "3"))).content.decode()
    assert "Name the component" in page


def test_a_change_of_kind_is_refused_at_its_field(operator: Client, kitchen: Kitchen) -> None:
    kitchen.stock(9, 9)
    reserve(kitchen.context(), [kitchen.demand("order", 1)])
    response = send(operator, entry(kitchen.set, (kitchen.mug, 2), kind="composite"))
    assert "units of it are held, promised or owed" in str(response.context["form"].errors["kind"])


@pytest.mark.parametrize("role", ["commerce", "engineering", "read-only"])
def test_other_roles_do_not_say_what_bundles_are_made_of(client: Client, kitchen: Kitchen, role: str) -> None:
    client.force_login(person(role))
    assert send(client, entry(kitchen.set, (kitchen.mug, 5))).status_code == 403
    assert Bundle.objects.count() == 1


def test_a_variant_shows_what_it_is_made_of_how_many_there_are_and_what_contains_it(
    operator: Client, kitchen: Kitchen
) -> None:
    kitchen.stock(7, 5)
    hamper = kitchen.new("HAMPER")
    kitchen.make(hamper, {kitchen.set: 2})
    page = operator.get(reverse("admin:inventory_variant_change", args=[kitchen.set.pk]))
    panels = {panel.title: [list(map(str, row)) for row in panel.rows] for panel in page.context["panels"]}
    assert [row[2] for row in panels["Kit, version 1: in one"]] == ["2", "1"]
    assert [row[1] for row in panels["Can be had"]] == ["3", "0"]
    assert "HAMPER" in panels["Component of"][0][0]
    assert "Components" in page.content.decode()


def test_a_bundle_is_dissolved_where_nothing_of_it_is_held(operator: Client, kitchen: Kitchen) -> None:
    kitchen.stock(9, 9)
    reserve(kitchen.context(), [kitchen.demand("order", 1)])
    duo = kitchen.new()
    kitchen.make(duo, {kitchen.mug: 2})
    chosen = Bundle.objects.filter(is_current=True).values_list("pk", flat=True)
    data = {"action": "dissolve_bundles", "_selected_action": list(chosen)}
    response = operator.post(reverse("admin:inventory_bundle_changelist"), data)
    text = str(list(get_messages(response.wsgi_request))[-1])
    assert "1 bundle dissolved" in text
    assert "units of it are held, promised or owed" in text
    assert list(Bundle.objects.filter(is_current=True).values_list("variant_id", flat=True)) == [
        kitchen.set.pk
    ]


def test_composites_are_assembled_and_taken_apart(operator: Client, kitchen: Kitchen, flour: Variant) -> None:
    bread = kitchen.new()
    kitchen.make(bread, {flour: 250}, BundleKind.COMPOSITE)
    data = {"variant": flour.pk, "location": kitchen.warehouse.pk, "quantity": "1.5", "reason": "purchase"}
    operator.post(reverse("admin:inventory_receive"), {"key": uuid4(), **data})
    assert level_of(flour, kitchen.warehouse)[0] == 1_500
    for verb, quantity in (("assemble", 5), ("disassemble", 2)):
        data = {"key": uuid4(), "variant": bread.pk, "location": kitchen.warehouse.pk, "quantity": quantity}
        response = operator.post(reverse(f"admin:inventory_{verb}"), data)
        assert response.status_code == 302
    assert (level_of(bread, kitchen.warehouse)[0], level_of(flour, kitchen.warehouse)[0]) == (3, 750)
    page = operator.get(reverse("admin:inventory_variant_change", args=[flour.pk])).content.decode()
    assert "0.75 kg" in page


def test_what_is_short_and_what_is_finer_than_the_unit_is_refused_with_the_reason(
    operator: Client, kitchen: Kitchen, flour: Variant
) -> None:
    bread = kitchen.new()
    kitchen.make(bread, {flour: 250}, BundleKind.COMPOSITE)
    data = {"key": uuid4(), "variant": bread.pk, "location": kitchen.warehouse.pk, "quantity": 1}
    page = operator.post(reverse("admin:inventory_assemble"), data).content.decode()
    assert "FLOUR: asked 250, available 0" in page
    data = {**data, "key": uuid4(), "variant": kitchen.mug.pk}
    page = operator.post(reverse("admin:inventory_assemble"), data).content.decode()
    assert "is not a composite" in page
    data = {**data, "variant": flour.pk, "quantity": "0.0001", "reason": "purchase"}
    page = operator.post(reverse("admin:inventory_receive"), data).content.decode()
    assert "0.0001 kg is finer than 1 g" in page
    data = {**data, "variant": kitchen.set.pk, "quantity": "1"}
    response = operator.post(reverse("admin:inventory_receive"), data)
    assert "a kit has no stock of its own" in str(response.context["form"].errors["variant"])


def test_another_merchants_unit_and_a_component_switched_off_are_refused_at_their_field(
    client: Client, kitchen: Kitchen, flour: Variant
) -> None:
    client.force_login(person("superuser"))
    stranger = Cast().mug
    data = {"merchant": stranger.merchant_id, "product": stranger.product_id, "sku": stranger.sku}
    url = reverse("admin:inventory_variant_change", args=[stranger.pk])
    response = client.post(url, {**data, "unit": flour.unit_id, "is_active": "on"})
    assert "unit" in response.context["adminform"].form.errors
    mug = kitchen.mug
    data = {"merchant": mug.merchant_id, "product": mug.product_id, "sku": mug.sku}
    response = client.post(reverse("admin:inventory_variant_change", args=[mug.pk]), data)
    assert kitchen.set.sku in str(response.context["adminform"].form.errors["is_active"])


@pytest.mark.parametrize("page", ["change", "add"])
def test_the_pages_of_a_bundle_cost_the_same_whatever_is_in_it(
    operator: Client, kitchen: Kitchen, page: str
) -> None:
    def queries() -> int:
        bundle = Bundle.objects.get(variant=kitchen.set, is_current=True)
        args = [bundle.pk] if page == "change" else []
        url = f"{reverse(f'admin:inventory_bundle_{page}', args=args)}?variant={kitchen.set.pk}"
        with CaptureQueriesContext(connection) as captured:
            assert operator.get(url).status_code == 200
        return len(captured)

    queries()
    few = queries()
    kitchen.make(kitchen.set, {kitchen.new(): number + 1 for number in range(12)})
    assert queries() == few
