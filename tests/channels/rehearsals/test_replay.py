"""Rules that change nothing lead to what happened; others show what they would have prevented, and what it costs."""

from dataclasses import replace
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from channels.fanout import fan_out
from channels.models.listings import Lane
from channels.orders import apply_state
from channels.pushes import mark_listing_levels
from inventory.ledger import Context
from inventory.safety_stock import set_safety_stock
from inventory.stock import AdjustmentLine, CountLine, StockLine, adjust, count, receive
from tests.channels.rehearsals.stage import Stage, totals
from tests.channels.shop import line, order
from tests.channels.telling import CAS, INCLUDING
from tests.channels.test_bundles import bundle
from tests.properties import examples

pytestmark = pytest.mark.django_db

_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("sell"), st.booleans(), st.integers(1, 4)),
        st.tuples(st.sampled_from(["tell", "tell both"]), st.booleans(), st.just(0)),
        st.tuples(st.sampled_from(["cancel", "ship", "cancel one"]), st.booleans(), st.integers(0, 5)),
        st.tuples(st.sampled_from(["receive", "lose", "count"]), st.booleans(), st.integers(1, 6)),
    ),
    min_size=1,
    max_size=25,
)

_BOUNDED = settings(
    deadline=None,
    max_examples=examples(15),
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)

#: The channels' own settings, a rule, a pool's worth of them: what was in force when it happened.
_IN_FORCE: list[dict[str, Any]] = [
    {},
    {"buffer_units": 1},
    {"buffer_percent": 30, "minimum": 2},
    {"maximum": 3},
    {"daily_increases": 1},
]


def _perform(stage: Stage, orders: list[tuple[str, int]], step: tuple[str, bool, int], number: int) -> None:
    verb, is_other, units = step
    channel = stage.other if is_other else stage.channel
    place, merchant = stage.shop.locations["main"].pk, stage.shop.merchant.pk
    context = Context(merchant, f"step-{number}")
    if verb == "sell":
        orders.append((stage.sell(channel, units), units))
    elif verb == "tell":
        stage.tell(channel)
    elif verb == "tell both":
        stage.tell()
    elif verb == "receive":
        receive(context, [StockLine(stage.mug.pk, place, units)])
    elif verb == "lose":
        adjust(context, [AdjustmentLine(stage.mug.pk, place, -units)])
    elif verb == "count":
        count(context, [CountLine(stage.mug.pk, place, units)])
    elif orders:
        order, wanted = orders[units % len(orders)]
        state = {
            "cancel": {"cancelled": wanted},
            "ship": {"fulfilled": wanted},
            "cancel one": {"cancelled": 1},
        }[verb]
        stage.change(order, **state)


@pytest.mark.property
@pytest.mark.timeout(600)
@pytest.mark.parametrize("able", [{}, CAS, INCLUDING], ids=["plain", "compare-and-set", "including"])
@given(steps=_STEPS, in_force=st.sampled_from(_IN_FORCE), stock=st.integers(0, 6))
@_BOUNDED
def test_the_version_that_was_in_force_reproduces_what_happened(
    able: dict[str, Any], steps: list[tuple[str, bool, int]], in_force: dict[str, Any], stock: int
) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch, transaction.atomic():
        versions: list[Any] = []
        stage = Stage(
            monkeypatch,
            stock,
            before=lambda stage: versions.append(stage.version(is_active=True, **in_force)),
            **able,
        )
        orders: list[tuple[str, int]] = []
        for number, step in enumerate(steps):
            _perform(stage, orders, step, number)
        result = stage.rehearse(versions[0])
        assert result["differing"] == 0
        assert result["total"]["rehearsed"] == result["total"]["happened"]
        assert result["listings"] == [] or all(
            each["refused"] == 0 and each["oversold"] == each["oversold_rehearsed"]
            for each in result["listings"]
        )
        transaction.set_rollback(True)


