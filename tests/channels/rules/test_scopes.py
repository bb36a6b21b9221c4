"""Most specific wins, setting by setting; every step of a number names the rule version that decided it."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from channels.exposure import explain, targets
from channels.models import ListingLevel, RuleSet
from channels.rules.differences import differences
from channels.rules.starter import add_starter_set
from inventory.models import Product, Tag
from inventory.tagging import tag
from tests.channels.rules.drawing import draft, group_of, in_force, sell_on
from tests.channels.shop import Shop, open_shop

pytestmark = pytest.mark.django_db


def tagged(shop: Shop, name: str, *skus: str) -> Tag:
    found, _ = Tag.objects.get_or_create(merchant=shop.merchant, name=name)
    tag(found, [shop.variants[sku] for sku in skus])
    return found


def target(shop: Shop, sku: str = "MUG") -> int:
    level = ListingLevel.objects.get(channel=shop.channel, listing__sku=sku)
    return targets([level.pk])[level.pk]


def test_the_variant_wins_over_the_tag_the_tag_over_the_category_and_that_over_all() -> None:
    shop = open_shop({"MUG": 50})
    shop.list_variant("MUG")
    Product.objects.update(category="Kitchen")
    hot = tagged(shop, "hot", "MUG")
    rules: list[dict[str, Any]] = [
        {"maximum": 40},
        {"maximum": 30, "category": "Kitchen"},
        {"maximum": 20, "tag": hot},
        {"maximum": 10, "variant": shop.variants["MUG"]},
    ]
    seen = []
    for count in range(1, 5):
        in_force(shop.merchant, *rules[:count])
        seen.append(target(shop))
    assert seen == [40, 30, 20, 10]


def test_a_channel_wins_over_its_group_and_that_over_all_but_goods_come_first() -> None:
    shop = open_shop({"MUG": 50})
    shop.list_variant("MUG")
    group = group_of(shop.merchant, "Marketplaces", shop.channel)
    in_force(shop.merchant, {"maximum": 40}, {"maximum": 30, "group": group})
    assert target(shop) == 30
    in_force(shop.merchant, {"maximum": 30, "group": group}, {"maximum": 20, "channel": shop.channel})
    assert target(shop) == 20
    in_force(
        shop.merchant,
        {"maximum": 20, "channel": shop.channel},
        {"maximum": 35, "variant": shop.variants["MUG"]},
    )
    assert target(shop) == 35


def test_each_setting_comes_from_the_most_specific_rule_that_states_it() -> None:
    shop = open_shop({"MUG": 50})
    shop.list_variant("MUG")
    shop.channel.buffer_percent = 10
    shop.channel.save()
    in_force(
        shop.merchant, {"maximum": 40, "buffer_units": 3}, {"maximum": 45, "variant": shop.variants["MUG"]}
    )
    assert target(shop) == 50 - 5 - 3


def test_of_two_equally_specific_rules_the_first_wins_and_of_two_sets_the_one_of_higher_priority() -> None:
    shop = open_shop({"MUG": 50})
    shop.list_variant("MUG")
    in_force(shop.merchant, {"maximum": 9}, {"maximum": 8})
    assert target(shop) == 9
    in_force(shop.merchant, {"maximum": 7}, name="Season")
    RuleSet.objects.filter(name="Season").update(priority=5)
    assert target(shop) == 7


def test_rules_of_another_merchant_and_of_versions_not_in_force_change_nothing() -> None:
    shop, stranger = open_shop({"MUG": 50}), open_shop({"MUG": 50})
    shop.list_variant("MUG")
    in_force(stranger.merchant, {"maximum": 1})
    draft(shop.merchant, {"maximum": 2})
    assert target(shop) == 50


def test_each_step_names_the_version_and_the_rule_that_decided_it() -> None:
    shop = open_shop({"MUG": 50})
    level = shop.shelf(shop.list_variant("MUG"))
    hot = tagged(shop, "hot", "MUG")
    in_force(shop.merchant, {"maximum": 5, "tag": hot, "scarce_below": 3, "daily_increases": 2})
    steps = {step.name: step for step in explain(level.pk).steps}
    assert steps["Minimum and maximum"].rule == "House v1, rule 1: tag hot on all channels"
    assert steps["Scarce stock"].rule == steps["Minimum and maximum"].rule
    assert steps["Buffer"].rule == ""
    assert all(step.why for step in steps.values())


@pytest.mark.parametrize("count", [1, 25])
def test_the_number_of_statements_does_not_grow_with_the_listings_under_many_rules(count: int) -> None:
    skus = [f"S{each}" for each in range(count)]
    shop = open_shop(dict.fromkeys(skus, 3))
    ids = [shop.shelf(shop.list_variant(sku)).pk for sku in skus]
    hot = tagged(shop, "hot", *skus)
    group = group_of(shop.merchant, "B2B")
    rules = [{"variant": variant, "maximum": 2} for variant in shop.variants.values()]
    in_force(
        shop.merchant,
        {"tag": hot, "velocity_quantile": 95, "scarce_below": 9, "channel_cap": 4, "daily_increases": 9},
        {"pool": group, "pool_units": 1},
        *rules,
    )
    with CaptureQueriesContext(connection) as captured:
        targets(ids)
    assert len(captured) == 6


# -- the starter set and the comparison of versions


def test_the_starter_set_is_a_draft_that_keeps_fast_sellers_back_and_shows_marketplaces_five_at_most() -> (
    None
):
    shop = open_shop({"MUG": 50, "CUP": 50}, kind="bol")
    mug, cup = shop.list_variant("MUG"), shop.list_variant("CUP")
    _other, (at_other,) = sell_on(shop, "other", "MUG")
    version = add_starter_set(shop.merchant, actor="anna")
    assert (version.is_draft, version.created_by) == (True, "anna")
    assert add_starter_set(shop.merchant, actor="bert") == version
    from channels.rules import lifecycle

    lifecycle.approve(version.pk, actor="anna", because="a start")
    lifecycle.activate(version.pk, actor="anna", because="a start")
    tag(Tag.objects.get(name="fast seller"), [shop.variants["MUG"]])
    ids = [shop.shelf(each).pk for each in (mug, cup, at_other)]
    assert [targets(ids)[each] for each in ids] == [5, 5, 49]


def test_two_versions_are_compared_setting_by_setting() -> None:
    shop = open_shop({"MUG": 1})
    group = group_of(shop.merchant, "B2B")
    first = draft(shop.merchant, {"maximum": 5, "minimum": 1}, {"category": "Paper", "buffer_units": 2})
    second = draft(shop.merchant, {"maximum": 6, "minimum": 1}, {"pool": group, "pool_units": 9})
    found = [(each.scope, each.setting, each.before, each.after) for each in differences(first, second)]
    assert found == [
        ("all goods on all channels", "maximum", "5", "6"),
        ("all goods on pool B2B", "pool_units", "", "9"),
        ("category Paper on all channels", "buffer_units", "2", ""),
    ]
    assert differences(first, first) == []


def test_another_order_of_rules_of_equal_rank_is_a_difference() -> None:
    shop = open_shop({"MUG": 9})
    fragile, heavy = (Tag.objects.create(merchant=shop.merchant, name=name) for name in ("fragile", "heavy"))
    rules: list[dict[str, Any]] = [
        {"tag": fragile, "maximum": 2},
        {"tag": heavy, "maximum": 5},
        {"maximum": 7},
    ]
    first, second = draft(shop.merchant, *rules), draft(shop.merchant, *reversed(rules))
    found = [(each.scope, each.setting, each.before, each.after) for each in differences(first, second)]
    assert found == [
        ("tag fragile on all channels", "order", "1", "2"),
        ("tag heavy on all channels", "order", "2", "1"),
    ]


def test_a_channel_and_a_group_of_the_same_name_are_not_mistaken_for_each_other() -> None:
    shop = open_shop({"MUG": 9})
    group = group_of(shop.merchant, shop.channel.name, shop.channel)
    first = draft(shop.merchant, {"channel": shop.channel, "maximum": 2})
    second = draft(shop.merchant, {"group": group, "maximum": 2})
    changed = sorted((each.before, each.after) for each in differences(first, second))
    assert changed == [("", "2"), ("2", "")]
