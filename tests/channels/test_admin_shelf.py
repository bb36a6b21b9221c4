"""The page of a listing level answers "Why this number?" and shows what the channel was told."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from channels.models import Channel, Listing, ListingLevel, Push
from config.admin_panels import Panel
from inventory.stock import StockLine, receive
from tests.back_office import Business, person

pytestmark = pytest.mark.django_db


@pytest.fixture
def business() -> Business:
    business = Business.grown(1)
    receive(business.context(), [StockLine(business.variants[0].pk, business.locations[0].pk, 9)])
    return business


@pytest.fixture
def level(business: Business) -> ListingLevel:
    level = ListingLevel.objects.get(channel=business.channels[0])
    ListingLevel.objects.update(wanted=1, done=1, due_since=None)
    return level


@pytest.fixture
def reader(client: Client) -> Client:
    client.force_login(person("read-only"))
    return client


def panels(client: Client, row: Any) -> list[Panel]:
    url = reverse(f"admin:channels_{row._meta.model_name}_change", args=[row.pk])
    response = client.get(url)
    assert response.status_code == 200
    found: list[Panel] = response.context["panels"]
    return found


def test_each_step_from_on_hand_to_the_number_is_shown(
    reader: Client, business: Business, level: ListingLevel
) -> None:
    Channel.objects.filter(pk=level.channel_id).update(buffer_units=2)
    why = panels(reader, level)[0]
    steps = [(row[0], row[2]) for row in why.rows]
    # Nineteen arrived: twelve are reserved for the order, seven are left, two of them withheld.
    assert steps[:2] == [("On hand", 19), ("Available", 7)]
    assert dict(steps)["Buffer"] == 5
    assert steps[-1][1] == 5
    assert "It would be told 5 now. It should be showing 7" in why.note


def test_a_number_that_is_as_it_should_be_is_said_to_be(reader: Client, level: ListingLevel) -> None:
    assert "That is what it should be showing." in panels(reader, level)[0].note


def test_a_difference_that_is_due_is_said_to_be_on_its_way(reader: Client, level: ListingLevel) -> None:
    ListingLevel.objects.filter(pk=level.pk).update(expected=3, wanted=2)
    assert "the difference is on its way" in panels(reader, level)[0].note


def test_an_unmapped_listing_is_told_nothing(reader: Client, level: ListingLevel) -> None:
    Listing.objects.filter(pk=level.listing_id).update(variant=None)
    why = panels(reader, level)[0]
    assert (list(why.rows), why.empty) == ([], "The listing is not mapped, so it is told nothing.")


def test_the_push_log_shows_what_was_sent_and_leads_to_why(
    reader: Client, business: Business, level: ListingLevel
) -> None:
    push = business.log_push(level)
    log = panels(reader, level)[1]
    newest = next(iter(log.rows))
    assert newest[2:4] == (7, 7)
    assert reverse("admin:channels_push_change", args=[push.pk]) in str(newest[-1])


def test_a_push_shows_the_steps_as_they_were_computed_then(reader: Client, level: ListingLevel) -> None:
    push = Push.objects.get(listing_level=level)
    push.waterfall = [{"name": "Buffer", "before": 9, "after": 7, "why": "2 units withheld", "rule": "v1"}]
    push.save()
    why = panels(reader, push)[0]
    [(name, change, after, because, rule)] = why.rows
    assert (name, str(change), after, because, rule) == ("Buffer", "−2", 7, "2 units withheld", "v1")


def test_the_log_of_a_shelf_is_listed_in_full(
    reader: Client, business: Business, level: ListingLevel
) -> None:
    business.grow(1)
    url = f"{reverse('admin:channels_push_changelist')}?listing_level__id__exact={level.pk}"
    response = reader.get(url)
    assert {row.listing_level_id for row in response.context["cl"].result_list} == {level.pk}
