"""Wholesale buyers ask what they can have and order it, over a few addresses of their own channel."""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from channels import buyers
from channels.accounts import forget_channels
from channels.buyers import span_of
from channels.connectors.base import RateLimit
from channels.events import OrderState
from channels.exposure import exposures, targets
from channels.models import (
    Channel,
    ChannelGroup,
    ChannelOrder,
    ChannelOrderLine,
    Listing,
    ListingLevel,
    PoolHold,
    Rule,
    RuleSet,
)
from channels.orders import apply_state
from channels.retention import forget_old
from channels.rules.lifecycle import activate, approve, draw_up
from channels.rules.pools import left_of, set_channels
from inventory.bundles import Component, define
from inventory.ledger import Context
from inventory.models import BundleKind, Conflict, Reservation
from inventory.reservations import expire
from tests.channels.senders import CUSTOMER
from tests.channels.shop import Shop, line, open_shop
from tests.channels.shop import order as web_order
from tests.inventory.cast import assert_ledger_holds

pytestmark = pytest.mark.django_db

KEY = "buyers-0123456789abcdef0123"


@pytest.fixture(autouse=True)
def fresh_process() -> None:
    forget_channels()


@pytest.fixture
def shop() -> Shop:
    opened = open_shop({"MUG": 20, "CUP": 3}, kind="wholesale")
    opened.channel.settings = {"base_url": "https://portal.example.com"}
    opened.channel.credentials = {"api_key": "key", "buyer_key": KEY}
    opened.channel.save()
    for sku in ("MUG", "CUP"):
        opened.list_variant(sku)
    opened.add_variant("SECRET", {"main": 7})
    return opened


def ask(client: Client, channel: Channel, path: str, *, key: str = KEY) -> HttpResponse:
    answer = client.get(f"/wholesale/{channel.public_id}/{path}", headers={"Authorization": f"Bearer {key}"})
    assert isinstance(answer, HttpResponse)
    return answer


def send(
    client: Client, channel: Channel, body: Any, *, key: str = KEY, path: str = "orders"
) -> HttpResponse:
    answer = client.post(
        f"/wholesale/{channel.public_id}/{path}",
        data=body if isinstance(body, bytes) else json.dumps(body),
        content_type="application/json",
        headers={"Authorization": f"Bearer {key}"},
    )
    assert isinstance(answer, HttpResponse)
    return answer


def order(units: Mapping[str, int], *, number: str = "1", second: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "external_id": number,
        "ordered_at": "2026-11-21T12:00:00Z",
        "updated_at": datetime(2026, 11, 21, 12, 0, second, tzinfo=UTC).isoformat(),
        "buyer": {"name": CUSTOMER},
        "lines": [{"external_id": sku, "sku": sku, "quantity": each} for sku, each in units.items()],
        **more,
    }


# -- who may ask


@pytest.mark.parametrize("key", ["", "x", KEY[:-1], f"{KEY}x"])
def test_nobody_is_told_anything_without_the_key(client: Client, shop: Shop, key: str) -> None:
    answer = ask(client, shop.channel, "stock?sku=MUG", key=key)
    assert (answer.status_code, answer["Content-Type"]) == (401, "application/problem+json")
    assert send(client, shop.channel, order({"MUG": 1}), key=key).status_code == 401
    assert not ChannelOrder.objects.exists()


def test_a_key_opens_its_own_channel_alone(client: Client, shop: Shop) -> None:
    other = open_shop({"MUG": 5}, kind="wholesale").channel
    assert ask(client, other, "stock?sku=MUG").status_code == 401
    web_shop = shop.add_channel("Web shop 2")
    web_shop.credentials = {"buyer_key": KEY}
    web_shop.save()
    assert ask(client, web_shop, "stock?sku=MUG").status_code == 401


def test_a_channel_without_a_key_or_with_a_short_one_is_closed(client: Client, shop: Shop) -> None:
    for kept in ("", "short"):
        shop.channel.credentials = {"api_key": "key", "buyer_key": kept}
        shop.channel.save()
        forget_channels()
        assert ask(client, shop.channel, "stock?sku=MUG", key=kept).status_code == 401


