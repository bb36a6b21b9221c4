"""The simulated vendor's account keeps to the vendor's own schemas and manners."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

from channels.sandbox import INSTANT, AmazonVendorSandbox, CatalogueItem, Refused
from channels.sandbox.httpd import Request
from tests.channels.connectors.amazon import MISSING, SCHEMAS, answer_schema, schema, until, validate

CODE = "WH1"
_DIRECT = "/vendor/directFulfillment"


@pytest.fixture
def shop() -> Iterator[AmazonVendorSandbox]:
    with AmazonVendorSandbox(profile=INSTANT) as shop:
        shop.add_location(CODE, "Warehouse")
        shop.load_catalogue([CatalogueItem("MUG", "Mug", quantities={CODE: 5})])
        yield shop


def call(shop: AmazonVendorSandbox, method: str, path: str, body: Any = None, **query: str) -> Any:
    """Calls the account with a token of its own; returns status and answer."""
    form = {"grant_type": "refresh_token", **shop.credentials()}
    token = json.loads(shop.tokens.answer(_request("POST", "/auth/o2/token", urlencode(form))).body)[
        "access_token"
    ]
    headers = {"x-amz-access-token": token, "user-agent": "test"}
    answer = shop.answer(_request(method, path, json.dumps(body), query, headers))
    return answer.status, json.loads(answer.body)


def _request(
    method: str,
    path: str,
    body: str = "",
    query: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
) -> Request:
    return Request(method, path, path, list((query or {}).items()), headers or {}, body.encode())


READS = [
    ("vendorOrders.json", "/vendor/orders/v1/purchaseOrders", {}),
    ("vendorOrders.json", "/vendor/orders/v1/purchaseOrdersStatus", {}),
    (
        "vendorDirectFulfillmentOrders_2021-12-28.json",
        f"{_DIRECT}/orders/2021-12-28/purchaseOrders",
        {"createdAfter": "2020-01-01T00:00:00Z", "createdBefore": "2099-01-01T00:00:00Z"},
    ),
]


@pytest.mark.skipif(not SCHEMAS.is_dir(), reason=MISSING)
@pytest.mark.parametrize(("model", "path", "query"), READS)
def test_orders_are_as_the_vendors_schemas_have_them(
    shop: AmazonVendorSandbox, model: str, path: str, query: dict[str, str]
) -> None:
    shop.place_order([("MUG", 2)])
    number = shop.retail.place([("MUG", 3)], in_cases=True, case_size=4)
    shop.retail.orders[number].move("Acknowledged")
    status, answer = call(shop, "GET", path, **query)
    assert status == 200
    validate(answer_schema(schema(f"models/{model}"), path, "get"), answer, schema(f"models/{model}"))


@pytest.mark.skipif(not SCHEMAS.is_dir(), reason=MISSING)
@pytest.mark.parametrize(
    ("programme", "model", "path"),
    [
        ("retail", "vendorTransactionStatus.json", "/vendor/transactions/v1/transactions/{transactionId}"),
        (
            "direct",
            "vendorDirectFulfillmentTransactions_2021-12-28.json",
            f"{_DIRECT}/transactions/2021-12-28/transactions/{{transactionId}}",
        ),
    ],
)
def test_transactions_are_as_the_vendors_schemas_have_them(
    shop: AmazonVendorSandbox, programme: str, model: str, path: str
) -> None:
    identity = shop.transactions.begin(programme, lambda: [("InvalidInput", "No.")])
    found = shop.transactions.by_id[identity]
    until(lambda: found.status == "Failure")
    status, answer = call(shop, "GET", path.replace("{transactionId}", identity))
    assert status == 200
    validate(answer_schema(schema(f"models/{model}"), path, "get"), answer, schema(f"models/{model}"))


def test_a_full_update_takes_what_it_leaves_out_for_sold_out(shop: AmazonVendorSandbox) -> None:
    shop.load_catalogue([CatalogueItem("CUP", "Cup", quantities={CODE: 5})])
    item = {"vendorProductIdentifier": "MUG", "availableQuantity": {"amount": 9, "unitOfMeasure": "Each"}}
    update = {"sellingParty": {"partyId": shop.vendor_code}, "isFullUpdate": False, "items": [item]}
    path = f"{_DIRECT}/inventory/v1/warehouses/{CODE}/items"
    assert call(shop, "POST", path, {"inventory": update})[0] == 202
    until(lambda: shop.number("MUG") == 9)
    assert shop.number("CUP") == 5
    call(shop, "POST", path, {"inventory": {**update, "isFullUpdate": True}})
    until(lambda: shop.number("CUP") == 0)
    assert shop.inventory.full_updates == 1


def test_an_order_leaves_from_one_warehouse_and_is_cancelled_as_a_whole(shop: AmazonVendorSandbox) -> None:
    with pytest.raises(Refused):
        shop.place_order([("MUG", 6)])
    placed = shop.place_order([("MUG", 2), ("MUG", 1)])
    assert shop.number("MUG") == 2
    assert shop.cancel(placed.id, "MUG", 1) == 1
    assert (shop.number("MUG"), shop.find_order(placed.id).status) == (5, "CANCELLED")
    assert sum(units for _, _, units in shop.records.movements) == 0


@pytest.mark.parametrize(
    ("path", "query"),
    [
        (f"{_DIRECT}/orders/2021-12-28/purchaseOrders", {"createdAfter": "2026-01-01T00:00:00Z"}),
        (
            "/vendor/orders/v1/purchaseOrders",
            {"createdAfter": "2026-01-01T00:00:00Z", "createdBefore": "2026-01-09T00:00:00Z"},
        ),
        ("/vendor/orders/v1/purchaseOrders", {"limit": "101"}),
        ("/vendor/orders/v1/purchaseOrders", {"nextToken": "%"}),
    ],
)
def test_searches_that_amazon_does_not_take_are_refused(
    shop: AmazonVendorSandbox, path: str, query: dict[str, str]
) -> None:
    status, answer = call(shop, "GET", path, **query)
    assert (status, answer["errors"][0]["code"]) == (400, "InvalidInput")


def test_the_usage_plan_is_ten_calls_a_second(shop: AmazonVendorSandbox) -> None:
    statuses = [call(shop, "GET", "/vendor/orders/v1/purchaseOrders")[0] for _ in range(14)]
    assert statuses[:10] == [200] * 10
    assert 429 in statuses[10:]
