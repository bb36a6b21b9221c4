"""The name of an order line is believed: nobody may hold or ship under that of a line that is not its own."""

from typing import Any

import pytest

from inventory.models import Conflict, StockOperation
from inventory.reservations import Demand, reserve
from inventory.stock import CountLine, count
from reconciliation.causes import examine
from reconciliation.remedies import remedies_of
from tests.api import Api, problem_of
from tests.inventory.cast import Cast, level_of
from tests.reconciliation.desk import Desk

pytestmark = pytest.mark.django_db


@pytest.fixture
def thief(db: None) -> Cast:
    """Another merchant, with five mugs."""
    cast = Cast()
    cast.receive(5)
    return cast


@pytest.fixture
def strange(desk: Desk) -> str:
    """The name of an order line of the shop."""
    desk.receive(3)
    return desk.line(desk.sell(1)).reference


def line(cast: Cast, reference: str) -> dict[str, Any]:
    return {"reference": reference, "sku": cast.mug.sku, "location": cast.warehouse.code, "quantity": 1}


def test_nobody_holds_units_under_the_name_of_an_order_line(thief: Cast, strange: str, desk: Desk) -> None:
    own = {"reference": strange, "sku": "MUG", "quantity": 1}
    for api, wanted in ((Api(thief.merchant), {**own, "sku": thief.mug.sku}), (Api(desk.shop.merchant), own)):
        problem = problem_of(api.post("/reservations", {"lines": [wanted]}), 422, "refused")
        assert problem["field"] == "lines[0].reference"


def test_nobody_ships_for_an_order_line_of_somebody_else(thief: Cast, strange: str) -> None:
    api = Api(thief.merchant)
    lines = [line(thief, "cart"), line(thief, strange), line(thief, "order-line:x")]
    problem = problem_of(api.post("/stock/ship", {"lines": lines}), 404, "not-found")
    assert problem["field"] == "lines[1].reference"
    event = {"id": "1", "action": "pick", "delta": -1, **line(thief, strange)}
    del event["quantity"]
    result = api.post("/events", {"events": [event]}).json()["results"][0]
    assert (result["status"], result["problem"]["field"]) == ("refused", "reference")
    assert level_of(thief.mug, thief.warehouse) == (5, 0, 0)
    assert not StockOperation.objects.filter(merchant=thief.merchant, verb="ship").exists()


def test_a_warehouse_ships_for_an_order_line_of_its_own(desk: Desk, strange: str) -> None:
    shipped = {"reference": strange, "sku": "MUG", "location": "main", "quantity": 1}
    assert Api(desk.shop.merchant).post("/stock/ship", {"lines": [shipped]}).status_code == 200
    assert desk.shop.level("MUG") == (2, 0)


def test_a_name_that_was_forged_all_the_same_shows_nothing_of_whose_it_is(
    thief: Cast, strange: str, desk: Desk
) -> None:
    reserve(thief.context(), [Demand(strange, thief.mug.pk, 5, thief.places)])
    count(thief.context(), [CountLine(thief.mug.pk, thief.warehouse.pk, 2)])
    conflict = Conflict.objects.get(merchant=thief.merchant)
    case = examine(conflict)
    assert case.channel_id is None
    shown = Api(thief.merchant).get(f"/conflicts/{conflict.pk}/timeline").content.decode()
    assert desk.shop.channel.name not in shown
    cancel = next(each for each in remedies_of(conflict) if each.kind == "cancel")
    assert cancel.target == ""
