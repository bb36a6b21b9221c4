"""Bol: tokens, media types, limits, offers and what is corrected, orders, processes, events."""

import base64
import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from channels.sandbox import INSTANT, BolSandbox, CatalogueItem, PlacedOrder, Refused
from channels.sandbox.bol.subscriptions import MOST_RETRIES
from channels.sandbox.httpd import Request
from tests.channels.sandbox.callers import BolCaller, Receiver, eventually


def patch(caller: BolCaller, sku: str, **stock: Any) -> requests.Response:
    return caller.call("PATCH", f"/retailer/offers/{caller.offer_id(sku)}", json={"stock": stock})


def items(caller: BolCaller, order: PlacedOrder) -> Any:
    return caller.call("GET", f"/retailer/orders/{order.id}").json()["orderItems"]


def listed(caller: BolCaller, **query: str) -> list[str]:
    answer = caller.call(
        "GET", "/retailer/orders", params={name.replace("_", "-"): each for name, each in query.items()}
    )
    return [order["orderId"] for order in answer.json()["orders"]]


# -- who may call, how, and how often


def test_a_token_is_short_lived_and_needs_the_secret(bol: BolSandbox) -> None:
    url = f"{bol.settings()['login_url']}/token?grant_type=client_credentials"
    keys = bol.credentials()
    answer = requests.post(url, auth=(keys["client_id"], keys["client_secret"]), timeout=10).json()
    assert answer["access_token"].count(".") == 2
    assert answer["expires_in"] == 299
    assert requests.post(url, auth=(keys["client_id"], "no"), timeout=10).status_code == 401


def test_a_dead_token_is_answered_with_a_problem(bol: BolSandbox, bol_caller: BolCaller) -> None:
    bol.expire_tokens()
    answer = bol_caller.call("GET", "/retailer/orders")
    assert (answer.status_code, answer.json()["title"]) == (401, "Unauthorized")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Accept": "application/json"}, 406),
        ({"Accept": "application/vnd.retailer.v10+json"}, 406),
        ({"Content-Type": "application/json"}, 415),
    ],
)
def test_the_version_of_a_resource_has_to_be_named(
    bol_caller: BolCaller, headers: dict[str, str], status: int
) -> None:
    path = f"/retailer/offers/{bol_caller.offer_id('MUG-1')}"
    assert (
        bol_caller.call("PATCH", path, headers=headers, json={"stock": {"amount": 1}}).status_code == status
    )


@pytest.fixture
def strict() -> Iterator[BolCaller]:
    with BolSandbox(profile=INSTANT) as shop:
        caller = BolCaller(shop)
        yield caller
        caller.session.close()


def test_the_twenty_sixth_order_list_in_a_minute_has_to_wait(strict: BolCaller) -> None:
    answers = [strict.call("GET", "/retailer/orders") for _ in range(26)]
    assert [answer.status_code for answer in answers] == [200] * 25 + [429]
    assert (answers[0].headers["x-ratelimit-limit"], answers[0].headers["x-ratelimit-remaining"]) == (
        "25",
        "24",
    )
    assert 0 < int(answers[25].headers["Retry-After"]) <= 60
    assert strict.call("GET", "/retailer/returns").status_code == 200
    assert strict.shop.book()["throttled"] == 1


# -- offers


def test_the_amount_stays_and_open_orders_are_subtracted(bol: BolSandbox, bol_caller: BolCaller) -> None:
    order = bol.place_order([("MUG-1", 4)])
    assert patch(bol_caller, "MUG-1", amount=20, managedByRetailer=False).status_code == 204
    offer = bol_caller.call("GET", f"/retailer/offers/{bol_caller.offer_id('MUG-1')}").json()
    assert offer["stock"] == {"amount": 20, "correctedStock": 16, "managedByRetailer": False}
    assert (bol.number("MUG-1"), bol.stored_number("MUG-1")) == (16, 20)
    bol.fulfil(order.id, "MUG-1", 4)
    assert (bol.number("MUG-1"), bol.stored_number("MUG-1")) == (20, 20)


