"""Listings whose SKU nobody knows are matched by GTIN, by a SKU written otherwise and by title, and mapped once accepted."""

import json

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from channels.importing import import_channel
from channels.matching import Catalogue, Match, accept, find_matches, plain_gtin
from channels.models import Listing, ListingLevel, ListingMatch, Mutation
from channels.models.matches import MatchBasis
from inventory.models import Variant
from tests.back_office import Business, person
from tests.channels.shop import Shop, open_shop
from tests.channels.test_importing import Catalogue as Sold
from tests.channels.test_importing import sold

GTIN = "4006381333931"


def catalogue(*titles: str) -> Catalogue:
    known = Catalogue()
    for number, title in enumerate(titles, 1):
        known.add(number, f"SKU-00{number}", "", title)
    return known


@pytest.mark.parametrize(
    ("gtin", "plain"),
    [
        (GTIN, "04006381333931"),
        (f" 0{GTIN} ", "04006381333931"),
        ("4006381333932", ""),
        ("96385074", "00000096385074"),
        ("400638133393", ""),
        ("0000000000000", ""),
        ("４００６３８１３３３９３１", ""),
        ("", ""),
    ],
)
def test_a_gtin_counts_in_14_digits_and_with_its_check_digit(gtin: str, plain: str) -> None:
    assert plain_gtin(gtin) == plain


def test_a_gtin_is_surer_than_a_sku_and_that_is_surer_than_a_title() -> None:
    known = catalogue("Enamel mug forest", "Enamel mug ivory")
    known.add(3, "MUG-X", f"0{GTIN}", "Another mug")
    assert known.match("sku 001", GTIN, "Enamel mug ivory") == Match(3, MatchBasis.GTIN, 98)
    assert known.match("sku 001", "", "Enamel mug ivory") == Match(1, MatchBasis.SKU, 90)
    assert known.match("other", "", "IVORY enamel Mug") == Match(2, MatchBasis.TITLE, 85)


def test_what_fits_two_variants_alike_is_left_to_a_person() -> None:
    known = catalogue("Enamel mug", "Enamel mug")
    known.add(3, "AB-12", GTIN, "")
    known.add(4, "ab12", GTIN, "")
    assert known.match("AB12", GTIN, "Enamel mug") is None


def test_titles_that_share_only_common_words_do_not_match() -> None:
    known = catalogue(*(f"Cotton towel number {number}" for number in range(30)))
    assert known.match("", "", "Cotton towel") is None
    assert known.match("", "", "Something else altogether") is None
    assert known.match("", "", "") is None


def test_accents_case_and_signs_of_a_title_make_no_difference() -> None:
    known = catalogue("Crème brûlée dish, 2 pcs.", "Baking dish")
    assert known.match("", "", "creme-brulee DISH 2 pcs") == Match(1, MatchBasis.TITLE, 85)


def shop_with_strangers() -> tuple[Shop, list[Listing]]:
    shop = open_shop({"MUG-1": 5, "MUG-2": 5})
    Variant.objects.filter(sku="MUG-2").update(gtin=GTIN)
    new = [
        Listing.objects.create(channel=shop.channel, external_id="a", sku="mug1"),
        Listing.objects.create(channel=shop.channel, external_id="b", sku="", gtin=GTIN),
        Listing.objects.create(channel=shop.channel, external_id="c", sku="unlike anything"),
    ]
    return shop, new


@pytest.mark.django_db
def test_unmapped_listings_are_matched_and_those_accepted_are_mapped_and_told() -> None:
    shop, (by_sku, by_gtin, stranger) = shop_with_strangers()
    merchant_id = shop.merchant.pk
    assert find_matches(merchant_id) == 2
    ids = [by_sku.pk, by_gtin.pk, stranger.pk]
    assert accept(merchant_id, ids, actor="anna") == 2
    found = dict(Listing.objects.filter(pk__in=ids).values_list("external_id", "variant__sku"))
    assert found == {"a": "MUG-1", "b": "MUG-2", "c": None}
    levels = ListingLevel.objects.filter(listing__in=ids)
    assert [level.wanted > level.done for level in levels] == [True, True]
    assert not ListingMatch.objects.exists()
    assert Mutation.objects.get().actor == "anna"
    assert by_sku.history.count() == 2
    assert accept(merchant_id, ids, actor="anna") == 0


