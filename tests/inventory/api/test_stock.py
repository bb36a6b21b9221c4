"""What happens to goods, as it is reported through the API."""

from typing import Any

import pytest

from inventory.models import Conflict, StockLevel, StockOperation
from tests.api import Api, problem_of
from tests.inventory.cast import Cast, assert_ledger_holds, ledger_size, level_of, owed

pytestmark = pytest.mark.django_db


def line(cast: Cast, **more: Any) -> dict[str, Any]:
    return {"sku": cast.mug.sku, "location": cast.warehouse.code, **more}


def test_each_report_is_one_operation_of_the_ledger(api: Api, cast: Cast) -> None:
    for verb, more in (
        ("receive", {"quantity": 10}),
        ("adjust", {"delta": -1, "reason": "damage"}),
        ("count", {"counted": 8}),
        ("ship", {"quantity": 2}),
        ("set-aside", {"quantity": 3}),
        ("put-back", {"quantity": 1}),
        ("scrap", {"quantity": 1}),
    ):
        response = api.post(f"/stock/{verb}", {"document": "D-1", "lines": [line(cast, **more)]})
        assert response.status_code == 200, (verb, response.content)
    assert level_of(cast.mug, cast.warehouse) == (5, 0, 1)
    operations = StockOperation.objects.filter(merchant=cast.merchant)
    assert operations.count() == 7
    assert {(each.source, each.document) for each in operations} == {("api", "D-1")}
    assert all("tests (oc_live_" in each.actor for each in operations)
    assert_ledger_holds()


def test_a_movement_says_what_it_did_and_who_reported_it(api: Api, cast: Cast) -> None:
    made = api.post("/stock/receive", {"lines": [line(cast, quantity=4)]}).json()
    movement = api.get("/movements", {"operation": made["operation_id"]}).json()["data"][0]
    assert (movement["sku"], movement["kind"], movement["on_hand_delta"]) == (cast.mug.sku, "receipt", 4)
    assert api.get(f"/movements/{movement['id']}").json() == movement


def test_a_level_is_shown_with_what_is_available(api: Api, cast: Cast) -> None:
    cast.receive(5)
    cast.hold("cart", 2)
    level = api.get("/stock-levels", {"sku": cast.mug.sku}).json()["data"][0]
    assert (level["on_hand"], level["reserved"], level["available"]) == (5, 2, 3)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("quantity", 0), ("quantity", -1), ("quantity", 1.5), ("quantity", 1.0), ("quantity", "3"), ("quantity", "٣"),
        ("quantity", True), ("quantity", None), ("quantity", 10**15 + 1), ("quantity", 10**30), ("quantity", []),
        ("sku", None), ("sku", 3), ("location", {}),
    ],
)  # fmt: skip
def test_a_line_that_makes_no_sense_is_refused_with_its_place(
    field: str, value: Any, api: Api, cast: Cast
) -> None:
    lines = [line(cast, quantity=1), {**line(cast, quantity=1), field: value}]
    problem = problem_of(api.post("/stock/receive", {"lines": lines}), 400, "invalid-request")
    assert problem["field"] == f"lines[1].{field}"
    assert ledger_size() == (0, 0, 0, 0)


def test_an_unknown_name_is_told_with_its_place(api: Api, cast: Cast, stranger: Cast) -> None:
    lines = [line(cast, quantity=1), {**line(cast, quantity=1), "sku": stranger.mug.sku}]
    problem = problem_of(api.post("/stock/receive", {"lines": lines}), 404, "not-found")
    assert problem["field"] == "lines[1].sku"
    assert ledger_size() == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("verb", "amounts"),
    [("count", [{"counted": 3}, {"counted": 2}]), ("safety-stock", [{"quantity": 3}, {"quantity": 2}])],
)
def test_what_is_said_twice_of_a_level_is_refused(
    verb: str, amounts: list[dict[str, Any]], api: Api, cast: Cast
) -> None:
    body = {"lines": [line(cast, **each) for each in amounts]}
    problem = problem_of(api.post(f"/stock/{verb}", body), 422, "refused")
    assert problem["field"] == "lines[1].sku"
    assert not StockLevel.objects.exists()


def test_a_correction_of_nothing_is_refused_with_its_place(api: Api, cast: Cast) -> None:
    body = {"lines": [line(cast, delta=1), line(cast, delta=0)]}
    problem = problem_of(api.post("/stock/adjust", body), 400, "invalid-request")
    assert problem["field"] == "lines[1].delta"


