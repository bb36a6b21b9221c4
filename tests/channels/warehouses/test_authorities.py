"""Who may have the say over which location, on the page, in a terminal, and by its webhooks."""

from collections.abc import Iterator

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from channels import accounts
from channels.connecting import go_live, put_behind
from channels.deliveries import process_due
from channels.errors import Misconfigured, Unsupported
from channels.feeds import KEEPING, LISTINGS, ensure_feeds, lease_due_feed
from channels.models import Authority, ChannelLocation, ListingLevel, PollFeed, StatedLevel, WebhookDelivery
from channels.polling import poll_feed
from channels.warehouses.authorities import answered_by_warehouse, give_say
from inventory.models import Location
from inventory.models.catalogue import LocationKind
from reconciliation import runs, schedules
from reconciliation.authority import compare
from reconciliation.errors import Refused
from reconciliation.models import ReconciliationSchedule, StockAuthority
from tests.back_office import person
from tests.channels.senders import PicqerSender
from tests.channels.shop import open_shop
from tests.channels.warehouses.yard import Yard, open_yard

pytestmark = pytest.mark.django_db


@pytest.fixture
def yard() -> Iterator[Yard]:
    accounts.forget_channels()
    with open_yard({"MUG": 10}) as yard:
        yard.round()
        yield yard


def operator(client: Client) -> Client:
    client.force_login(person("operations"))
    return client


def test_a_warehouse_sells_nothing_and_is_told_no_numbers(yard: Yard) -> None:
    assert not ListingLevel.objects.filter(channel=yard.channel).exists()
    with pytest.raises(Unsupported):
        yard.connector.push([], call_id="call")
    ensure_feeds()
    names = PollFeed.objects.filter(channel=yard.channel).values_list("name", flat=True)
    assert set(names) == {KEEPING, LISTINGS}


def test_the_say_is_given_once_by_a_channel_that_keeps_stock(yard: Yard) -> None:
    place = ChannelLocation.objects.get(channel=yard.channel)
    other = yard.shop.add_location("north", place="")
    with pytest.raises(Misconfigured, match="count at another location"):
        give_say(other, place)
    with pytest.raises(Misconfigured, match="no warehouse or ERP"):
        give_say(other, yard.shop.places[""])
    with pytest.raises(Misconfigured, match="another merchant"):
        give_say(open_shop().locations["main"], place)
    Authority.objects.all().delete()
    Location.objects.filter(pk=other.pk).update(kind=LocationKind.CHANNEL_OWNED)
    other.refresh_from_db()
    with pytest.raises(Misconfigured, match="no place of yours"):
        give_say(other, place)


def test_the_page_gives_the_say_and_names_what_speaks_against_it(yard: Yard, client: Client) -> None:
    operator(client)
    place = ChannelLocation.objects.get(channel=yard.channel)
    other = yard.shop.add_location("north", place="")
    address = reverse("admin:channels_authority_add")
    refused = client.post(address, {"location": other.pk, "place": place.pk})
    assert "count at another location" in refused.content.decode()
    Authority.objects.all().delete()
    assert client.post(address, {"location": other.pk, "place": place.pk}).status_code == 302
    authority = Authority.objects.get()
    assert (authority.location, authority.history.count()) == (other, 1)
    client.post(reverse("admin:channels_authority_delete", args=[authority.pk]), {"post": "yes"})
    assert not Authority.objects.exists()


def test_the_page_shows_where_ledger_and_warehouse_differ(yard: Yard, client: Client) -> None:
    StatedLevel.objects.update(free=6, done=1, wanted=1)
    page = operator(client).get(reverse("admin:channels_authority_change", args=[Authority.objects.get().pk]))
    text = page.content.decode()
    assert "Ledger and warehouse differ" in text
    assert "MUG" in text
    answer = client.post(
        reverse("admin:channels_authority_do", args=[Authority.objects.get().pk, "read_again"]), follow=True
    )
    assert "will be read again" in answer.content.decode()