def test_whoever_asks_too_often_is_told_when_to_ask_again(
    client: Client, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("channels.buyer_views._RATE", RateLimit(capacity=2, refill_per_second=0.01))
    answers = [ask(client, shop.channel, "stock?sku=MUG") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert int(answers[2]["Retry-After"]) >= 1


# -- what can be had


def test_stock_is_what_is_offered_and_not_what_there_is(client: Client, shop: Shop) -> None:
    shop.channel.buffer_units = 4
    shop.channel.save()
    answer = ask(client, shop.channel, "stock?sku=CUP&sku=MUG&sku=SECRET&sku=none").json()  # type: ignore[attr-defined]
    assert answer == {
        "stock": [
            {"sku": "CUP", "available": 0, "span": "0", "arrives": ""},
            {"sku": "MUG", "available": 16, "span": "6-20", "arrives": ""},
        ],
        "unknown": ["SECRET", "none"],
    }


def test_a_channel_may_tell_spans_alone(client: Client, shop: Shop) -> None:
    shop.channel.settings |= {"shows_spans": True}
    shop.channel.save()
    answer = ask(client, shop.channel, "stock?sku=CUP").json()  # type: ignore[attr-defined]
    assert answer["stock"] == [{"sku": "CUP", "span": "1-5", "arrives": ""}]


@pytest.mark.parametrize(
    ("units", "span"), [(0, "0"), (1, "1-5"), (5, "1-5"), (6, "6-20"), (20, "6-20"), (21, "20+")]
)
def test_spans_meet_without_a_gap(units: int, span: str) -> None:
    assert span_of(units) == span


@pytest.mark.parametrize("query", ["", "?sku=" + "&sku=".join(["A"] * 201), "?sku=%00"])
def test_a_question_that_makes_no_sense_is_refused(client: Client, shop: Shop, query: str) -> None:
    answer = ask(client, shop.channel, f"stock{query}")
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")


@dataclass(frozen=True)
class Pool:
    """Eight units of everything are kept for dealers; a web shop is offered the rest."""

    client: Client
    shop: Shop
    group: ChannelGroup
    shelf: ListingLevel

    def offered(self) -> tuple[int, int]:
        """What dealers and what the web shop are offered of mugs."""
        found = ask(self.client, self.shop.channel, "stock?sku=MUG").json()  # type: ignore[attr-defined]
        number = targets([self.shelf.pk])[self.shelf.pk]
        assert exposures([self.shelf.pk])[self.shelf.pk].quantity == number
        return found["stock"][0]["available"], number


def keep(shop: Shop, group: ChannelGroup, channels: list[Channel], *, units: int) -> None:
    """Has so many units of everything kept for these channels."""
    set_channels(group, channels, actor="somebody")
    rule_set = RuleSet.objects.create(merchant=shop.merchant, name="Pool")
    version = draw_up(rule_set, actor="somebody", why="They can count on it.")
    Rule.objects.create(version=version, position=1, pool=group, pool_units=units)
    approve(version.pk, actor="somebody", because="Agreed.")
    activate(version.pk, actor="somebody", because="Agreed.", is_confirmed=True)


@pytest.fixture
def pool(client: Client, shop: Shop) -> Pool:
    web_shop = shop.add_channel("Web shop 2")
    shelf = shop.shelf(shop.list_variant("MUG", channel=web_shop))
    dealers = ChannelGroup.objects.create(merchant=shop.merchant, name="Dealers")
    keep(shop, dealers, [shop.channel], units=8)
    return Pool(client, shop, dealers, shelf)


def test_the_dealers_pool_is_theirs_alone(pool: Pool) -> None:
    assert pool.offered() == (20, 12)
    assert send(pool.client, pool.shop.channel, order({"MUG": 5})).status_code == 200
    # What dealers buy comes out of their pool: the web shop is offered as much as before.
    assert pool.offered() == (15, 12)


def test_what_is_held_comes_out_of_the_pool_for_as_long_as_it_is_held(pool: Pool) -> None:
    client, shop = pool.client, pool.shop
    for _ in range(2):
        hold(client, shop, wanted({"MUG": 5}))
    assert pool.offered() == (15, 12)
    assert left_of(pool.group, shop.variants["MUG"].pk, 8) == 3
    send(client, shop.channel, {}, path="reservations/cart-1/release")
    assert pool.offered() == (20, 12)
    assert left_of(pool.group, shop.variants["MUG"].pk, 8) == 8

    hold(client, shop, wanted({"MUG": 6}, reference="cart-2"))
    assert send(client, shop.channel, order({"MUG": 4}, reservation="cart-2")).status_code == 200
    assert pool.offered() == (16, 12)

    hold(client, shop, wanted({"MUG": 3}, reference="cart-3"))
    assert pool.offered() == (13, 12)
    Reservation.objects.filter(reference__endswith="cart-3").update(expires_at=timezone.now())
    assert expire() == 1
    assert pool.offered() == (16, 12)
    assert PoolHold.objects.count() == 3
    assert forget_old()["pool_holds"] == 3


def test_a_kit_that_is_held_takes_its_parts_off_their_pool(pool: Pool) -> None:
    shop = pool.shop
    kit = shop.add_variant("PAIR", {})
    context = Context(shop.merchant.pk, "pair")
    define(context, kit.pk, BundleKind.KIT, [Component(shop.variants["MUG"].pk, 2)])
    shop.list_variant("PAIR")
    assert hold(pool.client, shop, wanted({"PAIR": 2})).status_code == 200
    assert pool.offered() == (16, 12)
    assert left_of(pool.group, kit.pk, 8) == 6


# -- ordering


def test_an_order_is_reserved_at_once(client: Client, shop: Shop) -> None:
    answer = send(client, shop.channel, order({"MUG": 5, "CUP": 3}))
    assert answer.status_code == 200
    told = answer.json()["order"]  # type: ignore[attr-defined]
    assert [(each["sku"], each["quantity"], each["is_known"]) for each in told["lines"]] == [
        ("CUP", 3, True),
        ("MUG", 5, True),
    ]
    assert (shop.level("MUG"), shop.level("CUP")) == ((20, 5), (3, 3))
    assert ask(client, shop.channel, "orders/1").json()["order"] == told  # type: ignore[attr-defined]
    assert CUSTOMER not in repr(list(ChannelOrder.objects.values()) + list(ChannelOrderLine.objects.values()))
    assert_ledger_holds()


def test_the_same_order_again_changes_nothing_and_a_newer_state_does(client: Client, shop: Shop) -> None:
    for _ in range(2):
        assert send(client, shop.channel, order({"MUG": 5})).status_code == 200
    assert shop.level("MUG") == (20, 5)
    # The whole shelf: what the order holds already is not asked for again.
    assert send(client, shop.channel, order({"MUG": 20}, second=1)).status_code == 200
    assert shop.level("MUG") == (20, 20)
    cancelled = order({"MUG": 20}, second=2)
    cancelled["lines"][0]["cancelled"] = 18
    assert send(client, shop.channel, cancelled).status_code == 200
    assert shop.level("MUG") == (20, 2)


def test_more_than_is_offered_is_refused_as_a_whole(client: Client, shop: Shop) -> None:
    answer = send(client, shop.channel, order({"MUG": 1, "CUP": 4}))
    assert answer.status_code == 422
    assert answer.json()["offered"] == {"CUP": 3}  # type: ignore[attr-defined]
    assert (shop.level("MUG"), ChannelOrder.objects.count()) == ((20, 0), 0)


@pytest.mark.parametrize("sku", ["", "MUG", "none"])
def test_naming_the_item_is_no_way_around_the_offer(client: Client, shop: Shop, sku: str) -> None:
    """What a line means is decided by the item that it names: what is offered of another SKU says nothing."""
    shop.channel.buffer_units = 2
    shop.channel.save()
    asked = order({"CUP": 2})
    asked["lines"][0] |= {"sku": sku, "item_id": "listing-CUP"}
    answer = send(client, shop.channel, asked)
    assert (answer.status_code, list(answer.json()["offered"].values())) == (422, [1])  # type: ignore[attr-defined]
    assert shop.level("CUP") == (3, 0)
    asked["lines"][0]["quantity"] = 1
    assert send(client, shop.channel, asked).status_code == 200
    assert shop.level("CUP") == (3, 1)


def test_what_the_portal_calls_otherwise_is_offered_held_and_ordered_by_its_name_there(
    client: Client, shop: Shop
) -> None:
    Listing.objects.filter(channel=shop.channel, sku="CUP").update(sku="TASSE")
    found = ask(client, shop.channel, "stock?sku=TASSE").json()  # type: ignore[attr-defined]
    assert found["stock"][0]["available"] == 3
    assert send(client, shop.channel, order({"TASSE": 4})).status_code == 422
    answer = hold(client, shop, wanted({"TASSE": 2}))
    assert answer.json()["reservation"]["held"] == {"TASSE": 2}  # type: ignore[attr-defined]
    sent = order({"TASSE": 2}, reservation="cart-1")
    sent["lines"][0]["item_id"] = "listing-CUP"
    assert send(client, shop.channel, sent).status_code == 200
    assert shop.level("CUP") == (3, 2)


def test_what_somebody_else_took_meanwhile_is_refused_too(
    client: Client, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("channels.buyers.offered_units", lambda channel, ids: dict.fromkeys(ids, 99))
    answer = send(client, shop.channel, order({"CUP": 5}))
    assert (answer.status_code, answer.json()["offered"]) == (422, {"CUP": 3})  # type: ignore[attr-defined]
    assert (shop.level("CUP"), Conflict.objects.count()) == ((3, 0), 0)


def test_a_buyer_who_takes_less_is_given_what_there_is(client: Client, shop: Shop) -> None:
    assert send(client, shop.channel, order({"CUP": 4}, takes_less=True)).status_code == 200
    assert (shop.level("CUP"), shop.owed("CUP")) == ((3, 3), 1)


def test_an_unknown_sku_waits(client: Client, shop: Shop) -> None:
    answer = send(client, shop.channel, order({"MUG": 1, "VASE": 2}))
    assert [line["is_known"] for line in answer.json()["order"]["lines"]] == [True, False]  # type: ignore[attr-defined]
    assert shop.level("MUG") == (20, 1)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"external_id": "1"}',
        order({"MUG": -1}),
        order({"MUG": 1}, updated_at="soon"),
        order({"MUG": 1}, external_id=""),
        order({"MUG": 10**12}),
    ],
)
def test_an_order_that_cannot_be_is_refused_by_its_field(client: Client, shop: Shop, body: Any) -> None:
    answer = send(client, shop.channel, body)
    assert (answer.status_code, answer["Content-Type"]) == (400, "application/problem+json")
    assert not ChannelOrder.objects.exists()


