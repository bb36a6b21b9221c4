"""SKUs that nobody knows are shown and mapped by hand."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from channels.models import ChannelOrderLine, Listing
from tests.back_office import Business, person
from tests.factories import VariantFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def business() -> Business:
    return Business.grown(1)


@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(person("operations"))
    return client


def unmapped_listing(business: Business) -> Listing:
    return Listing.objects.create(
        channel=business.channels[0], external_id="77", sku="ODD", title="Odd thing"
    )


def test_unmapped_listings_and_sold_skus_are_listed_with_a_way_to_map_them(
    operator: Client, business: Business
) -> None:
    listing = unmapped_listing(business)
    line = business.add_order(business.channels[0], None, sku="NEVER-SEEN")
    text = operator.get(reverse("admin:channels_unmapped")).content.decode()
    assert reverse("admin:channels_map_listing", args=[listing.pk]) in text
    assert reverse("admin:channels_map_line", args=[line.pk]) in text
    assert "NEVER-SEEN" in text


def test_what_is_searched_for_narrows_both_lists(operator: Client, business: Business) -> None:
    unmapped_listing(business)
    business.add_order(business.channels[0], None, sku="NEVER-SEEN")
    text = operator.get(reverse("admin:channels_unmapped"), {"q": "odd"}).content.decode()
    assert "ODD" in text
    assert "NEVER-SEEN" not in text


def test_a_listing_is_mapped_to_a_variant(operator: Client, business: Business) -> None:
    listing = unmapped_listing(business)
    url = reverse("admin:channels_map_listing", args=[listing.pk])
    assert operator.get(url).status_code == 200
    assert operator.post(url, {"variant": business.variants[0].pk}).status_code == 302
    listing.refresh_from_db()
    assert listing.variant == business.variants[0]
    assert listing.history.first().history_user.username.startswith("operations")


def test_a_sold_sku_without_listing_is_mapped_by_making_the_listing(
    operator: Client, business: Business
) -> None:
    line = business.add_order(business.channels[0], None, sku="NEVER-SEEN")
    url = reverse("admin:channels_map_line", args=[line.pk])
    assert operator.get(url).status_code == 200
    assert operator.post(url, {"variant": business.variants[0].pk}).status_code == 302
    listing = Listing.objects.get(external_id=line.listing_external_id)
    assert (listing.variant, listing.sku, listing.channel) == (
        business.variants[0],
        "NEVER-SEEN",
        business.channels[0],
    )
    assert url not in operator.get(reverse("admin:channels_unmapped")).content.decode()


def test_a_line_that_names_no_listing_is_not_mapped_but_told_what_helps(
    operator: Client, business: Business
) -> None:
    line = business.add_order(business.channels[0], None, sku="NEVER-SEEN")
    ChannelOrderLine.objects.filter(pk=line.pk).update(listing_external_id="")
    assert operator.get(reverse("admin:channels_map_line", args=[line.pk])).status_code == 404
    assert "add a variant of this SKU" in operator.get(reverse("admin:channels_unmapped")).content.decode()


def test_a_variant_of_another_merchant_is_no_choice(operator: Client, business: Business) -> None:
    listing, stranger = unmapped_listing(business), VariantFactory(sku="FOREIGN")
    url = reverse("admin:channels_map_listing", args=[listing.pk])
    response = operator.post(url, {"variant": stranger.pk})
    assert "not one of the available choices" in response.content.decode()
    listing.refresh_from_db()
    assert listing.variant is None


def test_typing_finds_only_variants_of_the_same_merchant(operator: Client, business: Business) -> None:
    VariantFactory(sku="SAME-NAME")
    own = VariantFactory(merchant=business.merchant, sku="SAME-NAME")
    asked: dict[str, Any] = {
        "term": "SAME",
        "app_label": "inventory",
        "model_name": "stocklevel",
        "field_name": "variant",
    }
    answer = operator.get(reverse("admin:autocomplete"), {**asked, "merchant": business.merchant.pk}).json()
    assert [each["id"] for each in answer["results"]] == [str(own.pk)]


@pytest.mark.parametrize(("role", "status"), [("read-only", 403), ("engineering", 403), ("commerce", 200)])
def test_mapping_is_for_those_who_may(client: Client, business: Business, role: str, status: int) -> None:
    client.force_login(person(role))
    listing = unmapped_listing(business)
    assert client.get(reverse("admin:channels_map_listing", args=[listing.pk])).status_code == status
    shown = client.get(reverse("admin:channels_unmapped")).content.decode()
    assert ("/map/" in shown) is (status == 200)


def test_a_list_that_is_empty_says_what_it_is_for_and_offers_nothing_that_cannot_be_done(
    operator: Client,
) -> None:
    page = operator.get(f"{reverse('admin:channels_listingmatch_changelist')}?sure=90").content.decode()
    assert "Guesses for unmapped listings, the surest first" in page
    assert "Show all" in page
    assert "Create a new item" not in page