def test_requests_that_the_warehouse_answers_are_not_answered_by_people(yard: Yard, client: Client) -> None:
    yard.sell("MUG", 2)
    request = yard.request()
    assert answered_by_warehouse([request.location_id]) == {request.location_id}
    address = reverse("admin:channels_fulfilmentrequest_do", args=[request.pk, "ship"])
    answer = operator(client).post(address, follow=True)
    assert "answered by its warehouse" in answer.content.decode()
    assert yard.request().state == "new"
    Authority.objects.all().delete()
    client.post(address)
    assert yard.request().state == "shipped"


def test_nothing_can_be_put_on_sale_at_a_place_of_a_warehouse(yard: Yard, client: Client) -> None:
    place = ChannelLocation.objects.get(channel=yard.channel)
    page = operator(client).get(reverse("admin:channels_channellocation_change", args=[place.pk]))
    assert 'name="is_active"' not in page.content.decode()


def test_a_warehouse_is_not_compared_as_a_shop_is(yard: Yard) -> None:
    schedules.ensure_schedules()
    assert set(ReconciliationSchedule.objects.values_list("channel", flat=True)) == {yard.shop.channel.pk}
    with pytest.raises(Refused, match="keeps stock"):
        runs.ask(yard.channel)


def test_a_file_has_no_say_where_a_channel_has_it(yard: Yard) -> None:
    location = yard.shop.locations["main"]
    authority = StockAuthority.objects.create(merchant=yard.shop.merchant, location=location, name="File")
    with pytest.raises(Refused, match="read by itself"):
        compare(authority, {"MUG": 1}, seen_until=timezone.now())


def test_connecting_gives_the_say_over_one_location(yard: Yard) -> None:
    Authority.objects.all().delete()
    with pytest.raises(Misconfigured, match="say over a location"):
        go_live(yard.channel)
    yard.shop.add_location("north", place="")
    with pytest.raises(Misconfigured, match="name one"):
        put_behind(yard.channel, "1", ["main", "north"])
    put_behind(yard.channel, "1", ["main"])
    assert Authority.objects.get().location == yard.shop.locations["main"]


# -- its messages


def send(client: Client, yard: Yard, event: str, **data: object) -> None:
    sender = PicqerSender()
    sender.secret = "the secret"
    body = {**sender.message(), "event": event, "data": data}
    assert sender.send(client, yard.channel, body).status_code == 200
    process_due()


def attended(yard: Yard) -> None:
    feed = lease_due_feed(yard.channel.pk, KEEPING)
    assert feed is not None
    poll_feed(feed, yard.connector)


def quiet() -> None:
    ensure_feeds()
    PollFeed.objects.update(next_poll_at="2999-01-01T00:00:00Z", last_polled_at="2026-01-01T00:00:00Z")


def test_a_message_has_the_goods_it_names_read_whatever_number_it_carries(yard: Yard, client: Client) -> None:
    """Hours late, out of sequence, or forged by nobody: the number in it does not count, the one that is read does."""
    quiet()
    yard.sandbox.edit_stock("MUG", 6)
    listing = StatedLevel.objects.get().listing
    stock = [{"idwarehouse": 1, "freestock": 99}]
    send(client, yard, "products.free_stock_changed", idproduct=int(listing.external_id), stock=stock)
    attended(yard)
    assert yard.level("MUG") == (6, 0)


def test_a_message_about_an_order_has_it_looked_at(yard: Yard, client: Client) -> None:
    yard.sell("MUG", 3)
    yard.round()
    quiet()
    yard.sandbox.ship(yard.number())
    send(client, yard, "picklists.closed", idpicklist=100, idorder=int(yard.number()))
    attended(yard)
    assert (yard.request().state, yard.level("MUG")) == ("shipped", (7, 0))


def test_a_message_about_an_order_of_others_changes_nothing(yard: Yard, client: Client) -> None:
    quiet()
    send(client, yard, "orders.status_changed", idorder=4711)
    assert lease_due_feed(yard.channel.pk, KEEPING) is None
    assert WebhookDelivery.objects.get().state == "processed"


def test_a_message_about_a_receipt_has_the_lists_read(yard: Yard, client: Client) -> None:
    quiet()
    send(client, yard, "receipts.product_received", idreceipt=1)
    assert PollFeed.objects.get(name=KEEPING).last_polled_at is None
    assert lease_due_feed(yard.channel.pk, KEEPING) is not None
