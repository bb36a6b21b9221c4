"""Picqer: lists that shift, times without a zone, hooks that are switched off, and limits that are kept."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from channels.accounts import open_connector
from channels.connectors.base import Account, Client
from channels.connectors.messages import digest_of
from channels.connectors.picqer import PicqerConnector
from channels.connectors.picqer.api import PicqerApi, limit_of
from channels.connectors.picqer.changes import receipt_of
from channels.connectors.picqer.webhooks import EVENTS, parse, receive, verify
from channels.connectors.warehousing import OrderStage, Search, WarehouseRequest
from channels.errors import BadSignature, Misconfigured, Rejected, TransientError, Unauthorised
from channels.events import Ignored, ListingChanged, UnknownEvent, WarehouseChanged
from channels.sandbox.book import CatalogueItem
from channels.sandbox.picqer import PicqerSandbox
from channels.sandbox.profiles import INSTANT
from tests.channels.connectors.shops import Inbox, connect, make_channel, message

pytestmark = pytest.mark.django_db

SECRET = "the secret"


@pytest.fixture
def sandbox() -> Iterator[PicqerSandbox]:
    with PicqerSandbox(profile=INSTANT, limits="generous") as sandbox:
        sandbox.add_location("main", "Main hall")
        sandbox.load_catalogue(
            [CatalogueItem(f"SKU-{n}", f"Good {n}", quantities={"main": n}) for n in range(1, 131)]
        )
        yield sandbox


@pytest.fixture
def picqer(sandbox: PicqerSandbox) -> PicqerConnector:
    connector = connect(sandbox, webhook_secret=SECRET)
    assert isinstance(connector, PicqerConnector)
    return connector


def wanted(goods: dict[str, int], reference: str = "OC-a-1") -> WarehouseRequest:
    return WarehouseRequest(reference, "1", goods, "#1001", "NL")


# -- reading


def test_it_says_who_it_is_and_a_wrong_key_is_refused(
    sandbox: PicqerSandbox, picqer: PicqerConnector
) -> None:
    assert picqer.check() == "Picqer (Main hall)"
    (place,) = picqer.fetch_locations()
    assert (place.external_id, place.name, place.is_sellable) == ("1", "Main hall", False)
    with pytest.raises(Unauthorised):
        connect(sandbox, api_key="wrong").check()


def test_products_are_listed_to_the_end_each_once(sandbox: PicqerSandbox, picqer: PicqerConnector) -> None:
    found = [listing.sku for listing in picqer.fetch_listings()]
    assert found == [f"SKU-{n}" for n in range(1, 131)]


def test_rows_that_are_added_while_a_list_is_read_hide_none_of_it() -> None:
    """Each page moves on by fewer rows than it has, since new rows at the top push the others down."""
    rows = [{"id": n} for n in range(250)]
    asked: list[int] = []

    class Shifting(PicqerApi):
        def __init__(self) -> None:
            self.number = 1000

        def page(self, path: str, parameters: Any = None, *, offset: int = 0) -> list[dict[str, Any]]:
            asked.append(offset)
            found = rows[offset : offset + 100]
            del rows[0]  # a row that is no longer in the list, so that all others move up
            return found

    found = {row["id"] for row in Shifting().rows("/things", "id")}
    assert found == set(range(250))
    assert asked == [0, 90, 180]


def test_free_stock_is_read_for_each_warehouse_in_one_call(
    sandbox: PicqerSandbox, picqer: PicqerConnector
) -> None:
    sandbox.place_order([("SKU-5", 2)])
    (stated,) = picqer.fetch_stock(["5"])
    assert (stated.places["1"].free, stated.places["1"].stock, stated.not_counted) == (3, 5, "")
    sandbox.set_type("SKU-5", "virtual_composition")
    assert picqer.fetch_stock(["5"])[0].not_counted
    assert picqer.fetch_stock(["999"]) == []


@pytest.mark.parametrize(
    ("at", "local"),
    [
        (datetime(2026, 7, 1, 12, tzinfo=UTC), "2026-07-01 12:00:00"),
        (datetime(2026, 12, 1, 12, tzinfo=UTC), "2026-12-01 11:00:00"),
        # The hour that comes twice: asked from before its first time.
        (datetime(2026, 10, 25, 1, 30, tzinfo=UTC), "2026-10-25 01:30:00"),
    ],
)
def test_instants_are_written_in_local_time_and_early_enough(at: datetime, local: str) -> None:
    settings = {"base_url": "https://x.picqer.com", "contact": "", "time_zone": "Europe/Amsterdam"}
    api = PicqerApi(Account(1, settings, {"api_key": "k"}), cast(Client, None))
    assert api.since(at) == local


def test_a_time_zone_that_is_none_is_named(sandbox: PicqerSandbox) -> None:
    channel = make_channel(sandbox)
    channel.settings = {**channel.settings, "time_zone": "Mars/Phobos"}
    with pytest.raises(Misconfigured, match="time zone"):
        open_connector(channel)


def test_changes_are_read_from_where_the_last_look_ended(
    sandbox: PicqerSandbox, picqer: PicqerConnector
) -> None:
    sandbox.edit_stock("SKU-3", 9)
    first = picqer.fetch_changes("")
    assert first.goods == frozenset()
    sandbox.edit_stock("SKU-4", 9)
    sandbox.place_order([("SKU-7", 1)])
    second = picqer.fetch_changes(first.cursor)
    assert second.goods == {"4", "7"}
    assert picqer.fetch_changes(second.cursor).goods == frozenset()


def test_what_was_taken_back_of_a_receipt_has_not_come() -> None:
    lines = [
        {"idreceipt_product": 1, "idproduct": 5, "amount": 4, "reverted_at": None},
        {"idreceipt_product": 2, "idproduct": 5, "amount": 3, "reverted_at": "2026-01-01 10:00:00"},
    ]
    receipt = receipt_of({"idreceipt": 9, "idwarehouse": 1, "receiptid": "R9", "products": lines})
    assert [line.units for line in receipt.lines] == [4, 0]


# -- orders


def test_an_order_is_a_draft_until_it_is_confirmed(sandbox: PicqerSandbox, picqer: PicqerConnector) -> None:
    made = picqer.place_request(wanted({"5": 2}))
    assert (made.stage, made.goods, sandbox.number("SKU-5")) == (OrderStage.DRAFT, {"5": 2}, 5)
    picqer.confirm_request(made.external_id)
    picqer.confirm_request(made.external_id)
    assert sandbox.number("SKU-5") == 3
    sandbox.pick(made.external_id)
    report = picqer.fetch_request(made.external_id)
    assert report is not None
    assert report.stage is OrderStage.PICKED
    assert not picqer.cancel_request(made.external_id)
    sandbox.ship(made.external_id)
    report = picqer.fetch_request(made.external_id)
    assert report is not None
    assert (report.stage, report.shipped) == (OrderStage.DONE, {"5": 2})


def test_an_order_is_found_by_our_reference_and_taken_back_once(
    sandbox: PicqerSandbox, picqer: PicqerConnector
) -> None:
    began = datetime.now(UTC)
    for n in range(105):
        sandbox.place_order([("SKU-130", 1)])
        assert n >= 0
    made = picqer.place_request(wanted({"5": 2}, "OC-a-2"))
    picqer.place_request(wanted({"5": 2}, "OC-b-1"))
    found = picqer.find_requests(Search("OC-a-", began))
    assert [report.external_id for report in found] == [made.external_id]
    assert picqer.cancel_request(made.external_id)
    assert picqer.cancel_request(made.external_id)
    assert picqer.fetch_request("4711") is None


def test_a_refusal_is_told_in_picqers_words(picqer: PicqerConnector) -> None:
    with pytest.raises(Rejected, match="does not exist"):
        picqer.place_request(wanted({"999": 1}))


# -- limits and failures


def test_the_bucket_keeps_to_the_limit_in_every_minute(picqer: PicqerConnector) -> None:
    bucket = limit_of(500)
    assert bucket.capacity + bucket.refill_per_second * 60 == pytest.approx(500)
    picqer.check()


def test_too_many_calls_and_errors_are_transient(sandbox: PicqerSandbox, picqer: PicqerConnector) -> None:
    for fault in ("throttle_rate", "error_rate", "html_rate", "error_in_200_rate"):
        sandbox.set_faults(**{fault: 1.0})
        with pytest.raises(TransientError):
            connect(sandbox).check()
        sandbox.clear_faults()


# -- webhooks


def test_each_event_has_a_hook_of_its_own_and_what_is_off_is_switched_on(
    sandbox: PicqerSandbox, picqer: PicqerConnector
) -> None:
    url = "http://127.0.0.1:9/webhooks/unguessable/"
    assert len(picqer.audit_webhooks(url)) == len(EVENTS)
    picqer.register_webhooks(url)
    assert picqer.audit_webhooks(url) == []
    hook = sandbox.hooks.by_id[1]
    hook.is_active = False
    (problem,) = picqer.audit_webhooks(url)
    assert (problem.topic, problem.problem) == (hook.event, "its hook is switched off")
    picqer.register_webhooks(url)
    assert picqer.audit_webhooks(url) == []
    assert len(sandbox.hooks.by_id) == len(EVENTS)
    moved = url.replace("127.0.0.1:9/", "127.0.0.1:10/")
    picqer.register_webhooks(moved)
    assert picqer.audit_webhooks(moved) == []
    assert sum(hook.is_active for hook in sandbox.hooks.by_id.values()) == len(EVENTS)


def test_messages_are_signed_and_unsigned_ones_are_refused(
    sandbox: PicqerSandbox, picqer: PicqerConnector
) -> None:
    with Inbox.open() as inbox:
        picqer.register_webhooks(inbox.url)
        sandbox.edit_stock("SKU-5", 2)
        request = inbox.next()
    verify(request, (SECRET,))
    with pytest.raises(BadSignature):
        verify(request, ("another",))
    unsigned = {name: text for name, text in request.headers.items() if name != "x-picqer-signature"}
    with pytest.raises(BadSignature):
        verify(message(request.body, unsigned), (SECRET,))
    received = receive(request)
    assert received.topic == "products.free_stock_changed"
    assert parse(received.topic, received.payload) == [WarehouseChanged(goods=("5",))]
    assert received.dedupe_key == receive(request).dedupe_key != digest_of("")


@pytest.mark.parametrize(
    ("event", "data", "events"),
    [
        ("products.created", {"idproduct": 5}, [ListingChanged("5"), WarehouseChanged(goods=("5",))]),
        ("picklists.shipments.created", {"idshipment": 1, "idorder": 7}, [WarehouseChanged(orders=("7",))]),
        ("receipts.completed", {"idreceipt": 7}, [WarehouseChanged()]),
        ("movements.moved", {}, [Ignored("It changes no total of a warehouse.")]),
        ("tags.created", {}, [UnknownEvent("tags.created")]),
    ],
)
def test_events_are_hints(event: str, data: dict[str, Any], events: list[object]) -> None:
    assert parse(event, {"event": event, "data": data}) == events


def test_a_hook_whose_messages_are_never_taken_is_switched_off(
    sandbox: PicqerSandbox, picqer: PicqerConnector
) -> None:
    with Inbox.open() as inbox:
        inbox.status = 500
        sandbox.set_faults(retry_speed=1e9)
        picqer.register_webhooks(inbox.url)
        for units in range(6):
            sandbox.edit_stock("SKU-5", units)
        hook = next(
            each for each in sandbox.hooks.by_id.values() if each.event == "products.free_stock_changed"
        )
        for _ in range(500):
            if not hook.is_active:
                break
            sandbox.wait(0.02)
        assert not hook.is_active
        assert picqer.audit_webhooks(inbox.url)