@pytest.mark.django_db
def test_matches_of_other_merchants_are_neither_found_nor_accepted() -> None:
    shop, listings = shop_with_strangers()
    other = open_shop({"OTHER": 1})
    find_matches(shop.merchant.pk)
    assert find_matches(other.merchant.pk) == 0
    assert accept(other.merchant.pk, [each.pk for each in listings], actor="eve") == 0
    assert ListingMatch.objects.count() == 2


@pytest.mark.django_db
def test_a_match_that_does_not_hold_any_more_goes() -> None:
    shop, _ = shop_with_strangers()
    find_matches(shop.merchant.pk)
    Variant.objects.filter(sku="MUG-2").update(gtin="")
    assert find_matches(shop.merchant.pk) == 1
    assert ListingMatch.objects.get().basis == MatchBasis.SKU


@pytest.mark.django_db
@pytest.mark.parametrize("sku", ["MUG-1", "mug1"])
def test_an_import_that_leaves_something_unmapped_has_matches_looked_for(
    sku: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken: list[str] = []
    monkeypatch.setattr("channels.importing.wake", lambda task, *_: woken.append(task))
    shop = open_shop({"MUG-1": 5})
    import_channel(shop.channel, Sold([sold(sku)]))
    assert woken == ([] if sku == "MUG-1" else ["channels.tasks.find_matches"])


@pytest.mark.django_db
def test_the_command_reports_and_maps_what_is_sure_enough(capsys: pytest.CaptureFixture[str]) -> None:
    shop, _ = shop_with_strangers()
    call_command("match_listings", shop.merchant.slug, "--json")
    assert json.loads(capsys.readouterr().out) == {"matched": 2, "mapped": 0, "unmapped": 3}
    call_command("match_listings", shop.merchant.slug, "--accept", "95")
    assert capsys.readouterr().out == "2 matched, 1 mapped, 2 unmapped\n"
    with pytest.raises(CommandError, match="Known: "):
        call_command("match_listings", "nobody")
    with pytest.raises(CommandError, match="from 1 to 100"):
        call_command("match_listings", shop.merchant.slug, "--accept", "101")


@pytest.mark.django_db
def test_matches_are_reviewed_and_accepted_in_one_screen(client: Client) -> None:
    business = Business.grown(1)
    match = ListingMatch.objects.select_related("listing", "variant").first()
    assert match is not None
    address = reverse("admin:channels_listingmatch_changelist")
    choice = {"action": "accept_matches", "_selected_action": [match.pk]}
    client.force_login(person("read-only"))
    assert match.listing.sku in client.get(address, {"sure": "70"}).content.decode()
    client.post(address, choice)
    client.force_login(person("operations"))
    assert match.listing.sku not in client.get(address, {"sure": "90"}).content.decode()
    assert Listing.objects.get(pk=match.listing_id).variant is None
    assert "1 listing mapped." in client.post(address, choice, follow=True).content.decode()
    assert Listing.objects.get(pk=match.listing_id).variant == match.variant
    assert business.merchant


@pytest.mark.django_db
def test_matches_are_looked_for_on_demand_by_whoever_may_map(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken: list[tuple[object, ...]] = []
    monkeypatch.setattr("channels.admin.matches.wake", lambda *asked: woken.append(asked))
    business = Business.grown(1)
    client.force_login(person("read-only"))
    assert client.post(reverse("admin:channels_find_matches")).status_code == 403
    client.force_login(person("operations"))
    assert client.get(reverse("admin:channels_find_matches")).status_code == 405
    assert client.post(reverse("admin:channels_find_matches")).status_code == 302
    assert ("channels.tasks.find_matches", business.merchant.pk) in woken
