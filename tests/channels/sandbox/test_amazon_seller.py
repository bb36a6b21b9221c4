"""Amazon: tokens of two kinds, usage plans, listings that change late, orders, the warehouse, and a queue for AWS's client."""

import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
import requests
from botocore.config import Config
from botocore.exceptions import ClientError

from channels.sandbox import INSTANT, AmazonSellerSandbox, CatalogueItem, Refused
from tests.channels.sandbox.callers import CATALOGUE, eventually

AGENT = {"User-Agent": "Test/1.0 (Language=Python)"}


class Caller:
    """Calls with a token of Login with Amazon."""

    def __init__(self, shop: AmazonSellerSandbox) -> None:
        self.shop = shop
        self.session = requests.Session()
        keys = shop.credentials()
        self.form = {name: keys[name] for name in ("client_id", "client_secret")}
        self.seller = self.token(grant_type="refresh_token", refresh_token=keys["refresh_token"]).json()
        self.app = self.token(
            grant_type="client_credentials", scope="sellingpartnerapi::notifications"
        ).json()

    def token(self, **form: str) -> requests.Response:
        return self.session.post(
            f"{self.shop.base_url}/auth/o2/token", data={**self.form, **form}, timeout=10
        )

    def call(self, method: str, path: str, *, token: str = "", **options: Any) -> requests.Response:
        headers = {**AGENT, "x-amz-access-token": token or self.seller["access_token"]}
        return self.session.request(
            method, f"{self.shop.base_url}{path}", headers=headers, timeout=10, **options
        )

    def patch(self, sku: str, value: Any, op: str = "merge") -> requests.Response:
        body = {
            "productType": "HOME",
            "patches": [{"op": op, "path": "/attributes/fulfillment_availability", "value": value}],
        }
        path = f"/listings/2021-08-01/items/{self.shop.seller_id}/{sku}"
        return self.call("PATCH", path, params={"marketplaceIds": self.shop.marketplace}, json=body)


@pytest.fixture
def shop() -> Iterator[AmazonSellerSandbox]:
    with AmazonSellerSandbox(profile=INSTANT, limits="generous") as shop:
        shop.load_catalogue(CATALOGUE)
        yield shop


@pytest.fixture
def caller(shop: AmazonSellerSandbox) -> Iterator[Caller]:
    caller = Caller(shop)
    yield caller
    caller.session.close()


# -- who may call, and how often


def test_tokens_speak_for_the_seller_or_for_the_app(shop: AmazonSellerSandbox, caller: Caller) -> None:
    assert (caller.seller["token_type"], caller.seller["expires_in"]) == ("bearer", 3600)
    assert caller.seller["refresh_token"]
    destinations = "/notifications/v1/destinations"
    assert caller.call("GET", destinations).status_code == 403
    assert caller.call("GET", destinations, token=caller.app["access_token"]).status_code == 200
    orders = caller.call("GET", "/orders/2026-01-01/orders/1", token=caller.app["access_token"])
    assert (orders.status_code, orders.json()["errors"][0]["code"]) == (403, "Unauthorized")


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"grant_type": "refresh_token", "refresh_token": "wrong"}, "invalid_grant"),
        ({"grant_type": "client_credentials", "scope": "everything"}, "invalid_scope"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": "refresh_token", "client_secret": "wrong"}, "invalid_client"),
    ],
)
def test_what_login_refuses(caller: Caller, form: dict[str, str], error: str) -> None:
    answer = caller.token(**form)
    assert (answer.status_code >= 400, answer.json()["error"]) == (True, error)


def test_the_usage_plan_holds_and_a_refusal_names_no_rate() -> None:
    with AmazonSellerSandbox(profile=INSTANT) as shop:
        shop.load_catalogue(CATALOGUE)
        caller = Caller(shop)
        value = [{"fulfillment_channel_code": "DEFAULT", "quantity": 1}]
        answers = [caller.patch("MUG-1", value) for _ in range(8)]
        statuses = [answer.status_code for answer in answers]
        assert statuses[:5] == [200] * 5
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert refused.json()["errors"][0]["code"] == "QuotaExceeded"
        assert "x-amzn-RateLimit-Limit" not in refused.headers
        assert "Retry-After" not in refused.headers
        assert answers[0].headers["x-amzn-RateLimit-Limit"] == "5"
        assert shop.book()["throttled"] >= 1
        caller.session.close()


# -- listings