def test_a_budget_goes_by_the_number_that_the_platform_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    versions: list[Any] = []
    stage = Stage(
        monkeypatch,
        5,
        before=lambda s: versions.append(s.version(is_active=True, daily_increases=1)),
        **INCLUDING,
    )
    steps = [("receive", False, 6), ("tell both", True, 0), ("sell", False, 3), ("tell both", True, 0)]
    orders: list[tuple[str, int]] = []
    for number, step in enumerate([*steps, ("receive", False, 2), ("tell both", True, 0)]):
        _perform(stage, orders, step, number)
    assert stage.rehearse(versions[0])["differing"] == 0


def test_a_buffer_would_have_prevented_an_oversell(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, 1)
    stage.sell(stage.channel)
    stage.sell(stage.other)
    assert stage.shop.owed("MUG") == 1
    result = stage.rehearse(stage.version(buffer_units=1, channel=stage.other))
    assert totals(result, "sold", "oversold", "refused") == ((2, 1, 0), (1, 0, 1))
    (listing,) = [each for each in result["listings"] if each["refused"]]
    assert listing["listing_level"] == stage.shop.shelf(stage.listing(stage.other)).pk


def test_units_that_nobody_was_offered_go_to_whoever_got_none(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, 1)
    stage.sell(stage.other)
    stage.sell(stage.channel)
    result = stage.rehearse(stage.version(maximum=0, channel=stage.other))
    assert totals(result, "sold", "oversold", "refused") == ((2, 1, 0), (1, 0, 1))


def test_rules_that_hide_too_much_are_seen_to(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, 10)
    for _ in range(3):
        stage.sell(stage.channel, 2)
        stage.tell()
    result = stage.rehearse(stage.version(maximum=3))
    (sold, oversold, refused), (sold_less, still_oversold, not_offered) = totals(
        result, "sold", "oversold", "refused"
    )
    # Three of two are sold from the first number, the third of the second order is not offered, and so on.
    assert (sold, oversold, refused) == (6, 0, 0)
    assert (sold_less, still_oversold, not_offered) == (6, 0, 0)
    hidden = result["total"]
    assert hidden["rehearsed"]["stock_outs"] == hidden["happened"]["stock_outs"] == 0


def test_a_customer_who_wanted_more_than_would_have_been_shown_gets_less(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = Stage(monkeypatch, 10)
    stage.sell(stage.channel, 5)
    result = stage.rehearse(stage.version(maximum=3))
    assert totals(result, "sold", "refused") == ((5, 0), (3, 2))


def test_a_sale_that_arrives_late_is_judged_by_what_was_shown_when_it_was_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = Stage(monkeypatch, 1)
    made = stage.since
    stage.sell(stage.channel)
    stage.tell(stage.other)
    stage.sell(stage.other, at=made)
    result = stage.rehearse(stage.version(buffer_units=1, channel=stage.other))
    assert totals(result, "oversold", "refused") == ((1, 0), (0, 1))


def test_what_a_shop_sold_beyond_its_number_it_would_have_sold_again(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, 1)
    stage.sell(stage.channel)
    stage.tell()
    stage.sell(stage.channel)
    result = stage.rehearse(stage.version(buffer_units=0))
    assert totals(result, "sold", "oversold", "refused") == ((2, 1, 0), (2, 1, 0))


def test_what_is_not_sold_is_neither_shipped_nor_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, 2)
    for verb in ("fulfilled", "cancelled"):
        stage.change(stage.sell(stage.other), **{verb: 1})
    stage.tell()
    # One shipped, one cancelled: one is left in the record, and two where the market never sold any.
    result = stage.rehearse(stage.version(maximum=0, channel=stage.other))
    assert totals(result, "sold", "refused") == ((2, 0), (0, 2))
    assert result["differing"] == 2


