"""Whatever changes the rules in force marks exactly the shelves whose numbers may change."""

import io
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from channels.errors import RuleRefused
from channels.exposure import explain, targets
from channels.models import Pin, RuleSetVersion
from channels.models.listings import Lane
from channels.rules import lifecycle, pins, pools
from channels.tasks import follow_rules
from inventory.import_file import Defaults
from inventory.importing import Import, import_file
from inventory.models import Product, Tag
from inventory.tagging import note_category, refresh_automatic_tags, tag, untag
from tests.back_office import person
from tests.channels.rules.drawing import approved, due, group_of, in_force, sell_on, settle_marks
from tests.channels.shop import open_shop
from tests.channels.telling import fresh

pytestmark = pytest.mark.django_db


def test_an_activation_marks_the_shelves_in_its_scope_and_no_others() -> None:
    shop = open_shop({"MUG": 10, "CUP": 10})
    mug, cup = shop.list_variant("MUG"), shop.list_variant("CUP")
    channel, (other_mug, other_cup) = sell_on(shop, "other", "MUG", "CUP")
    stranger = open_shop({"MUG": 10})
    strange = stranger.list_variant("MUG")
    settle_marks()
    in_force(shop.merchant, {"variant": shop.variants["MUG"], "channel": channel, "buffer_units": 1})
    assert due(mug, cup, other_mug, other_cup, strange) == [False, False, True, False, False]


def test_a_rule_that_a_more_specific_one_overrules_marks_nothing() -> None:
    shop = open_shop({"MUG": 10, "CUP": 10})
    mug, cup = shop.list_variant("MUG"), shop.list_variant("CUP")
    in_force(shop.merchant, {"variant": shop.variants["MUG"], "maximum": 4})
    settle_marks()
    in_force(shop.merchant, {"variant": shop.variants["MUG"], "maximum": 4}, {"maximum": 6})
    assert due(mug, cup) == [False, True]


def test_a_number_that_is_equal_now_but_may_differ_after_a_sale_is_marked_too() -> None:
    shop = open_shop({"MUG": 3})
    mug = shop.list_variant("MUG")
    settle_marks()
    in_force(shop.merchant, {"maximum": 9})
    assert due(mug) == [True]


def test_a_pool_marks_the_channels_that_it_is_kept_from_and_those_it_is_kept_for() -> None:
    shop = open_shop({"MUG": 10, "CUP": 10})
    mug, cup = shop.list_variant("MUG"), shop.list_variant("CUP")
    channel, (theirs,) = sell_on(shop, "b2b", "MUG")
    settle_marks()
    in_force(
        shop.merchant,
        {"variant": shop.variants["MUG"], "pool": group_of(shop.merchant, "B2B", channel), "pool_units": 4},
    )
    assert due(mug, theirs, cup) == [True, True, False]


@pytest.mark.parametrize("count", [1, 30])
def test_an_activation_takes_as_many_statements_for_one_listing_as_for_many(count: int) -> None:
    skus = [f"S{each}" for each in range(count)]
    shop = open_shop(dict.fromkeys(skus, 3))
    for sku in skus:
        shop.list_variant(sku)
    version = approved(shop.merchant, {"maximum": 2})
    settle_marks()
    with CaptureQueriesContext(connection) as captured:
        lifecycle.activate(version.pk, actor="anna", because="a test")
    assert len([query for query in captured if "SAVEPOINT" not in query["sql"]]) == 26


def test_the_marks_are_gone_with_an_activation_that_fails() -> None:
    shop = open_shop({"MUG": 3})
    mug = shop.list_variant("MUG")
    version = approved(shop.merchant, {"maximum": 2})
    RuleSetVersion.objects.filter(pk=version.pk).update(effective_until=timezone.now() - timedelta(days=1))
    with pytest.raises(RuleRefused):
        lifecycle.activate(version.pk, actor="anna", because="a test")
    assert due(mug) == [False]


# -- groups, tags and categories


def test_other_channels_in_a_group_mark_what_that_changes() -> None:
    shop = open_shop({"MUG": 10})
    mug = shop.list_variant("MUG")
    channel, (theirs,) = sell_on(shop, "other", "MUG")
    group = group_of(shop.merchant, "Marketplaces", channel)
    in_force(shop.merchant, {"group": group, "maximum": 4})
    settle_marks()
    assert pools.set_channels(group, [shop.channel, channel], actor="anna") == 1
    assert due(mug, theirs) == [True, False]


