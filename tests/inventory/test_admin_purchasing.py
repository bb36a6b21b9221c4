"""People buy through the back office: drafts, then forms that call the operations and name what is wrong."""

from typing import Any
from uuid import uuid4

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from inventory.admin.order_forms import ORDER_PAGES
from inventory.models import (
    Conflict,
    KitBackorder,
    PurchaseOrder,
    PurchaseOrderLine,
    StockMovement,
    Supplier,
    UnitOfMeasure,
    Variant,
)
from inventory.purchasing import place
from tests.back_office import person
from tests.factories import LocationFactory, ProductFactory, VariantFactory
from tests.inventory.bundling import Kitchen
from tests.inventory.buying import Buying, draft, in_days, waiting
from tests.inventory.cast import Cast, held, level_of, owed

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    return Cast()


@pytest.fixture
def buying(cast: Cast) -> Buying:
    return Buying(cast)


@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(person("operations"))
    return client


def page(line_id: int, verb: str) -> str:
    order_id = PurchaseOrderLine.objects.get(pk=line_id).order_id
    return reverse(f"admin:inventory_purchaseorder_{verb}", args=[order_id])


def send(client: Client, line_id: int, verb: str, **fields: Any) -> Any:
    return client.post(page(line_id, verb), {"key": uuid4(), **fields})


def said(client: Client, response: Any) -> str:
    assert response.status_code == 302, response.content.decode()
    shown = client.get(response.url)
    return " ".join(str(message) for message in shown.context["messages"])


def errors_of(response: Any, field: str) -> str:
    assert response.status_code == 200
    return " ".join(response.context["form"].errors.get(field, []))


def order_form(cast: Cast, **fields: Any) -> dict[str, Any]:
    supplier = Supplier.objects.create(merchant=cast.merchant, code=f"S{uuid4()}"[:20], name="Acme")
    rows = {"TOTAL_FORMS": 1, "INITIAL_FORMS": 0, "MIN_NUM_FORMS": 0, "MAX_NUM_FORMS": 1000}
    return {
        "merchant": cast.merchant.pk,
        "number": "PO-7",
        "supplier": supplier.pk,
        "location": cast.warehouse.pk,
        **{f"lines-{name}": value for name, value in rows.items()},
        "lines-0-variant": cast.mug.pk,
        "lines-0-quantity": 12,
        **fields,
    }


# -- writing and placing


def test_an_order_is_written_with_its_lines_and_placed(operator: Client, cast: Cast) -> None:
    response = operator.post(reverse("admin:inventory_purchaseorder_add"), order_form(cast))
    assert response.status_code == 302, response.context["adminform"].form.errors
    order = PurchaseOrder.objects.get(number="PO-7")
    line = order.lines.get()
    assert (order.state, line.variant, line.quantity, line.location) == ("draft", cast.mug, 12, None)
    shown = operator.get(reverse("admin:inventory_purchaseorder_change", args=[order.pk])).content.decode()
    assert "Place the order" in shown
    assert page(line.pk, "receive") not in shown
    url = reverse("admin:inventory_purchaseorder_do", args=[order.pk, "place_orders"])
    operator.post(url)
    order.refresh_from_db()
    assert order.state == "ordered"
    shown = operator.get(reverse("admin:inventory_purchaseorder_change", args=[order.pk])).content.decode()
    assert page(line.pk, "receive") in shown
    assert "Place the order" not in shown


def test_lines_of_a_draft_are_changed_and_removed_and_those_of_a_placed_order_are_not(
    operator: Client, cast: Cast
) -> None:
    order = draft(cast.merchant.pk, cast.warehouse, [(cast.mug, 5), (cast.shirt, 6)])
    mugs, shirts = order.lines.order_by("id")
    url = reverse("admin:inventory_purchaseorder_change", args=[order.pk])
    form = order_form(cast, number=order.number, supplier=order.supplier_id) | {
        "lines-TOTAL_FORMS": 2,
        "lines-INITIAL_FORMS": 2,
        "lines-0-id": mugs.pk,
        "lines-0-quantity": 8,
        "lines-1-id": shirts.pk,
        "lines-1-quantity": 6,
        "lines-1-DELETE": "on",
        "lines-2-TOTAL_FORMS": 1,
        "lines-2-INITIAL_FORMS": 0,
        "lines-2-0-variant": cast.shirt.pk,
        "lines-2-0-quantity": 9,
    }
    response = operator.post(url, form)
    assert response.status_code == 302, response.context["errors"]
    left = {(line.variant_id, line.quantity) for line in order.lines.all()}
    assert left == {(cast.mug.pk, 8), (cast.shirt.pk, 9)}
    operator.post(reverse("admin:inventory_purchaseorder_do", args=[order.pk, "place_orders"]))
    operator.post(url, form | {"lines-0-quantity": 99, "number": "changed", "note": "called them"})
    order.refresh_from_db()
    assert (order.number != "changed", order.note) == (True, "called them")
    assert {line.quantity for line in order.lines.all()} == {8, 9}


