"""Goods still to come: offered and sold where a rule allows it, and never beyond what is confirmed."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from channels.exposure import explain, targets
from channels.fanout import fan_out
from channels.models import Channel, FulfilmentRequest, ListingLevel
from channels.preorders import HORIZON, allows_preorders, forget_preorders
from channels.rules.arrivals import follow_days
from inventory.ledger import Context
from inventory.models import Backorder, Conflict, KitBackorder
from inventory.purchasing import LineConfirmation, LineReceipt, confirm_lines, place, receive_lines
from tests.channels.rules.drawing import due, in_force, settle_marks
from tests.channels.shop import Shop, line, open_shop
from tests.channels.telling import INCLUDING, use_platform
from tests.channels.test_bundles import bundle
from tests.channels.test_orders import apply
from tests.inventory.buying import draft, in_days

pytestmark = pytest.mark.django_db


def shop_with_inbound(
    units: int, *, limit: int | None, kind: str = "woocommerce"
) -> tuple[Shop, ListingLevel]:
    """A channel with nothing in stock, and so many units confirmed for next week."""
    shop = open_shop({"MUG": 0}, kind=kind)
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


# -- where it is offered


def confirmed(shop: Shop, units: int, *, code: str = "main", days: int = 3) -> int:
    """Has mugs confirmed for one of our locations; returns the line's id."""
    order = draft(shop.merchant.pk, shop.locations[code], [(shop.variants["MUG"], units)])
    place(shop.merchant.pk, order.pk)
    line_id = order.lines.get().pk
    context = Context(shop.merchant.pk, f"confirm:{line_id}")
    confirm_lines(context, [LineConfirmation(line_id, units, in_days(days))])
    return line_id


def two_places() -> tuple[Shop, dict[str, ListingLevel]]:
    """A channel with the places E and W, each with a location of its own; a rule allows pre-orders."""
    shop = open_shop(kind="shopify")
    shop.add_location("east", place="E")
    shop.add_location("west", place="W")
    shop.add_variant("MUG")
    in_force(shop.merchant, {"preorder_limit": 100})
    forget_preorders()
    listing = shop.list_variant("MUG")
    levels = listing.levels.select_related("channel_location")
    return shop, {level.channel_location.external_id: level for level in levels}


def shown(levels: dict[str, ListingLevel]) -> dict[str, int]:
    found = targets([level.pk for level in levels.values()])
    return {place: found[level.pk] for place, level in levels.items()}


def test_inbound_is_offered_at_the_places_that_it_comes_to_and_nowhere_else() -> None:
    shop, levels = two_places()
    confirmed(shop, 10, code="west")
    assert shown(levels) == {"": 0, "E": 0, "W": 10}
    apply(shop, line("MUG", 4, place="W"), id="1")
    assert shown(levels) == {"": 0, "E": 0, "W": 6}
    assert not Conflict.objects.exists()
    apply(shop, line("MUG", 1, place="E"), id="2")
    assert Conflict.objects.get().open_quantity == 1


def test_a_shelf_that_draws_on_several_locations_offers_what_comes_to_all_of_them_less_what_is_owed_there() -> (
    None
):
    shop, levels = two_places()
    shop.add_source(shop.locations["east"], "W")
    apply(shop, line("MUG", 2, place="E"), id="owed")
    confirmed(shop, 10, code="west")
    confirmed(shop, 3, code="east")
    assert shown(levels) == {"": 0, "E": 1, "W": 11}


def test_of_orders_that_are_not_split_only_one_locations_inbound_is_offered() -> None:
    shop = open_shop({"MUG": 0})
    shop.add_location("north", place="")
    Channel.objects.filter(pk=shop.channel.pk).update(may_split=False)
    shop.channel.refresh_from_db()
    in_force(shop.merchant, {"preorder_limit": 100})
    forget_preorders()
    level = shop.shelf(shop.list_variant("MUG"))
    confirmed(shop, 7, code="north")
    confirmed(shop, 2, code="main")
    assert targets([level.pk]) == {level.pk: 2}
    apply(shop, line("MUG", 2))
    assert not Conflict.objects.exists()


