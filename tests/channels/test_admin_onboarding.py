"""A new channel is led from its credentials to being live on one page, which can be left and taken up again."""

from collections.abc import Iterator

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from channels import onboarding
from channels.accounts import open_connector
from channels.importing import import_channel
from channels.matching import find_matches
from channels.models import Channel, Listing, Onboarding, ShadowRun
from channels.onboarding import Standing, StepKey
from channels.sandbox import INSTANT, CatalogueItem, WooCommerceSandbox
from channels.shadow import following, reading
from inventory.models import Variant
from tests.back_office import Business, person
from tests.channels.shop import Shop, open_shop

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def sandbox() -> Iterator[WooCommerceSandbox]:
    with WooCommerceSandbox(profile=INSTANT, limits="generous") as shop:
        skus = ["MUG-1", "mug2", "STRANGE"]
        shop.load_catalogue([CatalogueItem(sku, f"Mug {sku}", quantities={"": 9}) for sku in skus])
        yield shop


@pytest.fixture
def shop() -> Shop:
    return open_shop({"MUG-1": 9, "MUG-2": 4})


class Page:
    """Somebody at the onboarding page of one channel."""

    def __init__(self, client: Client, channel: Channel, role: str = "superuser") -> None:
        self.client, self.channel = client, channel
        client.force_login(person(role))
        self.address = reverse("admin:channels_onboarding", args=[channel.pk])

    def do(self, name: str, **more: object) -> str:
        """Presses a button; returns the page that follows."""
        response = self.client.post(self.address, {"do": name, **more}, follow=True)
        assert response.status_code == 200
        return response.content.decode()

    def shown(self) -> str:
        return self.client.get(self.address).content.decode()

    def standing(self, key: StepKey) -> Standing:
        return onboarding.progress_of(Channel.objects.get(pk=self.channel.pk)).step(key).standing

    def next(self) -> StepKey | None:
        step = onboarding.progress_of(Channel.objects.get(pk=self.channel.pk)).next
        return step.key if step else None


def add(client: Client, shop: Shop, sandbox: WooCommerceSandbox) -> Page:
    """Adds a channel by the form, as people do."""
    client.force_login(person("superuser"))
    form = {
        "merchant": shop.merchant.pk, "name": "Outlet", "is_active": "on", "setting_base_url": sandbox.base_url,
        **{f"credential_{name}": value for name, value in sandbox.credentials().items()},
        "buffer_units": 0, "buffer_percent": 0, "minimum_exposure": 0, "routing": "priority", "may_split": "on",
    }  # fmt: skip
    response = client.post(f"{reverse('admin:channels_channel_add')}?kind=woocommerce", form)
    channel = Channel.objects.get(name="Outlet")
    assert response.headers["Location"] == reverse("admin:channels_onboarding", args=[channel.pk])
    return Page(client, channel)


def read(channel: Channel) -> None:
    """Does what the pusher does when listings were asked for."""
    import_channel(channel, open_connector(channel), match=find_matches)


def test_a_new_channel_is_led_step_by_step_to_being_live(
    client: Client, shop: Shop, sandbox: WooCommerceSandbox
) -> None:
    page = add(client, shop, sandbox)
    channel = Channel.objects.get(name="Outlet")
    assert channel.is_paused
    assert page.next() is StepKey.CREDENTIALS
    assert "Connected to" in page.do("test")
    assert Onboarding.objects.get().limits
    assert page.next() is StepKey.LISTINGS
    assert "being read" in page.do("read")
    assert page.standing(StepKey.LISTINGS) is Standing.RUNNING
    read(channel)
    assert page.next() is StepKey.MATCHES

    review = reverse("admin:channels_onboarding_review", args=[channel.pk])
    text = client.get(review).content.decode()
    assert "mug2" in text
    assert "90" in text
    assert "STRANGE" in text
    client.post(review, {"do": "all"})
    assert Listing.objects.get(sku="mug2").variant == Variant.objects.get(sku="MUG-2")
    assert page.next() is StepKey.MATCHES
    assert "1 are not" in page.shown()

    assert "Choose at least one" in page.do("put_behind", place="")
    assert "put behind" in page.do("put_behind", place="", location=["main"])
    assert page.next() is StepKey.SHADOW
    assert page.standing(StepKey.MATCHES) is Standing.PARTLY
    page.do("begin_shadow")
    run = ShadowRun.objects.get()
    assert (run.may_subscribe, page.next()) == (False, StepKey.FIRST_PUSH)
    following.follow_all()
    reading.read_some(channel, open_connector(channel))

    first = reverse("admin:channels_first_push", args=[channel.pk])
    text = client.get(first).content.decode()
    assert "1 of 2 numbers would change" in text
    client.post(first)
    assert page.next() is StepKey.LIVE
    assert "shelves show another number" in page.do("go_live")
    assert Channel.objects.get(pk=channel.pk).in_shadow
    assert "is live" in page.do("go_live", answer=["differences", "unmatched"])
    assert page.next() is None
    assert not Channel.objects.get(pk=channel.pk).is_paused
    assert "only watched again" in page.do("go_back")
    assert Channel.objects.get(pk=channel.pk).in_shadow
    assert "stays paused" in page.do("stop_shadow")
    assert "not in shadow mode" in page.do("stop_shadow")