def test_lines_are_entered_in_the_unit_of_measure(operator: Client, buying: Buying, cast: Cast) -> None:
    unit = UnitOfMeasure.objects.create(merchant=cast.merchant, code="kg", base_code="g", base_units=1000)
    Variant.objects.filter(pk=cast.mug.pk).update(unit=unit)
    add = reverse("admin:inventory_purchaseorder_add")
    response = operator.post(add, order_form(cast, **{"lines-0-quantity": "0.0005"}))
    assert "0.0005 kg is finer than 1 g" in response.content.decode()
    assert operator.post(add, order_form(cast, **{"lines-0-quantity": "2.5"})).status_code == 302
    order = PurchaseOrder.objects.get()
    assert order.lines.get().quantity == 2500
    shown = operator.get(reverse("admin:inventory_purchaseorder_change", args=[order.pk]))
    assert 'value="2.5kg"' in shown.content.decode()
    place(cast.merchant.pk, order.pk)
    line_id = order.lines.get().pk
    send(operator, line_id, "receive", **{f"units_{line_id}": "1.25"})
    assert level_of(cast.mug, cast.warehouse) == (1250, 0, 0)


def test_a_number_that_another_order_has_is_refused_at_its_field(operator: Client, cast: Cast) -> None:
    taken, order = (draft(cast.merchant.pk, cast.warehouse, [(cast.mug, 1)]) for _ in range(2))
    line = order.lines.get()
    fields = order_form(cast, number=taken.number, supplier=order.supplier_id)
    fields |= {"lines-INITIAL_FORMS": 1, "lines-0-id": line.pk, "lines-0-quantity": 1}
    fields |= {"lines-2-TOTAL_FORMS": 0, "lines-2-INITIAL_FORMS": 0}
    response = operator.post(reverse("admin:inventory_purchaseorder_change", args=[order.pk]), fields)
    assert response.status_code == 200
    assert "is another order" in str(response.context["adminform"].form.errors["number"])


@pytest.mark.parametrize("field", ["supplier", "location", "variant"])
def test_what_belongs_to_another_merchant_is_refused_by_name(
    operator: Client, cast: Cast, field: str
) -> None:
    other = Cast()
    stranger = {
        "supplier": Supplier.objects.create(merchant=other.merchant, code="THEIRS", name="Theirs").pk,
        "location": LocationFactory(merchant=other.merchant).pk,
        "variant": other.mug.pk,
    }[field]
    name = "lines-0-variant" if field == "variant" else field
    response = operator.post(
        reverse("admin:inventory_purchaseorder_add"), order_form(cast, **{name: stranger})
    )
    assert response.status_code == 200
    assert "another merchant" in response.content.decode()
    assert PurchaseOrder.objects.count() == 0


def test_an_order_without_lines_is_not_placed_and_the_reason_is_said(operator: Client, cast: Cast) -> None:
    order = draft(cast.merchant.pk, cast.warehouse, [])
    data = {"action": "place_orders", "_selected_action": [order.pk]}
    response = operator.post(reverse("admin:inventory_purchaseorder_changelist"), data, follow=True)
    told = " ".join(str(message) for message in response.context["messages"])
    assert "Add at least one" in told
    assert "Skipped 1: 1 refused" in told


def test_only_a_draft_is_deleted(operator: Client, buying: Buying, cast: Cast) -> None:
    placed = buying.line(buying.order(5)).order
    written = draft(cast.merchant.pk, cast.warehouse, [(cast.mug, 5)])
    for order, expected in ((placed, 403), (written, 302)):
        url = reverse("admin:inventory_purchaseorder_delete", args=[order.pk])
        assert operator.post(url, {"post": "yes"}).status_code == expected
    assert list(PurchaseOrder.objects.all()) == [placed]


# -- what becomes of it


