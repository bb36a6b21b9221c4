"""People move goods by documents: drafted, sent, received, returned, counted, approved, and refused with a reason."""

from typing import Any
from uuid import uuid4

import pytest
from django.contrib.messages import get_messages
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from inventory.admin import count_pages
from inventory.count_sheets import enter_counts, print_sheet
from inventory.models import (
    CountSheet,
    CustomerReturn,
    Location,
    StockLevel,
    StockOperation,
    Transfer,
    UnitOfMeasure,
    Variant,
)
from inventory.returns import ReturnUnits, receive_return
from inventory.stock import StockLine, receive
from inventory.transfer_drafts import TransferPlan, draft_transfer
from inventory.transfers import send_transfer
from inventory.transit import place_in_transit
from tests.back_office import person
from tests.factories import LocationFactory, VariantFactory
from tests.inventory.cast import Cast, level_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(person("operations"))
    return client


def post(client: Client, page: str, data: dict[str, Any], *args: object) -> Any:
    return client.post(reverse(f"admin:inventory_{page}", args=args), {"key": uuid4(), **data})


def do(client: Client, document: Any, action: str) -> list[str]:
    """Presses a button of a document's page and returns what it says."""
    name = f"admin:inventory_{document._meta.model_name}_do"
    response = client.post(reverse(name, args=[document.pk, action]))
    assert response.status_code == 302, response.status_code
    return [str(message) for message in get_messages(response.wsgi_request)]


def errors(response: Any) -> str:
    assert response.status_code == 200
    return str(dict(response.context["form"].errors))


def plan(cast: Cast, **fields: Any) -> dict[str, Any]:
    goods = f"{cast.mug.sku} 5"
    return {"source": cast.warehouse.pk, "destination": cast.store.pk, "goods": goods, **fields}


def drafted(cast: Cast, units: int = 5) -> Transfer:
    goods = TransferPlan(cast.warehouse.pk, cast.store.pk, {cast.mug.pk: units})
    return draft_transfer(cast.merchant.pk, goods, key=uuid4())


def test_a_transfer_goes_from_draft_to_closed(operator: Client, cast: Cast) -> None:
    cast.receive(5)
    response = post(operator, "transfer_add", plan(cast, reference="note", expected_on="2026-12-01"))
    transfer = Transfer.objects.get()
    assert response.url == reverse("admin:inventory_transfer_change", args=[transfer.pk])
    assert do(operator, transfer, "send") == ["1 transfer sent."]
    page = operator.get(reverse("admin:inventory_transfer_arrive", args=[transfer.pk]))
    assert page.context["form"].initial["goods"] == f"{cast.mug.sku} 5"
    goods, broken = f"{cast.mug.sku}\t4\n{cast.shirt.sku}, 1", f"{cast.mug.sku} 1"
    post(operator, "transfer_arrive", {"goods": goods, "unsalable": broken}, transfer.pk)
    assert do(operator, transfer, "close_with_missing")[-1] == "1 transfer closed."
    line = transfer.lines.get(variant=cast.mug)
    assert (line.received_quantity, line.missing_quantity) == (4, 1)
    assert level_of(cast.mug, cast.store) == (4, 0, 1)
    assert level_of(cast.shirt, cast.store) == (1, 0, 0)
    actors = StockOperation.objects.filter(verb__startswith="transfer").values_list("actor", flat=True)
    assert all(actor.startswith("operations-") for actor in actors)


def test_a_transfer_that_is_short_is_not_sent_and_says_why(operator: Client, cast: Cast) -> None:
    cast.receive(3)
    transfer = drafted(cast)
    told = do(operator, transfer, "send")
    assert f"{cast.mug.sku}: asked 5, available 3" in told[0]
    assert told[-1] == "0 transfers sent. Skipped 1: 1 refused."
    told = do(operator, transfer, "goods_have_left")
    assert told[-1] == "1 departure recorded."
    assert "2 units are owed now" in told[-2]


def test_buttons_fit_the_state(operator: Client, cast: Cast) -> None:
    cast.receive(5)
    transfer = drafted(cast)

    def buttons() -> set[str]:
        page = operator.get(reverse("admin:inventory_transfer_change", args=[transfer.pk]))
        return {address.rsplit("/", 2)[-2] for address, _ in page.context["object_actions"]}

    assert buttons() == {"send", "goods_have_left", "cancel"}
    send_transfer(cast.context(), transfer.pk)
    assert buttons() == {"close_with_missing", "take_back"}
    do(operator, transfer, "take_back")
    assert buttons() == set()
    assert level_of(cast.mug, cast.warehouse) == (5, 0, 0)


