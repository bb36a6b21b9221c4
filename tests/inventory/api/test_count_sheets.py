"""Count sheets through the API: printed, counted, counted again, approved or given up."""

from typing import Any

import pytest

from inventory.models import CountSheet
from tests.api import Api, problem_of
from tests.inventory.cast import Cast, assert_ledger_holds, level_of

pytestmark = pytest.mark.django_db


def printed(api: Api, cast: Cast, **more: Any) -> dict[str, Any]:
    made = api.post("/count-sheets", {"location": cast.warehouse.code, **more}, Idempotency_Key="sheet")
    assert made.status_code == 201, made.content
    found: dict[str, Any] = made.json()
    return found


def entered(api: Api, sheet: dict[str, Any], cast: Cast, counted: int) -> Any:
    lines = [{"sku": cast.mug.sku, "counted": counted}]
    return api.post(f"/count-sheets/{sheet['id']}/enter", {"lines": lines})


def test_a_sheet_is_counted_and_approved_in_one_operation(api: Api, cast: Cast) -> None:
    cast.receive(5)
    sheet = printed(api, cast)
    assert (sheet["line_count"], sheet["counted_count"], sheet["state"]) == (1, 0, "open")
    assert entered(api, sheet, cast, 4).json()["counted_count"] == 1
    line = api.get(f"/count-sheets/{sheet['id']}/lines").json()["data"][0]
    assert (line["expected_quantity"], line["counted_quantity"], line["variance"]) == (5, 4, -1)
    approved = api.post(f"/count-sheets/{sheet['id']}/approve").json()
    assert level_of(cast.mug, cast.warehouse) == (4, 0, 0)
    shown = api.get(f"/count-sheets/{sheet['id']}").json()
    assert (shown["state"], shown["operation_id"]) == ("approved", approved["operation_id"])
    problem_of(entered(api, sheet, cast, 3), 409, "wrong-state")
    assert_ledger_holds()


def test_a_repeat_prints_no_second_sheet(api: Api, cast: Cast) -> None:
    cast.receive(5)
    assert printed(api, cast)["id"] == printed(api, cast)["id"]
    assert CountSheet.objects.count() == 1


def test_whoever_counts_blindly_is_not_told_what_is_expected(api: Api, cast: Cast) -> None:
    cast.receive(5)
    cast.receive(2, cast.shirt)
    sheet = printed(api, cast, is_blind=True)
    entered(api, sheet, cast, 4)
    path = f"/count-sheets/{sheet['id']}/lines"
    hidden = ("expected_quantity", "level_quantity", "variance")
    assert all(line[name] is None for line in api.get(path).json()["data"] for name in hidden)
    api.post(f"/count-sheets/{sheet['id']}/enter", {"lines": [{"sku": cast.shirt.sku, "counted": 2}]})
    assert [line["variance"] for line in api.get(path).json()["data"]] == [-1, 0]


def test_lines_come_page_by_page(api: Api, cast: Cast) -> None:
    cast.receive(5)
    cast.receive(2, cast.shirt)
    path = f"/count-sheets/{printed(api, cast)['id']}/lines"
    first = api.get(path, {"limit": 1}).json()
    second = api.get(path, {"limit": 1, "cursor": first["next_cursor"]}).json()
    assert [each["sku"] for each in (*first["data"], *second["data"])] == [cast.mug.sku, cast.shirt.sku]
    assert not second["has_more"]


def test_a_line_to_be_counted_again_holds_the_approval_up(api: Api, cast: Cast) -> None:
    cast.receive(5)
    sheet = printed(api, cast)
    entered(api, sheet, cast, 1)
    api.post(f"/count-sheets/{sheet['id']}/recount", {"skus": [cast.mug.sku]})
    problem_of(api.post(f"/count-sheets/{sheet['id']}/approve"), 422, "refused")
    entered(api, sheet, cast, 5)
    assert api.post(f"/count-sheets/{sheet['id']}/approve").status_code == 200


def test_a_sheet_is_given_up(api: Api, cast: Cast) -> None:
    cast.receive(5)
    sheet = printed(api, cast, skus=[cast.mug.sku])
    assert api.post(f"/count-sheets/{sheet['id']}/cancel").json()["state"] == "cancelled"
    assert level_of(cast.mug, cast.warehouse) == (5, 0, 0)
    problem_of(api.post(f"/count-sheets/{sheet['id']}/approve"), 409, "wrong-state")


def test_what_is_counted_twice_on_a_sheet_is_refused(api: Api, cast: Cast) -> None:
    cast.receive(5)
    sheet = printed(api, cast)
    lines = [{"sku": cast.mug.sku, "counted": counted} for counted in (3, 2)]
    problem = problem_of(api.post(f"/count-sheets/{sheet['id']}/enter", {"lines": lines}), 422, "refused")
    assert problem["field"] == "lines[1].sku"
    assert api.get(f"/count-sheets/{sheet['id']}").json()["counted_count"] == 0
