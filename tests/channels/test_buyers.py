"""Wholesale buyers ask what they can have and order it, over a few addresses of their own channel."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from channels.accounts import forget_channels
from channels.buyers import span_of
from channels.connectors.base import RateLimit
from channels.exposure import targets
from channels.models import Channel, ChannelGroup, ChannelOrder, ChannelOrderLine, Rule, RuleSet
from channels.rules.lifecycle import activate, approve, draw_up
from channels.rules.pools import set_channels
from inventory.models import Conflict
from tests.channels.senders import CUSTOMER
from tests.channels.shop import Shop, open_shop
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


def test_the_dealers_pool_is_theirs_alone(client: Client, shop: Shop) -> None:
    web_shop = shop.add_channel("Web shop 2")
    shelf = shop.shelf(shop.list_variant("MUG", channel=web_shop))
    dealers = ChannelGroup.objects.create(merchant=shop.merchant, name="Dealers")
    set_channels(dealers, [shop.channel], actor="somebody")
    rule_set = RuleSet.objects.create(merchant=shop.merchant, name="Pool")
    version = draw_up(rule_set, actor="somebody", why="Dealers can count on it.")
    Rule.objects.create(version=version, position=1, pool=dealers, pool_units=8)
    approve(version.pk, actor="somebody", because="Agreed.")
    activate(version.pk, actor="somebody", because="Agreed.", is_confirmed=True)

    def offered() -> tuple[int, int]:
        found = ask(client, shop.channel, "stock?sku=MUG").json()  # type: ignore[attr-defined]
        return found["stock"][0]["available"], targets([shelf.pk])[shelf.pk]

    assert offered() == (20, 12)
    assert send(client, shop.channel, order({"MUG": 5})).status_code == 200
    # What dealers buy comes out of their pool: the web shop is offered as much as before.
    assert offered() == (15, 12)


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
