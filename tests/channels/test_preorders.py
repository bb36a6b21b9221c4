"""Goods still to come: offered and sold where a rule allows it, and never beyond what is confirmed."""

import pytest

from channels.exposure import explain, targets
from channels.models import ListingLevel
from channels.preorders import forget_preorders
from inventory.ledger import Context
from inventory.models import Backorder, Conflict
from inventory.purchasing import LineConfirmation, confirm_lines, place
from tests.channels.rules.drawing import due, in_force, settle_marks
from tests.channels.shop import Shop, line, open_shop
from tests.channels.test_orders import apply
from tests.inventory.buying import draft, in_days

pytestmark = pytest.mark.django_db


def shop_with_inbound(units: int, *, limit: int | None) -> tuple[Shop, ListingLevel]:
    """A channel with nothing in stock, and so many units confirmed for next week."""
    shop = open_shop({"MUG": 0})
    level = shop.shelf(shop.list_variant("MUG"))
    if limit is not None:
        in_force(shop.merchant, {"preorder_limit": limit})
    forget_preorders()
    order = draft(shop.merchant.pk, shop.locations["main"], [(shop.variants["MUG"], units)])
    place(shop.merchant.pk, order.pk)
    settle_marks()
    confirm_lines(
        Context(shop.merchant.pk, "confirmed"), [LineConfirmation(order.lines.get().pk, units, in_days(7))]
    )
    return shop, level


def test_confirmed_inbound_is_offered_up_to_the_limit_of_the_rule() -> None:
    _, level = shop_with_inbound(3, limit=2)
    assert targets([level.pk]) == {level.pk: 2}
    step = next(step for step in explain(level.pk).steps if step.name == "Pre-order")
    assert (step.before, step.after) == (0, 2)
    assert due(level.listing) == [True]


def test_without_a_rule_nothing_that_is_not_there_is_offered_and_a_sale_of_it_is_a_conflict() -> None:
    shop, level = shop_with_inbound(3, limit=None)
    assert targets([level.pk]) == {level.pk: 0}
    apply(shop, line("MUG", 1), id="1")
    assert Conflict.objects.get().open_quantity == 1
    assert not Backorder.objects.exists()


def test_a_sale_of_what_is_to_come_is_promised_and_only_what_nobody_confirmed_is_owed() -> None:
    shop, level = shop_with_inbound(3, limit=9)
    apply(shop, line("MUG", 2), id="1")
    assert targets([level.pk]) == {level.pk: 1}
    assert not Conflict.objects.exists()
    apply(shop, line("MUG", 2), id="2")
    assert sorted(Backorder.objects.values_list("quantity", flat=True)) == [1, 2]
    assert Conflict.objects.get().open_quantity == 1
    assert targets([level.pk]) == {level.pk: 0}
