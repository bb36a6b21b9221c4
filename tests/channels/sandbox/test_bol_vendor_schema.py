"""What the simulated bol account answers fits the vendor's OpenAPI documents."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from channels.sandbox import BolSandbox, CatalogueItem
from tests.channels.sandbox.callers import BolCaller

_ROOT = Path(__file__).resolve().parents[3]
SHARED = Path(os.environ.get("ONECOUNT_SHARED", _ROOT.parent / "shared"))
FOLDER = SHARED / "platforms" / "schemas" / "bol"
DOCUMENTS = ("offers-v11.3.0.openapi.json", "retailer-v10.openapi.json", "shared-v10.openapi.json")

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"The vendor's schemas are not at {FOLDER}")


@pytest.fixture(scope="module")
def vendor() -> dict[str, Any]:
    """All component schemas, those of later documents first."""
    found: dict[str, Any] = {}
    for name in reversed(DOCUMENTS):
        found.update(json.loads((FOLDER / name).read_text())["components"]["schemas"])
    return found


def check(vendor: dict[str, Any], name: str, document: Any) -> None:
    """Validates a document as the named schema, no fields beyond it."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": vendor}}
    errors = [
        f"{error.json_path}: {error.message}" for error in Draft202012Validator(schema).iter_errors(document)
    ]
    assert errors == []
    assert set(document) <= set(vendor[name]["properties"]), name


def test_answers_fit_their_schemas(vendor: dict[str, Any], bol: BolSandbox, bol_caller: BolCaller) -> None:
    bol.load_catalogue(
        [CatalogueItem("FBB-1", "Far", "2000000000046", quantities={"": 6}, is_fulfilled_by_channel=True)]
    )
    order = bol.place_order([("MUG-1", 3)])
    bol.fulfil(order.id, "MUG-1", 2)
    bol.refund(order.id, "MUG-1", 1, restock=True)
    offer = f"/retailer/offers/{bol_caller.offer_id('MUG-1')}"
    subscription = {"resources": ["ORDER"], "url": "https://shop.example/x", "subscriptionType": "WEBHOOK"}
    created = bol_caller.call("POST", "/retailer/subscriptions", json=subscription)
    bol_caller.process(created)
    check(vendor, "ProcessStatus", created.json())
    for name, path in (
        ("OfferListResponse", "/retailer/offers"),
        ("OfferResponse", offer),
        ("NotForSaleReasons", f"{offer}/not-for-sale-reasons"),
        ("ReducedOrders", "/retailer/orders?status=ALL&change-interval-minute=60"),
        ("Order", f"/retailer/orders/{order.id}"),
        ("InventoryResponse", "/retailer/inventory"),
        ("ReturnsResponse", "/retailer/returns"),
        ("Return", f"/retailer/returns/{next(iter(bol.orders.returns))}"),
        ("SubscriptionsResponse", "/retailer/subscriptions"),
        ("SubscriptionResponse", "/retailer/subscriptions/1"),
        ("KeySetResponse", "/retailer/subscriptions/signature-keys"),
    ):
        check(vendor, name, bol_caller.call("GET", path).json())


def test_a_problem_has_the_vendors_fields(vendor: dict[str, Any], bol_caller: BolCaller) -> None:
    answer = bol_caller.call("GET", "/retailer/orders?page=0")
    assert answer.status_code == 400
    check(vendor, "Problem", answer.json())
