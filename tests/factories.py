"""Factories for the rows that tests of every app need; what they leave out has the model's default."""

from typing import Any

import factory
from factory.django import DjangoModelFactory

from channels.models import Channel, ChannelLocation, ChannelLocationSource, Listing, ListingLevel
from inventory.models import Location, Merchant, Product, Variant
from tests.shortcuts import insert


class _CatalogueFactory(DjangoModelFactory):
    """Nothing but history hears of what is saved in the catalogue, so that a row may be inserted in short."""

    class Meta:
        abstract = True

    @classmethod
    def _create(cls, model_class: Any, *args: Any, **kwargs: Any) -> Any:
        return insert(model_class(*args, **kwargs))


class MerchantFactory(_CatalogueFactory):
    """A tenant of its own."""

    class Meta:
        model = Merchant

    name = factory.Sequence(lambda n: f"Merchant {n}")
    slug = factory.Sequence(lambda n: f"merchant-{n}")


class ProductFactory(_CatalogueFactory):
    """A product of a merchant of its own, unless one is given."""

    class Meta:
        model = Product

    merchant = factory.SubFactory(MerchantFactory)
    title = factory.Sequence(lambda n: f"Product {n}")


class VariantFactory(_CatalogueFactory):
    """A variant with a product of the same merchant."""

    class Meta:
        model = Variant

    merchant = factory.SubFactory(MerchantFactory)
    product = factory.SubFactory(ProductFactory, merchant=factory.SelfAttribute("..merchant"))
    sku = factory.Sequence(lambda n: f"SKU-{n}")


class LocationFactory(_CatalogueFactory):
    """A warehouse."""

    class Meta:
        model = Location

    merchant = factory.SubFactory(MerchantFactory)
    code = factory.Sequence(lambda n: f"W{n}")
    name = factory.LazyAttribute(lambda location: f"Warehouse {location.code}")


class ChannelFactory(DjangoModelFactory):
    """An account at a platform, without credentials."""

    class Meta:
        model = Channel

    merchant = factory.SubFactory(MerchantFactory)
    name = factory.Sequence(lambda n: f"Channel {n}")
    kind = "woocommerce"


class ChannelLocationFactory(DjangoModelFactory):
    """A place of a channel; our locations behind it are added by `ChannelLocationSourceFactory`."""

    class Meta:
        model = ChannelLocation

    channel = factory.SubFactory(ChannelFactory)


class ChannelLocationSourceFactory(DjangoModelFactory):
    """One of the merchant's own locations behind a channel location."""

    class Meta:
        model = ChannelLocationSource

    channel_location = factory.SubFactory(ChannelLocationFactory)
    location = factory.SubFactory(
        LocationFactory, merchant=factory.SelfAttribute("..channel_location.channel.merchant")
    )


class ListingFactory(DjangoModelFactory):
    """A listing mapped to a variant of the channel's merchant, under the same SKU."""

    class Meta:
        model = Listing

    channel = factory.SubFactory(ChannelFactory)
    variant = factory.SubFactory(VariantFactory, merchant=factory.SelfAttribute("..channel.merchant"))
    external_id = factory.Sequence(lambda n: f"listing-{n}")
    sku = factory.LazyAttribute(lambda listing: listing.variant.sku if listing.variant else "")


class ListingLevelFactory(DjangoModelFactory):
    """The level of a listing at a place of the same channel; not due."""

    class Meta:
        model = ListingLevel

    listing = factory.SubFactory(ListingFactory)
    channel = factory.SelfAttribute("listing.channel")
    channel_location = factory.SubFactory(
        ChannelLocationFactory, channel=factory.SelfAttribute("..listing.channel")
    )
