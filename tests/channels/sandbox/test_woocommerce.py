"""WooCommerce: who may call, how numbers are written, when orders move them."""

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from channels.sandbox import CatalogueItem, PlacedOrder, Refused, WooCommerceSandbox
from channels.sandbox.woocommerce.documents import item_id
from tests.channels.sandbox.callers import WooCaller


def post_id(shop: WooCommerceSandbox, sku: str) -> int:
    return item_id(shop.item(sku))


def parent_id(caller: WooCaller) -> int:
    products = caller.call("GET", "products").json()
    return int(next(each["id"] for each in products if each["type"] == "variable"))


# -- who may call


@pytest.mark.parametrize("algorithm", ["HMAC-SHA1", "HMAC-SHA256"])
def test_a_signed_call_is_let_in_over_plain_http(woo_caller: WooCaller, algorithm: str) -> None:
    assert woo_caller.signed("GET", "products", algorithm=algorithm).status_code == 200


def test_a_replayed_nonce_and_an_old_stamp_are_refused(woo_caller: WooCaller) -> None:
    nonce = {"oauth_nonce": "once"}
    assert woo_caller.signed("GET", "products", **nonce).status_code == 200
    assert woo_caller.signed("GET", "products", **nonce).status_code == 401
    old = str(int(time.time()) - 16 * 60)
    assert woo_caller.signed("GET", "products", oauth_timestamp=old).status_code == 401


def test_a_signature_over_other_parameters_is_refused(woo: WooCommerceSandbox, woo_caller: WooCaller) -> None:
    url = woo_caller.signed("GET", "orders").request.url or ""
    tampered = url.replace("/orders", "/products")
    assert requests.get(tampered, timeout=10).status_code == 401


def test_basic_credentials_count_only_behind_tls(woo: WooCommerceSandbox, woo_caller: WooCaller) -> None:
    keys = woo.credentials()
    pair = (keys["consumer_key"], keys["consumer_secret"])
    url = f"{woo.base_url}/wp-json/wc/v3/products"
    assert requests.get(url, auth=pair, timeout=10).status_code == 401
    assert woo_caller.call("GET", "products").status_code == 200
    headers = {"X-Forwarded-Proto": "https"}
    assert requests.get(url, auth=(pair[0], "no"), headers=headers, timeout=10).status_code == 401


# -- numbers


def test_products_come_in_pages_and_variations_below_their_parent(
    woo: WooCommerceSandbox, woo_caller: WooCaller
) -> None:
    page = woo_caller.call("GET", "products", params={"per_page": 1})
    assert (page.headers["X-WP-Total"], page.headers["X-WP-TotalPages"]) == ("2", "2")
    assert 'rel="next"' in page.headers["Link"]
    assert woo_caller.call("GET", "products", params={"per_page": 101}).status_code == 400
    variations = woo_caller.call("GET", f"products/{parent_id(woo_caller)}/variations").json()
    assert {each["sku"] for each in variations} == {"SHIRT-S", "SHIRT-M"}
    everywhere = woo_caller.call("GET", "variations", params={"sku": "SHIRT-M"}).json()
    assert [(each["sku"], each["parent_id"]) for each in everywhere] == [("SHIRT-M", parent_id(woo_caller))]
    by_sku = woo_caller.call("GET", "products", params={"sku": "SHIRT-S", "_fields": "id,type"}).json()
    assert by_sku == [{"id": post_id(woo, "SHIRT-S"), "type": "variation"}]


def test_a_single_write_is_validated(woo: WooCommerceSandbox, woo_caller: WooCaller) -> None:
    path = f"products/{post_id(woo, 'MUG-1')}"
    written = woo_caller.call("PUT", path, json={"stock_quantity": 3}).json()
    assert (written["stock_quantity"], written["stock_status"]) == (3, "instock")
    for wrong in ("abc", 2.5, True):
        assert (
            woo_caller.call("PUT", path, json={"stock_quantity": wrong}).json()["code"]
            == "rest_invalid_param"
        )
    assert woo_caller.call("PUT", path, data="{").status_code == 400
    assert woo.number("MUG-1") == 3
    assert woo_caller.call("PUT", path, json={"stock_quantity": None}).json()["stock_quantity"] == 0


def test_unknown_ids_are_404_to_read_and_400_to_write(woo: WooCommerceSandbox, woo_caller: WooCaller) -> None:
    assert woo_caller.call("GET", "products/5").status_code == 404
    assert woo_caller.call("PUT", "products/5", json={}).status_code == 400
    shirt = post_id(woo, "SHIRT-S")
    assert woo_caller.call("PUT", f"products/{shirt}", json={"stock_quantity": 1}).status_code == 404
    below = f"products/{parent_id(woo_caller)}/variations/{shirt}"
    assert woo_caller.call("PUT", below, json={"stock_quantity": 1}).status_code == 200
    assert woo.number("SHIRT-S") == 1