def test_a_change_is_accepted_first_and_live_later(shop: AmazonSellerSandbox, caller: Caller) -> None:
    shop.set_faults(processing_delay_seconds=0.2)
    answer = caller.patch("MUG-1", [{"fulfillment_channel_code": "DEFAULT", "quantity": 3}]).json()
    assert (answer["status"], answer["issues"], shop.number("MUG-1")) == ("ACCEPTED", [], 14)
    eventually(lambda: shop.number("MUG-1") == 3, "the accepted number")
    shop.clear_faults()
    shop.set_faults(accepted_is_lost_rate=1.0)
    assert caller.patch("MUG-1", [{"fulfillment_channel_code": "DEFAULT", "quantity": 4}]).status_code == 200
    time.sleep(0.05)
    assert shop.number("MUG-1") == 3


@pytest.mark.parametrize(
    "value",
    [
        [],
        {"quantity": 1},
        [{"quantity": 1}],
        [{"fulfillment_channel_code": "DEFAULT", "quantity": -1}],
        [{"fulfillment_channel_code": "DEFAULT", "quantity": "1"}],
    ],
)
def test_a_good_answer_may_say_that_a_change_is_invalid(
    shop: AmazonSellerSandbox, caller: Caller, value: Any
) -> None:
    answer = caller.patch("MUG-1", value)
    assert (answer.status_code, answer.json()["status"]) == (200, "INVALID")
    assert answer.json()["issues"][0]["severity"] == "ERROR"
    assert shop.number("MUG-1") == 14


def test_a_sku_has_to_be_encoded_and_known(shop: AmazonSellerSandbox, caller: Caller) -> None:
    shop.load_catalogue([CatalogueItem("A/B", "A", quantities={"": 1})])
    value = [{"fulfillment_channel_code": "DEFAULT", "quantity": 2}]
    assert caller.patch("A%2FB", value).status_code == 200
    assert caller.patch("A/B", value).status_code == 400
    assert caller.patch("nothing", value).status_code == 404


def test_no_more_than_a_thousand_listings_can_be_paged_through(
    shop: AmazonSellerSandbox, caller: Caller
) -> None:
    shop.load_catalogue(CatalogueItem(f"S{n}", "S", quantities={"": 1}) for n in range(1100))
    seen, token = 0, ""
    while True:
        query = {"marketplaceIds": shop.marketplace, "pageSize": "20"} | (
            {"pageToken": token} if token else {}
        )
        page = caller.call("GET", f"/listings/2021-08-01/items/{shop.seller_id}", params=query).json()
        seen += len(page["items"])
        token = page.get("pagination", {}).get("nextToken", "")
        if not token:
            break
    assert (seen, page["numberOfResults"]) == (1000, 1103)


# -- orders and the warehouse


def test_the_number_falls_at_the_order_and_rises_with_a_cancellation(shop: AmazonSellerSandbox) -> None:
    placed = shop.place_order([("SHIRT-M", 3)])
    assert shop.number("SHIRT-M") == 0
    with pytest.raises(Refused):
        shop.place_order([("SHIRT-M", 1)])
    shop.cancel(placed.id, "SHIRT-M", 2)
    assert shop.number("SHIRT-M") == 2
    assert shop.find_order(placed.id).status == "UNSHIPPED"
    shop.cancel(placed.id, "SHIRT-M", 1)
    assert shop.find_order(placed.id).status == "CANCELLED"


def test_an_order_is_pending_for_a_while(shop: AmazonSellerSandbox) -> None:
    shop.pending_seconds = 0.05
    order = shop.find_order(shop.place_order([("MUG-1", 1)]).id)
    assert order.status == "PENDING"
    eventually(lambda: order.status == "UNSHIPPED", "the release")


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"createdAfter": "2026-01-01T00:00:00Z", "lastUpdatedAfter": "2026-01-01T00:00:00Z"},
        {"lastUpdatedAfter": "yesterday"},
        {"lastUpdatedAfter": "2026-01-01T00:00:00Z", "maxResultsPerPage": "101"},
        {"lastUpdatedAfter": "2026-01-01T00:00:00Z", "includedData": "EVERYTHING"},
    ],
)
def test_a_search_that_is_none_is_refused(caller: Caller, query: dict[str, str]) -> None:
    answer = caller.call("GET", "/orders/2026-01-01/orders", params=query)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "InvalidInput")


def test_what_was_not_asked_for_is_left_out(shop: AmazonSellerSandbox, caller: Caller) -> None:
    placed = shop.place_order([("MUG-1", 1)])
    path = f"/orders/2026-01-01/orders/{placed.id}"
    assert "fulfillment" not in caller.call("GET", path).json()["order"]
    full = caller.call("GET", path, params={"includedData": "FULFILLMENT,RECIPIENT"}).json()["order"]
    assert full["fulfillment"]["fulfillmentStatus"] == "PENDING"
    assert shop.asked_for_personal_data


