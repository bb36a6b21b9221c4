"""What a channel says of when goods arrive: on the page of a listing, in the API, and nowhere where nobody set the days."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from channels.arrival_texts import arrival_texts
from channels.models import Channel
from inventory.ledger import Context
from inventory.models import Supplier
from inventory.ordering import OrderedLine, order_goods
from tests.back_office import person
from tests.channels.shop import Shop, open_shop

pytestmark = pytest.mark.django_db


def shop_that_delivers(stock: int = 3) -> Shop:
    shop = open_shop({"MUG": stock})
    Channel.objects.filter(pk=shop.channel.pk).update(delivery_days_from=2, delivery_days_to=4)
    shop.channel.refresh_from_db()
    return shop


def said(shop: Shop) -> str | None:
    mug = shop.variants["MUG"].pk
    return arrival_texts(shop.channel, [mug]).get(mug)


def test_goods_in_stock_arrive_within_the_days_of_the_channel() -> None:
    assert said(shop_that_delivers()) == "within 2 to 4 days"
    assert said(open_shop({"MUG": 3})) is None


def test_goods_to_come_arrive_that_much_later_where_the_channel_is_served_from() -> None:
    shop = shop_that_delivers(0)
    shop.add_location("elsewhere", place="2")
    supplier = Supplier.objects.create(merchant=shop.merchant, code="acme", name="Acme")
    on = timezone.localdate() + timedelta(days=3)
    lines = [OrderedLine(shop.variants["MUG"].pk, 7, confirmed_on=on)]
    order_goods(Context(shop.merchant.pk, "order"), "PO-1", supplier, shop.locations["main"], lines)
    assert said(shop) == "within 5 to 7 days"


def test_the_pages_of_a_listing_and_of_its_shelf_say_so(client: Client) -> None:
    shop = shop_that_delivers()
    listing = shop.list_variant("MUG")
    client.force_login(person("operations"))
    for name, pk in (("listing", listing.pk), ("listinglevel", shop.shelf(listing).pk)):
        page = client.get(reverse(f"admin:channels_{name}_change", args=[pk]))
        assert b"Arrives: within 2 to 4 days." in page.content


@pytest.mark.parametrize(
    ("days", "field", "message"),
    [
        ((2, None), "delivery_days_to", "Enter both days, or neither"),
        ((None, 2), "delivery_days_from", "Enter both days, or neither"),
        ((5, 4), "delivery_days_to", "Must be at least the shortest, 5"),
        ((5, 400), "delivery_days_to", "At most 365 days"),
    ],
)
def test_days_that_are_no_span_are_refused_by_name(days: tuple[Any, Any], field: str, message: str) -> None:
    shop = open_shop()
    shop.channel.delivery_days_from, shop.channel.delivery_days_to = days
    with pytest.raises(ValidationError) as refused:
        shop.channel.clean()
    assert message in str(refused.value.message_dict[field])
