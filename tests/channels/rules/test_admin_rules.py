"""Rules in the back office: drawn up, edited as drafts, compared, decided with a reason, rolled back in one click."""

from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from channels.errors import RuleRefused
from channels.exposure import targets
from channels.models import (
    ChannelGroup,
    ListingRank,
    Mutation,
    MutationFuse,
    Pin,
    Rule,
    RuleSet,
    RuleSetVersion,
)
from channels.rules import lifecycle, pins
from inventory.models import Tag
from tests.back_office import person
from tests.channels.rules.drawing import approved, draft, group_of, in_force
from tests.channels.rules.test_fuse import big_shop
from tests.channels.shop import open_shop
from tests.inventory.racing import meanwhile, wait_until_blocked

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(person("operations"))
    return client


def do(client: Client, model: str, pk: int, action: str) -> str:
    url = reverse(f"admin:channels_{model}_do", args=[pk, action])
    return client.post(url, follow=True).content.decode()


def test_a_version_is_drawn_up_approved_put_in_force_and_rolled_back(operator: Client) -> None:
    shop = open_shop({"MUG": 5})
    rule_set = RuleSet.objects.create(merchant=shop.merchant, name="House")
    assert "v1 is drawn up" in do(operator, "ruleset", rule_set.pk, "draw_up")
    version = RuleSetVersion.objects.get()
    for verb, text in (("approve", "is approved"), ("activate", "is in force")):
        url = reverse(f"admin:channels_version_{verb}", args=[version.pk])
        assert "This field is required" in operator.post(url, {"because": ""}).content.decode()
        assert text in operator.post(url, {"because": "tried out"}, follow=True).content.decode()
    version.refresh_from_db()
    assert (version.state, version.approved_because) == ("active", "tried out")
    assert "1 rule set rolled back" in do(operator, "ruleset", rule_set.pk, "roll_back")
    version.refresh_from_db()
    assert version.state == "retired"


def form_of(version: RuleSetVersion, **rule: str) -> dict[str, str]:
    """Returns what the page of a draft posts with one new rule."""
    fields = {f"rules-0-{name}": value for name, value in rule.items()}
    return {
        "effective_from_0": "",
        "effective_from_1": "",
        "effective_until_0": "",
        "effective_until_1": "",
        "why": "a test",
        "rules-TOTAL_FORMS": "1",
        "rules-INITIAL_FORMS": "0",
        "rules-0-version": str(version.pk),
        "rules-0-position": "1",
        **fields,
    }


def test_rules_of_a_draft_are_edited_by_sku_and_keep_their_history(operator: Client) -> None:
    shop = open_shop({"MUG": 5})
    version = draft(shop.merchant)
    url = reverse("admin:channels_rulesetversion_change", args=[version.pk])
    page = operator.post(url, form_of(version, sku="mug", maximum="4")).content.decode()
    assert "No variant has the SKU mug" in page
    operator.post(url, form_of(version, sku="MUG", maximum="4"))
    rule = Rule.objects.get()
    assert (rule.variant, rule.maximum) == (shop.variants["MUG"], 4)
    assert rule.history.get().history_user is not None


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"buffer_percent": "101"}, "Not more than 100 percent"),
        ({"minimum": "6", "maximum": "5"}, "The minimum is above the maximum of 5"),
        ({"pool_units": "5"}, "Choose the group of channels"),
    ],
)
def test_bad_input_stands_at_its_field(operator: Client, values: dict[str, str], said: str) -> None:
    version = draft(open_shop().merchant)
    url = reverse("admin:channels_rulesetversion_change", args=[version.pk])
    assert said in operator.post(url, form_of(version, **values)).content.decode()
    assert not Rule.objects.exists()


def test_overlapping_dates_are_refused_on_the_page(operator: Client) -> None:
    shop = open_shop()
    soon, later = timezone.now() + timedelta(days=1), timezone.now() + timedelta(days=9)
    approved(shop.merchant, effective_from=soon, effective_until=later)
    version = draft(shop.merchant)
    version.effective_from = soon + timedelta(days=1)
    version.save()
    url = reverse("admin:channels_version_approve", args=[version.pk])
    assert "Overlaps House v1" in operator.post(url, {"because": "a test"}).content.decode()


def test_an_approved_version_is_not_edited(operator: Client) -> None:
    version = approved(open_shop().merchant, {"maximum": 4})
    url = reverse("admin:channels_rulesetversion_change", args=[version.pk])
    assert operator.get(url).status_code == 200
    assert operator.post(url, form_of(version, maximum="9")).status_code == 403
    assert Rule.objects.get().maximum == 4