def test_other_methods_and_orders_are_refused(client: Client, shop: Shop) -> None:
    assert ask(client, shop.channel, "orders").status_code == 405
    assert ask(client, shop.channel, "orders/none").status_code == 404


# -- holding


def wanted(units: Mapping[str, int], *, reference: str = "cart-1", hours: float = 1.0) -> dict[str, Any]:
    return {
        "reference": reference,
        "expires_at": (timezone.now() + timedelta(hours=hours)).isoformat(),
        "lines": [{"sku": sku, "quantity": each} for sku, each in units.items()],
    }


def hold(client: Client, shop: Shop, body: Any) -> HttpResponse:
    return send(client, shop.channel, body, path="reservations")


def test_units_are_held_and_then_ordered(client: Client, shop: Shop) -> None:
    body = wanted({"MUG": 4, "CUP": 3})
    for _ in range(2):
        answer = hold(client, shop, body)
        assert answer.json()["reservation"]["held"] == {"MUG": 4, "CUP": 3}  # type: ignore[attr-defined]
    assert (shop.level("MUG"), shop.level("CUP")) == ((20, 4), (3, 3))
    assert send(client, shop.channel, order({"CUP": 3})).status_code == 422
    assert send(client, shop.channel, order({"CUP": 3}, reservation="cart-1")).status_code == 200
    assert (shop.level("MUG"), shop.level("CUP")) == ((20, 0), (3, 3))
    assert_ledger_holds()