def test_credentials_that_do_not_work_say_so_and_are_tried_again(
    client: Client, shop: Shop, sandbox: WooCommerceSandbox
) -> None:
    page = add(client, shop, sandbox)
    Channel.objects.filter(pk=page.channel.pk).update(
        credentials={"consumer_key": "ck_x", "consumer_secret": "cs_x"}
    )
    text = page.do("test")
    assert page.standing(StepKey.CREDENTIALS) is Standing.TROUBLE
    assert "cs_x" not in text
    assert page.next() is StepKey.CREDENTIALS
    sound = dict(sandbox.credentials())
    Channel.objects.filter(pk=page.channel.pk).update(credentials=sound)
    page.do("test")
    assert page.standing(StepKey.CREDENTIALS) is Standing.DONE


def test_the_report_stands_on_the_page_of_its_run(client: Client) -> None:
    business = Business().grow(1)
    client.force_login(person("read-only"))
    run = ShadowRun.objects.get(channel=business.channels[0])
    text = client.get(reverse("admin:channels_shadowrun_change", args=[run.pk])).content.decode()
    assert "Where it differed" in text
    assert "Oversold meanwhile" in text
    page = client.get(reverse("admin:channels_onboarding", args=[run.channel_id]))
    assert page.status_code == 200


def test_the_list_of_channels_leads_there(client: Client) -> None:
    business = Business().grow(1)
    client.force_login(person("read-only"))
    address = reverse("admin:channels_onboarding", args=[business.channels[0].pk])
    assert address in client.get(reverse("admin:channels_channel_changelist")).content.decode()


@pytest.mark.parametrize("role", ["read-only", "commerce", "operations"])
def test_only_those_who_connect_channels_take_the_steps(client: Client, shop: Shop, role: str) -> None:
    page = Page(client, shop.channel, role)
    assert client.get(page.address).status_code == 200
    for name in ("test", "read", "begin_shadow", "go_live", "go_back", "stop_shadow"):
        assert client.post(page.address, {"do": name}).status_code == 403, name
    first = reverse("admin:channels_first_push", args=[shop.channel.pk])
    assert client.get(first).status_code == 403
    assert client.post(page.address, {"do": "everything"}).status_code == 404


def test_nothing_of_another_merchant_is_offered_or_taken(client: Client, shop: Shop) -> None:
    stranger = open_shop({"POT": 1})
    stranger.add_location("elsewhere")
    page = Page(client, shop.channel)
    assert "elsewhere" not in page.shown()
    assert "There is no location elsewhere" in page.do("put_behind", place="", location=["elsewhere"])
    listing = Listing.objects.create(channel=stranger.channel, external_id="x", sku="X")
    review = reverse("admin:channels_onboarding_review", args=[shop.channel.pk])
    client.post(review, {"do": "ticked", "listing": [listing.pk]})
    listing.refresh_from_db()
    assert listing.variant is None


def test_the_page_costs_the_same_whatever_hangs_on_the_channel(client: Client, shop: Shop) -> None:
    page = Page(client, shop.channel)
    page.shown()
    with CaptureQueriesContext(connection) as few:
        page.shown()
    for number in range(5):
        shop.add_location(f"more-{number}", place=f"place-{number}")
        Listing.objects.create(channel=shop.channel, external_id=f"x{number}", sku=f"X{number}")
    with CaptureQueriesContext(connection) as many:
        page.shown()
    assert len(many) == len(few)