@pytest.mark.django_db(transaction=True)
def test_a_draft_that_is_put_in_force_while_its_page_is_saved_stays_in_force(operator: Client) -> None:
    shop = open_shop({"MUG": 10})
    level = shop.shelf(shop.list_variant("MUG"))
    version = draft(shop.merchant, {"maximum": 4})
    url = reverse("admin:channels_rulesetversion_change", args=[version.pk])
    with ExitStack() as threads, transaction.atomic():
        lifecycle.approve(version.pk, actor="bert", because="tried out")
        lifecycle.activate(version.pk, actor="bert", because="a test", is_confirmed=True)
        saving = threads.enter_context(meanwhile(lambda: operator.post(url, form_of(version, maximum="9"))))
        wait_until_blocked()
    assert saving.result().status_code == 403
    version.refresh_from_db()
    assert (version.state, version.rules.count(), targets([level.pk])) == ("active", 1, {level.pk: 4})


def test_the_page_of_a_draft_costs_the_same_whatever_its_rules(operator: Client) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    shop = open_shop({f"S{number}": 1 for number in range(12)})
    few = draft(shop.merchant, {"variant": shop.variants["S0"], "maximum": 1})
    rules = [{"variant": variant, "maximum": 1} for variant in shop.variants.values()]
    many = draft(shop.merchant, *rules, name="Other")
    counts = []
    for version in (few, few, many):
        with CaptureQueriesContext(connection) as captured:
            operator.get(reverse("admin:channels_rulesetversion_change", args=[version.pk]))
        counts.append(len(captured))
    assert counts[2] == counts[1]


def test_two_versions_are_compared(operator: Client) -> None:
    shop = open_shop()
    first, second = draft(shop.merchant, {"maximum": 41}), draft(shop.merchant, {"maximum": 57})
    url = reverse("admin:channels_version_differences", args=[second.pk])
    page = operator.get(url, {"with": first.pk}).content.decode()
    assert all(text in page for text in ("all goods on all channels", "41", "57"))


def test_a_number_is_pinned_and_its_pin_ended(operator: Client) -> None:
    shop = open_shop({"MUG": 5})
    level = shop.shelf(shop.list_variant("MUG"))
    url = reverse("admin:channels_pin_level", args=[level.pk])
    bad = {"quantity": "2", "expires_at": "2020-01-01 10:00", "owner": "anna", "reason": "a test"}
    assert "A pin ends in the future" in operator.post(url, bad).content.decode()
    operator.post(url, {**bad, "expires_at": f"{timezone.now() + timedelta(days=1):%Y-%m-%d %H:%M}"})
    pin = Pin.objects.get()
    assert (pin.quantity, pin.owner) == (2, "anna")
    assert "1 pin ended" in do(operator, "pin", pin.pk, "end_pins")


def test_what_the_fuse_holds_is_confirmed_in_the_back_office(operator: Client) -> None:
    shop, _ = big_shop()
    version = approved(shop.merchant, {"maximum": 4})
    url = reverse("admin:channels_version_activate", args=[version.pk])
    assert "Mass changes" in operator.post(url, {"because": "a test"}, follow=True).content.decode()
    held = Mutation.objects.get()
    assert "1 mass change confirmed" in do(operator, "mutation", held.pk, "confirm")
    version.refresh_from_db()
    assert version.state == "active"
    fuse = MutationFuse.objects.get()
    page = operator.get(reverse("admin:channels_mutationfuse_change", args=[fuse.pk])).content.decode()
    assert "Listings changed in the last ten minutes" in page


def test_only_those_who_may_decide(client: Client) -> None:
    shop = open_shop({"MUG": 5})
    level = shop.shelf(shop.list_variant("MUG"))
    version = draft(shop.merchant)
    for role, pin_status in (("commerce", 200), ("engineering", 403), ("read-only", 403)):
        client.force_login(person(role))
        for verb in ("approve", "activate", "withdraw"):
            assert client.get(reverse(f"admin:channels_version_{verb}", args=[version.pk])).status_code == 403
        assert client.get(reverse("admin:channels_pin_level", args=[level.pk])).status_code == pin_status
        assert client.get(reverse("admin:channels_starter_set")).status_code == 403