def test_a_draft_is_changed_by_its_form(operator: Client, cast: Cast) -> None:
    transfer = drafted(cast)
    page = operator.get(reverse("admin:inventory_transfer_edit", args=[transfer.pk]))
    assert page.context["form"].initial["goods"] == f"{cast.mug.sku} 5"
    post(operator, "transfer_edit", plan(cast, goods=f"{cast.shirt.sku} 2"), transfer.pk)
    assert [(line.variant, line.quantity) for line in transfer.lines.all()] == [(cast.shirt, 2)]


@pytest.mark.parametrize(
    ("goods", "problem"),
    [
        ("", "This field is required"),
        ("NONE 5", "Unknown: NONE. Add the variants first"),
        ("{mug}", "Line 1: “{mug}” is not a SKU and a quantity"),
        ("{mug} 5\n{mug} -1", "Line 2: “{mug} -1” is not a SKU and a quantity"),
        ("{mug} 5\n{mug} 0.5", "Line 2: 0.5 is finer than 1 piece"),
        ("{mug} 0", "Line 1: Between 1 and"),
        ("{mug} " + "9" * 5000, "Line 1: at most 40 digits"),
    ],
)
def test_goods_that_cannot_be_meant_are_refused_at_their_field(
    operator: Client, cast: Cast, goods: str, problem: str
) -> None:
    fields = plan(cast, goods=goods.format(mug=cast.mug.sku))
    found = errors(post(operator, "transfer_add", fields))
    assert "'goods'" in found
    assert problem.format(mug=cast.mug.sku) in found


def test_documents_count_in_the_unit_of_measure(operator: Client, cast: Cast) -> None:
    unit = UnitOfMeasure.objects.create(merchant=cast.merchant, code="kg", base_code="g", base_units=1000)
    Variant.objects.filter(pk=cast.mug.pk).update(unit=unit)
    goods = f"{cast.mug.sku} 0.25\n{cast.mug.sku} 50g\n{cast.shirt.sku} 2"
    post(operator, "transfer_add", plan(cast, goods=goods))
    transfer = Transfer.objects.get()
    assert dict(transfer.lines.values_list("variant", "quantity")) == {cast.mug.pk: 300, cast.shirt.pk: 2}
    page = operator.get(reverse("admin:inventory_transfer_edit", args=[transfer.pk]))
    assert page.context["form"].initial["goods"] == f"{cast.mug.sku} 0.3kg\n{cast.shirt.sku} 2"
    found = errors(post(operator, "transfer_add", plan(cast, goods=f"{cast.mug.sku} 0.0005")))
    assert "Line 1: 0.0005 kg is finer than 1 g" in found
    sheet = print_sheet(cast.merchant.pk, cast.warehouse.pk, [cast.mug.pk], key=uuid4())
    post(operator, "countsheet_enter", {f"counted_{cast.mug.pk}": "1.5"}, sheet.pk)
    assert sheet.lines.get().counted_quantity == 1500
    place = {"variant": cast.mug.pk, "location": cast.warehouse.pk}
    post(operator, "safety_stock", {**place, "safety_stock": "0.2"})
    assert StockLevel.objects.get(variant=cast.mug, location=cast.warehouse).safety_stock == 200
    url = f"{reverse('admin:inventory_safety_stock')}?variant={cast.mug.pk}&location={cast.warehouse.pk}"
    assert operator.get(url).context["form"].initial["safety_stock"] == "0.2kg"


def test_the_same_place_and_a_strangers_place_are_refused_at_their_field(
    operator: Client, cast: Cast, stranger: Cast
) -> None:
    found = errors(post(operator, "transfer_add", plan(cast, destination=cast.warehouse.pk)))
    assert "'destination'" in found
    assert "choose another place" in found
    found = errors(post(operator, "transfer_add", plan(cast, destination=stranger.store.pk)))
    assert "belongs to another merchant" in found
    assert not Transfer.objects.exists()


