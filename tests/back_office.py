"""Rows for every page of the back office, and people in its roles."""

from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import Any
from uuid import uuid4

from django.contrib.auth.models import Group, User
from django.utils import timezone

from channels.models import (
    AccessToken,
    BundleChange,
    Channel,
    ChannelHealth,
    ChannelLocation,
    ChannelOrder,
    ChannelOrderLine,
    Listing,
    ListingLevel,
    PollFeed,
    Push,
    RateBucket,
    ShelfObservation,
    WebhookDelivery,
)
from inventory.bundles import Component, define
from inventory.demands import DemandChange, settle
from inventory.ledger import Context
from inventory.models import BundleKind, Location, Merchant, UnitOfMeasure, Variant
from inventory.stock import StockLine, receive
from tests.factories import (
    ChannelFactory,
    ChannelLocationSourceFactory,
    LocationFactory,
    MerchantFactory,
    VariantFactory,
)

_serial = count(1)

#: Stands in the credentials of every channel here; must never be seen on a page.
SECRET = "s3cret-that-nobody-may-read"


def person(role: str) -> User:
    """Returns somebody in a role of the back office; `superuser` may do everything."""
    name = f"{role}-{next(_serial)}"
    if role == "superuser":
        return User.objects.create_superuser(name, password=None)
    user = User.objects.create_user(name, is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    return user


@dataclass
class Business:
    """A merchant with stock and channels; `grow` adds one row to every table of both apps."""

    merchant: Merchant = field(default_factory=MerchantFactory)
    variants: list[Variant] = field(default_factory=list)
    channels: list[Channel] = field(default_factory=list)
    locations: list[Location] = field(default_factory=list)

    def grow(self, times: int = 1) -> "Business":
        """Adds so many rows to every table: each time a channel with all that belongs to it."""
        for _ in range(times):
            self._grow_once()
        return self

    def _grow_once(self) -> None:
        MerchantFactory()
        variant = VariantFactory(merchant=self.merchant)
        location = LocationFactory(merchant=self.merchant)
        self.variants.append(variant)
        self.locations.append(location)
        channel = self.add_channel()
        line = self.add_order(channel, variant)
        self.move(variant, location, line)
        self.list_on(channel, variant, location)
        self.bundle(variant)
        self.note_change(variant, location)
        UnitOfMeasure.objects.create(
            merchant=self.merchant, code=f"u{next(_serial)}", base_code="g", base_units=7
        )

    def bundle(self, part: Variant) -> Variant:
        """Adds a kit of three of a variant."""
        kit = VariantFactory(merchant=self.merchant)
        define(self.context(), kit.pk, BundleKind.KIT, [Component(part.pk, 3)])
        return kit

    def note_change(self, part: Variant, location: Location) -> None:
        """Notes a change of a part that no bundle has been marked for yet."""
        BundleChange.objects.create(
            merchant_id=self.merchant.pk,
            variant_id=part.pk,
            location_id=location.pk,
            available_delta=-1,
            available_after=4,
            created_at=timezone.now(),
        )

    def context(self) -> Context:
        """Returns a context under a key that nobody used."""
        return Context(self.merchant.pk, f"test:{uuid4()}", actor="test", source="tests")

    def move(self, variant: Variant, location: Location, line: ChannelOrderLine) -> None:
        """Receives ten units and sells twelve: ten are reserved, two are owed."""
        receive(self.context(), [StockLine(variant.pk, location.pk, 10)])
        settle(self.context(), [DemandChange(line.reference, variant.pk, (location.pk,), wanted=12)])

    def add_channel(self) -> Channel:
        """Adds a channel with credentials, health, token, bucket, feed and a dead delivery."""
        now = timezone.now()
        channel = ChannelFactory(merchant=self.merchant, credentials={"consumer_secret": SECRET})
        ChannelHealth.objects.create(channel=channel, last_push_at=now, last_webhook_at=now, last_poll_at=now)
        token: Any = {"access_token": SECRET}
        AccessToken.objects.create(channel=channel, token=token, expires_at=now)
        RateBucket.objects.create(
            channel=channel, name="calls", capacity=10, refill_per_second=1, tokens=5, updated_at=now
        )
        PollFeed.objects.create(channel=channel, name="orders", next_poll_at=now)
        self.add_delivery(channel, state="dead")
        self.channels.append(channel)
        return channel

    def add_delivery(self, channel: Channel, state: str) -> WebhookDelivery:
        """Adds a delivery in a state."""
        return WebhookDelivery.objects.create(
            channel=channel,
            dedupe_key=str(uuid4()),
            topic="order.updated",
            payload={"id": 1},
            state=state,
            received_at=timezone.now(),
            error="Somebody has to look at this." if state == "dead" else "",
        )

    def add_order(self, channel: Channel, variant: Variant | None, sku: str = "") -> ChannelOrderLine:
        """Adds an order of twelve units of one variant, applied and on every shelf after two seconds."""
        number = next(_serial)
        arrived_at = timezone.now() - timedelta(minutes=1)
        order = ChannelOrder.objects.create(
            channel=channel,
            external_id=f"order-{number}",
            number=f"#{number}",
            arrived_at=arrived_at,
            ordered_at=arrived_at,
            applied_at=arrived_at if variant else None,
            propagated_at=arrived_at + timedelta(seconds=2) if variant else None,
        )
        return ChannelOrderLine.objects.create(
            order=order,
            external_id="1",
            listing_external_id=f"thing-{number}",
            sku=sku or (variant.sku if variant else f"unknown-{number}"),
            variant=variant,
            quantity=12,
            applied_demand=12 if variant else 0,
        )

    def list_on(self, channel: Channel, variant: Variant, location: Location) -> ListingLevel:
        """Lists the variant on the channel, with a shelf that was told 7 and one push in its log."""
        now = timezone.now()
        place = ChannelLocation.objects.create(channel=channel, external_id=f"place-{next(_serial)}")
        ChannelLocationSourceFactory(channel_location=place, location=location)
        listing = Listing.objects.create(
            channel=channel, variant=variant, external_id=f"listing-{next(_serial)}", sku=variant.sku
        )
        level = ListingLevel.objects.create(
            channel=channel,
            listing=listing,
            channel_location=place,
            sent_quantity=7,
            published_quantity=7,
            expected=7,
            confirmed_at=now,
        )
        self.log_push(level)
        ShelfObservation.objects.create(
            channel=channel, listing_level=level, quantity=7, expected=7, observed_at=now, received_at=now
        )
        return level

    def log_push(self, level: ListingLevel) -> Push:
        """Adds a confirmed push of 7 to the shelf's log."""
        now = timezone.now()
        return Push.objects.create(
            channel=level.channel,
            listing_level=level,
            call_id=uuid4(),
            wanted=1,
            target=7,
            quantity=7,
            outcome="confirmed",
            waterfall=[],
            computed_at=now,
            finished_at=now,
        )
