"""Products, variants and locations: read page by page, changed from what was read, written in bulk."""

from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest
from django.db import transaction

from inventory.bundles import Component, define
from inventory.models import BundleKind, Location, Product, Variant
from tests.api import Api, problem_of
from tests.factories import VariantFactory
from tests.inventory.cast import Cast
from tests.inventory.racing import meanwhile, wait_until_blocked

pytestmark = pytest.mark.django_db


def test_a_variant_is_added_with_a_product_of_its_own(api: Api, cast: Cast) -> None:
    made = api.post("/variants", {"sku": "TRAY", "title": "Tray", "gtin": "8712345678906"})
    assert made.status_code == 201
    variant = Variant.objects.get(pk=made.json()["id"])
    assert (variant.merchant, variant.sku, variant.product.title) == (cast.merchant, "TRAY", "Tray")
    assert variant.history.count() == 1


def test_a_sku_that_is_taken_is_refused_with_its_field(api: Api, cast: Cast) -> None:
    problem = problem_of(api.post("/variants", {"sku": cast.mug.sku}), 409, "already-exists")
    assert problem["field"] == "sku"
    assert Product.objects.filter(title=cast.mug.sku).count() == 0


def test_skus_that_differ_in_case_are_two(api: Api, cast: Cast) -> None:
    assert api.post("/variants", {"sku": cast.mug.sku.lower()}).status_code == 201


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "sku"),
        ({"sku": ""}, "sku"),
        ({"sku": 7}, "sku"),
        ({"sku": "x" * 129}, "sku"),
        ({"sku": "A", "gtin": "12"}, "gtin"),
        ({"sku": "A", "is_active": "yes"}, "is_active"),
        ({"sku": "A", "colour": "blue"}, "colour"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_field(body: dict[str, Any], field: str, api: Api) -> None:
    problem = problem_of(api.post("/variants", body), 400, "invalid-request")
    assert problem["field"] == field
    assert field in {error["field"] for error in problem["errors"]}


def test_a_location_is_added_and_switched_off(api: Api, cast: Cast) -> None:
    made = api.post("/locations", {"code": "B2", "name": "Store", "kind": "store", "country": "NL"}).json()
    changed = api.patch(f"/locations/{made['id']}", {"is_active": False})
    assert changed.json() == {**made, "is_active": False}
    assert Location.objects.get(pk=made["id"]).merchant == cast.merchant


def test_a_filter_narrows_a_list(api: Api, cast: Cast) -> None:
    found = api.get("/variants", {"sku": cast.mug.sku}).json()["data"]
    assert [each["id"] for each in found] == [cast.mug.pk]


@pytest.mark.parametrize(
    "query", [{"colour": "blue"}, {"product": "x"}, {"product": "1e400"}, {"is_active": "maybe"}]
)
def test_a_filter_that_makes_no_sense_is_refused(query: dict[str, str], api: Api) -> None:
    response = api.get("/variants", query)
    if query == {"is_active": "maybe"}:
        assert response.status_code in {200, 400}
    else:
        assert problem_of(response, 400, "invalid-request")["field"] == next(iter(query))


# Pages.


def test_pages_neither_repeat_nor_skip_a_row_whatever_is_written_meanwhile(api: Api, cast: Cast) -> None:
    own: list[Any] = [cast.mug, cast.shirt, *(VariantFactory(merchant=cast.merchant) for _ in range(3))]
    first = api.get("/variants", {"limit": 2})
    page = first.json()
    own[0].delete()
    late = VariantFactory(merchant=cast.merchant)
    seen = [each["id"] for each in page["data"]]
    assert page["has_more"]
    assert page["next_cursor"] in first["Link"]
    while page["has_more"]:
        page = api.get("/variants", {"limit": 2, "cursor": page["next_cursor"]}).json()
        seen += [each["id"] for each in page["data"]]
    assert page["next_cursor"] is None
    assert seen == [each.pk or seen[0] for each in (*own, late)]


@pytest.mark.parametrize("limit", ["0", "201", "-1", "x", "1.5", "1e9", "", "99999999999999999999", "٣"])
def test_a_page_of_another_size_is_refused(limit: str, api: Api) -> None:
    assert problem_of(api.get("/variants", {"limit": limit}), 400, "invalid-request")["field"] == "limit"


@pytest.mark.parametrize("cursor", ["x", "", "é", "LTE", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5", "MTIz" * 50])
def test_a_cursor_that_is_not_ours_is_refused(cursor: str, api: Api) -> None:
    assert problem_of(api.get("/variants", {"cursor": cursor}), 400, "invalid-request")["field"] == "cursor"


# Edits.


def test_a_change_of_what_somebody_else_has_changed_is_refused(api: Api, cast: Cast) -> None:
    path = f"/variants/{cast.mug.pk}"
    read = api.get(path)
    assert api.patch(path, {"title": "Blue"}, If_Match=read["ETag"]).status_code == 200
    problem_of(api.patch(path, {"title": "Red"}, If_Match=read["ETag"]), 412, "changed-meanwhile")
    cast.mug.refresh_from_db()
    assert cast.mug.title == "Blue"


def test_the_tag_of_an_answer_serves_for_the_next_change(api: Api, cast: Cast) -> None:
    path = f"/variants/{cast.mug.pk}"
    first = api.patch(path, {"title": "Blue"})
    assert first["ETag"] == api.get(path)["ETag"]
    assert api.patch(path, {"title": "Red"}, If_Match=first["ETag"]).status_code == 200
    assert api.patch(path, {"title": "Green"}, If_Match="*").status_code == 200


def test_the_tag_of_a_compressed_answer_serves_as_well(api: Api, cast: Cast) -> None:
    path = f"/variants/{cast.mug.pk}"
    api.patch(path, {"title": "Blue mug " * 30})
    read = api.get(path, Accept_Encoding="gzip")
    assert read["ETag"].startswith("W/")
    assert api.patch(path, {"title": "Red"}, If_Match=read["ETag"]).status_code == 200
    problem_of(api.patch(path, {"title": "Green"}, If_Match=read["ETag"]), 412, "changed-meanwhile")


def test_a_component_of_a_bundle_cannot_be_switched_off(api: Api, cast: Cast) -> None:
    define(cast.context(), cast.shirt.pk, BundleKind.KIT, [Component(cast.mug.pk, 2)])
    problem = problem_of(api.patch(f"/variants/{cast.mug.pk}", {"is_active": False}), 400, "invalid-request")
    assert problem["field"] == "is_active"


# In bulk.


def test_what_is_wrong_with_one_item_keeps_no_other_from_being_written(api: Api, cast: Cast) -> None:
    items = [
        {"sku": "NEW", "title": "New"},
        {"sku": cast.mug.sku, "title": "Blue mug"},
        {"sku": cast.shirt.sku},
        {"sku": "", "gtin": "1"},
        {"sku": "NEW"},
        "nonsense",
        {"sku": "OTHER", "product_id": 10**12},
    ]
    results = api.post("/variants/bulk", {"items": items}).json()["results"]
    assert [each["status"] for each in results] == [
        "created", "updated", "unchanged", "refused", "refused", "refused", "refused",
    ]  # fmt: skip
    assert {error["field"] for error in results[3]["errors"]} == {"sku", "gtin"}
    assert [each["index"] for each in results] == list(range(7))
    assert Variant.objects.get(merchant=cast.merchant, sku="NEW").history.count() == 1
    assert Variant.objects.get(pk=cast.mug.pk).title == "Blue mug"


def test_a_thousand_items_are_written_and_one_more_is_refused(api: Api, cast: Cast) -> None:
    items = [{"sku": f"BULK-{n}"} for n in range(1_001)]
    problem_of(api.post("/variants/bulk", {"items": items}), 400, "invalid-request")
    assert not Variant.objects.filter(sku__startswith="BULK").exists()
    results = api.post("/variants/bulk", {"items": items[:1_000]}).json()["results"]
    assert {each["status"] for each in results} == {"created"}
    assert Variant.objects.filter(merchant=cast.merchant, sku__startswith="BULK").count() == 1_000


@pytest.mark.django_db(transaction=True)
def test_what_somebody_adds_meanwhile_is_changed_and_keeps_no_other_item_from_being_added() -> None:
    cast = Cast()
    api = Api(cast.merchant)
    items = [{"sku": "OWN"}, {"sku": "SHARED", "title": "Ours"}]
    with ExitStack() as stack, transaction.atomic():
        VariantFactory(merchant=cast.merchant, sku="SHARED", title="Theirs")
        waiting = stack.enter_context(meanwhile(partial(api.post, "/variants/bulk", {"items": items})))
        wait_until_blocked()
    results = waiting.result().json()["results"]
    assert [each["status"] for each in results] == ["created", "updated"]
    assert Variant.objects.get(merchant=cast.merchant, sku="SHARED").title == "Ours"
    assert Product.objects.filter(merchant=cast.merchant, title="OWN").count() == 1


def test_a_component_cannot_be_switched_off_in_bulk_either(api: Api, cast: Cast) -> None:
    define(cast.context(), cast.shirt.pk, BundleKind.KIT, [Component(cast.mug.pk, 2)])
    items = [{"sku": cast.mug.sku, "is_active": False}]
    result = api.post("/variants/bulk", {"items": items}).json()["results"][0]
    assert result["status"] == "refused"
    assert Variant.objects.get(pk=cast.mug.pk).is_active