def test_a_line_is_confirmed_and_dated_anew(operator: Client, buying: Buying) -> None:
    line_id = buying.order(10)
    response = send(
        operator, line_id, "confirm", **{f"units_{line_id}": 8, f"on_{line_id}": in_days(3).isoformat()}
    )
    assert "recorded as operation" in said(operator, response)
    assert (buying.line(line_id).confirmed_quantity, buying.line(line_id).confirmed_on) == (8, in_days(3))
    buying.promise("a", 2)
    response = send(operator, line_id, "slip", on=in_days(5).isoformat(), chosen=[line_id])
    assert "2 promised units are not covered any more" in said(operator, response)
    assert owed() == {("a", "inbound"): 2}


def test_goods_are_received_and_the_rest_cancelled(operator: Client, buying: Buying) -> None:
    line_id = buying.order(10, days=3)
    data = {"key": uuid4(), f"units_{line_id}": 7, "is_last": "on", "document": "DN-9"}
    operator.post(page(line_id, "receive"), data)
    again = operator.post(page(line_id, "receive"), data)
    assert "already recorded" in said(operator, again)
    assert level_of(buying.cast.mug, buying.cast.warehouse) == (7, 0, 0)
    assert buying.line(line_id).cancelled_quantity == 3
    assert StockMovement.objects.get().operation.document == "DN-9"
    other = operator.post(page(line_id, "receive"), {**data, f"units_{line_id}": 8})
    assert "recorded before with other figures" in other.content.decode()


def test_a_cancelled_line_is_not_received_and_its_input_says_why(operator: Client, buying: Buying) -> None:
    line_id = buying.order(10, days=3)
    send(operator, line_id, "cancel", **{f"units_{line_id}": 10})
    response = send(operator, line_id, "receive", **{f"units_{line_id}": 1})
    assert "was cancelled. Order the goods anew" in errors_of(response, f"units_{line_id}")
    assert StockMovement.objects.count() == 0


@pytest.mark.parametrize(
    ("verb", "fields", "field", "message"),
    [
        ("confirm", {"units": 11, "on": in_days(3).isoformat()}, "units", "Confirm at most these"),
        ("confirm", {"units": 5, "on": ""}, "on", "Enter the day"),
        ("confirm", {"units": 5, "on": "soon"}, "on", "Enter a valid date"),
        ("confirm", {"units": 5, "on": "2020-01-01"}, "", "lies in the past"),
        ("receive", {"units": -1}, "units", "Between 0 and"),
        ("receive", {"units": "2.5"}, "units", "whole number"),
        ("receive", {}, "", "at least one line"),
        ("cancel", {"units": 11}, "units", "Enter at most these"),
    ],
)
def test_what_makes_no_sense_is_refused_beside_its_input(
    operator: Client, buying: Buying, verb: str, fields: dict[str, Any], field: str, message: str
) -> None:
    line_id = buying.order(10)
    named = {f"{name}_{line_id}": value for name, value in fields.items()}
    response = send(operator, line_id, verb, **named)
    assert message in errors_of(response, f"{field}_{line_id}" if field else "__all__")
    assert buying.line(line_id).outstanding == 10


def test_a_day_in_the_past_is_refused_beside_the_day(operator: Client, buying: Buying) -> None:
    line_id = buying.order(10)
    response = send(operator, line_id, "slip", on="2020-01-01", chosen=[line_id])
    assert "lies in the past" in errors_of(response, "on")


@pytest.mark.parametrize("role", ["commerce", "engineering", "read-only"])
def test_other_roles_do_not_buy(client: Client, buying: Buying, role: str) -> None:
    line_id = buying.order(10, days=3)
    client.force_login(person(role))
    for each in ORDER_PAGES:
        assert client.get(page(line_id, each.verb)).status_code == 403
        assert send(client, line_id, each.verb).status_code == 403
    order_page = reverse("admin:inventory_purchaseorder_change", args=[buying.line(line_id).order_id])
    shown = client.get(order_page).content.decode()
    assert not any(page(line_id, each.verb) in shown for each in ORDER_PAGES)


# -- promises


def test_what_still_waits_is_cancelled_from_the_list(operator: Client, buying: Buying) -> None:
    line_id = buying.order(10, days=3)
    ids = [buying.promise(name, 2).promised[0].backorder_id for name in ("a", "b", "c")]
    buying.receive(line_id, 2)
    data = {"action": "cancel_promises", "_selected_action": ids}
    response = operator.post(reverse("admin:inventory_backorder_changelist"), data, follow=True)
    told = " ".join(str(message) for message in response.context["messages"])
    assert told == "2 backorders cancelled. Skipped 1: 1 waiting no more."
    assert waiting() == {}
    assert held() == {"a": 2}


