"""The fast way to a number leads to the same number as the way that shows its steps."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from channels.exposure import Inputs, exposures, load_inputs, quantity_of, targets
from channels.exposure.numbers import applied
from channels.models import Channel, ListingLevel
from channels.preorders import forget_preorders
from channels.rules import pins
from inventory.ledger import Context
from inventory.models import StockLevel
from inventory.purchasing import LineConfirmation, confirm_lines, place
from tests.channels.rules.drawing import in_force
from tests.channels.rules.test_rollback_property import House, rules
from tests.channels.shop import line
from tests.channels.test_bundles import bundle
from tests.channels.test_exposure import MANY_PARTS, any_inputs
from tests.channels.test_orders import apply
from tests.inventory.buying import draft, in_days
from tests.properties import examples


def offered(inputs: Inputs) -> int:
    return sum(stock.offered for stock in inputs.serving)


@MANY_PARTS
@given(any_inputs(), st.booleans())
def test_stages_that_are_left_out_change_nothing(inputs: Inputs, may_split: bool) -> None:
    inputs = replace(inputs, pin=None, may_split=may_split)
    number = offered(inputs)
    for apply_stage in applied(inputs.rules, inputs.convention, inputs.largest):
        number = apply_stage(number, inputs)
    assert number == quantity_of(inputs)


def big_house() -> House:
    """A house with two locations, a kit of its two variants, safety stock, an order, a pin, and goods to come."""
    house = House()
    shop = house.shop
    shop.add_location("attic", place="")
    context = Context(shop.merchant.pk, "attic")
    StockLevel.objects.filter(variant=shop.variants["MUG"]).update(safety_stock=2)
    bundle(shop, "SET", {"MUG": 2, "CUP": 1})
    set_listing = shop.list_variant("SET")
    apply(shop, line("CUP", 1), line("SET", 1))
    order = draft(shop.merchant.pk, shop.locations["main"], [(shop.variants["MUG"], 3)])
    place(shop.merchant.pk, order.pk)
    confirm_lines(replace(context, key="confirm"), [LineConfirmation(order.lines.get().pk, 3, in_days(4))])
    tomorrow = timezone.now() + timedelta(days=1)
    pins.pin(shop.shelf(set_listing), 1, reason="a test", owner="anna", expires_at=tomorrow)
    return house


@pytest.mark.django_db
@settings(
    max_examples=examples(24),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(st.lists(rules(), max_size=4), st.none() | st.integers(0, 5), st.booleans(), st.integers(0, 12))
def test_the_numbers_of_all_shelves_are_those_of_their_steps(
    drawn: list[dict[str, Any]], preorders: int | None, may_split: bool, expected: int
) -> None:
    with transaction.atomic():
        house = big_house()
        Channel.objects.filter(pk=house.shop.channel.pk).update(may_split=may_split)
        ListingLevel.objects.update(expected=expected, raises=1, raised_on=timezone.now().date())
        budget: dict[str, Any] = {"daily_increases": 1, "preorder_limit": preorders}
        in_force(house.shop.merchant, *map(house.rule, drawn), budget)
        forget_preorders()
        ids = list(ListingLevel.objects.values_list("id", flat=True))
        shown = {level_id: exposure.quantity for level_id, exposure in exposures(ids).items()}
        assert targets(ids) == shown
        assert {level_id: quantity_of(inputs) for level_id, inputs in load_inputs(ids).items()} == shown
        transaction.set_rollback(True)


@pytest.mark.django_db
def test_shelves_under_no_rule_are_read_in_three_statements() -> None:
    house = House()
    ids = list(ListingLevel.objects.filter(listing__channel=house.channel).values_list("id", flat=True))
    with CaptureQueriesContext(connection) as captured:
        numbers = targets(ids)
    assert (len(captured), sorted(numbers.values())) == (3, [4, 9])


@pytest.mark.django_db
def test_nothing_is_asked_for_nothing() -> None:
    assert targets([]) == {}