def test_the_channels_of_a_group_are_edited_and_marked(operator: Client) -> None:
    shop = open_shop({"MUG": 5})
    level = shop.shelf(shop.list_variant("MUG"))
    group = group_of(shop.merchant, "Marketplaces")
    in_force(shop.merchant, {"group": group, "maximum": 2})
    url = reverse("admin:channels_channelgroup_change", args=[group.pk])
    operator.post(url, {"name": "Marketplaces", "members": [shop.channel.pk]})
    assert list(group.channels.values_list("pk", flat=True)) == [shop.channel.pk]
    level.refresh_from_db()
    assert level.is_due
    strange = open_shop().channel
    page = operator.post(url, {"name": "Marketplaces", "members": [strange.pk]}).content.decode()
    assert "not one of the available choices" in page


def test_a_rank_is_entered_and_taken_back(operator: Client) -> None:
    shop = open_shop({"MUG": 5})
    listing = shop.list_variant("MUG")
    operator.post(reverse("admin:channels_listingrank_add"), {"listing": listing.pk, "rank": "3"})
    rank = ListingRank.objects.get()
    assert (rank.rank, rank.source) == (3, "entered")
    operator.post(reverse("admin:channels_listingrank_delete", args=[rank.pk]), {"post": "yes"})
    assert not ListingRank.objects.exists()


def test_a_tag_is_put_on_variants_by_sku(operator: Client) -> None:
    shop = open_shop({"MUG": 5, "CUP": 5})
    tag = Tag.objects.create(merchant=shop.merchant, name="hot")
    url = reverse("admin:inventory_tag_put_on", args=[tag.pk])
    assert "No variant has the SKU TEA" in operator.post(url, {"skus": "MUG\nTEA"}).content.decode()
    operator.post(url, {"skus": "MUG\nCUP\n"})
    assert tag.taggings.count() == 2
    operator.post(reverse("admin:inventory_tag_take_off", args=[tag.pk]), {"skus": "CUP"})
    assert [each.variant.sku for each in tag.taggings.all()] == ["MUG"]


def test_the_starter_set_is_added_by_page_and_by_command(operator: Client) -> None:
    shop = open_shop()
    page = operator.post(reverse("admin:channels_starter_set"), {"merchant": shop.merchant.pk}, follow=True)
    assert "Starter v1 is drawn up" in page.content.decode()
    call_command("add_starter_rules", merchant=shop.merchant.slug)
    assert RuleSetVersion.objects.count() == 1
    with pytest.raises(CommandError, match="No merchant"):
        call_command("add_starter_rules", merchant="nobody")


# -- what does not fit


@pytest.mark.parametrize(
    ("model", "page"),
    [
        (ChannelGroup, "channels_channelgroup"),
        (RuleSet, "channels_ruleset"),
        (Tag, "inventory_tag"),
    ],
)
def test_a_name_that_is_taken_is_refused_at_its_field(client: Client, model: Any, page: str) -> None:
    client.force_login(person("superuser"))
    shop = open_shop()
    model.objects.create(merchant=open_shop().merchant, name="Elsewhere")
    model.objects.create(merchant=shop.merchant, name="One")
    two = model.objects.create(merchant=shop.merchant, name="Two")
    form = {"name": "One", "priority": "0", "description": "", "weekly_units": ""}
    changed = reverse(f"admin:{page}_change", args=[two.pk])
    added = reverse(f"admin:{page}_add")
    for answer in (client.post(changed, form), client.post(added, {**form, "merchant": shop.merchant.pk})):
        assert answer.status_code == 200
        assert answer.content.decode().count("of that name already. Choose another one.") == 1
    for free in ("Two", "Elsewhere"):
        assert client.post(changed, {**form, "name": free}).status_code == 302


def test_a_pin_of_more_units_than_any_shelf_shows_is_refused_at_its_field(client: Client) -> None:
    client.force_login(person("superuser"))
    shop = open_shop({"MUG": 5})
    level = shop.shelf(shop.list_variant("MUG"))
    url = reverse("admin:channels_pin_level", args=[level.pk])
    until = timezone.now() + timedelta(days=1)
    form = {"quantity": 10**12, "expires_at": f"{until:%Y-%m-%d %H:%M}", "owner": "anna", "reason": "a test"}
    assert "less than or equal to 2147483647" in client.post(url, form).content.decode()
    with pytest.raises(RuleRefused) as refused:
        pins.pin(level, 10**12, reason="a test", owner="anna", expires_at=until)
    assert refused.value.field == "quantity"
