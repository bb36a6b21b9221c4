"""Driving a shop: faults, shoppers, the control surface, the command, the server itself."""

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from channels.sandbox import (
    INSTANT,
    MEAN,
    SANDBOXES,
    BolSandbox,
    CatalogueItem,
    Refused,
    SandboxClient,
    SandboxError,
    SandboxShop,
    ShopifySandbox,
    WooCommerceSandbox,
)
from tests.channels.sandbox.callers import CATALOGUE, Receiver, ShopifyCaller, WooCaller, eventually
from tests.channels.sandbox.test_shopify_orders import subscribe

#: A warehouse sells nothing; Amazon's vendors ship or refuse an order as a whole.
SHOPS = sorted(SANDBOXES.keys() - {"picqer", "amazon_vendor"})
ROOT = Path(__file__).resolve().parents[3]


# -- faults


def test_every_fault_has_its_answer(shopify: ShopifySandbox, shopify_caller: ShopifyCaller) -> None:
    def answered(**faults: object) -> requests.Response:
        shopify.clear_faults()
        shopify.set_faults(**faults)
        return shopify_caller.post("{ shop { name } }")

    assert answered(is_down=True).status_code == 503
    assert answered(error_rate=1.0).status_code in (500, 502)
    assert "text/html" in answered(html_rate=1.0).headers["Content-Type"]
    assert answered(throttle_rate=1.0).json()["errors"][0]["extensions"]["code"] == "THROTTLED"
    assert (
        answered(error_in_200_rate=1.0).json()["errors"][0]["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
    )
    with pytest.raises(requests.ConnectionError):
        answered(drop_rate=1.0)
    assert answered().json()["data"]["shop"]["name"] == shopify.name


@pytest.mark.parametrize(("said", "heard"), [("-", None), ("86400", "86400"), ("soon", "soon")])
def test_a_shop_may_say_anything_of_when_to_come_again(
    shopify: ShopifySandbox, shopify_caller: ShopifyCaller, said: str, heard: str | None
) -> None:
    shopify.set_faults(throttle_rate=1.0, retry_after=said)
    answer = shopify_caller.post("{ shop { name } }")
    assert answer.status_code == 429
    assert answer.headers.get("Retry-After") == heard


def test_a_sale_may_come_between_reading_and_writing(woo: WooCommerceSandbox, woo_caller: WooCaller) -> None:
    woo.set_faults(sale_before_write_rate=1.0)
    written = {"id": 1_001, "stock_quantity": 6}
    assert woo_caller.call("POST", "products/batch", json={"update": [written]}).status_code == 200
    assert len(woo.records.orders) == 1
    assert woo.number("MUG-1") == 6


def test_a_number_may_arrive_after_a_later_one(woo: WooCommerceSandbox, woo_caller: WooCaller) -> None:
    woo.set_faults(late_write_rate=1.0, late_write_seconds=0.3)
    with pytest.raises(requests.ConnectionError):
        woo_caller.call("POST", "products/batch", json={"update": [{"id": 1_001, "stock_quantity": 6}]})
    woo.clear_faults()
    woo_caller.call("POST", "products/batch", json={"update": [{"id": 1_001, "stock_quantity": 9}]})
    assert woo.number("MUG-1") == 9
    eventually(lambda: woo.number("MUG-1") == 6, "the number that was overtaken")


def test_a_fault_that_does_not_exist_is_refused_by_name(shopify: ShopifySandbox) -> None:
    with pytest.raises(ValueError, match="No fault is called gravity"):
        shopify.set_faults(gravity=1)
    with pytest.raises(ValueError, match="error_rate takes a number"):
        shopify.set_faults(error_rate=True)


def test_a_call_that_times_out_has_been_done(woo: WooCommerceSandbox, woo_caller: WooCaller) -> None:
    mug = woo_caller.call("GET", "products", params={"sku": "MUG-1"}).json()[0]["id"]
    woo.set_faults(timeout_rate=1.0, timeout_seconds=30.0)
    with pytest.raises(requests.ReadTimeout):
        woo_caller.call("PUT", f"products/{mug}", json={"stock_quantity": 3}, timeout=0.2)
    assert woo.number("MUG-1") == 3


def test_half_a_batch_is_done_before_the_gateway_gives_up(
    woo: WooCommerceSandbox, woo_caller: WooCaller
) -> None:
    woo.load_catalogue([CatalogueItem("CUP-1", "Cup", quantities={"": 1})])
    ids = [
        woo_caller.call("GET", "products", params={"sku": sku}).json()[0]["id"] for sku in ("MUG-1", "CUP-1")
    ]
    woo.set_faults(half_batch_rate=1.0)
    update = [{"id": each, "stock_quantity": 77} for each in ids]
    assert woo_caller.call("POST", "products/batch", json={"update": update}).status_code == 504
    assert (woo.number("MUG-1"), woo.number("CUP-1")) == (77, 1)


def test_webhooks_come_twice_or_never_when_told_so(
    shopify: ShopifySandbox, shopify_caller: ShopifyCaller, receiver: Receiver
) -> None:
    subscribe(shopify_caller, receiver, "ORDERS_CREATE")
    shopify.set_faults(webhook_duplicate_rate=1.0)
    shopify.place_order([("MUG-1", 1)])
    messages = receiver.wait_for(2)
    assert messages[0].body == messages[1].body
    assert len({message.headers["x-shopify-webhook-id"] for message in messages}) == 1
    shopify.clear_faults()
    shopify.set_faults(webhooks_are_lost=True)
    shopify.place_order([("MUG-1", 1)])
    eventually(shopify.is_idle, "quiet")
    assert len(receiver.received) == 2


def test_a_mean_shop_fails_in_many_ways_and_keeps_its_book_right() -> None:
    profile = replace(MEAN, answer_seconds=(0.0, 0.0), faults=replace(MEAN.faults, timeout_rate=0.0))
    outcomes = set()
    with WooCommerceSandbox(profile=profile, seed=3) as shop:
        shop.load_catalogue(CATALOGUE)
        caller = WooCaller(shop)
        for _ in range(200):
            try:
                outcomes.add(caller.call("GET", "orders").status_code)
            except requests.ConnectionError:
                outcomes.add(0)
        caller.session.close()
        shop.place_order([("MUG-1", 2)])
        assert shop.number("MUG-1") == 12
    assert {0, 200, 500, 502} <= outcomes
    assert outcomes & {429, 503}


# -- shoppers


@pytest.mark.parametrize("kind", SHOPS)
def test_shoppers_never_buy_what_is_not_there(kind: str) -> None:
    stock = [CatalogueItem(f"S{number}", "Thing", quantities={"AMS": 5}) for number in range(20)]
    with SANDBOXES[kind](profile=INSTANT) as shop:
        shop.load_catalogue(stock)
        shop.start_shoppers(3000, mean_lines=1.5, until=time.time() + 0.5, seed=1)
        eventually(lambda: shop.book()["refused"] > 20, "a sold-out shop")
        shop.stop_shoppers()
        book = shop.book()
    assert all(number >= 0 for levels in book["numbers"].values() for number in levels.values())
    sold = {item.sku: 0 for item in stock}
    for order in book["orders"]:
        for line in order["lines"]:
            assert line["cancelled"] + line["fulfilled"] <= line["quantity"]
            sold[line["sku"]] += line["quantity"] - line["cancelled"]
    shipped_again = kind == "bol"  # its amount stays as written when goods leave
    assert shipped_again or all(units <= 5 for units in sold.values())
    assert 1.0 < sum(len(order["lines"]) for order in book["orders"]) / len(book["orders"]) < 2.0


def test_shoppers_keep_their_rate_and_go_home_in_time(shopify: ShopifySandbox) -> None:
    shopify.load_catalogue([CatalogueItem("MUG-1", "Mug", quantities={"AMS": 100_000})])
    shopify.start_shoppers(500, until=time.time() + 0.4, seed=2)
    time.sleep(0.6)
    count = len(shopify.records.orders) + shopify.records.refused
    assert 0 < count < 500
    time.sleep(0.1)
    assert len(shopify.records.orders) + shopify.records.refused == count


def test_concurrent_customers_never_share_the_last_piece(shopify: ShopifySandbox) -> None:
    shopify.load_catalogue([CatalogueItem("LAST", "Last", quantities={"AMS": 25})])
    outcomes: list[str] = []

    def buy() -> None:
        for _ in range(10):
            try:
                shopify.place_order([("LAST", 1)])
                outcomes.append("bought")
            except Refused:
                outcomes.append("refused")

    threads = [threading.Thread(target=buy) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (outcomes.count("bought"), outcomes.count("refused"), shopify.number("LAST")) == (25, 25, 0)


# -- the control surface


@pytest.mark.parametrize("kind", SHOPS)
def test_another_process_can_do_all_that_the_object_can(kind: str) -> None:
    with SANDBOXES[kind](profile=INSTANT) as shop, SandboxClient(shop.base_url) as client:
        assert client.health()["kind"] == kind
        assert (client.credentials(), client.settings()) == (shop.credentials(), shop.settings())
        assert client.add_location("AMS", "Amsterdam") == shop.add_location("AMS", "Amsterdam")
        client.load_catalogue(CATALOGUE)
        started_at = time.time()
        order = client.place_order([("MUG-1", 2)], country="BE")
        assert started_at <= order.committed_at <= time.time()
        assert order.lines == [("MUG-1", 2)]
        # What is sold at a till has left: nothing is open any more.
        is_open = kind != "square"
        assert client.cancel(order.id, "MUG-1", 1) == is_open
        assert client.fulfil(order.id, "MUG-1", 5) == is_open
        assert client.refund(order.id, "MUG-1", 5, restock=True) == (1 if is_open else 2)
        client.edit_stock("MUG-1", 3)
        assert client.number("MUG-1") == shop.number("MUG-1")
        with pytest.raises(Refused) as refused:
            client.place_order([("MUG-1", 99)])
        assert refused.value.sku == "MUG-1"
        client.set_faults(extra_seconds=0.001)
        assert shop.faults.extra_seconds == 0.001
        client.clear_faults()
        assert client.book() == json.loads(json.dumps(shop.book()))
        assert client.book(since=time.time() + 60)["orders"] == []
        line = client.book()["orders"][0]["lines"][0]
        counts = line["cancelled"], line["fulfilled"], line["returned"]
        assert counts == ((1, 1, 1) if is_open else (0, 2, 2))
        client.start_shoppers(50, seed=4)
        client.stop_shoppers()
        assert client.is_idle()
        for wrong in (lambda: client.cancel("nothing", "MUG-1", 1), lambda: client.set_faults(gravity=1)):
            _refuses(wrong)


def _refuses(call: Callable[[], object]) -> None:
    with pytest.raises(SandboxError):
        call()


def test_a_client_without_a_shop_says_so() -> None:
    with SandboxClient("http://127.0.0.1:9") as client, pytest.raises(SandboxError, match="No answer"):
        client.health()


def test_requests_are_counted_and_the_latest_are_kept(
    shopify: ShopifySandbox, shopify_caller: ShopifyCaller
) -> None:
    shopify_caller.ask("{ shop { name } }")
    with SandboxClient(shopify.base_url) as client:
        method, path, body, status = client.requests_log[-1]
    assert (method, path, status) == ("POST", "/admin/api/2026-10/graphql.json", 200)
    assert "shop" in json.loads(body)["query"]
    assert shopify.book()["requests"] == {"POST access_token": 1, "graphql shop": 1}


def test_a_name_and_a_seed_make_the_secrets() -> None:
    def secrets(shop: SandboxShop) -> dict[str, str]:
        with shop:
            return shop.credentials()

    assert secrets(BolSandbox(name="A", seed=1)) == secrets(BolSandbox(name="A", seed=1))
    assert secrets(BolSandbox(name="A", seed=1)) != secrets(BolSandbox(name="B", seed=1))


# -- the server and the command


@pytest.mark.parametrize("sent", [b"nonsense\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n"])
def test_what_is_not_http_is_answered_400(shopify: ShopifySandbox, sent: bytes) -> None:
    address = urlsplit(shopify.base_url)
    with socket.create_connection((address.hostname, address.port or 0), timeout=5) as connection:
        connection.sendall(sent)
        assert connection.recv(100).startswith(b"HTTP/1.1 400")


def test_chunked_bodies_are_read(shopify: ShopifySandbox, shopify_caller: ShopifyCaller) -> None:
    body = json.dumps({"query": "{ shop { name } }"}).encode()
    url = f"{shopify.base_url}/admin/api/2026-10/graphql.json"
    answer = shopify_caller.session.post(url, data=iter([body[:9], body[9:]]))
    assert answer.json()["data"]["shop"]["name"] == shopify.name


@pytest.mark.slow
def test_the_command_serves_until_it_is_told_to_end() -> None:
    command = [
        sys.executable,
        "manage.py",
        "sandbox",
        "--platform",
        "bol",
        "--profile",
        "instant",
        "--with-parent",
    ]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        ready = json.loads(process.stdout.readline())
        assert set(ready) == {"platform", "base_url", "credentials", "settings"}
        with SandboxClient(ready["base_url"]) as client:
            assert client.credentials() == ready["credentials"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