def test_managed_by_the_retailer_forgets_orders_before_the_update(
    bol: BolSandbox, bol_caller: BolCaller
) -> None:
    bol.place_order([("MUG-1", 4)])
    patch(bol_caller, "MUG-1", amount=20, managedByRetailer=True)
    assert bol.number("MUG-1") == 20
    bol.place_order([("MUG-1", 3)])
    assert bol.number("MUG-1") == 17


def test_the_shop_sells_while_something_is_left_after_open_orders(bol: BolSandbox) -> None:
    bol.place_order([("SHIRT-M", 3)])
    assert bol.number("SHIRT-M") == 0
    with pytest.raises(Refused):
        bol.place_order([("SHIRT-M", 1)])
    bol.place_order([("SHIRT-M", 2)], force=True)
    assert bol.number("SHIRT-M") == 0


@pytest.mark.parametrize("amount", [-1, 1000, "7", 2.5, True, None])
def test_an_amount_that_is_none_is_refused_with_its_name(
    bol: BolSandbox, bol_caller: BolCaller, amount: Any
) -> None:
    answer = patch(bol_caller, "MUG-1", amount=amount)
    assert (answer.status_code, answer.json()["violations"][0]["name"]) == (400, "stock.amount")
    assert bol.stored_number("MUG-1") == 14


def test_offers_are_listed_by_cursor_each_once(bol_caller: BolCaller) -> None:
    seen, cursor = [], ""
    while True:
        query = {"page-size": "2"} | ({"cursor": cursor} if cursor else {})
        page = bol_caller.call("GET", "/retailer/offers", params=query).json()
        seen += [offer["reference"] for offer in page["offers"]]
        cursor = page["page"].get("nextCursor", "")
        if not cursor:
            break
    assert seen == ["MUG-1", "SHIRT-S", "SHIRT-M"]
    assert bol_caller.call("GET", "/retailer/offers", params={"page-size": "101"}).status_code == 400


def test_the_deprecated_stock_call_is_accepted_first_and_stored_later(
    bol: BolSandbox, bol_caller: BolCaller
) -> None:
    path = f"/retailer/offers/{bol_caller.offer_id('MUG-1')}/stock"
    answer = bol_caller.call("PUT", path, json={"amount": 5, "managedByRetailer": False})
    assert answer.json()["status"] == "PENDING"
    assert bol_caller.process(answer)["status"] == "SUCCESS"
    assert bol.stored_number("MUG-1") == 5


def test_what_lies_with_bol_is_an_inventory_of_its_own(bol: BolSandbox, bol_caller: BolCaller) -> None:
    bol.load_catalogue(
        [CatalogueItem("FBB-1", "Far", "2000000000046", quantities={"": 6}, is_fulfilled_by_channel=True)]
    )
    order = bol.place_order([("FBB-1", 2)])
    found = bol_caller.call("GET", "/retailer/inventory").json()["inventory"]
    assert [(each["ean"], each["regularStock"]) for each in found] == [("2000000000046", 4)]
    assert patch(bol_caller, "FBB-1", amount=9).status_code == 400
    assert listed(bol_caller) == []
    assert listed(bol_caller, fulfilment_method="ALL") == [order.id]


# -- orders


def test_open_orders_come_newest_first_without_skus(bol: BolSandbox, bol_caller: BolCaller) -> None:
    orders = [bol.place_order([("MUG-1", 1)]) for _ in range(3)]
    bol.fulfil(orders[1].id, "MUG-1", 1)
    assert listed(bol_caller) == [orders[2].id, orders[0].id]
    assert listed(bol_caller, status="ALL", change_interval_minute="5") == [
        orders[1].id,
        orders[2].id,
        orders[0].id,
    ]
    item = bol_caller.call("GET", "/retailer/orders").json()["orders"][0]["orderItems"][0]
    assert item["ean"] == "2000000000015"
    assert not {"offer", "reference", "sku"} & set(item)
    assert items(bol_caller, orders[0])[0]["offer"]["reference"] == "MUG-1"


