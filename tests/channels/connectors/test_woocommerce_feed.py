"""Polls of a WooCommerce shop: nothing is skipped, whatever changes meanwhile."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest

from channels.connectors.base import Account, Connector, IssuedToken
from channels.connectors.woocommerce.api import PAGE_SIZE, Shop, Walk
from channels.connectors.woocommerce.order_feed import OVERLAP, SHORT_OVERLAP, SWEEP_INTERVAL, Window
from channels.errors import TransientError
from channels.sandbox.book import CatalogueItem
from channels.sandbox.profiles import INSTANT
from channels.sandbox.woocommerce import WooCommerceSandbox
from tests.channels.connectors.shops import connect

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def sandbox() -> Iterator[WooCommerceSandbox]:
    with WooCommerceSandbox(profile=INSTANT, limits="generous") as shop:
        shop.load_catalogue([CatalogueItem(sku="MUG", title="Mug", quantities={"main": 10_000})])
        yield shop


@pytest.fixture
def connector(sandbox: WooCommerceSandbox, db: None) -> Connector:
    return connect(sandbox)


def poll(connector: Connector, cursor: str = "") -> tuple[list[str], list[str], str]:
    """Reads a feed to its end: ids of states, ids of hints, cursor."""
    states: list[str] = []
    hints: list[str] = []
    while True:
        page = connector.fetch_orders(cursor)
        states += [order.external_id for order in page.orders]
        hints += page.hints
        cursor = page.cursor
        if not page.has_more:
            return states, hints, cursor


def test_a_poll_brings_new_orders_and_later_polls_what_changed(
    sandbox: WooCommerceSandbox, connector: Connector
) -> None:
    first = sandbox.place_order([("MUG", 1)])
    states, hints, cursor = poll(connector)
    assert (states, hints) == ([first.id], [])
    second = sandbox.place_order([("MUG", 2)])
    states, _, _ = poll(connector, cursor)
    assert second.id in states


def test_orders_with_refunds_come_as_hints(sandbox: WooCommerceSandbox, connector: Connector) -> None:
    placed = sandbox.place_order([("MUG", 2)])
    sandbox.cancel(placed.id, "MUG", 1)
    states, hints, _ = poll(connector)
    assert (states, hints) == ([], [placed.id])


def test_many_orders_are_read_page_by_page(sandbox: WooCommerceSandbox, connector: Connector) -> None:
    placed = [sandbox.place_order([("MUG", 1)]).id for _ in range(2 * PAGE_SIZE + 7)]
    states, _, _ = poll(connector)
    assert sorted(states) == sorted(placed)


def test_orders_that_leave_the_window_while_it_is_read_hide_no_others(
    sandbox: WooCommerceSandbox, connector: Connector
) -> None:
    """Without stepping back, the last of the first page's successors would be skipped."""
    placed = [sandbox.place_order([("MUG", 1)]).id for _ in range(PAGE_SIZE + 40)]
    page = connector.fetch_orders("")
    seen = {order.external_id for order in page.orders}
    for order_id in placed[:30]:
        order = sandbox.find_order(order_id)
        order.updated_at += 3600
    states, _, _ = poll(connector, page.cursor)
    assert seen | set(states) == set(placed)


def test_the_control_shows_that_plain_pages_skip(sandbox: WooCommerceSandbox, connector: Connector) -> None:
    placed = [sandbox.place_order([("MUG", 1)]).id for _ in range(PAGE_SIZE + 40)]
    page = connector.fetch_orders("")
    seen = {order.external_id for order in page.orders}
    for order_id in placed[:30]:
        sandbox.find_order(order_id).updated_at += 3600
    window = Window.load(page.cursor)
    plain = Window(window.swept, window.after, window.before, offset=PAGE_SIZE, last_id=0)
    rest = connector.fetch_orders(plain.dump())
    assert seen | {order.external_id for order in rest.orders} != set(placed)


def test_the_shop_is_asked_for_times_in_utc_and_whole_seconds(
    sandbox: WooCommerceSandbox, connector: Connector
) -> None:
    window = Window(swept=NOON, after=NOON + timedelta(milliseconds=700), before=NOON + timedelta(minutes=1))
    assert window.parameters() == {
        "modified_after": "2026-11-21T12:00:00",
        "modified_before": "2026-11-21T12:01:00",
        "dates_are_gmt": "true",
    }


def test_windows_overlap_by_ten_minutes_at_least_every_five() -> None:
    window = Window(swept=NOON, after=NOON - OVERLAP)
    soon = window.behind(NOON + timedelta(seconds=30), None)
    assert soon.after == NOON + timedelta(seconds=30) - SHORT_OVERLAP
    assert soon.swept == NOON
    later = soon.behind(NOON + SWEEP_INTERVAL, None)
    assert later.after == NOON + SWEEP_INTERVAL - OVERLAP
    assert later.swept == NOON + SWEEP_INTERVAL


def test_a_window_ends_where_its_first_page_was_answered() -> None:
    window = Window(swept=NOON, after=NOON - OVERLAP).behind(NOON, Walk(95, 100))
    assert window.before is not None
    end = window.behind(NOON + timedelta(seconds=50), None)
    assert end.after == NOON - SHORT_OVERLAP


def test_a_cursor_survives_being_stored() -> None:
    window = Window(swept=NOON, after=NOON - OVERLAP, before=NOON, offset=95, last_id=7)
    assert Window.load(window.dump()) == window
    assert json.loads(window.dump())["offset"] == 95


def test_an_unreadable_order_does_not_hold_up_the_page(
    sandbox: WooCommerceSandbox, connector: Connector
) -> None:
    broken, sound = (sandbox.place_order([("MUG", 1)]) for _ in range(2))
    sandbox.find_order(broken.id).lines[0].quantity = 10**12
    states, hints, _ = poll(connector)
    assert (states, hints) == ([sound.id], [broken.id])


class StubbornShop:
    """A client whose shop shows the same full page whatever is asked: a proxy cuts the query off."""

    def request(self, method: str, url: str, **_: Any) -> "StubbornShop":
        return self

    def token(self, issue: Callable[[], IssuedToken], *, rejected: str = "") -> str:
        return ""

    def budget(self, seconds: float) -> AbstractContextManager[None]:
        return nullcontext()

    def download(self, url: str, **_: Any) -> AbstractContextManager[list[bytes]]:
        return nullcontext([])

    status = 200
    body = b""
    headers: ClassVar[dict[str, str]] = {"Date": "Sat, 21 Nov 2026 12:00:00 GMT", "X-WP-Total": "250"}

    def json(self) -> Any:
        return [{"id": number} for number in range(1, PAGE_SIZE + 1)]


def test_a_shop_that_does_not_turn_the_page_is_noticed() -> None:
    credentials = {"consumer_key": "ck", "consumer_secret": "cs"}
    shop = Shop(Account(1, {"base_url": "https://shop.example"}, credentials), StubbornShop())
    with pytest.raises(TransientError, match="same page"):
        list(shop.read_all("products"))


def test_the_shops_own_clock_says_when_a_page_was_answered() -> None:
    credentials = {"consumer_key": "ck", "consumer_secret": "cs"}
    shop = Shop(Account(1, {"base_url": "https://shop.example"}, credentials), StubbornShop())
    _, _, answered_at = shop.read_page("orders", {}, Walk())
    assert answered_at == NOON
