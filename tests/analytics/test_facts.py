"""Daily facts: each movement and each line is counted once, whatever comes when, and a rebuild finds the same."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analytics.facts import movements, sales
from analytics.facts.rebuilding import rebuild
from analytics.facts.updating import update
from analytics.models import CountedLine, LevelMark, OrderChange, SalesFact, StockDay, StockFact
from channels.events import OrderState
from channels.orders import apply_deleted, apply_state, hint
from inventory.conditions import ConditionLine, set_aside
from inventory.ledger import Context
from inventory.models import Variant
from inventory.returns import ReturnUnits, receive_return
from inventory.stock import CountLine, StockLine, count, receive
from tests.analytics.counting import assert_rebuilt_is_the_same, facts_of
from tests.channels.shop import NOON, Shop, line, open_shop, order
from tests.properties import examples

pytestmark = pytest.mark.django_db


def priced(state: OrderState, price: str | None) -> OrderState:
    """Puts a price on every line."""
    amount = None if price is None else Decimal(price)
    return replace(state, lines=tuple(replace(each, unit_price=amount) for each in state.lines))


def sell(shop: Shop, state: OrderState) -> None:
    apply_state(shop.channel, state, arrived_at=NOON)


def stock_of(variant: Variant, **conditions: Any) -> dict[str, int]:
    """Returns the sums of a variant's facts that are not 0."""
    names = ("received", "shipped", "returned", "transferred", "adjusted", "held", "released")
    rows = StockFact.objects.filter(variant=variant, **conditions)
    sums = {name: sum(getattr(row, name) for row in rows) for name in names}
    return {name: units for name, units in sums.items() if units}


def test_what_moves_is_counted_by_variant_location_and_channel() -> None:
    shop = open_shop({"MUG": 10})
    sell(shop, order(line("MUG", 3)))
    sell(shop, order(line("MUG", 3, fulfilled=2), at=1))
    update()
    mug = shop.variants["MUG"]
    assert stock_of(mug, channel=None) == {"received": 10}
    assert stock_of(mug, channel=shop.channel) == {"held": 3, "shipped": 2}
    assert StockFact.objects.filter(variant=mug, location=shop.locations["main"]).count() == 2


def test_goods_beyond_record_are_counted_for_the_channel_that_sent_them() -> None:
    shop = open_shop({"MUG": 1})
    sell(shop, order(line("MUG", 3, fulfilled=3)))
    update()
    assert stock_of(shop.variants["MUG"], channel=shop.channel) == {"shipped": 3, "adjusted": 2, "held": 1}


def test_returns_counts_and_goods_set_aside_have_no_channel() -> None:
    shop = open_shop({"MUG": 10})
    mug, place = shop.variants["MUG"].pk, shop.locations["main"].pk
    receive_return(Context(shop.merchant.pk, "return"), "RMA-1", [ReturnUnits(mug, place, 2)])
    set_aside(Context(shop.merchant.pk, "aside"), [ConditionLine(mug, place, 1)])
    count(Context(shop.merchant.pk, "count"), [CountLine(mug, place, 9)])
    update()
    assert stock_of(shop.variants["MUG"]) == {"received": 10, "returned": 2, "adjusted": -3}


def test_a_sale_is_counted_on_the_day_of_its_order_in_its_currency() -> None:
    shop = open_shop({"MUG": 10})
    sell(shop, priced(order(line("MUG", 3, cancelled=1)), "9.95"))
    update()
    fact = SalesFact.objects.get()
    assert (fact.ordered_on, fact.currency, fact.channel) == (NOON.date(), "EUR", shop.channel)
    assert (fact.orders, fact.lines, fact.ordered, fact.cancelled, fact.unpriced) == (1, 1, 3, 1, 0)
    assert (fact.amount, fact.cancelled_amount) == (Decimal("29.85"), Decimal("9.95"))


def test_currencies_are_never_added_up() -> None:
    shop = open_shop({"MUG": 10})
    sell(shop, priced(order(line("MUG"), id="1"), "5"))
    sell(shop, replace(priced(order(line("MUG"), id="2"), "5"), currency="USD"))
    update()
    assert dict(SalesFact.objects.values_list("currency", "amount")) == {"EUR": 5, "USD": 5}


def test_units_without_a_price_are_counted_apart() -> None:
    shop = open_shop({"MUG": 10})
    sell(shop, order(line("MUG", 4)))
    update()
    fact = SalesFact.objects.get()
    assert (fact.ordered, fact.unpriced, fact.amount) == (4, 4, Decimal(0))