def test_fifty_orders_make_a_page(bol: BolSandbox, bol_caller: BolCaller) -> None:
    for _ in range(60):
        bol.place_order([("MUG-1", 1)], force=True)
    pages = [listed(bol_caller, page=str(number)) for number in (1, 2, 3)]
    assert [len(page) for page in pages] == [50, 10, 0]
    assert len(set(pages[0] + pages[1])) == 60


def test_a_cancellation_is_a_process_that_fails_for_what_is_shipped(
    bol: BolSandbox, bol_caller: BolCaller
) -> None:
    order = bol.place_order([("MUG-1", 3), ("SHIRT-S", 1)])
    mug, shirt = items(bol_caller, order)

    def cancel(item: Any) -> Any:
        data = {"orderItems": [{"orderItemId": item["orderItemId"], "reasonCode": "OUT_OF_STOCK"}]}
        return bol_caller.process(bol_caller.call("PUT", "/retailer/orders/cancellation", json=data))

    assert cancel(mug)["status"] == "SUCCESS"
    assert items(bol_caller, order)[0]["quantityCancelled"] == 3
    assert bol.number("MUG-1") == 14
    bol.fulfil(order.id, "SHIRT-S", 1)
    assert cancel(shirt)["status"] == "FAILURE"
    wrong = {"orderItems": [{"orderItemId": mug["orderItemId"], "reasonCode": "BORED"}]}
    assert bol_caller.call("PUT", "/retailer/orders/cancellation", json=wrong).status_code == 400


def test_a_wish_to_cancel_is_only_a_wish(bol: BolSandbox, bol_caller: BolCaller) -> None:
    order = bol.place_order([("MUG-1", 3)])
    bol.request_cancellation(order.id, "MUG-1")
    item = items(bol_caller, order)[0]
    assert (item["cancellationRequest"], item["quantityCancelled"]) == (True, 0)


def test_a_return_is_announced_and_handled_without_touching_the_amount(
    bol: BolSandbox, bol_caller: BolCaller
) -> None:
    order = bol.place_order([("MUG-1", 3)])
    bol.fulfil(order.id, "MUG-1", 3)
    assert bol.refund(order.id, "MUG-1", 2, restock=True) == 2
    found = bol_caller.call("GET", "/retailer/returns", params={"handled": "false"}).json()["returns"]
    item = found[0]["returnItems"][0]
    assert (item["orderId"], item["expectedQuantity"]) == (order.id, 2)
    data = {"handlingResult": "RETURN_RECEIVED", "quantityReturned": 2}
    bol_caller.process(bol_caller.call("PUT", f"/retailer/returns/{item['rmaId']}", json=data))
    detail = bol_caller.call("GET", f"/retailer/returns/{found[0]['returnId']}").json()
    assert detail["returnItems"][0]["handled"] is True
    assert bol.stored_number("MUG-1") == 14


def test_processes_are_asked_for_in_bulk(bol: BolSandbox, bol_caller: BolCaller) -> None:
    path = f"/retailer/offers/{bol_caller.offer_id('MUG-1')}/stock"
    ids = [
        bol_caller.call("PUT", path, json={"amount": 1, "managedByRetailer": False}).json()["processStatusId"]
        for _ in range(2)
    ]
    query = {"processStatusQueries": [{"processStatusId": each} for each in [*ids, "1"]]}
    found = bol_caller.call("POST", "/shared/process-status", json=query).json()["processStatuses"]
    assert [each["processStatusId"] for each in found] == ids
    wanted = {"entity-id": bol_caller.offer_id("MUG-1"), "event-type": "UPDATE_OFFER_STOCK"}
    assert len(bol_caller.call("GET", "/shared/process-status", params=wanted).json()["processStatuses"]) == 2


# -- events


def subscribe(caller: BolCaller, url: str, *resources: str) -> str:
    data = {"resources": list(resources), "url": url, "subscriptionType": "WEBHOOK", "enabled": True}
    done = caller.process(caller.call("POST", "/retailer/subscriptions", json=data))
    return str(done["entityId"])