def test_a_batch_reports_each_member_and_skips_validation(
    woo: WooCommerceSandbox, woo_caller: WooCaller
) -> None:
    mug = post_id(woo, "MUG-1")
    answer = woo_caller.call(
        "POST", "products/batch", json={"update": [{"id": 5}, {"id": mug, "stock_quantity": "2.7"}]}
    )
    assert answer.status_code == 200
    first, second = answer.json()["update"]
    assert (first["id"], first["error"]["code"]) == (5, "woocommerce_rest_product_invalid_id")
    assert second["stock_quantity"] == 2
    woo_caller.call("POST", "products/batch", json={"update": [{"id": mug, "stock_quantity": None}]})
    assert woo.number("MUG-1") == 2
    woo_caller.call("POST", "products/batch", json={"update": [{"id": mug, "stock_quantity": "abc"}]})
    assert woo.number("MUG-1") == 0


def test_a_batch_takes_a_hundred_members_of_one_parent(
    woo: WooCommerceSandbox, woo_caller: WooCaller
) -> None:
    many = [{"id": post_id(woo, "MUG-1")}] * 101
    assert woo_caller.call("POST", "products/batch", json={"update": many}).status_code == 413
    path = f"products/{parent_id(woo_caller)}/variations/batch"
    update = [
        {"id": post_id(woo, "SHIRT-S"), "stock_quantity": 9},
        {"id": post_id(woo, "MUG-1"), "stock_quantity": 9},
    ]
    shirt, mug = woo_caller.call("POST", path, json={"update": update}).json()["update"]
    assert shirt["stock_quantity"] == 9
    assert "error" in mug
    assert woo.number("MUG-1") == 14


def test_a_number_on_a_product_that_does_not_manage_stock_is_ignored(
    woo: WooCommerceSandbox, woo_caller: WooCaller
) -> None:
    path = f"products/{post_id(woo, 'MUG-1')}"
    woo_caller.call("PUT", path, json={"manage_stock": False})
    answer = woo_caller.call("PUT", path, json={"stock_quantity": 3})
    assert (answer.status_code, answer.json()["stock_quantity"]) == (200, None)


def test_variations_on_their_parents_pool_are_written_and_sold_as_one(
    woo: WooCommerceSandbox, woo_caller: WooCaller
) -> None:
    pooled = [
        CatalogueItem(f"POOL-{size}", size, quantities={"AMS": 6}, parent="Pool", shares_parent_stock=True)
        for size in "SM"
    ]
    woo.load_catalogue(pooled)
    woo.place_order([("POOL-S", 2)])
    assert woo.number("POOL-M") == 4
    small = woo_caller.call("GET", "products", params={"sku": "POOL-S"}).json()[0]
    assert small["manage_stock"] == "parent"
    child = f"products/{small['parent_id']}/variations/{small['id']}"
    woo_caller.call("PUT", child, json={"stock_quantity": 50})
    assert woo.number("POOL-S") == 4
    woo_caller.call("PUT", f"products/{small['parent_id']}", json={"stock_quantity": 9})
    assert (woo.number("POOL-S"), woo.number("POOL-M")) == (9, 9)


# -- orders


def put_status(caller: WooCaller, order: PlacedOrder, status: str) -> Any:
    return caller.call("PUT", f"orders/{order.id}", json={"status": status}).json()


def test_statuses_take_stock_and_put_it_back(woo: WooCommerceSandbox, woo_caller: WooCaller) -> None:
    order = woo.place_order([("MUG-1", 4)])
    numbers = [woo.number("MUG-1")]
    for status in ("cancelled", "processing", "failed", "on-hold", "pending", "completed", "refunded"):
        put_status(woo_caller, order, status)
        numbers.append(woo.number("MUG-1"))
    assert numbers == [10, 14, 10, 14, 10, 14, 10, 10]


def test_an_order_through_the_api_oversells_and_an_unknown_product_is_taken(
    woo: WooCommerceSandbox, woo_caller: WooCaller
) -> None:
    lines = [{"product_id": post_id(woo, "MUG-1"), "quantity": 20}, {"product_id": 5, "quantity": 1}]
    answer = woo_caller.call("POST", "orders", json={"line_items": lines, "set_paid": True})
    assert answer.status_code == 201
    assert [line["product_id"] for line in answer.json()["line_items"]] == [post_id(woo, "MUG-1"), 0]
    assert woo.number("MUG-1") == -6


def test_a_pending_order_holds_units_beside_the_number(
    woo: WooCommerceSandbox, woo_caller: WooCaller
) -> None:
    lines = [{"product_id": post_id(woo, "MUG-1"), "quantity": 13}]
    pending = woo_caller.call("POST", "orders", json={"line_items": lines}).json()
    assert (pending["status"], woo.number("MUG-1")) == ("pending", 14)
    with pytest.raises(Refused):
        woo.place_order([("MUG-1", 2)])
    woo_caller.call("PUT", f"orders/{pending['id']}", json={"status": "processing"})
    assert woo.number("MUG-1") == 1