def test_whoever_may_only_read_cancels_no_promise(client: Client, buying: Buying) -> None:
    buying.order(10, days=3)
    backorder_id = buying.promise("a", 2).promised[0].backorder_id
    client.force_login(person("read-only"))
    url = reverse("admin:inventory_backorder_do", args=[backorder_id, "cancel_promises"])
    assert client.post(url).status_code == 403
    assert waiting() == {"a": 2}


def test_an_open_conflict_is_promised_from_its_page(operator: Client, buying: Buying) -> None:
    buying.order(10, days=3)
    buying.cast.settle("order", wanted=4)
    conflict = Conflict.objects.get()
    url = reverse("admin:inventory_conflict_backorder", args=[conflict.pk])
    assert (
        url in operator.get(reverse("admin:inventory_conflict_change", args=[conflict.pk])).content.decode()
    )
    assert f"10 on {in_days(3)}" in operator.get(url).content.decode()
    data = {"key": uuid4(), "quantity": 4, "by": in_days(2).isoformat(), "allowed_by": "customer agreed"}
    assert "Less inbound is confirmed" in errors_of(operator.post(url, data), "__all__")
    early = {**data, "key": uuid4(), "by": "2020-01-01"}
    assert "lies in the past" in errors_of(operator.post(url, early), "by")
    response = operator.post(url, {**data, "key": uuid4(), "by": in_days(3).isoformat()})
    assert "recorded as operation" in said(operator, response)
    assert waiting() == {"order": 4}
    assert owed() == {}


def test_the_page_of_a_variant_shows_what_may_be_promised(operator: Client, buying: Buying) -> None:
    buying.cast.receive(3)
    buying.order(10, days=3)
    buying.promise("a", 5)
    response = operator.get(reverse("admin:inventory_variant_change", args=[buying.cast.mug.pk]))
    by_day = next(panel for panel in response.context["panels"] if panel.title == "Available to promise")
    assert [tuple(cell.text for cell in row) for row in by_day.cells] == [
        ("now", "0", "0", "0", "0"),
        (str(in_days(3)), "10", "2", "0", "8"),
    ]
    assert "within 3 days" in by_day.note


def test_the_pages_of_an_order_cost_the_same_whatever_its_lines(operator: Client, cast: Cast) -> None:
    def queries(lines: int) -> list[int]:
        product = ProductFactory(merchant=cast.merchant)
        variants = VariantFactory.create_batch(lines, merchant=cast.merchant, product=product)
        written, placed = (
            draft(cast.merchant.pk, cast.warehouse, [(v, 10) for v in variants]) for _ in range(2)
        )
        operator.post(reverse("admin:inventory_purchaseorder_do", args=[placed.pk, "place_orders"]))
        buying = Buying(cast)
        for line in placed.lines.select_related("variant"):
            buying.confirm(line.pk, 9, 3)
            buying.promise(f"for {line.pk}", 1, variant=line.variant)
        urls = [reverse("admin:inventory_purchaseorder_change", args=[o.pk]) for o in (written, placed)]
        urls += [reverse(f"admin:{each.url_name}", args=[placed.pk]) for each in ORDER_PAGES]
        counts = []
        for url in urls:
            cache.clear()
            with CaptureQueriesContext(connection) as captured:
                assert operator.get(url).status_code == 200
            counts.append(len(captured))
        return counts

    queries(1)
    assert queries(2) == queries(12)


def test_the_page_of_promised_kits_shows_what_it_has_of_each_part(operator: Client) -> None:
    kitchen = Kitchen()
    kitchen.stock(0, 3)
    buying = Buying(kitchen)
    buying.order(8, days=3)
    buying.promise("anna", 2, variant=kitchen.set)
    promised = KitBackorder.objects.get()
    shown = operator.get(reverse("admin:inventory_kitbackorder_change", args=[promised.pk]))
    (panel,) = (each for each in shown.context["panels"] if each.title == "Parts")
    assert sorted(row[1:] for row in panel.rows) == [(1, 2, 0), (2, 0, 4)]
    listed = operator.get(reverse("admin:inventory_reservation_changelist")).content.decode()
    assert f"{kitchen.set} promised to anna" in listed
    parts = reverse("admin:inventory_backorder_changelist")
    assert str(kitchen.set) in operator.get(parts, {"kit__id__exact": promised.pk}).content.decode()