def test_a_return_is_announced_received_and_inspected(operator: Client, cast: Cast) -> None:
    place = {"reference": "RMA-1", "location": cast.warehouse.pk}
    post(operator, "customerreturn_add", {**place, "goods": f"{cast.mug.sku} 3"})
    document = CustomerReturn.objects.get()
    arrive = reverse("admin:inventory_customerreturn_arrive")
    form = operator.get(f"{arrive}?return={document.pk}").context["form"]
    assert form.initial["goods"] == f"{cast.mug.sku} 3"
    post(operator, "customerreturn_arrive", {**place, "goods": f"{cast.mug.sku} 3\n{cast.shirt.sku} 1"})
    assert level_of(cast.mug, cast.warehouse) == (3, 0, 3)
    inspect = reverse("admin:inventory_customerreturn_inspect", args=[document.pk])
    assert (
        operator.get(inspect).context["form"].initial["released"] == f"{cast.mug.sku} 3\n{cast.shirt.sku} 1"
    )
    verdict = {"released": f"{cast.mug.sku} 2", "written_off": f"{cast.mug.sku} 1\n{cast.shirt.sku} 1"}
    post(operator, "customerreturn_inspect", {"location": cast.warehouse.pk, **verdict}, document.pk)
    document.refresh_from_db()
    assert document.state == "closed"
    assert level_of(cast.mug, cast.warehouse) == (2, 0, 0)
    assert level_of(cast.shirt, cast.warehouse) == (0, 0, 0)


def test_a_return_that_will_not_come_is_closed_and_may_be_announced_again(
    operator: Client, cast: Cast
) -> None:
    fields = {"reference": "RMA-1", "location": cast.warehouse.pk, "goods": f"{cast.mug.sku} 3"}
    for _ in range(2):
        post(operator, "customerreturn_add", fields)
        document = CustomerReturn.objects.get()
        assert document.state == "announced"
        assert do(operator, document, "stop_waiting")[-1] == "1 return closed."
        document.refresh_from_db()
        assert document.state == "closed"
    assert StockLevel.objects.count() == 0


def test_more_than_waits_is_not_inspected(operator: Client, cast: Cast) -> None:
    receive_return(cast.context(), "RMA", [ReturnUnits(cast.mug.pk, cast.warehouse.pk, 1)])
    document = CustomerReturn.objects.get()
    fields = {"location": cast.warehouse.pk, "released": f"{cast.mug.sku} 2"}
    assert "1 wait for inspection" in errors(post(operator, "customerreturn_inspect", fields, document.pk))
    empty = {"location": cast.warehouse.pk}
    assert "Name what was inspected" in errors(post(operator, "customerreturn_inspect", empty, document.pk))


def sheet_of(cast: Cast, *, is_blind: bool = False) -> CountSheet:
    return print_sheet(cast.merchant.pk, cast.warehouse.pk, key=uuid4(), is_blind=is_blind)


def test_a_sheet_is_printed_counted_reviewed_and_approved(operator: Client, cast: Cast) -> None:
    cast.receive(5)
    cast.receive(2, cast.shirt)
    post(operator, "countsheet_add", {"location": cast.warehouse.pk, "title": "shelf A"})
    sheet = CountSheet.objects.get()
    paper = operator.get(reverse("admin:inventory_countsheet_paper", args=[sheet.pk])).content.decode()
    assert cast.mug.sku in paper
    assert "Expected" in paper
    post(operator, "countsheet_enter", {f"counted_{cast.mug.pk}": 4}, sheet.pk)
    page = operator.get(reverse("admin:inventory_countsheet_change", args=[sheet.pk])).content.decode()
    assert "−1" in page
    assert do(operator, sheet, "count_differences_again")[0] == f"{sheet}: 1 lines are to be counted again."
    assert "wait to be counted again" in do(operator, sheet, "approve")[-2]
    post(operator, "countsheet_enter", {f"counted_{cast.mug.pk}": 3, "others": ""}, sheet.pk)
    told = do(operator, sheet, "approve")
    assert told[-2:] == [f"{sheet}: 1 lines were not counted and stay as they are.", "1 sheet approved."]
    assert level_of(cast.mug, cast.warehouse) == (3, 0, 0)
    location = operator.get(reverse("admin:inventory_location_change", args=[cast.warehouse.pk]))
    assert "33.3%" in location.content.decode()


def test_a_selection_narrows_a_sheet(operator: Client, cast: Cast) -> None:
    cast.receive(5)
    cast.receive(1, cast.shirt)
    cast.count(0, cast.shirt)
    place = {"location": cast.warehouse.pk}
    post(operator, "countsheet_add", {**place, "only_on_hand": "on"})
    post(operator, "countsheet_add", {**place, "skus": cast.shirt.sku})
    assert [[line.variant for line in sheet.lines.all()] for sheet in CountSheet.objects.order_by("id")] == [
        [cast.mug],
        [cast.shirt],
    ]
    assert "nothing to count" in errors(post(operator, "countsheet_add", {**place, "category": "none"}))
    assert "Unknown: NONE" in errors(post(operator, "countsheet_add", {**place, "skus": "NONE"}))


