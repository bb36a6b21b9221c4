"""Orders of the merchant's own systems: states, in whatever sequence they come."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channels.feeds import ensure_feeds
from channels.models import Channel, ChannelOrder, PollFeed
from tests.api import Api, make_key, problem_of
from tests.channels.shop import Shop, ledger_of, open_shop
from tests.inventory.cast import assert_ledger_holds
from tests.properties import examples

pytestmark = pytest.mark.django_db


def connect(api: Api, **more: Any) -> int:
    made = api.post("/channels", {"name": "Counter", "locations": ["main"], **more})
    assert made.status_code == 201, made.content
    identity: int = made.json()["id"]
    return identity


def state(channel: int, minute: int = 0, **line: Any) -> dict[str, Any]:
    return {
        "channel_id": channel,
        "external_id": "1001",
        "number": "#1001",
        "updated_at": f"2026-01-31T14:{minute:02}:00Z",
        "ordered_at": "2026-01-31T14:00:00Z",
        "country": "NL",
        "lines": [{"external_id": "1", "sku": "MUG", "quantity": 3, **line}],
    }


def test_an_order_reserves_what_it_demands_and_ships_what_left(api: Api, shop: Shop) -> None:
    channel = connect(api)
    made = api.post("/orders", state(channel))
    assert made.status_code == 201, made.content
    assert shop.level("MUG") == (10, 3)
    line = api.post("/orders", state(channel, 1, fulfilled=2, cancelled=1)).json()["lines"][0]
    assert (line["applied_demand"], line["applied_fulfilled"]) == (2, 2)
    assert shop.level("MUG") == (8, 0)
    assert_ledger_holds()


def test_the_same_state_twice_counts_once(api: Api, shop: Shop) -> None:
    channel = connect(api)
    for _ in range(2):
        assert api.post("/orders", state(channel)).status_code == 201
    assert shop.level("MUG") == (10, 3)
    assert ChannelOrder.objects.count() == 1


@pytest.mark.property
@settings(max_examples=examples(6), deadline=None)
@given(order=st.permutations([0, 1, 2]), repeat=st.integers(0, 2))
@pytest.mark.django_db(transaction=True)
def test_any_sequence_of_states_leaves_the_same_ledger(order: Sequence[int], repeat: int) -> None:
    shop = open_shop({"MUG": 10})
    api = Api(shop.merchant)
    channel = connect(api)
    states = [state(channel, 0), state(channel, 1, fulfilled=1), state(channel, 2, fulfilled=2, cancelled=1)]
    for index in (*order, order[repeat]):
        assert api.post("/orders", states[index]).status_code == 201
    assert shop.level("MUG") == (8, 0)
    assert ledger_of(shop.merchant)["reservations"] == {}


def test_more_than_there_is_is_owed(api: Api, shop: Shop) -> None:
    api.post("/orders", state(connect(api), quantity=12))
    assert shop.level("MUG") == (10, 10)
    assert shop.owed("MUG") == 2


def test_an_unknown_sku_waits(api: Api, shop: Shop) -> None:
    line = api.post("/orders", state(connect(api), sku="NOBODY")).json()["lines"][0]
    assert line["variant_id"] is None
    assert shop.level("MUG") == (10, 0)


def test_a_line_is_taken_from_the_place_it_names(api: Api, shop: Shop) -> None:
    shop.add_location("store")
    channel = connect(api, locations=["main", "store"])
    refused = problem_of(api.post("/orders", state(channel, location="nowhere")), 422, "refused")
    assert refused["field"] == "lines[0].location"
    assert api.post("/orders", state(channel, location="store")).status_code == 201
    assert shop.level("MUG") == (10, 0)
    assert shop.owed("MUG") == 3


def test_orders_of_a_platform_are_not_taken_here(api: Api, shop: Shop) -> None:
    problem = problem_of(api.post("/orders", state(shop.channel.pk)), 422, "refused")
    assert problem["field"] == "channel_id"


def test_nobody_polls_or_pushes_such_a_channel(api: Api, shop: Shop) -> None:
    channel = connect(api)
    ensure_feeds()
    assert not PollFeed.objects.filter(channel=channel).exists()
    assert not Channel.objects.get(pk=channel).listings.exists()


def test_what_an_order_holds_is_given_back_with_the_order_alone(api: Api, shop: Shop) -> None:
    line = api.post("/orders", state(connect(api))).json()["lines"][0]
    (hold,) = api.get("/reservations", {"reference": line["reference"]}).json()["data"]
    ids = {"reservation_ids": [hold["id"]]}
    for verb, body in (
        ("release", {"units": [{"reservation_id": hold["id"]}]}),
        ("confirm", ids),
        ("extend", {**ids, "ttl_seconds": 60}),
    ):
        assert "order" in problem_of(api.post(f"/reservations/{verb}", body), 422, "refused")["detail"]
    assert shop.level("MUG") == (10, 3)


def test_what_an_order_holds_leaves_by_a_key_that_may_write_orders(api: Api, shop: Shop) -> None:
    line = api.post("/orders", state(connect(api))).json()["lines"][0]
    (hold,) = api.get("/reservations", {"reference": line["reference"]}).json()["data"]
    body = {"units": [{"reservation_id": hold["id"]}]}
    one = Api(shop.merchant, make_key(shop.merchant, "reservations:write")[1])
    problem = problem_of(one.post("/reservations/fulfil", body), 403, "missing-scope")
    assert problem["field"] == "units[0].reservation_id"
    both = Api(shop.merchant, make_key(shop.merchant, "reservations:write", "orders:write")[1])
    assert both.post("/reservations/fulfil", body).status_code == 200
    assert shop.level("MUG") == (7, 0)


def test_a_list_shows_the_first_lines_of_an_order_and_the_order_all(api: Api, shop: Shop) -> None:
    body = state(connect(api))
    body["lines"] = [{"external_id": str(number), "sku": "NOBODY", "quantity": 1} for number in range(60)]
    made = api.post("/orders", body).json()
    (listed,) = api.get("/orders").json()["data"]
    assert (listed["line_count"], made["line_count"]) == (60, 60)
    assert listed["lines"] == made["lines"][:50]
    assert len(api.get(f"/orders/{made['id']}").json()["lines"]) == 60


def test_a_number_beyond_any_order_is_refused(api: Api, shop: Shop) -> None:
    problem = problem_of(api.post("/orders", state(connect(api), quantity=10**10)), 400, "invalid-request")
    assert problem["field"] == "lines[0].quantity"


def test_a_line_named_twice_is_refused(api: Api, shop: Shop) -> None:
    body = state(connect(api))
    body["lines"] *= 2
    problem = problem_of(api.post("/orders", body), 422, "refused")
    assert problem["field"] == "lines[1].external_id"
    assert shop.level("MUG") == (10, 0)
