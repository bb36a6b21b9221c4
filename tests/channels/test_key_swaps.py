"""A platform's new keys are tried before they take the place of the old; nothing else of the channel changes."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from channels import accounts, subscriptions, tokens
from channels.accounts import account_of, open_connector
from channels.connectors.messages import sign
from channels.connectors.woocommerce import WooCommerceConnector
from channels.errors import KeysRefused, TransientError
from channels.key_swaps import NewKeys, end_overlap, swap, try_keys
from channels.models import AccessToken, Channel, ChannelHealth, ChannelLocation, Listing, PollFeed
from channels.sandbox import INSTANT, SANDBOXES
from channels.sandbox.shop import SandboxShop
from channels.sandbox.shopify import ShopifySandbox
from channels.sandbox.woocommerce import WooCommerceSandbox
from tests.back_office import person
from tests.factories import ChannelFactory

pytestmark = pytest.mark.django_db

NEW = "n3w-client-secret-of-the-platform"


@pytest.fixture(params=SANDBOXES)
def sandbox(request: pytest.FixtureRequest) -> Iterator[SandboxShop]:
    with SANDBOXES[request.param](profile=INSTANT, limits="generous") as sandbox:
        yield sandbox


@pytest.fixture
def shopify() -> Iterator[ShopifySandbox]:
    with ShopifySandbox(profile=INSTANT, limits="generous") as sandbox:
        yield sandbox


@pytest.fixture
def woocommerce() -> Iterator[WooCommerceSandbox]:
    with WooCommerceSandbox(profile=INSTANT, limits="generous") as sandbox:
        yield sandbox


def channel_of(sandbox: SandboxShop) -> Channel:
    """Returns a channel that has spoken to its shop before: with a token, where there are tokens."""
    channel: Channel = ChannelFactory(
        kind=sandbox.kind, settings=sandbox.settings(), credentials=dict(sandbox.credentials())
    )
    open_connector(channel).check()
    return channel


def fresh(channel: Channel) -> Channel:
    return Channel.objects.get(pk=channel.pk)


def give_out(shop: ShopifySandbox) -> None:
    """Has the platform know the new secret alone."""
    shop.client_secret = NEW


def token_of(channel: Channel) -> Any:
    return AccessToken.objects.filter(channel=channel).values_list("token", flat=True).first()


def signed_by(secret: str, shop: ShopifySandbox) -> dict[str, str]:
    body = json.dumps({"id": 1}).encode()
    return {
        "X-Shopify-Hmac-Sha256": sign(body, secret),
        "X-Shopify-Topic": "orders/delete",
        "X-Shopify-Shop-Domain": shop.shop_domain,
    }


def deliver(client: Client, channel: Channel, headers: dict[str, str]) -> int:
    accounts.forget_channels()
    url = f"/webhooks/{channel.public_id}/"
    return client.post(url, {"id": 1}, content_type="application/json", headers=headers).status_code


# -- tried first


def test_keys_that_do_not_work_change_nothing(sandbox: SandboxShop) -> None:
    channel = channel_of(sandbox)
    before, token = channel.credentials, token_of(channel)
    wrong = NewKeys({name: f"wrong-{name}" for name in sandbox.credentials()})
    with pytest.raises(KeysRefused, match="Nothing was changed"):
        swap(channel.pk, wrong, by="tests")
    assert (fresh(channel).credentials, token_of(channel)) == (before, token)
    assert fresh(channel).history.count() == 1


def test_a_kept_token_does_not_answer_for_new_keys(shopify: ShopifySandbox) -> None:
    channel = channel_of(shopify)
    channel.credentials = {**channel.credentials, "client_secret": "wrong"}
    token = token_of(channel)
    AccessToken.objects.update(token={name: token[name] for name in ("value", "renew_at")})
    tokens.forget_tokens()
    # The control: whoever only asks with what is kept finds nothing wrong.
    assert open_connector(channel).check()
    with pytest.raises(KeysRefused, match="does not accept client id and secret"):
        try_keys(fresh(channel), NewKeys({"client_secret": "wrong"}))


def test_keys_of_another_account_are_refused(
    woocommerce: WooCommerceSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = channel_of(woocommerce)
    monkeypatch.setattr(
        WooCommerceConnector, "check", lambda self: f"shop of {self.account.credentials['consumer_key'][:3]}"
    )
    with pytest.raises(KeysRefused, match=r"belong to shop of xyz.*of its own"):
        swap(channel.pk, NewKeys({"consumer_key": "xyz-key"}), by="tests")


def test_keys_that_somebody_else_replaces_meanwhile_stay(
    woocommerce: WooCommerceSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = channel_of(woocommerce)
    others = {**channel.credentials, "consumer_secret": "somebody's"}

    def check(self: WooCommerceConnector) -> str:
        Channel.objects.filter(pk=channel.pk).update(credentials=others)
        return "the shop"

    monkeypatch.setattr(WooCommerceConnector, "check", check)
    with pytest.raises(KeysRefused, match="meanwhile"):
        swap(channel.pk, NewKeys({"consumer_key": "mine"}), by="tests")
    assert fresh(channel).credentials == others


@pytest.mark.parametrize(
    ("new", "field"),
    [
        (NewKeys({"colour": "red"}), "colour"),
        (NewKeys({"client_secret": ""}), "client_secret"),
        (NewKeys({}), ""),
        (NewKeys({"client_secret": NEW}, overlap=timedelta(days=31)), "overlap_hours"),
        (NewKeys({"client_secret": NEW}, makes_webhook_secret=True), "makes_webhook_secret"),
    ],
)
def test_what_makes_no_sense_is_refused_at_its_field(
    new: NewKeys, field: str, shopify: ShopifySandbox
) -> None:
    with pytest.raises(KeysRefused) as refused:
        swap(channel_of(shopify).pk, new, by="tests")
    assert refused.value.field == field
    assert NEW not in str(refused.value)


# -- swapped


def test_new_keys_take_the_place_of_the_old_and_all_else_stays(shopify: ShopifySandbox) -> None:
    channel = channel_of(shopify)
    feed = PollFeed.objects.create(
        channel=channel, name="orders", cursor="as far as it was read", next_poll_at=timezone.now()
    )
    place = ChannelLocation.objects.create(channel=channel, external_id="7")
    listing = Listing.objects.create(channel=channel, external_id="1", sku="MUG")
    before = {row: type(row).objects.filter(pk=row.pk).values().get() for row in (feed, place, listing)}
    kept = (
        Channel.objects.defer("credentials").values("public_id", "settings", "is_paused").get(pk=channel.pk)
    )
    ChannelHealth.objects.create(
        channel=channel, consecutive_failures=3, breaker_open_until=timezone.now() + timedelta(hours=1)
    )
    give_out(shopify)
    done = swap(channel.pk, NewKeys({"client_secret": NEW}, expire_on=date(2027, 1, 31)), by="anna")
    assert (done.account, done.replaced) == (shopify.name, ("Client secret",))
    stored = fresh(channel)
    assert (stored.credentials["client_secret"], stored.credentials_expire_on) == (NEW, date(2027, 1, 31))
    assert stored.credentials["client_id"] == channel.credentials["client_id"]
    assert stored.history.first().history_change_reason == "Keys swapped by anna: Client secret"
    assert {row: type(row).objects.filter(pk=row.pk).values().get() for row in before} == before
    assert Channel.objects.values("public_id", "settings", "is_paused").get(pk=channel.pk) == kept
    assert ChannelHealth.objects.get(channel=channel).breaker_open_until is None


def test_the_token_that_the_new_keys_were_tried_with_is_used_from_then_on(shopify: ShopifySandbox) -> None:
    channel = channel_of(shopify)
    old = token_of(channel)["value"]
    give_out(shopify)
    swap(channel.pk, NewKeys({"client_secret": NEW}), by="tests")
    asked = shopify.requests.copy()
    assert open_connector(fresh(channel)).check() == shopify.name
    assert token_of(channel)["value"] != old
    assert "POST access_token" in asked
    assert "POST access_token" not in shopify.requests - asked


def test_both_secrets_are_accepted_until_the_overlap_is_ended(
    client: Client, shopify: ShopifySandbox
) -> None:
    channel = channel_of(shopify)
    old = signed_by(shopify.client_secret, shopify)
    give_out(shopify)
    done = swap(channel.pk, NewKeys({"client_secret": NEW}, overlap=timedelta(hours=2)), by="tests")
    assert done.both_until is not None
    assert timedelta(hours=1) < done.both_until - timezone.now() < timedelta(hours=3)
    new = signed_by(NEW, shopify)
    assert [deliver(client, channel, each) for each in (old, new)] == [200, 200]
    assert end_overlap(channel.pk)
    assert [deliver(client, channel, each) for each in (old, new)] == [401, 200]
    assert not end_overlap(channel.pk)


def test_without_an_overlap_the_old_secret_is_refused_at_once(
    client: Client, shopify: ShopifySandbox
) -> None:
    channel = channel_of(shopify)
    old = signed_by(shopify.client_secret, shopify)
    give_out(shopify)
    assert swap(channel.pk, NewKeys({"client_secret": NEW}, overlap=timedelta(0)), by="t").both_until is None
    assert deliver(client, channel, old) == 401


def test_a_new_webhook_secret_is_made_and_entered_at_the_platform(woocommerce: WooCommerceSandbox) -> None:
    channel = channel_of(woocommerce)
    ends_on = date(2027, 1, 31)
    Channel.objects.update(credentials_expire_on=ends_on)
    subscriptions.register(channel, open_connector(channel))
    old = fresh(channel).credentials["webhook_secret"]
    done = swap(channel.pk, NewKeys({}, makes_webhook_secret=True), by="tests")
    new = fresh(channel).credentials["webhook_secret"]
    assert (done.replaced, done.webhook_problem) == (("Webhook secret",), "")
    assert {each.secret for each in woocommerce.webhooks.by_number.values()} == {new}
    assert account_of(fresh(channel)).webhook_secrets == (new, old)
    assert fresh(channel).credentials_expire_on == ends_on


def test_a_platform_that_was_not_told_the_new_secret_is_reported(
    woocommerce: WooCommerceSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = channel_of(woocommerce)

    def fail(self: object, callback_url: str) -> dict[str, str]:
        raise TransientError("The platform is not available (503).")

    monkeypatch.setattr(WooCommerceConnector, "register_webhooks", fail)
    done = swap(channel.pk, NewKeys({"webhook_secret": "chosen-by-hand-0123456789"}), by="tests")
    assert "Press Register webhooks" in done.webhook_problem


def test_old_overlaps_end_no_later_than_the_new_one(woocommerce: WooCommerceSandbox) -> None:
    channel = channel_of(woocommerce)
    for number in range(6):
        swap(channel.pk, NewKeys({"webhook_secret": f"chosen-{number}"}, overlap=timedelta(days=7)), by="t")
    live = account_of(fresh(channel)).webhook_secrets
    assert live == ("chosen-5", "chosen-4", "chosen-3", "chosen-2")
    swap(channel.pk, NewKeys({"webhook_secret": "after-a-leak"}, overlap=timedelta(0)), by="tests")
    assert account_of(fresh(channel)).webhook_secrets == ("after-a-leak",)


# -- the form of the channel


def test_a_secret_that_is_entered_in_the_channels_form_has_an_overlap_too(
    client: Client, shopify: ShopifySandbox
) -> None:
    channel = channel_of(shopify)
    old = channel.credentials["client_secret"]
    client.force_login(person("engineering"))
    url = reverse("admin:channels_channel_change", args=[channel.pk])
    entered = {
        **{f"setting_{name}": value for name, value in channel.settings.items()},
        "name": channel.name, "is_active": "on", "buffer_units": 0, "buffer_percent": 0, "minimum_exposure": 0,
        "routing": "priority", "credential_client_secret": NEW,
    }  # fmt: skip
    assert client.post(url, entered).status_code == 302
    assert account_of(fresh(channel)).webhook_secrets == (NEW, old)


# -- the page


@pytest.fixture
def engineer(client: Client) -> Client:
    client.force_login(person("engineering"))
    return client


def page_of(channel: Channel) -> str:
    return reverse("admin:channels_swap_keys", args=[channel.pk])


def test_keys_are_swapped_on_their_page(engineer: Client, shopify: ShopifySandbox) -> None:
    channel = channel_of(shopify)
    shown = engineer.get(page_of(channel)).content.decode()
    for value in shopify.credentials().values():
        assert value not in shown
    assert 'name="client_secret"' in shown
    give_out(shopify)
    response = engineer.post(page_of(channel), {"client_secret": NEW, "overlap_hours": 3}, follow=True)
    text = response.content.decode()
    assert f"The keys of {shopify.name} were tried and swapped: Client secret." in text
    assert NEW not in text
    assert fresh(channel).credentials["client_secret"] == NEW
    assert "accepted until" in engineer.get(page_of(channel)).content.decode()
    do = reverse("admin:channels_channel_do", args=[channel.pk, "refuse_replaced_secrets"])
    assert "1 channel no longer accept replaced secrets." in engineer.post(do, follow=True).content.decode()


def test_refused_keys_are_told_of_and_shown_nowhere(
    engineer: Client, shopify: ShopifySandbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    channel = channel_of(shopify)
    text = engineer.post(page_of(channel), {"client_secret": NEW, "overlap_hours": 3}).content.decode()
    assert "Nothing was changed, since the new keys do not work" in text
    assert NEW not in text + caplog.text


def test_the_page_is_for_those_who_connect_channels(client: Client, shopify: ShopifySandbox) -> None:
    channel = channel_of(shopify)
    client.force_login(person("commerce"))
    assert client.get(page_of(channel)).status_code == 403
    client.force_login(person("superuser"))
    assert (
        page_of(channel)
        in client.get(reverse("admin:channels_channel_change", args=[channel.pk])).content.decode()
    )
    Channel.objects.update(kind="retired")
    assert client.get(page_of(channel)).status_code == 404


# -- the command


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    def run(keys: object, *options: str) -> dict[str, Any]:
        out = io.StringIO()
        monkeypatch.setattr("sys.stdin", io.StringIO(keys if isinstance(keys, str) else json.dumps(keys)))
        call_command("swap_keys", *options, "--keys", "-", "--json", stdout=out)
        said: dict[str, Any] = json.loads(out.getvalue())
        return said

    return run


def test_keys_are_tried_then_swapped_by_command(
    run: Callable[..., dict[str, Any]], shopify: ShopifySandbox
) -> None:
    channel = channel_of(shopify)
    give_out(shopify)
    named = ("--channel", str(channel.pk))
    tried = run({"client_secret": NEW}, *named, "--test-only")
    assert (tried["account"], tried["swapped"]) == (shopify.name, False)
    assert fresh(channel).credentials["client_secret"] != NEW
    done = run({"client_secret": NEW}, *named, "--overlap-hours", "1", "--expires-on", "2027-01-31")
    assert (done["swapped"], done["replaced"], bool(done["both_until"])) == (True, ["Client secret"], True)
    assert NEW not in json.dumps([tried, done])
    assert run({}, *named, "--end-overlap")["ended"] is True


@pytest.mark.parametrize(
    ("keys", "options", "reason"),
    [
        ({"client_secret": NEW}, [], "do not work"),
        (f'{{"client_secret": "{NEW}"', [], "cannot be read as JSON"),
        ([NEW], [], "one JSON object"),
        ({"client_secret": NEW}, ["--expires-on", "soon"], "is no day"),
        ({"client_secret": NEW}, ["--channel", "0"], "no channel 0"),
    ],
)
def test_what_the_command_refuses_quotes_no_key(
    run: Callable[..., dict[str, Any]], shopify: ShopifySandbox, keys: object, options: list[str], reason: str
) -> None:
    with pytest.raises(CommandError, match=reason) as refused:
        run(keys, "--channel", str(channel_of(shopify).pk), *options)
    assert NEW not in str(refused.value)


def test_a_channel_whose_stored_keys_no_key_opens_is_told_of_in_words(
    engineer: Client, shopify: ShopifySandbox
) -> None:
    channel = channel_of(shopify)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE channels_channel SET credentials = 'gAAAA-nonsense'")
    answer = engineer.post(page_of(channel), {"client_secret": NEW, "overlap_hours": 1})
    assert "enter all keys anew" in answer.content.decode()
    with pytest.raises(CommandError, match="enter all keys anew"):
        call_command("swap_keys", "--channel", str(channel.pk), "--new-webhook-secret")