def test_whoever_counts_blindly_is_not_told_what_is_expected(operator: Client, cast: Cast) -> None:
    cast.receive(54321)
    cast.receive(1, cast.shirt)
    sheet = sheet_of(cast, is_blind=True)
    post(operator, "countsheet_enter", {f"counted_{cast.mug.pk}": 7}, sheet.pk)
    lines = f"{reverse('admin:inventory_countsheetline_changelist')}?sheet__id__exact={sheet.pk}"
    pages = [
        reverse(f"admin:inventory_countsheet_{page}", args=[sheet.pk])
        for page in ("enter", "paper", "change")
    ]
    for url in (*pages, lines):
        page = operator.get(url).content.decode()
        assert "54321" not in page, url
        assert "54,321" not in page, url
    post(operator, "countsheet_enter", {f"counted_{cast.shirt.pk}": 1}, sheet.pk)
    review = operator.get(reverse("admin:inventory_countsheet_change", args=[sheet.pk])).content.decode()
    assert "54,321" in review


def test_chosen_lines_are_counted_again(operator: Client, cast: Cast) -> None:
    cast.receive(5)
    sheet = sheet_of(cast)
    line = sheet.lines.get()
    chosen = {"action": "count_again", "_selected_action": [line.pk]}
    url = reverse("admin:inventory_countsheetline_changelist")
    response = operator.post(url, chosen)
    assert "Skipped 1: 1 not counted yet" in str(list(get_messages(response.wsgi_request))[-1])
    post(operator, "countsheet_enter", {f"counted_{cast.mug.pk}": 4}, sheet.pk)
    operator.post(url, chosen)
    line.refresh_from_db()
    assert line.is_recount_wanted


def test_a_sheet_of_many_lines_is_entered_page_by_page_with_the_same_queries(
    operator: Client, cast: Cast
) -> None:
    cast.receive(5)
    small = sheet_of(cast)
    variants = VariantFactory.create_batch(120, merchant=cast.merchant, product=cast.mug.product)
    receive(cast.context(), [StockLine(variant.pk, cast.warehouse.pk, 1) for variant in variants])
    large = sheet_of(cast)

    def cost(sheet: CountSheet, page: str) -> int:
        with CaptureQueriesContext(connection) as queries:
            response = operator.get(reverse(f"admin:inventory_countsheet_{page}", args=[sheet.pk]))
        assert response.status_code == 200
        return len(queries)

    for page in ("enter", "paper", "change"):
        cost(small, page)  # what a process remembers is read
        assert cost(small, page) == cost(large, page), page
    first = large.lines.order_by("variant__sku").first()
    assert first is not None
    response = post(operator, "countsheet_enter", {f"counted_{first.variant_id}": 1}, large.pk)
    assert response.url.endswith("?page=2")


def test_the_page_of_a_document_costs_the_same_whatever_its_lines(operator: Client, cast: Cast) -> None:
    variants = VariantFactory.create_batch(30, merchant=cast.merchant, product=cast.mug.product)
    receive(cast.context(), [StockLine(variant.pk, cast.warehouse.pk, 5) for variant in variants])

    def costs(count: int) -> list[int]:
        chosen = variants[:count]
        goods = TransferPlan(cast.warehouse.pk, cast.store.pk, {variant.pk: 1 for variant in chosen})
        transfer = draft_transfer(cast.merchant.pk, goods, key=uuid4())
        send_transfer(cast.context(), transfer.pk)
        reference = f"RMA-{count}"
        receive_return(cast.context(), reference, [ReturnUnits(v.pk, cast.warehouse.pk, 1) for v in chosen])
        parcel = CustomerReturn.objects.get(reference=reference)
        urls = [
            reverse("admin:inventory_transfer_change", args=[transfer.pk]),
            reverse("admin:inventory_transfer_arrive", args=[transfer.pk]),
            reverse("admin:inventory_customerreturn_change", args=[parcel.pk]),
            reverse("admin:inventory_customerreturn_inspect", args=[parcel.pk]),
            reverse("admin:inventory_variant_change", args=[variants[0].pk]),
        ]
        found = []
        for url in urls:
            with CaptureQueriesContext(connection) as queries:
                assert operator.get(url).status_code == 200
            found.append(len(queries))
        return found

    costs(1)
    assert costs(2) == costs(30)


