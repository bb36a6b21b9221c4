"""Shopify's API: who may call, what it costs, what is no query, and how pages are cut."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from channels.sandbox import INSTANT, CatalogueItem, ShopifySandbox
from tests.channels.sandbox.callers import ShopifyCaller

ORDERS = """
query Changed($query: String!, $after: String) {
  orders(first: 2, after: $after, query: $query, sortKey: UPDATED_AT) {
    nodes { id updatedAt ...Lines }
    pageInfo { hasNextPage endCursor }
  }
}
fragment Lines on Order { lineItems(first: 5) { nodes { sku currentQuantity } } }
"""


def test_client_credentials_earn_a_token_for_a_day(shopify: ShopifySandbox) -> None:
    form = {"grant_type": "client_credentials", **shopify.credentials()}
    answer = requests.post(f"{shopify.base_url}/admin/oauth/access_token", data=form, timeout=10).json()
    assert answer["access_token"].startswith("shpat_")
    assert answer["expires_in"] == 86399


def test_a_wrong_client_secret_earns_nothing(shopify: ShopifySandbox) -> None:
    form = {"grant_type": "client_credentials", **shopify.credentials(), "client_secret": "no"}
    assert (
        requests.post(f"{shopify.base_url}/admin/oauth/access_token", data=form, timeout=10).status_code
        == 401
    )


def test_a_call_with_a_dead_token_is_unauthorised(
    shopify: ShopifySandbox, shopify_caller: ShopifyCaller
) -> None:
    shopify.expire_tokens()
    assert shopify_caller.post("{ shop { name } }").status_code == 401


def test_the_answer_names_the_version_that_served_it(shopify_caller: ShopifyCaller) -> None:
    assert (
        shopify_caller.post("{ shop { name } }", version="2024-01").headers["X-Shopify-API-Version"]
        == "2026-04"
    )
    assert (
        shopify_caller.post("{ shop { name } }", version="2026-07").headers["X-Shopify-API-Version"]
        == "2026-07"
    )


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("{ shop { colour } }", "Field 'colour' doesn't exist on type 'Shop'"),
        ("{ shop }", "Field must have selections"),
        ("{ shop { name { first } } }", "Selections can't be made on scalars"),
        ("{ order(number: 1) { id } }", "doesn't accept argument 'number'"),
        ("{ order { id } }", "missing required arguments: id"),
        ("{ shop { ...Gone } }", "Fragment Gone was used, but not defined"),
        ("{ shop { ... on Order { id } } }", "can't be spread inside Shop"),
        ("{ shop { name @shout } }", "Directive @shout is not defined"),
        ("{ order(id: $id) { id } }", "Variable $id is used by"),
        ("{ shop { name }", "Parse error"),
        ("{ orders { nodes { id } } }", "you must provide one of first or last"),
        ('{ orders(first: 1, after: "nonsense") { nodes { id } } }', "Invalid cursor"),
    ],
)
def test_a_document_that_does_not_fit_the_schema_is_refused(
    shopify_caller: ShopifyCaller, document: str, message: str
) -> None:
    assert message in shopify_caller.errors(document)[0]["message"]


def test_a_variable_of_the_wrong_type_is_named_with_its_path(shopify_caller: ShopifyCaller) -> None:
    quantities = [{"inventoryItemId": "gid://shopify/InventoryItem/1", "locationId": "1", "quantity": "many"}]
    error = shopify_caller.errors(
        "mutation S($input: InventorySetQuantitiesInput!) { inventorySetQuantities(input: $input) { userErrors { code } } }",
        input={"name": "available", "reason": "correction", "quantities": quantities},
    )[0]
    assert error["extensions"]["code"] == "INVALID_VARIABLE"
    assert error["extensions"]["problems"][0]["path"] == ["quantities", "0", "quantity"]


def test_aliases_fragments_and_conditions_work_together(shopify_caller: ShopifyCaller) -> None:
    data = shopify_caller.ask(
        """
        query Both($more: Boolean!) {
          first: productVariants(first: 1) { edges { node { ...V title @include(if: $more) } } }
          mug: productVariants(first: 1, query: "sku:MUG-1") { nodes { ...V } }
        }
        fragment V on ProductVariant { __typename sku inventoryItem { ... on InventoryItem { tracked } } }
        """,
        more=False,
    )
    assert data["first"]["edges"][0]["node"] == data["mug"]["nodes"][0]
    assert data["mug"]["nodes"] == [
        {"__typename": "ProductVariant", "sku": "MUG-1", "inventoryItem": {"tracked": True}}
    ]


def test_nodes_are_found_by_gid_and_unknown_ones_are_null(shopify_caller: ShopifyCaller) -> None:
    items = shopify_caller.ask(
        "{ inventoryItems(first: 3) { nodes { id inventoryLevels(first: 1) { nodes { id } } } } }"
    )
    first = items["inventoryItems"]["nodes"][0]
    ids = [first["id"], first["inventoryLevels"]["nodes"][0]["id"], "gid://shopify/InventoryItem/1"]
    data = shopify_caller.ask(
        """
        query N($ids: [ID!]!) {
          nodes(ids: $ids) { __typename id ... on InventoryItem { sku } ... on InventoryLevel { isActive } }
        }
        """,
        ids=ids,
    )
    assert data["nodes"] == [
        {"__typename": "InventoryItem", "id": ids[0], "sku": "MUG-1"},
        {"__typename": "InventoryLevel", "id": ids[1], "isActive": True},
        None,
    ]
    assert int(ids[0].rsplit("/", 1)[1]) > 2**53


def test_all_items_are_read_page_by_page_each_once(shopify_caller: ShopifyCaller) -> None:
    seen: list[str] = []
    after = None
    while True:
        page = shopify_caller.ask(
            """
            query P($after: String) {
              inventoryItems(first: 2, after: $after) { nodes { sku } pageInfo { hasNextPage endCursor } }
            }
            """,
            after=after,
        )["inventoryItems"]
        seen += [node["sku"] for node in page["nodes"]]
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["pageInfo"]["endCursor"]
    assert seen == ["MUG-1", "SHIRT-S", "SHIRT-M"]


def test_an_order_that_changes_between_pages_comes_again_behind_the_cursor(
    shopify: ShopifySandbox, shopify_caller: ShopifyCaller
) -> None:
    orders = [shopify.place_order([("MUG-1", 1)]).id for _ in range(3)]
    query = "updated_at:>='2020-01-01T00:00:00Z'"
    first = shopify_caller.ask(ORDERS, query=query)["orders"]
    shopify.cancel(orders[0], "MUG-1", 1)
    second = shopify_caller.ask(ORDERS, query=query, after=first["pageInfo"]["endCursor"])["orders"]
    numbers = [node["id"].rsplit("/", 1)[1] for node in first["nodes"] + second["nodes"]]
    assert numbers == [orders[0], orders[1], orders[2], orders[0]]
    assert second["nodes"][-1]["lineItems"]["nodes"] == [{"sku": "MUG-1", "currentQuantity": 0}]


def test_orders_unchanged_since_an_instant_are_left_out(
    shopify: ShopifySandbox, shopify_caller: ShopifyCaller
) -> None:
    shopify.place_order([("MUG-1", 1)])
    later = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 60))
    assert shopify_caller.ask(ORDERS, query=f"updated_at:>='{later}'")["orders"]["nodes"] == []


# -- cost


@pytest.fixture
def poor() -> Iterator[ShopifyCaller]:
    with ShopifySandbox(profile=INSTANT) as shop:
        shop.load_catalogue(
            [CatalogueItem(f"S{number}", "Thing", quantities={"AMS": 1}) for number in range(300)]
        )
        caller = ShopifyCaller(shop)
        yield caller
        caller.session.close()


def _cost(answer: requests.Response) -> Any:
    return answer.json()["extensions"]["cost"]


def test_a_call_reserves_what_it_asks_for_and_pays_what_it_gets(shopify_caller: ShopifyCaller) -> None:
    cost = _cost(shopify_caller.post("{ inventoryItems(first: 250) { nodes { id } } }"))
    assert cost["requestedQueryCost"] == 252
    assert cost["actualQueryCost"] == 3
    assert cost["throttleStatus"]["maximumAvailable"] == 2000
    assert cost["throttleStatus"]["restoreRate"] == 100
    assert cost["throttleStatus"]["currentlyAvailable"] >= 1990


def test_a_mutation_costs_ten_points(shopify_caller: ShopifyCaller) -> None:
    document = 'mutation { webhookSubscriptionDelete(id: "gid://shopify/WebhookSubscription/1") { userErrors { message } } }'
    assert _cost(shopify_caller.post(document))["actualQueryCost"] == 10


def test_a_query_dearer_than_a_thousand_points_is_refused(shopify_caller: ShopifyCaller) -> None:
    document = "{ inventoryItems(first: 250) { nodes { inventoryLevels(first: 10) { nodes { id } } } } }"
    assert shopify_caller.errors(document)[0]["extensions"]["code"] == "MAX_COST_EXCEEDED"


def test_an_empty_bucket_throttles_with_status_200(poor: ShopifyCaller) -> None:
    document = "{ inventoryItems(first: 250) { nodes { id } } }"
    throttled = None
    for _ in range(12):
        answer = poor.post(document)
        if "errors" in answer.json():
            throttled = answer
            break
    assert throttled is not None
    assert throttled.status_code == 200
    assert throttled.json()["errors"][0]["extensions"]["code"] == "THROTTLED"
    assert "data" not in throttled.json()
    cost = _cost(throttled)
    assert cost["actualQueryCost"] is None
    assert cost["throttleStatus"]["currentlyAvailable"] < cost["requestedQueryCost"]
    assert poor.shop.book()["throttled"] == 1