def test_a_late_cancellation_lowers_the_day_of_the_order() -> None:
    shop = open_shop({"MUG": 10})
    sell(shop, priced(order(line("MUG", 3)), "2"))
    update()
    sell(shop, priced(order(line("MUG", 3, cancelled=3), at=700_000), "2"))
    update()
    fact = SalesFact.objects.get()
    assert (fact.ordered_on, fact.orders, fact.ordered, fact.cancelled) == (NOON.date(), 1, 3, 3)
    assert fact.amount == fact.cancelled_amount == 6


def test_a_deleted_order_keeps_what_was_shipped() -> None:
    shop = open_shop({"MUG": 10})
    sell(shop, order(line("MUG", 3, fulfilled=1)))
    apply_deleted(shop.channel, "1001", arrived_at=NOON)
    update()
    fact = SalesFact.objects.get()
    assert (fact.ordered, fact.cancelled, fact.shipped) == (3, 2, 1)


def test_a_test_order_counts_nothing() -> None:
    shop = open_shop({"MUG": 10})
    sell(shop, order(line("MUG", 3)))
    update()
    sell(shop, order(line("MUG", 3), at=1, is_test=True))
    update()
    assert not SalesFact.objects.exists()
    assert not CountedLine.objects.exists()


def test_a_line_that_is_mapped_later_moves_to_its_variant() -> None:
    shop = open_shop({"MUG": 10})
    sell(shop, order(line("NEW", 2)))
    update()
    assert SalesFact.objects.get().variant is None
    new = shop.add_variant("NEW", {"main": 5})
    sell(shop, order(line("NEW", 2), at=1))
    update()
    assert SalesFact.objects.get().variant == new


def test_an_order_with_many_lines_is_one_order() -> None:
    shop = open_shop({"MUG": 10, "CUP": 10})
    sell(shop, order(line("MUG", 1), line("CUP", 2)))
    update()
    facts = SalesFact.objects.all()
    assert (sum(f.orders for f in facts), sum(f.lines for f in facts), sum(f.ordered for f in facts)) == (
        1,
        2,
        3,
    )


def test_days_without_movement_have_no_row() -> None:
    shop = open_shop({"MUG": 10, "CUP": 10})
    sell(shop, order(line("MUG")))
    update()
    assert StockDay.objects.count() == 2
    assert SalesFact.objects.count() == 1


def test_time_without_stock_is_added_up_between_movements() -> None:
    shop = open_shop({"MUG": 1})
    sell(shop, order(line("MUG", 1)))
    mug, place = shop.variants["MUG"].pk, shop.locations["main"].pk
    receive(Context(shop.merchant.pk, "more"), [StockLine(mug, place, 5)])
    update()
    day = StockDay.objects.get()
    assert (day.opening_available, day.first_version, day.available, day.on_hand) == (0, 1, 5, 6)
    assert timedelta() < day.out_for <= day.last_at - day.first_at


def test_nothing_new_costs_four_statements_and_counts_nothing(
    django_assert_num_queries: Any,
) -> None:
    shop = open_shop({"MUG": 10})
    sell(shop, order(line("MUG")))
    update()
    with django_assert_num_queries(5):  # a savepoint, its release, the lock, movements, notes
        done = update()
    assert (done.movements, done.changes, done.is_complete) == (0, 0, True)


def test_many_movements_are_counted_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = open_shop({"MUG": 100, "CUP": 100})
    for number in range(6):
        sell(shop, order(line("MUG", 1), line("CUP", 1), id=str(number)))
    monkeypatch.setattr(movements.count_movements, "__kwdefaults__", {"most": 2})
    monkeypatch.setattr(sales.count_changes, "__kwdefaults__", {"most": 1})
    seen: list[int] = []
    done = update(note=lambda each: seen.append(each.movements))
    assert done.is_complete
    assert len(seen) > 3
    monkeypatch.undo()
    assert_rebuilt_is_the_same(shop.merchant)


def test_a_rebuild_says_what_was_wrong_and_mends_it() -> None:
    shop = open_shop({"MUG": 10})
    sell(shop, order(line("MUG", 2)))
    update()
    right = facts_of(shop.merchant)
    StockFact.objects.filter(channel=shop.channel).update(held=9)
    SalesFact.objects.all().delete()
    wrong = facts_of(shop.merchant)
    found = rebuild(shop.merchant.pk, is_check=True)
    assert found.differing == 3
    assert facts_of(shop.merchant) == wrong
    done = rebuild(shop.merchant.pk)
    assert (done.differing, done.pieces) == (3, done.pieces_total)
    assert facts_of(shop.merchant) == right
    assert rebuild(shop.merchant.pk).is_ok