def test_what_is_held_goes_to_its_order_before_anybody_who_is_owed_it(client: Client, shop: Shop) -> None:
    """Somebody was sold a cup too many meanwhile; what a dealer has in hand is no answer to that."""
    web_shop = shop.add_channel("Web shop 2")
    hold(client, shop, wanted({"CUP": 3}))
    apply_state(web_shop, web_order(line("CUP", 1)), arrived_at=timezone.now())
    assert shop.owed("CUP") == 1

    assert send(client, shop.channel, order({"CUP": 3}, reservation="cart-1")).status_code == 200

    assert (shop.level("CUP"), shop.owed("CUP")) == ((3, 3), 1)
    assert_ledger_holds()


def test_what_an_order_leaves_of_its_hold_goes_to_whoever_is_owed_it(client: Client, shop: Shop) -> None:
    web_shop = shop.add_channel("Web shop 2")
    hold(client, shop, wanted({"CUP": 3}))
    apply_state(web_shop, web_order(line("CUP", 2)), arrived_at=timezone.now())
    assert send(client, shop.channel, order({"CUP": 2}, reservation="cart-1")).status_code == 200
    assert (shop.level("CUP"), shop.owed("CUP")) == ((3, 3), 1)
    assert_ledger_holds()


def test_an_order_that_is_refused_leaves_what_is_held(client: Client, shop: Shop) -> None:
    hold(client, shop, wanted({"CUP": 2}))
    assert send(client, shop.channel, order({"CUP": 4}, reservation="cart-1")).status_code == 422
    assert shop.level("CUP") == (3, 2)


