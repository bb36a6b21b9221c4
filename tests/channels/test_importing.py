"""An import keeps what a platform knows of itself, maps by exact SKU, and can be repeated without harm."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from channels.accounts import open_connector
from channels.connectors.base import PlatformListing, PlatformLocation
from channels.errors import TransientError
from channels.importing import BATCH, ImportReport, import_channel
from channels.models import Channel, ChannelLocation, Listing, ListingLevel
from channels.sandbox import INSTANT, SANDBOXES, CatalogueItem, SandboxShop
from inventory.models import Variant
from tests.channels.shop import Shop, open_shop
from tests.channels.simple_platform import Book, SimpleConnector

pytestmark = pytest.mark.django_db


class Catalogue(SimpleConnector):
    """A platform that sells these listings in these places; an exception among them is raised."""

    def __init__(
        self,
        listings: Sequence[PlatformListing | Exception] = (),
        places: Sequence[PlatformLocation] = (PlatformLocation("", ""),),
    ) -> None:
        super().__init__(Book())
        self.listings = listings
        self.places = places

    def fetch_locations(self) -> list[PlatformLocation]:
        return list(self.places)

    def fetch_listings(self) -> Iterator[PlatformListing]:
        for listing in self.listings:
            if isinstance(listing, Exception):
                raise listing
            yield listing


def sold(sku: str, **fields: Any) -> PlatformListing:
    """Returns a listing of the platform under the id `listing-<sku>`."""
    return PlatformListing(**{"external_id": f"listing-{sku}", "sku": sku, **fields})


def statements(shop: Shop, listings: Sequence[PlatformListing]) -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        import_channel(shop.channel, Catalogue(listings))
    return [query["sql"] for query in captured.captured_queries if "SAVEPOINT" not in query["sql"]]


# -- what is kept


def test_everything_a_listing_says_is_kept() -> None:
    shop = open_shop()

    import_channel(
        shop.channel,
        Catalogue(
            [
                sold(
                    "A",
                    title="Mug",
                    gtin="4006381333931",
                    parent_external_id="parent",
                    data={"variant": "gid"},
                )
            ]
        ),
    )

    kept = Listing.objects.get(channel=shop.channel)
    assert (kept.external_id, kept.sku, kept.title, kept.gtin) == ("listing-A", "A", "Mug", "4006381333931")
    assert (kept.parent_external_id, kept.data, kept.is_active) == ("parent", {"variant": "gid"}, True)


def test_a_second_import_changes_nothing_and_marks_nothing() -> None:
    shop = open_shop({"A": 5, "B": 0})
    platform = Catalogue([sold("A"), sold("B"), sold("unknown")])
    import_channel(shop.channel, platform)
    before = _state(shop.channel)

    report = import_channel(shop.channel, platform)

    assert report == ImportReport(locations=1, listings=3, mapped=0, gone=0)
    assert _state(shop.channel) == before


def _state(channel: Channel) -> list[Any]:
    return [
        list(ChannelLocation.objects.filter(channel=channel).order_by("id").values()),
        list(Listing.objects.filter(channel=channel).order_by("id").values()),
        list(ListingLevel.objects.filter(channel=channel).order_by("id").values()),
    ]


def test_what_changed_at_the_platform_is_taken_over() -> None:
    shop = open_shop()
    import_channel(shop.channel, Catalogue([sold("A", title="Mug")]))

    import_channel(shop.channel, Catalogue([replace(sold("A", title="Large mug"), sku="A-L")]))

    assert list(shop.channel.listings.values_list("external_id", "sku", "title")) == [
        ("listing-A", "A-L", "Large mug")
    ]


def test_a_listing_named_twice_in_one_answer_is_kept_once_as_it_was_named_last() -> None:
    shop = open_shop()

    report = import_channel(shop.channel, Catalogue([sold("A", title="Old"), sold("A", title="New")]))

    assert report.listings == 1
    assert shop.channel.listings.get().title == "New"


def test_texts_that_are_too_long_are_cut_and_fit_no_variant() -> None:
    shop = open_shop()

    import_channel(
        shop.channel, Catalogue([sold("S" * 300, external_id="1", title="T" * 900, gtin="9" * 20)])
    )

    kept = shop.channel.listings.get()
    assert (len(kept.sku), len(kept.title), len(kept.gtin)) == (200, 300, 14)
    assert kept.variant is None


def test_warnings_name_their_listing() -> None:
    shop = open_shop()

    report = import_channel(
        shop.channel,
        Catalogue(
            [
                sold("A", warnings=("sells below zero", "not tracked")),
                sold("", external_id="77", warnings=("no SKU",)),
            ]
        ),
    )

    assert report.warnings == ["A: sells below zero", "A: not tracked", "77: no SKU"]
    assert str(report) == (
        "1 locations, 2 listings, 0 newly mapped by SKU, 0 gone, 0 missing and held, 3 warnings"
    )


# -- mapping


def test_listings_are_mapped_to_variants_of_exactly_the_same_sku() -> None:
    shop = open_shop({"Mug-1": 5, "mug-1": 3})

    report = import_channel(
        shop.channel, Catalogue([sold("mug-1"), sold("MUG-1"), sold("Mug-1 "), sold("Mug-10"), sold("")])
    )

    mapped = shop.channel.listings.filter(variant__isnull=False)
    assert report.mapped == 1
    assert [(listing.sku, listing.variant) for listing in mapped] == [("mug-1", shop.variants["mug-1"])]


def test_a_sku_of_another_merchant_is_not_mapped() -> None:
    open_shop({"A": 5})
    shop = open_shop()

    assert import_channel(shop.channel, Catalogue([sold("A")])).mapped == 0


def test_a_mapped_listing_gets_a_level_in_every_place_and_is_to_be_told() -> None:
    shop = open_shop({"A": 5})
    shop.add_location("east", place="east")

    import_channel(
        shop.channel, Catalogue([sold("A")], [PlatformLocation("", "Main"), PlatformLocation("east", "East")])
    )

    levels = ListingLevel.objects.filter(channel=shop.channel)
    assert levels.count() == 2
    assert all(level.is_due for level in levels)


def test_a_mapping_that_somebody_made_stays_whatever_sku_the_platform_names() -> None:
    shop = open_shop({"A": 5, "B": 5})
    shop.list_variant("A", external_id="listing-B")

    report = import_channel(shop.channel, Catalogue([sold("B")]))

    assert report.mapped == 0
    assert shop.channel.listings.get().variant == shop.variants["A"]


def test_two_listings_of_one_sku_are_left_to_a_person() -> None:
    shop = open_shop({"A": 5})

    report = import_channel(shop.channel, Catalogue([sold("A"), sold("A", external_id="other")]))

    assert report.mapped == 0


# -- what is gone


def test_a_listing_that_the_platform_no_longer_names_is_retired_and_keeps_its_mapping() -> None:
    shop = open_shop({"A": 5, "B": 5})
    import_channel(shop.channel, Catalogue([sold("A"), sold("B")]))

    report = import_channel(shop.channel, Catalogue([sold("B")]))

    assert report.gone == 1
    assert list(shop.channel.listings.order_by("sku").values_list("sku", "is_active")) == [
        ("A", False),
        ("B", True),
    ]
    assert shop.channel.listings.get(sku="A").variant == shop.variants["A"]


def test_a_retired_listing_is_counted_as_gone_only_once() -> None:
    shop = open_shop()
    import_channel(shop.channel, Catalogue([sold("A"), sold("B")]))

    assert [import_channel(shop.channel, Catalogue([sold("B")])).gone for _ in range(2)] == [1, 0]


def test_listings_of_another_channel_are_not_touched() -> None:
    shop = open_shop({"A": 5})
    other = shop.add_channel("Other")
    shop.list_variant("A", channel=other)

    import_channel(shop.channel, Catalogue())

    assert other.listings.get().is_active


def test_a_listing_that_comes_back_is_told_its_number_again_because_nobody_knows_what_it_shows() -> None:
    shop = open_shop({"A": 5})
    import_channel(shop.channel, Catalogue([sold("A"), sold("B")]))
    ListingLevel.objects.filter(channel=shop.channel).update(done=F("wanted"))
    import_channel(shop.channel, Catalogue([sold("B")]))
    assert not ListingLevel.objects.get(channel=shop.channel).is_due

    import_channel(shop.channel, Catalogue([sold("A"), sold("B")]))

    assert shop.channel.listings.get(sku="A").is_active
    assert ListingLevel.objects.get(channel=shop.channel).is_due


def test_an_answer_that_breaks_off_retires_nothing_and_keeps_what_was_read() -> None:
    shop = open_shop({"A": 5})
    import_channel(shop.channel, Catalogue([sold("A")]))
    many = [sold(f"S{number}") for number in range(BATCH)]

    with pytest.raises(TransientError):
        import_channel(shop.channel, Catalogue([*many, TransientError("the platform went away")]))

    assert shop.channel.listings.get(sku="A").is_active
    assert shop.channel.listings.count() == BATCH + 1


# -- places


def test_places_are_kept_with_their_names_and_follow_a_new_name() -> None:
    shop = open_shop()
    import_channel(shop.channel, Catalogue(places=[PlatformLocation("7", "Store")]))

    import_channel(shop.channel, Catalogue(places=[PlatformLocation("7", "Flagship store")]))

    assert shop.channel.locations.get(external_id="7").name == "Flagship store"


@pytest.mark.parametrize("place", [{"is_sellable": False}, {"is_foreign": True}])
def test_a_place_that_sells_nothing_of_ours_comes_in_inactive(place: dict[str, bool]) -> None:
    shop = open_shop()

    import_channel(shop.channel, Catalogue(places=[PlatformLocation("7", "Fulfilment", **place)]))

    assert not shop.channel.locations.get(external_id="7").is_active


def test_a_place_that_somebody_switched_on_stays_on() -> None:
    shop = open_shop()
    platform = Catalogue(places=[PlatformLocation("7", "Fulfilment", is_foreign=True)])
    import_channel(shop.channel, platform)
    shop.channel.locations.filter(external_id="7").update(is_active=True)

    import_channel(shop.channel, platform)

    assert shop.channel.locations.get(external_id="7").is_active


# -- size


def test_the_number_of_statements_of_a_batch_does_not_depend_on_its_listings() -> None:
    few = statements(open_shop(), [sold(f"S{n}") for n in range(2)])
    many = statements(open_shop(), [sold(f"S{n}") for n in range(BATCH)])
    two_batches = statements(open_shop(), [sold(f"S{n}") for n in range(2 * BATCH)])
    three_batches = statements(open_shop(), [sold(f"S{n}") for n in range(2 * BATCH + 1)])

    assert len(few) == len(many)
    assert len(three_batches) - len(two_batches) == len(two_batches) - len(many) <= 2


def test_the_number_of_statements_does_not_depend_on_how_many_are_mapped() -> None:
    few = open_shop({"A": 1})
    many = open_shop()
    Variant.objects.bulk_create(
        Variant(merchant=many.merchant, product=many.product, sku=f"S{n}") for n in range(300)
    )

    assert len(statements(few, [sold("A")])) == len(statements(many, [sold(f"S{n}") for n in range(300)]))
    assert many.channel.listings.filter(variant__isnull=False).count() == 300


# -- the real connectors


@pytest.fixture(params=sorted(SANDBOXES))
def sandbox(request: pytest.FixtureRequest) -> Iterator[SandboxShop]:
    with SANDBOXES[request.param](profile=INSTANT, limits="generous", seed=3) as opened:
        yield opened


def test_a_platform_s_own_catalogue_comes_in_whole_and_only_once(sandbox: SandboxShop) -> None:
    shop = open_shop({"Mug-1": 5, "MUG-1": 3, "jug/ü 2": 1}, kind=sandbox.kind)
    sandbox.add_location("main", "Main")
    sandbox.load_catalogue(
        [
            CatalogueItem("Mug-1", "Mug, red", parent="Mug", quantities={"main": 5}),
            CatalogueItem("MUG-1", "Mug, blue", parent="Mug", quantities={"main": 3}),
            CatalogueItem("jug/ü 2", "Jug", gtin="2000000000008", quantities={"main": 1}),
            CatalogueItem("not ours", "Vase", quantities={"main": 9}),
        ]
    )
    shop.channel.settings = sandbox.settings()
    shop.channel.credentials = sandbox.credentials()
    shop.channel.save()

    first = import_channel(shop.channel, open_connector(shop.channel))
    again = import_channel(shop.channel, open_connector(shop.channel))

    assert (first.listings, first.mapped, first.gone) == (4, 3, 0)
    assert (again.listings, again.mapped, again.gone) == (4, 0, 0)
    mapped = shop.channel.listings.filter(variant__isnull=False).values_list("sku", "variant__sku")
    assert sorted(mapped) == [(sku, sku) for sku in ("MUG-1", "Mug-1", "jug/ü 2")]