def test_conditions_are_changed_by_forms(operator: Client, cast: Cast) -> None:
    cast.receive(5)
    place = {"variant": cast.mug.pk, "location": cast.warehouse.pk}
    post(operator, "set_aside", {**place, "quantity": 3, "reason": "quarantine"})
    assert level_of(cast.mug, cast.warehouse) == (5, 0, 3)
    post(operator, "put_back", {**place, "quantity": 1, "reason": "inspection"})
    post(operator, "scrap", {**place, "quantity": 1, "reason": "write_off"})
    assert level_of(cast.mug, cast.warehouse) == (4, 0, 1)
    refused = post(operator, "scrap", {**place, "quantity": 9, "reason": "write_off"})
    assert "9 asked for, 1 unavailable there" in refused.content.decode()


def test_safety_stock_is_set_by_a_form(operator: Client, cast: Cast) -> None:
    cast.receive(5)
    place = {"variant": cast.mug.pk, "location": cast.warehouse.pk}
    post(operator, "safety_stock", {**place, "safety_stock": 2})
    url = f"{reverse('admin:inventory_safety_stock')}?variant={cast.mug.pk}&location={cast.warehouse.pk}"
    assert operator.get(url).context["form"].initial["safety_stock"] == "2"
    assert "safety_stock" in errors(post(operator, "safety_stock", {**place, "safety_stock": -1}))


@pytest.mark.parametrize("role", ["commerce", "engineering", "read-only"])
def test_whoever_moves_no_stock_sees_documents_and_changes_none(
    client: Client, cast: Cast, role: str
) -> None:
    client.force_login(person(role))
    cast.receive(5)
    transfer, sheet = drafted(cast), sheet_of(cast)
    assert client.get(reverse("admin:inventory_transfer_change", args=[transfer.pk])).status_code == 200
    for page, *args in (
        ("transfer_add",),
        ("transfer_edit", transfer.pk),
        ("transfer_arrive", transfer.pk),
        ("customerreturn_arrive",),
        ("countsheet_add",),
        ("countsheet_enter", sheet.pk),
    ):
        assert client.get(reverse(f"admin:inventory_{page}", args=args)).status_code == 403, page
    for document, action in ((transfer, "send"), (sheet, "approve")):
        name = f"admin:inventory_{document._meta.model_name}_do"
        assert client.post(reverse(name, args=[document.pk, action])).status_code == 403
    assert level_of(cast.mug, cast.warehouse) == (5, 0, 0)


def test_the_place_in_transit_is_offered_nowhere_and_edited_by_nobody(client: Client, cast: Cast) -> None:
    client.force_login(person("superuser"))
    place = place_in_transit(cast.merchant.pk)
    for page in ("receive", "count", "transfer_add", "countsheet_add"):
        assert "IN-TRANSIT" not in client.get(reverse(f"admin:inventory_{page}")).content.decode(), page
    assert client.post(reverse("admin:inventory_location_change", args=[place]), {}).status_code == 403
    form = client.get(reverse("admin:inventory_location_add")).content.decode()
    assert "in_transit" not in form
    other = LocationFactory(merchant=cast.merchant)
    change = client.get(reverse("admin:inventory_location_change", args=[other.pk]))
    assert "in_transit" not in change.content.decode()
    assert Location.objects.get(pk=place).kind == "in_transit"


def test_counts_that_were_sent_are_taken_in_whatever_was_added_to_the_sheet_since(
    operator: Client, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(count_pages, "LINES", 1)
    cast.receive(5)
    sheet = sheet_of(cast)
    first = VariantFactory(merchant=cast.merchant, product=cast.mug.product, sku="!first")
    enter_counts(cast.merchant.pk, sheet.pk, {first.pk: 1})
    post(operator, "countsheet_enter", {f"counted_{cast.mug.pk}": 4}, sheet.pk)
    assert sheet.lines.get(variant=cast.mug).counted_quantity == 4


def test_the_page_of_a_level_shows_what_is_on_its_way_there(operator: Client, cast: Cast) -> None:
    cast.receive(5)
    cast.receive(1, place=cast.store)
    transfer = drafted(cast)
    send_transfer(cast.context(), transfer.pk)
    for place, is_shown in ((cast.store, True), (cast.warehouse, False)):
        level = StockLevel.objects.get(variant=cast.mug, location=place)
        page = operator.get(reverse("admin:inventory_stocklevel_change", args=[level.pk]))
        assert (transfer.number in page.content.decode()) == is_shown
