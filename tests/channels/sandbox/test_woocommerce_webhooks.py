"""WooCommerce's webhooks: pinged first, built at delivery, coalesced, never retried, disabled at the seventh failure."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

from channels.sandbox import WooCommerceSandbox
from channels.sandbox.httpd import Request
from tests.channels.sandbox.callers import Receiver, WooCaller, eventually

SECRET = "a secret of its own"


def subscribe(caller: WooCaller, receiver: Receiver, topic: str) -> int:
    """Creates a webhook and waits for its ping."""
    before = len(receiver.received)
    data = {"name": topic, "topic": topic, "delivery_url": receiver.url, "secret": SECRET}
    answer = caller.call("POST", "webhooks", json=data)
    assert answer.status_code == 201
    receiver.wait_for(before + 1)
    receiver.received.clear()
    return int(answer.json()["id"])


def bodies(messages: list[Request]) -> list[Any]:
    return [json.loads(message.body) for message in messages]


def quiet(shop: WooCommerceSandbox) -> None:
    eventually(shop.is_idle, "quiet")


def test_the_first_message_is_an_unsigned_form(
    woo: WooCommerceSandbox, woo_caller: WooCaller, receiver: Receiver
) -> None:
    data = {"topic": "order.created", "delivery_url": receiver.url, "secret": SECRET}
    shown = woo_caller.call("POST", "webhooks", json=data).json()
    ping = receiver.wait_for(1)[0]
    assert ping.body == f"webhook_id={shown['id']}".encode()
    assert ping.headers["content-type"] == "application/x-www-form-urlencoded"
    assert "x-wc-webhook-signature" not in ping.headers
    assert "secret" not in shown


def test_the_ping_is_repeated_until_it_is_answered_with_exactly_200(
    woo: WooCommerceSandbox, woo_caller: WooCaller, receiver: Receiver
) -> None:
    woo.set_faults(retry_speed=500)
    receiver.status = 202
    data = {"topic": "order.created", "delivery_url": receiver.url, "secret": SECRET}
    woo_caller.call("POST", "webhooks", json=data)
    receiver.wait_for(3)
    receiver.status = 200
    quiet(woo)
    count = len(receiver.received)
    time.sleep(0.1)
    assert len(receiver.received) == count


def test_an_order_sends_created_then_updated_signed_with_the_webhooks_own_secret(
    woo: WooCommerceSandbox, woo_caller: WooCaller, receiver: Receiver
) -> None:
    subscribe(woo_caller, receiver, "order.created")
    subscribe(woo_caller, receiver, "order.updated")
    order = woo.place_order([("MUG-1", 1)])
    messages = receiver.wait_for(2)
    assert [message.headers["x-wc-webhook-topic"] for message in messages] == [
        "order.created",
        "order.updated",
    ]
    for message in messages:
        expected = base64.b64encode(hmac.new(SECRET.encode(), message.body, hashlib.sha256).digest()).decode()
        assert message.headers["x-wc-webhook-signature"] == expected
        assert json.loads(message.body)["id"] == int(order.id)
        assert "connection" in message.headers  # HTTP/1.0: one call a connection


def test_the_payload_is_built_at_delivery_and_changes_in_between_coalesce(
    woo: WooCommerceSandbox, woo_caller: WooCaller, receiver: Receiver
) -> None:
    subscribe(woo_caller, receiver, "order.created")
    subscribe(woo_caller, receiver, "product.updated")
    woo.set_faults(webhook_delay_rate=1, webhook_delay_seconds=0.2)
    with woo.records.lock:
        order = woo.place_order([("MUG-1", 2)])
        woo.cancel(order.id, "MUG-1", 2)
        woo.edit_stock("MUG-1", 5)
    messages = receiver.wait_for(2)
    quiet(woo)
    by_topic = {message.headers["x-wc-webhook-topic"]: json.loads(message.body) for message in messages}
    assert len(messages) == 2
    assert by_topic["order.created"]["status"] == "cancelled"
    assert by_topic["product.updated"]["stock_quantity"] == 5


def test_deliveries_of_one_second_share_their_delivery_id(
    woo: WooCommerceSandbox, woo_caller: WooCaller, receiver: Receiver
) -> None:
    subscribe(woo_caller, receiver, "order.created")
    for _ in range(6):
        woo.place_order([("MUG-1", 1)])
    ids = {message.headers["x-wc-webhook-delivery-id"] for message in receiver.wait_for(6)}
    assert len(ids) < 6


def test_a_write_echoes_even_when_nothing_changed_and_a_variation_names_its_parent(
    woo: WooCommerceSandbox, woo_caller: WooCaller, receiver: Receiver
) -> None:
    subscribe(woo_caller, receiver, "product.updated")
    shirt = woo_caller.call("GET", "products", params={"sku": "SHIRT-S"}).json()[0]
    path = f"products/{shirt['parent_id']}/variations/{shirt['id']}"
    woo_caller.call("PUT", path, json={"stock_quantity": shirt["stock_quantity"]})
    body = bodies(receiver.wait_for(1))[0]
    assert (body["type"], body["parent_id"], body["sku"]) == ("variation", shirt["parent_id"], "SHIRT-S")


def test_a_trashed_order_sends_its_id_and_a_deleted_one_the_error_of_reading_it(
    woo: WooCommerceSandbox, woo_caller: WooCaller, receiver: Receiver
) -> None:
    subscribe(woo_caller, receiver, "order.deleted")
    trashed = woo.place_order([("MUG-1", 1)])
    woo_caller.call("DELETE", f"orders/{trashed.id}")
    assert bodies(receiver.wait_for(1)) == [{"id": int(trashed.id)}]
    receiver.received.clear()
    subscribe(woo_caller, receiver, "order.created")
    woo.set_faults(webhook_delay_rate=1, webhook_delay_seconds=0.3)
    with woo.records.lock:
        gone = woo.place_order([("MUG-1", 1)])
        woo.find_order(gone.id).is_deleted = True
    assert bodies(receiver.wait_for(1))[0]["data"] == {"status": 404}


def test_the_seventh_failure_in_a_row_disables_and_nothing_is_sent_again(
    woo: WooCommerceSandbox, woo_caller: WooCaller, receiver: Receiver
) -> None:
    number = subscribe(woo_caller, receiver, "order.created")

    def fail(times: int) -> None:
        for count in range(times):
            woo.place_order([("MUG-1", 1)], force=True)
            receiver.wait_for(count + 1)
            quiet(woo)
        receiver.received.clear()

    receiver.status = 500
    fail(6)
    assert woo_caller.call("GET", f"webhooks/{number}").json()["status"] == "active"
    receiver.status = 302
    fail(1)  # counts as a success
    receiver.status = 404
    fail(7)
    assert woo_caller.call("GET", f"webhooks/{number}").json()["status"] == "disabled"
    receiver.status = 200
    woo.place_order([("MUG-1", 1)], force=True)
    quiet(woo)
    assert receiver.received == []
    woo_caller.call("PUT", f"webhooks/{number}", json={"status": "active"})
    assert receiver.wait_for(1)[0].body.startswith(b"webhook_id=")
    quiet(woo)
    assert len(receiver.received) == 1


def test_webhooks_are_listed_and_deleted_for_good_only(woo_caller: WooCaller, receiver: Receiver) -> None:
    number = subscribe(woo_caller, receiver, "order.created")
    assert [each["topic"] for each in woo_caller.call("GET", "webhooks").json()] == ["order.created"]
    assert woo_caller.call("DELETE", f"webhooks/{number}").status_code == 501
    assert woo_caller.call("DELETE", f"webhooks/{number}", params={"force": "true"}).status_code == 200
    assert woo_caller.call("GET", f"webhooks/{number}").status_code == 404
    wrong = {"topic": "order.exploded", "delivery_url": receiver.url}
    assert woo_caller.call("POST", "webhooks", json=wrong).status_code == 400