def test_a_group_takes_no_channel_of_another_merchant() -> None:
    group = group_of(open_shop().merchant, "Marketplaces")
    with pytest.raises(RuleRefused) as refused:
        pools.set_channels(group, [open_shop().channel], actor="anna")
    assert refused.value.field == "channels"


def test_a_tag_marks_the_variants_shelves_where_rules_go_by_tags() -> None:
    shop = open_shop({"MUG": 10, "CUP": 10})
    mug, cup = shop.list_variant("MUG"), shop.list_variant("CUP")
    hot = Tag.objects.create(merchant=shop.merchant, name="hot")
    tag(hot, [shop.variants["CUP"]])
    assert due(mug, cup) == [False, False]
    in_force(shop.merchant, {"tag": hot, "maximum": 4})
    settle_marks()
    tag(hot, [shop.variants["MUG"]])
    assert due(mug, cup) == [True, False]
    settle_marks()
    untag(hot, [shop.variants["MUG"], shop.variants["CUP"]])
    assert due(mug, cup) == [True, True]


def test_another_category_marks_the_products_shelves_where_rules_go_by_categories() -> None:
    shop = open_shop({"MUG": 10})
    mug = shop.list_variant("MUG")
    in_force(shop.merchant, {"category": "Paper", "maximum": 4})
    settle_marks()
    Product.objects.update(category="Paper")
    note_category(Product.objects.get())
    assert due(mug) == [True]


def test_a_variant_of_another_product_marks_its_shelves_where_that_is_of_another_category(
    client: Client,
) -> None:
    shop = open_shop({"MUG": 10, "CUP": 10})
    mug, cup = shop.list_variant("MUG"), shop.list_variant("CUP")
    paper = Product.objects.create(merchant=shop.merchant, title="Paper", category="Paper")
    in_force(shop.merchant, {"category": "Paper", "maximum": 2})
    settle_marks()
    variant = shop.variants["MUG"]
    form = {"merchant": shop.merchant.pk, "product": paper.pk, "sku": "MUG", "is_active": "on"}
    client.force_login(person("superuser"))
    assert client.post(reverse("admin:inventory_variant_change", args=[variant.pk]), form).status_code == 302
    assert list(targets([shop.shelf(mug).pk]).values()) == [2]
    assert due(mug, cup) == [True, False]


def test_a_location_that_is_switched_marks_the_shelves_that_draw_on_it(client: Client) -> None:
    shop = open_shop({"MUG": 5})
    shop.add_location("other")
    shop.add_variant("CUP", {"other": 5})
    mug, cup = shop.list_variant("MUG"), shop.list_variant("CUP")
    main = shop.locations["main"]
    form = {"merchant": main.merchant_id, "code": main.code, "name": main.name, "kind": main.kind}
    url = reverse("admin:inventory_location_change", args=[main.pk])
    client.force_login(person("superuser"))
    for switch, shown, lane in (({}, 0, Lane.TO_ZERO), ({"is_active": "on"}, 5, Lane.INCREASE)):
        settle_marks()
        assert client.post(url, form | switch).status_code == 302
        level = shop.shelf(mug)
        assert (targets([level.pk])[level.pk], level.lane) == (shown, lane)
        assert due(mug, cup) == [True, False]


def test_a_tag_by_what_sells_comes_and_goes_by_itself_and_leaves_what_people_tagged() -> None:
    from inventory.ledger import Context
    from inventory.reservations import Demand, reserve

    shop = open_shop({"MUG": 50, "CUP": 50})
    fast = Tag.objects.create(merchant=shop.merchant, name="fast", weekly_units=7)
    tag(fast, [shop.variants["CUP"]])
    main = shop.locations["main"].pk
    reserve(Context(shop.merchant.pk, "sale"), [Demand("a", shop.variants["MUG"].pk, 7, (main,))])
    assert refresh_automatic_tags(shop.merchant.pk) == 1
    assert {each.variant.sku: each.is_automatic for each in fast.taggings.all()} == {
        "MUG": True,
        "CUP": False,
    }
    assert refresh_automatic_tags(shop.merchant.pk) == 0
    fast.weekly_units = 8
    fast.save()
    assert refresh_automatic_tags(shop.merchant.pk) == 1
    assert [each.variant.sku for each in fast.taggings.all()] == ["CUP"]