def test_what_is_confirmed_right_after_a_rule_allows_it_marks_its_shelf() -> None:
    shop = open_shop({"MUG": 0})
    listing = shop.list_variant("MUG")
    forget_preorders()
    assert not allows_preorders(shop.merchant.pk)
    in_force(shop.merchant, {"preorder_limit": 9})
    settle_marks()
    confirmed(shop, 5)
    assert due(listing) == [True]


# -- days that go by


def test_what_is_overdue_is_offered_no_more_and_its_shelf_is_told_on_the_next_day() -> None:
    _, level = shop_with_inbound(3, limit=9)
    assert follow_days() == 1
    settle_marks()
    assert follow_days() == 0
    for days, number in ((7, 3), (8, 0)):
        with time_machine.travel(timezone.now() + timedelta(days=days)):
            assert follow_days() == (number == 0)
            assert targets([level.pk]) == {level.pk: number}
            assert due(level.listing) == [number == 0]


def test_what_comes_into_reach_is_offered_from_then_on_and_its_shelf_is_told() -> None:
    shop = open_shop({"MUG": 0})
    level = shop.shelf(shop.list_variant("MUG"))
    in_force(shop.merchant, {"preorder_limit": 9})
    confirmed(shop, 5, days=HORIZON.days + 2)
    follow_days()
    settle_marks()
    for days, number in ((1, 0), (2, 5), (3, 5)):
        with time_machine.travel(timezone.now() + timedelta(days=days)):
            assert follow_days() == (days == 2)
            assert targets([level.pk]) == {level.pk: number}


def test_days_mark_nothing_where_no_rule_allows_pre_orders() -> None:
    shop_with_inbound(3, limit=None)
    assert follow_days() == 0


# -- kits, and platforms that subtract their open orders


def shop_with_kits(kind: str = "woocommerce") -> tuple[Shop, ListingLevel, int]:
    """A channel with six spoons, no mug and eight mugs to come, and sets of two mugs and a spoon that may be pre-ordered."""
    shop = open_shop({"MUG": 0, "SPOON": 6}, kind=kind)
    bundle(shop, "SET", {"MUG": 2, "SPOON": 1})
    level = shop.shelf(shop.list_variant("SET"))
    in_force(shop.merchant, {"preorder_limit": 9})
    forget_preorders()
    return shop, level, confirmed(shop, 8)


def test_kits_are_offered_as_many_as_have_all_parts_there_or_confirmed() -> None:
    shop, level, line_id = shop_with_kits()
    assert targets([level.pk]) == {level.pk: 4}
    fan_out()
    assert due(level.listing) == [True]
    apply(shop, line("SET", 3), id="1")
    assert targets([level.pk]) == {level.pk: 1}
    assert not Conflict.objects.exists()
    promised = KitBackorder.objects.get()
    assert (promised.open_quantity, promised.reference[:11]) == (3, "order-line:")
    apply(shop, line("SET", 3, cancelled=1), id="1", at=1)
    assert targets([level.pk]) == {level.pk: 2}
    receive_lines(Context(shop.merchant.pk, "arrived"), [LineReceipt(line_id, 8)])
    assert FulfilmentRequest.objects.get().units == 2 * 3
    assert targets([level.pk]) == {level.pk: 2}


def test_the_day_that_a_part_is_overdue_marks_the_kits() -> None:
    _, level, _ = shop_with_kits()
    follow_days()
    fan_out()
    settle_marks()
    with time_machine.travel(timezone.now() + timedelta(days=4)):
        assert follow_days() == 1
        assert targets([level.pk]) == {level.pk: 0}
        assert due(level.listing) == [True]


def test_what_was_promised_is_added_where_the_platform_subtracts_its_open_orders(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use_platform(monkeypatch, **INCLUDING)
    shop, level = shop_with_inbound(9, limit=9, kind="telling")
    apply(shop, line("MUG", 2), id="1")
    assert targets([level.pk]) == {level.pk: 7 + 2}
    kits, level, _ = shop_with_kits(kind="telling")
    apply(kits, line("SET", 1), id="1")
    assert targets([level.pk]) == {level.pk: 3 + 1}