def test_a_rebuild_leaves_other_merchants_alone() -> None:
    shop, other = open_shop({"MUG": 10}), open_shop({"MUG": 10})
    sell(other, order(line("MUG", 2)))
    update()
    before = facts_of(other.merchant)
    StockFact.objects.filter(merchant=other.merchant).update(held=77)
    rebuild(shop.merchant.pk)
    assert facts_of(other.merchant) != before


def test_what_is_not_counted_yet_is_no_difference() -> None:
    shop = open_shop({"MUG": 10})
    sell(shop, order(line("MUG", 2)))
    assert OrderChange.objects.exists()
    assert not LevelMark.objects.exists()
    assert rebuild(shop.merchant.pk).is_ok


SKUS = ("MUG", "CUP")


@st.composite
def happenings(draw: st.DrawFn) -> list[tuple[Any, ...]]:
    """Anything that may happen, in any order: what orders say now and said before, goods that come, and counting between."""
    told = draw(
        st.lists(
            st.one_of(
                st.tuples(
                    st.just("order"),
                    st.sampled_from(("1", "2", "3")),
                    st.integers(0, 4),
                    st.sampled_from(("MUG", "CUP", "NEW")),
                    st.integers(0, 5),
                    st.integers(0, 5),
                    st.integers(0, 5),
                    st.integers(0, 5),
                    st.sampled_from((None, "1.25", "10")),
                    st.sampled_from(("EUR", "USD", "")),
                    st.integers(-3, 0),
                    st.sampled_from((False, False, False, True)),
                ),
                st.tuples(st.just("delete"), st.sampled_from(("1", "2", "3"))),
                st.tuples(st.just("hint"), st.sampled_from(("1", "4"))),
                st.tuples(st.just("receive"), st.sampled_from(SKUS), st.integers(1, 5)),
                st.tuples(st.just("count"), st.sampled_from(SKUS), st.integers(0, 5)),
                st.tuples(st.just("return"), st.sampled_from(SKUS), st.integers(1, 3)),
                st.tuples(st.just("update")),
            ),
            min_size=1,
            max_size=10,
        )
    )
    return list(told)


def happen(shop: Shop, number: int, what: str, *details: Any) -> None:
    """Lets one of these happen."""
    context = Context(shop.merchant.pk, f"happening:{number}")
    place = shop.locations["main"].pk
    if what == "update":
        update()
    elif what == "delete":
        apply_deleted(shop.channel, details[0], arrived_at=NOON)
    elif what == "hint":
        hint(shop.channel, details[0], arrived_at=NOON)
    elif what == "order":
        sell(shop, stated(*details))
    else:
        variant, units = shop.variants[details[0]].pk, details[1]
        if what == "receive":
            receive(context, [StockLine(variant, place, units)])
        elif what == "count":
            count(context, [CountLine(variant, place, units)])
        else:
            receive_return(context, f"RMA-{number}", [ReturnUnits(variant, place, units)])


def stated(
    id: str,
    at: int,
    sku: str,
    quantity: int,
    cancelled: int,
    fulfilled: int,
    returned: int,
    price: str | None,
    currency: str,
    days: int,
    is_test: bool,
) -> OrderState:
    """States an order that makes sense."""
    shipped = min(fulfilled, quantity)
    told = line(
        sku, quantity, cancelled=min(cancelled, quantity), fulfilled=shipped, returned=min(returned, shipped)
    )
    state = order(told, at=at, id=id, is_test=is_test)
    return replace(priced(state, price), currency=currency, ordered_at=NOON + timedelta(days=days))


@pytest.mark.property
@settings(
    max_examples=examples(30), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(told=happenings())
def test_facts_kept_as_things_happen_are_those_of_a_rebuild(db: None, told: list[tuple[Any, ...]]) -> None:
    with transaction.atomic():
        shop = open_shop({"MUG": 3, "CUP": 3})
        for number, (what, *details) in enumerate(told):
            happen(shop, number, what, *details)
        assert_rebuilt_is_the_same(shop.merchant)
        transaction.set_rollback(True)


def test_the_trigger_notes_a_line_that_is_deleted() -> None:
    shop = open_shop({"MUG": 10})
    sell(shop, order(line("UNKNOWN", 2)))
    update()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM channels_channelorderline")
    update()
    assert not SalesFact.objects.exists()


def test_days_are_those_of_utc() -> None:
    shop = open_shop({"MUG": 10})
    late = replace(order(line("MUG")), ordered_at=NOON.replace(hour=23, minute=59))
    sell(shop, late)
    update()
    assert SalesFact.objects.get().ordered_on == date(2026, 11, 21)