def test_the_warehouse_keeps_what_is_promised_apart(shop: AmazonSellerSandbox, caller: Caller) -> None:
    shop.load_catalogue([CatalogueItem("F", "F", quantities={"": 5}, is_fulfilled_by_channel=True)])
    placed = shop.place_order([("F", 2)])

    def details() -> Any:
        query = {
            "granularityType": "Marketplace",
            "granularityId": shop.marketplace,
            "marketplaceIds": shop.marketplace,
        }
        answer = caller.call("GET", "/fba/inventory/v1/summaries", params=query).json()
        return answer["payload"]["inventorySummaries"][0]["inventoryDetails"]

    assert details()["fulfillableQuantity"] == 3
    assert details()["reservedQuantity"]["pendingCustomerOrderQuantity"] == 2
    shop.fulfil(placed.id, "F", 2)
    assert details()["reservedQuantity"]["pendingCustomerOrderQuantity"] == 0


# -- the queue


def sqs(shop: AmazonSellerSandbox, **keys: str) -> Any:
    found = {**shop.credentials(), **keys}
    session = boto3.session.Session(
        aws_access_key_id=found["aws_access_key_id"],
        aws_secret_access_key=found["aws_secret_access_key"],
        region_name="us-east-1",
    )
    return session.client(
        "sqs", endpoint_url=shop.base_url, config=Config(retries={"total_max_attempts": 1}, proxies={})
    )


def test_awss_own_client_sends_receives_and_removes(shop: AmazonSellerSandbox) -> None:
    client, url = sqs(shop), shop.queue.url
    client.send_message(QueueUrl=url, MessageBody="héllo")
    (message,) = client.receive_message(QueueUrl=url, WaitTimeSeconds=1)["Messages"]
    assert message["Body"] == "héllo"
    assert "Messages" not in client.receive_message(QueueUrl=url)
    entries = [{"Id": "1", "ReceiptHandle": message["ReceiptHandle"]}]
    assert client.delete_message_batch(QueueUrl=url, Entries=entries)["Successful"] == [{"Id": "1"}]
    attributes = client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert (attributes["QueueArn"], attributes["ApproximateNumberOfMessages"]) == (shop.queue.arn, "0")
    client.close()


@pytest.mark.parametrize("name", ["aws_access_key_id", "aws_secret_access_key"])
def test_a_call_that_is_not_signed_with_the_keys_is_refused(shop: AmazonSellerSandbox, name: str) -> None:
    client = sqs(shop, **{name: "SOMEBODYELSE"})
    with pytest.raises(ClientError) as refused:
        client.receive_message(QueueUrl=shop.queue.url)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    client.close()


def test_a_queue_that_does_not_exist_is_said(shop: AmazonSellerSandbox) -> None:
    client = sqs(shop)
    with pytest.raises(client.exceptions.QueueDoesNotExist):
        client.receive_message(QueueUrl=f"{shop.base_url}/123456789012/other")
    client.close()


def test_a_long_poll_ends_with_the_first_message(shop: AmazonSellerSandbox) -> None:
    client = sqs(shop)
    shop.later(0.1, lambda: shop.queue.put("late"))
    started = time.monotonic()
    assert client.receive_message(QueueUrl=shop.queue.url, WaitTimeSeconds=10)["Messages"]
    assert time.monotonic() - started < 5
    client.close()


def test_notifications_come_twice_or_never_when_told_so(shop: AmazonSellerSandbox, caller: Caller) -> None:
    app = caller.app["access_token"]
    made = caller.call(
        "POST",
        "/notifications/v1/destinations",
        token=app,
        json={"name": "q", "resourceSpecification": {"sqs": {"arn": shop.queue.arn}}},
    ).json()["payload"]
    path = "/notifications/v1/subscriptions/LISTINGS_ITEM_MFN_QUANTITY_CHANGE"
    body = {"payloadVersion": "1.0", "destinationId": made["destinationId"]}
    assert caller.call("POST", path, json=body).status_code == 200
    assert caller.call("POST", path, json=body).status_code == 409
    shop.set_faults(webhook_duplicate_rate=1.0)
    shop.edit_stock("MUG-1", 1)
    eventually(lambda: shop.queue.waiting == 2, "the message, twice")
    assert not shop.is_idle()
    shop.set_faults(webhooks_are_lost=True)
    shop.edit_stock("MUG-1", 2)
    time.sleep(0.05)
    assert shop.queue.waiting == 2