def verify(caller: BolCaller, message: Request) -> None:
    """Checks the signature over the raw body; raises `InvalidSignature`."""
    keys = caller.call("GET", "/retailer/subscriptions/signature-keys").json()["signatureKeys"]
    parts = re.fullmatch(
        r'keyId=(\w+), algorithm="rsa-sha256", signature=(\S+)', message.headers["signature"]
    )
    assert parts is not None
    encoded = next(key["publicKey"] for key in keys if key["id"] == parts[1])
    public = load_der_public_key(base64.b64decode(encoded))
    assert isinstance(public, rsa.RSAPublicKey)
    public.verify(base64.b64decode(parts[2]), message.body, padding.PKCS1v15(), hashes.SHA256())


def test_an_order_event_holds_ids_only_and_is_signed(
    bol: BolSandbox, bol_caller: BolCaller, receiver: Receiver
) -> None:
    subscribe(bol_caller, receiver.url, "ORDER")
    order = bol.place_order([("MUG-1", 1)])
    message = receiver.wait_for(1)[0]
    verify(bol_caller, message)
    body = json.loads(message.body)
    assert set(body) == {"retailerId", "timestamp", "event"}
    assert (body["event"]["resource"], body["event"]["resourceId"]) == ("ORDER", order.id)


def test_a_forged_event_does_not_verify(bol: BolSandbox, bol_caller: BolCaller, receiver: Receiver) -> None:
    bol.set_faults(webhook_bad_signature_rate=1)
    subscribe(bol_caller, receiver.url, "ORDER")
    bol.place_order([("MUG-1", 1)])
    message = receiver.wait_for(1)[0]
    with pytest.raises(InvalidSignature):
        verify(bol_caller, message)


def test_after_ten_retries_a_subscription_is_switched_off_until_it_is_put(
    bol: BolSandbox, bol_caller: BolCaller, receiver: Receiver
) -> None:
    number = subscribe(bol_caller, receiver.url, "ORDER")
    bol.set_faults(retry_speed=1e9)
    receiver.status = 500
    bol.place_order([("MUG-1", 1)])
    path = f"/retailer/subscriptions/{number}"
    eventually(lambda: not bol_caller.call("GET", path).json()["enabled"], "switched off")
    assert len(receiver.received) == 1 + MOST_RETRIES
    receiver.status = 200
    data = {"resources": ["ORDER"], "url": receiver.url, "subscriptionType": "WEBHOOK", "enabled": True}
    bol_caller.process(bol_caller.call("PUT", path, json=data))
    bol.place_order([("MUG-1", 1)])
    receiver.wait_for(2 + MOST_RETRIES)


def test_a_subscription_is_tested_refused_and_deleted(bol_caller: BolCaller, receiver: Receiver) -> None:
    number = subscribe(bol_caller, receiver.url, "ORDER", "PROCESS_STATUS")
    bol_caller.process(bol_caller.call("POST", f"/retailer/subscriptions/test/{number}"))
    eventually(
        lambda: any(json.loads(each.body)["event"]["resource"] == "TEST" for each in receiver.received),
        "the test",
    )
    plain = {"resources": ["ORDER"], "url": "http://shop.example/x", "subscriptionType": "WEBHOOK"}
    assert (
        bol_caller.call("POST", "/retailer/subscriptions", json=plain).json()["violations"][0]["name"]
        == "url"
    )
    bol_caller.process(bol_caller.call("DELETE", f"/retailer/subscriptions/{number}"))
    assert bol_caller.call("GET", "/retailer/subscriptions").json() == {"subscriptions": []}


def test_a_handled_order_stays_found_by_its_day(bol: BolSandbox, bol_caller: BolCaller) -> None:
    order = bol.place_order([("MUG-1", 1)])
    bol.cancel(order.id, "MUG-1", 1)
    today = time.strftime("%Y-%m-%d", time.gmtime())
    assert listed(bol_caller) == []
    assert listed(bol_caller, status="ALL", latest_change_date=today) == [order.id]