def test_numbers_told_and_stock_outs_are_counted_for_both(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, 2, compare_and_set=True)
    stage.sell(stage.channel)
    stage.tell()
    stage.sell(stage.channel)
    stage.tell()
    # The market is told 1, then 0. Never shown more than 1, it is told so at once, and 0 in the end.
    result = stage.rehearse(stage.version(maximum=1, channel=stage.other))
    market = next(each for each in result["channels"] if each["channel"] == stage.other.pk)
    assert (market["happened"]["pushes"], market["rehearsed"]["pushes"]) == (2, 2)
    assert (market["happened"]["stock_outs"], market["rehearsed"]["stock_outs"]) == (1, 1)


def test_memory_does_not_hold_what_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    from channels.exposure import quantity_of
    from channels.rehearsals.events import Period
    from channels.rehearsals.replay import Replay
    from channels.rehearsals.rules import rules_of
    from tests.channels.rehearsals.stage import now

    stage = Stage(monkeypatch, 50)
    for _ in range(30):
        stage.change(stage.sell(stage.channel), fulfilled=1)
        stage.tell()
    period = Period(stage.shop.merchant.pk, stage.since, now())
    replay = Replay(period, rules_of(stage.version(maximum=0), stage.since), quantity_of)
    replay.run()
    assert replay.world.lines == {}
    assert all(len(shelf.numbers) <= 16 for shelf in replay.shelves.values())


def test_safety_stock_that_was_set_meanwhile_counts_from_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, 10, **CAS)
    version = stage.version(is_active=True)
    level = stage.mug.pk, stage.shop.locations["main"].pk
    stage.sell(stage.channel, 1)
    stage.tell()
    for units in (9, 4):
        set_safety_stock(stage.shop.merchant.pk, {level: units})
        stage.tell()
    stage.sell(stage.other, 2)
    stage.tell()
    result = stage.rehearse(version)
    happened, rehearsed = totals(
        result, "sold", "oversold", "refused", "stock_outs", "pushes", "hidden_milliunits"
    )
    assert (result["differing"], rehearsed) == (0, happened)


@pytest.mark.parametrize("able", [CAS, INCLUDING], ids=["compare-and-set", "including"])
@pytest.mark.parametrize("remade", [None, {"MUG": 1}, {"MUG": 3, "SPOON": 1}], ids=["same", "less", "more"])
def test_kits_lead_to_what_happened_too(
    monkeypatch: pytest.MonkeyPatch, able: dict[str, Any], remade: dict[str, int] | None
) -> None:
    shelf: list[Any] = []

    def with_a_set(stage: Stage) -> None:
        stage.shop.add_variant("SPOON", {"main": 5})
        bundle(stage.shop, "SET", {"MUG": 2})
        shelf.append(stage.shop.list_variant("SET"))
        stage.shelves.numbers[shelf[0].external_id, ""] = 5
        mark_listing_levels([stage.shop.shelf(shelf[0]).pk], lane=Lane.INCREASE)

    stage = Stage(monkeypatch, 10, with_a_set, **able)
    version = stage.version(is_active=True)

    def told() -> None:
        fan_out()
        stage.tell()

    def order_of_sets(units: int, **state: Any) -> None:
        stage.shelves.sell(shelf[0], units if not state else 0)
        sold = replace(line("SET", units, **state), listing_external_id=shelf[0].external_id)
        snapshot = replace(order(sold, id="set", at=len(state)), ordered_at=timezone.now())
        apply_state(stage.channel, snapshot, arrived_at=timezone.now())

    order_of_sets(2)
    told()
    if remade:
        bundle(stage.shop, "SET", remade)
        told()
    stage.sell(stage.other, 3)
    told()
    order_of_sets(2, cancelled=1)
    told()
    result = stage.rehearse(version)
    happened, rehearsed = totals(
        result, "sold", "oversold", "refused", "stock_outs", "pushes", "hidden_milliunits"
    )
    assert (result["differing"], rehearsed) == (0, happened)
    assert happened[0] == 4 + 3
