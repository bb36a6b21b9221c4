"""What operators do from the back office reaches those rows it makes sense for, and says what it skipped."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from channels.models import Channel, Listing, ListingLevel, PollFeed, WebhookDelivery
from tests.back_office import Business, person
from tests.factories import ChannelFactory, LocationFactory, MerchantFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def business() -> Business:
    return Business.grown(2)


@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(person("operations"))
    return client


@pytest.fixture
def engineer(client: Client) -> Client:
    client.force_login(person("engineering"))
    return client


def run(client: Client, model: str, action: str, *rows: Any) -> str:
    """Runs an action on the chosen rows of a list; returns what was said."""
    data = {"action": action, "_selected_action": [row.pk for row in rows]}
    response = client.post(reverse(f"admin:channels_{model}_changelist"), data, follow=True)
    return " ".join(str(message) for message in response.context["messages"])


def due(level: ListingLevel) -> bool:
    level.refresh_from_db()
    return level.is_due


def test_channels_are_paused_and_resumed_with_a_line_in_their_history(
    operator: Client, business: Business
) -> None:
    first, second = business.channels
    assert run(operator, "channel", "pause", first) == "1 channel paused."
    assert (
        run(operator, "channel", "pause", first, second) == "1 channel paused. Skipped 1: 1 paused already."
    )
    assert Channel.objects.filter(is_paused=True).count() == 2
    said = run(operator, "channel", "resume", first, second)
    assert said == "2 channels resumed."
    latest = first.history.first()
    assert (latest.is_paused, first.history.count()) == (False, 3)
    assert latest.history_user.username.startswith("operations")


def test_a_row_offers_only_what_can_be_done_with_it(operator: Client, business: Business) -> None:
    channel = business.channels[0]
    url = reverse("admin:channels_channel_change", args=[channel.pk])
    do = f"/admin/channels/channel/{channel.pk}/do/"
    text = operator.get(url).content.decode()
    assert f"{do}pause/" in text
    assert f"{do}resume/" not in text
    assert f"{do}test_connection/" not in text
    run(operator, "channel", "pause", channel)
    assert f"{do}resume/" in operator.get(url).content.decode()


def test_every_mapped_listing_of_a_channel_is_pushed_now(operator: Client, business: Business) -> None:
    first, second = (ListingLevel.objects.get(channel=channel) for channel in business.channels)
    run(operator, "channel", "pause", business.channels[1])
    said = run(operator, "channel", "push_now", *business.channels)
    assert said == "1 number will be told again. Skipped 1: 1 channels paused or off."
    assert due(first)
    assert not due(second)


def test_shelves_are_pushed_now_but_for_those_that_cannot(operator: Client, business: Business) -> None:
    channel, variant, location = business.channels[0], business.variants[0], business.locations[0]
    alive, dead, unmapped = (business.list_on(channel, variant, location) for _ in range(3))
    ListingLevel.objects.filter(pk=dead.pk).update(wanted=2, dead_at=timezone.now())
    Listing.objects.filter(pk=unmapped.listing_id).update(variant=None)
    paused = ListingLevel.objects.get(channel=business.channels[1])
    Channel.objects.filter(pk=business.channels[1].pk).update(is_paused=True)
    said = run(operator, "listinglevel", "push_now", alive, dead, unmapped, paused)
    assert said.startswith("1 number will be told again. Skipped 3:")
    assert "1 in the dead letters" in said
    assert "1 unmapped" in said
    assert "1 of a channel that is paused" in said
    assert due(alive)
    assert not due(unmapped)


def test_a_listing_is_pushed_now_at_all_its_places(operator: Client, business: Business) -> None:
    level = ListingLevel.objects.get(channel=business.channels[0])
    url = reverse("admin:channels_listing_do", args=[level.listing_id, "push_now"])
    assert operator.post(url).status_code == 302
    assert due(level)


def test_dead_pushes_are_replayed_and_living_ones_skipped(operator: Client, business: Business) -> None:
    dead, alive = (ListingLevel.objects.get(channel=channel) for channel in business.channels)
    ListingLevel.objects.filter(pk=dead.pk).update(wanted=2, attempts=8, dead_at=timezone.now())
    said = run(operator, "listinglevel", "replay_dead", dead, alive)
    assert said == "1 dead letter will be tried again. Skipped 1: 1 not dead."
    dead.refresh_from_db()
    assert (dead.dead_at, dead.is_due) == (None, True)


def test_deliveries_are_replayed_and_those_that_wait_are_skipped(
    operator: Client, business: Business
) -> None:
    dead = WebhookDelivery.objects.get(channel=business.channels[0])
    waiting = business.add_delivery(business.channels[0], state="received")
    done = business.add_delivery(business.channels[0], state="processed")
    said = run(operator, "webhookdelivery", "replay_deliveries", dead, waiting, done)
    assert said == "2 messages will be processed again. Skipped 1: 1 waiting already."
    assert set(
        WebhookDelivery.objects.filter(channel=business.channels[0]).values_list("state", flat=True)
    ) == {"received"}


def test_only_dead_letters_are_replayed_where_that_is_asked(operator: Client, business: Business) -> None:
    dead, other = WebhookDelivery.objects.order_by("id")
    done = business.add_delivery(business.channels[0], state="processed")
    Channel.objects.filter(pk=other.channel_id).update(is_active=False)
    said = run(operator, "webhookdelivery", "replay_dead_letters", dead, done, other)
    assert said == "1 message will be processed again. Skipped 2: 1 of a channel that is off, 1 not dead."
    done.refresh_from_db()
    assert done.state == "processed"


def test_channels_are_polled_now(operator: Client, business: Business) -> None:
    later = timezone.now() + timedelta(hours=1)
    PollFeed.objects.update(next_poll_at=later)
    Channel.objects.filter(pk=business.channels[1].pk).update(is_active=False)
    said = run(operator, "channel", "poll_now", *business.channels)
    assert said == "1 channel will be polled at once. Skipped 1: 1 switched off."
    first, second = (PollFeed.objects.get(channel=channel, name="orders") for channel in business.channels)
    assert first.next_poll_at < later
    assert second.next_poll_at == later


def test_listings_are_read_soon(engineer: Client, business: Business) -> None:
    assert run(engineer, "channel", "read_listings", business.channels[0]) == "1 channel will be read."
    feed = PollFeed.objects.get(channel=business.channels[0], name="listings")
    assert feed.next_poll_at <= timezone.now()


@pytest.mark.parametrize("action", ["test_connection", "register_webhooks", "audit_subscriptions"])
def test_a_platform_that_cannot_be_asked_is_an_answer_and_no_error(engineer: Client, action: str) -> None:
    nameless = ChannelFactory(kind="retired", name="Old shop")
    empty = ChannelFactory(kind="woocommerce", name="Empty shop")
    said = run(engineer, "channel", action, nameless, empty)
    assert "Old shop: There is no connector" in said
    assert "Empty shop: Missing" in said


@pytest.mark.parametrize("role", ["read-only", "operations", "commerce"])
def test_only_engineering_talks_to_platforms(client: Client, business: Business, role: str) -> None:
    client.force_login(person(role))
    for action in ("test_connection", "register_webhooks", "audit_subscriptions", "read_listings"):
        url = reverse("admin:channels_channel_do", args=[business.channels[0].pk, action])
        assert client.post(url).status_code == 403


def test_whoever_may_only_read_does_nothing(client: Client, business: Business) -> None:
    client.force_login(person("read-only"))
    channel, level = business.channels[0], ListingLevel.objects.get(channel=business.channels[0])
    delivery = WebhookDelivery.objects.get(channel=channel)
    for model, row, action in (
        ("channel", channel, "pause"),
        ("channel", channel, "push_now"),
        ("listinglevel", level, "push_now"),
        ("webhookdelivery", delivery, "replay_deliveries"),
    ):
        url = reverse(f"admin:channels_{model}_do", args=[row.pk, action])
        assert client.post(url).status_code == 403
        run(client, model, action, row)
    channel.refresh_from_db()
    delivery.refresh_from_db()
    assert (channel.is_paused, due(level), delivery.state) == (False, False, "dead")


def test_a_place_that_gets_a_location_is_told_and_named_in_one_list(
    engineer: Client, business: Business
) -> None:
    level = ListingLevel.objects.get(channel=business.channels[0])
    place = level.channel_location
    url = reverse("admin:channels_channellocation_change", args=[place.pk])
    source = place.sources.get()
    data = {
        "name": "Main", "is_active": "on", "sources-TOTAL_FORMS": 2, "sources-INITIAL_FORMS": 1,
        "sources-0-id": source.pk, "sources-0-channel_location": place.pk, "sources-0-location": source.location_id,
        "sources-0-priority": 0, "sources-0-is_active": "on", "sources-1-is_active": "on",
        "sources-1-channel_location": place.pk,
        "sources-1-location": business.locations[1].pk, "sources-1-priority": 1,
    }  # fmt: skip
    assert engineer.post(url, data).status_code == 302
    assert due(level)
    listed = engineer.get(reverse("admin:channels_channellocation_changelist")).content.decode()
    assert ", ".join(location.code for location in business.locations) in listed


def test_a_place_offers_only_the_merchants_own_locations(engineer: Client, business: Business) -> None:
    foreign = LocationFactory(merchant=MerchantFactory(), code="FOREIGN-1")
    place = ListingLevel.objects.get(channel=business.channels[0]).channel_location
    text = engineer.get(reverse("admin:channels_channellocation_change", args=[place.pk])).content.decode()
    assert business.locations[1].code in text
    assert foreign.code not in text