def test_a_refund_restocks_unless_told_otherwise(woo: WooCommerceSandbox, woo_caller: WooCaller) -> None:
    order = woo.place_order([("MUG-1", 4)])
    line = woo_caller.call("GET", f"orders/{order.id}").json()["line_items"][0]["id"]
    path = f"orders/{order.id}/refunds"

    def refund(quantity: int, **more: Any) -> requests.Response:
        return woo_caller.call(
            "POST", path, json={"line_items": [{"id": line, "quantity": quantity}], **more}
        )

    assert refund(1, api_restock=False).status_code == 201
    assert woo.number("MUG-1") == 10
    refund(1)
    assert woo.number("MUG-1") == 11
    woo_caller.call("POST", path, json={"amount": "1.00"})
    assert woo.number("MUG-1") == 11
    assert refund(3).status_code == 400
    listed = woo_caller.call("GET", path).json()
    assert [part["quantity"] for each in listed for part in each["line_items"]] == [-1, -1]
    assert woo_caller.call("GET", f"orders/{order.id}").json()["line_items"][0]["quantity"] == 4
    refund(2)
    assert woo_caller.call("GET", f"orders/{order.id}").json()["status"] == "refunded"


def test_editing_a_line_moves_its_stock(woo: WooCommerceSandbox, woo_caller: WooCaller) -> None:
    order = woo.place_order([("MUG-1", 4), ("SHIRT-S", 1)])
    line = woo_caller.call("GET", f"orders/{order.id}").json()["line_items"][0]["id"]
    for quantity, left in ((1, 13), (3, 11), (0, 14)):
        edited = woo_caller.call(
            "PUT", f"orders/{order.id}", json={"line_items": [{"id": line, "quantity": quantity}]}
        )
        assert edited.status_code == 200
        assert woo.number("MUG-1") == left
    assert [each["sku"] for each in edited.json()["line_items"]] == ["SHIRT-S"]


def test_cancelling_a_part_is_a_refund_and_cancelling_all_a_status(
    woo: WooCommerceSandbox, woo_caller: WooCaller
) -> None:
    part, whole = woo.place_order([("MUG-1", 4)]), woo.place_order([("MUG-1", 2)])
    assert woo.cancel(part.id, "MUG-1", 1) == 1
    assert woo.cancel(whole.id, "MUG-1", 2) == 2
    assert woo.number("MUG-1") == 11
    assert woo_caller.call("GET", f"orders/{part.id}").json()["refunds"]
    assert woo_caller.call("GET", f"orders/{whole.id}").json()["status"] == "cancelled"


def test_an_order_is_completed_when_nothing_is_left_to_ship(
    woo: WooCommerceSandbox, woo_caller: WooCaller
) -> None:
    order = woo.place_order([("MUG-1", 2)])
    statuses = []
    for _ in range(2):
        woo.fulfil(order.id, "MUG-1", 1)
        statuses.append(woo_caller.call("GET", f"orders/{order.id}").json()["status"])
    assert statuses == ["processing", "completed"]
    assert woo.refund(order.id, "MUG-1", 1, restock=True) == 1
    assert woo.number("MUG-1") == 13


def test_trashing_or_deleting_an_order_does_not_restock(
    woo: WooCommerceSandbox, woo_caller: WooCaller
) -> None:
    order = woo.place_order([("MUG-1", 4)])
    assert woo_caller.call("DELETE", f"orders/{order.id}").json()["status"] == "trash"
    assert woo_caller.call("GET", "orders").json() == []
    woo_caller.call("DELETE", f"orders/{order.id}", params={"force": "true"})
    assert woo_caller.call("GET", f"orders/{order.id}").status_code == 404
    assert woo.number("MUG-1") == 10


def test_bare_dates_are_read_by_the_shops_own_clock(woo: WooCommerceSandbox, woo_caller: WooCaller) -> None:
    woo.place_order([("MUG-1", 1)])
    recently = datetime.fromtimestamp(time.time() - 120, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    soon = datetime.fromtimestamp(time.time() + 120, UTC).strftime("%Y-%m-%dT%H:%M:%S")

    def found(**query: str) -> int:
        return len(woo_caller.call("GET", "orders", params=query).json())

    assert found(modified_after=recently, dates_are_gmt="true") == 1
    assert found(modified_after=soon, dates_are_gmt="true") == 0
    assert found(modified_after=soon) == 1  # an hour earlier than it looks
    assert woo_caller.call("GET", "orders", params={"modified_after": "soon"}).status_code == 400


def test_orders_have_customers_who_plainly_do_not_exist(
    woo: WooCommerceSandbox, woo_caller: WooCaller
) -> None:
    order = woo.place_order([("MUG-1", 1)], country="BE")
    shown = woo_caller.call("GET", f"orders/{order.id}").json()
    assert shown["shipping"]["country"] == "BE"
    assert shown["billing"]["email"].endswith("@example.invalid")
    assert "Sample" in json.dumps(shown["billing"])