def test_old_sales_that_are_imported_today_put_no_tag_on() -> None:
    shop = open_shop()
    shop.add_variant("MUG")
    fast = Tag.objects.create(merchant=shop.merchant, name="fast seller", weekly_units=7)
    text = (
        "key,kind,sku,location,quantity,occurred_at\n"
        "a,opening,MUG,main,500,2024-01-01\n"
        "b,shipment,MUG,main,400,2024-06-01\n"
    )
    assert import_file(Import(shop.merchant.pk, Defaults()), io.StringIO(text)).is_ok
    refresh_automatic_tags(shop.merchant.pk)
    assert not fast.taggings.exists()


# -- pins


def test_a_pin_fixes_the_number_never_beyond_what_there_is_and_says_who_and_why() -> None:
    shop = open_shop({"MUG": 10, "CUP": 2})
    mug, cup = (shop.shelf(shop.list_variant(sku)) for sku in ("MUG", "CUP"))
    in_force(shop.merchant, {"maximum": 4})
    settle_marks()
    tomorrow = timezone.now() + timedelta(days=1)
    pins.pin(mug, 7, reason="the press asks", owner="anna", expires_at=tomorrow)
    pins.pin(cup, 7, reason="the press asks", owner="anna", expires_at=tomorrow)
    assert targets([mug.pk, cup.pk]) == {mug.pk: 7, cup.pk: 2}
    assert (fresh(mug).is_due, fresh(cup).is_due) == (True, True)
    step = next(step for step in explain(mug.pk).steps if step.name == "Pin")
    assert "the press asks (anna, until" in step.why


def test_a_pin_that_expires_counts_no_more_and_has_its_shelf_told_by_itself() -> None:
    shop = open_shop({"MUG": 10})
    level = shop.shelf(shop.list_variant("MUG"))
    pin = pins.pin(level, 1, reason="a test", owner="anna", expires_at=timezone.now() + timedelta(days=1))
    settle_marks()
    assert follow_rules() == 0
    long_ago = timezone.now() - timedelta(days=2)
    Pin.objects.filter(pk=pin.pk).update(created_at=long_ago, expires_at=long_ago + timedelta(days=1))
    assert targets([level.pk]) == {level.pk: 10}
    assert follow_rules() == 1
    assert fresh(level).is_due
    pin.refresh_from_db()
    assert pin.ended_by == "its expiry"
    assert follow_rules() == 0


def test_a_pin_is_ended_by_hand_or_by_the_next_one() -> None:
    shop = open_shop({"MUG": 10})
    level = shop.shelf(shop.list_variant("MUG"))
    tomorrow = timezone.now() + timedelta(days=1)
    first = pins.pin(level, 1, reason="a test", owner="anna", expires_at=tomorrow)
    second = pins.pin(level, 2, reason="another", owner="bert", expires_at=tomorrow)
    first.refresh_from_db()
    assert (first.ended_by, targets([level.pk])[level.pk]) == ("bert", 2)
    settle_marks()
    assert [pins.unpin(second.pk, by="anna") for _ in range(2)] == [True, False]
    assert (fresh(level).is_due, targets([level.pk])[level.pk]) == (True, 10)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"quantity": -1}, "quantity"),
        ({"reason": " "}, "reason"),
        ({"owner": ""}, "owner"),
        ({"expires_at": timezone.now() - timedelta(days=1)}, "expires_at"),
    ],
)
def test_a_pin_without_reason_owner_or_end_is_refused(given: dict[str, object], field: str) -> None:
    shop = open_shop({"MUG": 10})
    level = shop.shelf(shop.list_variant("MUG"))
    usual = {
        "quantity": 1,
        "reason": "a test",
        "owner": "anna",
        "expires_at": timezone.now() + timedelta(days=1),
    }
    with pytest.raises(RuleRefused) as refused:
        pins.pin(level, **{**usual, **given})  # type: ignore[arg-type]
    assert refused.value.field == field