def test_what_is_held_is_given_back(client: Client, shop: Shop) -> None:
    hold(client, shop, wanted({"CUP": 2}))
    for _ in range(2):
        answer = send(client, shop.channel, {}, path="reservations/cart-1/release")
        assert answer.json()["reservation"]["held"] == {}  # type: ignore[attr-defined]
    assert shop.level("CUP") == (3, 0)


def test_a_reference_with_other_units_is_refused(client: Client, shop: Shop) -> None:
    hold(client, shop, wanted({"CUP": 2}))
    assert hold(client, shop, wanted({"CUP": 1})).status_code == 422
    assert shop.level("CUP") == (3, 2)


@pytest.mark.parametrize("units", [{"CUP": 4}, {"SECRET": 1}, {"none": 1}])
def test_no_more_is_held_than_is_offered(client: Client, shop: Shop, units: dict[str, int]) -> None:
    assert hold(client, shop, wanted({"MUG": 1} | units)).status_code == 422
    assert shop.level("MUG") == (20, 0)


@pytest.mark.parametrize(
    "body",
    [
        wanted({"CUP": 1}, hours=-1),
        wanted({"CUP": 1}, hours=24 * 8),
        wanted({}),
        wanted({"CUP": 0}),
        wanted({"CUP": 1}, reference="a/b"),
        wanted({"CUP": 1}, reference="x" * 61),
    ],
)
def test_a_hold_that_makes_no_sense_is_refused(client: Client, shop: Shop, body: Any) -> None:
    assert hold(client, shop, body).status_code == 400


# -- several at once


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("safeguard", "taken"), [(True, 1), (False, 2)])
def test_two_who_ask_at_once_do_not_take_together_what_is_kept_for_others(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, safeguard: bool, taken: int
) -> None:
    """Of twenty mugs the web shop keeps eight. The control shows that without taking turns both dealers get ten."""
    web_shops = ChannelGroup.objects.create(merchant=shop.merchant, name="Web")
    keep(shop, web_shops, [shop.add_channel("Web shop 2")], units=8)
    if not safeguard:
        monkeypatch.setattr("channels.buyers.take_turns", lambda merchant_id: None)
        monkeypatch.setattr("channels.buyer_holds.take_turns", lambda merchant_id: None)
    both_have_looked = Barrier(1 if safeguard else 2, timeout=10)
    look = buyers._check_offer

    def slow_look(channel: Channel, state: OrderState) -> None:
        look(channel, state)
        both_have_looked.wait()

    monkeypatch.setattr("channels.buyers._check_offer", slow_look)

    def buy(number: str) -> int:
        try:
            return send(Client(), shop.channel, order({"MUG": 10}, number=number)).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        statuses = sorted(pool.map(buy, ["1", "2"]))
    assert statuses == ([200, 422] if safeguard else [200, 200])
    assert shop.level("MUG") == (20, 10 * taken)