def test_a_level_and_its_movements_name_variant_and_location_by_their_ids_as_well(
    api: Api, cast: Cast
) -> None:
    cast.receive(5)
    (level,) = api.get("/stock-levels").json()["data"]
    assert (level["variant_id"], level["location_id"]) == (cast.mug.pk, cast.warehouse.pk)
    (movement,) = api.get("/movements").json()["data"]
    assert {name: movement[name] for name in ("level_id", "variant_id", "location_id")} == {
        "level_id": level["id"],
        "variant_id": level["variant_id"],
        "location_id": level["location_id"],
    }


def test_a_thousand_lines_are_one_operation_and_one_more_is_refused(api: Api, cast: Cast) -> None:
    lines = [line(cast, quantity=1)] * 1_001
    problem_of(api.post("/stock/receive", {"lines": lines}), 400, "invalid-request")
    assert api.post("/stock/receive", {"lines": lines[:1_000]}).status_code == 200
    assert level_of(cast.mug, cast.warehouse) == (1_000, 0, 0)


def test_goods_are_never_put_between_two_places(api: Api, cast: Cast) -> None:
    transfer = api.post(
        "/transfers",
        {
            "source": cast.warehouse.code,
            "destination": cast.store.code,
            "lines": [{"sku": cast.mug.sku, "quantity": 1}],
        },
    ).json()
    cast.receive(1)
    api.post(f"/transfers/{transfer['id']}/send")
    body = {"lines": [{"sku": cast.mug.sku, "location": "IN-TRANSIT", "quantity": 1}]}
    problem_of(api.post("/stock/receive", body), 404, "not-found")


def test_safety_stock_is_set(api: Api, cast: Cast) -> None:
    body = {"lines": [line(cast, quantity=4)]}
    assert api.post("/stock/safety-stock", body).json() == {"changed": 1}
    assert StockLevel.objects.get(variant=cast.mug).safety_stock == 4


# Events of the merchant's own systems.


def event(cast: Cast, identity: str, **more: Any) -> dict[str, Any]:
    return {"id": identity, "sku": cast.mug.sku, "location": cast.warehouse.code, **more}


def test_events_say_a_change_or_a_level(api: Api, cast: Cast) -> None:
    cast.receive(10)
    cast.hold("order-1", 3)
    events = [
        event(cast, "1", action="pick", delta=-3, reference="order-1"),
        event(cast, "2", action="pack", delta=0, reference="order-1"),
        event(cast, "3", action="receipt", delta=5),
        event(cast, "4", action="count", level=11),
        event(cast, "5", action="count", delta=-2),
        event(cast, "6", action="pick", level=8),
    ]
    results = api.post("/events", {"events": events}).json()["results"]
    assert [each["status"] for each in results] == ["recorded", "nothing", *["recorded"] * 4]
    assert level_of(cast.mug, cast.warehouse) == (8, 0, 0)
    assert_ledger_holds()


def test_an_event_is_recorded_once_for_its_id(api: Api, cast: Cast) -> None:
    body = {"events": [event(cast, "1", action="receipt", delta=5)]}
    assert api.post("/events", body).json()["results"][0]["status"] == "recorded"
    assert api.post("/events", body).json()["results"][0]["status"] == "repeated"
    assert level_of(cast.mug, cast.warehouse) == (5, 0, 0)
    other = {"events": [event(cast, "1", action="receipt", delta=6)]}
    result = api.post("/events", other).json()["results"][0]
    assert result["problem"]["type"].endswith("idempotency-key-reused")


def test_what_is_wrong_with_one_event_keeps_no_other_from_being_recorded(
    api: Api, cast: Cast, stranger: Cast
) -> None:
    events = [
        event(cast, "1", action="receipt", delta=1, level=1),
        event(cast, "2", action="receipt", delta=1) | {"sku": stranger.mug.sku},
        "nonsense",
        event(cast, "3", action="receipt", delta=4),
    ]
    results = api.post("/events", {"events": events}).json()["results"]
    assert [each["status"] for each in results] == ["refused"] * 3 + ["recorded"]
    assert [each["id"] for each in results] == ["1", "2", None, "3"]
    assert results[1]["problem"]["field"] == "sku"
    assert results[1]["problem"]["type"].endswith("not-found")
    assert level_of(cast.mug, cast.warehouse) == (4, 0, 0)


def test_a_pick_of_more_than_there_is_is_recorded_with_a_conflict(api: Api, cast: Cast) -> None:
    api.post("/events", {"events": [event(cast, "1", action="pick", delta=-2)]})
    assert Conflict.objects.count() == 1
    assert list(owed().values()) == [2]
