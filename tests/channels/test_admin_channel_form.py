"""A channel's secrets go in through its form and never come out; its rules are checked with clear words."""

import logging
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape

from channels.connectors import CONNECTORS
from channels.connectors.base import Connector
from channels.models import Channel, PollFeed
from tests.back_office import SECRET, Business, person
from tests.factories import ChannelFactory, MerchantFactory

pytestmark = pytest.mark.django_db

ENTERED = "entered-by-hand-7"
EXPOSURE = {"buffer_units": 0, "buffer_percent": 0, "minimum_exposure": 0, "maximum_exposure": ""}
ROUTING = {"routing": "priority", "may_split": "on"}


def settings_of(connector: type[Connector]) -> dict[str, Any]:
    """Returns what a form of this kind would send: required texts filled in, the rest as declared."""
    filled: dict[str, Any] = {}
    for name, default in connector.settings_schema.items():
        value = default
        if default is ...:
            value = "https://shop.example" if name.endswith("_url") else "shop.example"
        if value not in (False, None):
            filled[f"setting_{name}"] = value
    return filled


def secrets_of(connector: type[Connector], value: str = ENTERED) -> dict[str, str]:
    return {f"credential_{field.name}": f"{value}-{field.name}" for field in connector.credential_fields}


def form_of(channel: Channel, **changes: Any) -> dict[str, Any]:
    settings = {f"setting_{name}": value for name, value in channel.settings.items()}
    return {"name": channel.name, "is_active": "on", **EXPOSURE, **ROUTING, **settings, **changes}


def woocommerce(**fields: Any) -> Channel:
    """Returns a channel with settings and secrets stored."""
    connector = CONNECTORS["woocommerce"]
    stored = {field.name: SECRET for field in connector.credential_fields}
    settings = {key.removeprefix("setting_"): value for key, value in settings_of(connector).items()}
    return ChannelFactory(credentials=stored, settings=settings, **fields)


def change(client: Client, channel: Channel, **changes: Any) -> Any:
    return client.post(
        reverse("admin:channels_channel_change", args=[channel.pk]), form_of(channel, **changes)
    )


def errors_of(response: Any) -> dict[str, Any]:
    assert response.status_code == 200
    errors: dict[str, Any] = response.context["adminform"].form.errors
    return errors


@pytest.fixture
def engineer(client: Client) -> Client:
    client.force_login(person("engineering"))
    return client


@pytest.fixture
def admin_client(client: Client) -> Client:
    client.force_login(person("superuser"))
    return client


@pytest.mark.parametrize("kind", CONNECTORS)
def test_a_channel_of_every_kind_is_connected_through_its_form(engineer: Client, kind: str) -> None:
    connector = CONNECTORS[kind]
    merchant = MerchantFactory()
    url = f"{reverse('admin:channels_channel_add')}?kind={kind}"
    assert all(f'name="{name}"' in engineer.get(url).content.decode() for name in secrets_of(connector))
    entered = {"merchant": merchant.pk, "name": "New", "is_active": "on", **EXPOSURE}
    response = engineer.post(url, {**entered, **settings_of(connector), **secrets_of(connector)})
    assert response.status_code == 302, errors_of(response)
    channel = Channel.objects.get(name="New")
    assert channel.kind == kind
    assert channel.credentials == {f.name: f"{ENTERED}-{f.name}" for f in connector.credential_fields}
    assert PollFeed.objects.filter(channel=channel).exists()


def test_the_kind_is_asked_for_first(engineer: Client) -> None:
    text = engineer.get(reverse("admin:channels_channel_add")).content.decode()
    assert all(connector.label in text for connector in CONNECTORS.values())
    unknown = engineer.get(f"{reverse('admin:channels_channel_add')}?kind=nonsense")
    assert "Which platform is it?" in unknown.content.decode()


def test_required_secrets_are_asked_for_when_a_channel_is_new(engineer: Client) -> None:
    connector = CONNECTORS["woocommerce"]
    url = f"{reverse('admin:channels_channel_add')}?kind=woocommerce"
    entered = {"merchant": MerchantFactory().pk, "name": "New", **EXPOSURE, **settings_of(connector)}
    required = {f"credential_{f.name}" for f in connector.credential_fields if f.is_required}
    assert set(errors_of(engineer.post(url, entered))) == required


def test_a_secret_that_could_be_guessed_is_refused(engineer: Client) -> None:
    url = f"{reverse('admin:channels_channel_add')}?kind=wholesale"
    entered = {
        "merchant": MerchantFactory().pk,
        "name": "Portal",
        **EXPOSURE,
        **settings_of(CONNECTORS["wholesale"]),
        "credential_api_key": ENTERED,
        "credential_buyer_key": "too short",
    }
    assert set(errors_of(engineer.post(url, entered))) == {"credential_buyer_key"}


def test_a_blank_secret_keeps_what_is_stored_and_a_new_one_replaces_only_itself(engineer: Client) -> None:
    channel = woocommerce()
    first, *others = [field.name for field in CONNECTORS["woocommerce"].credential_fields]
    kept = {"webhook_secret": "made by the platform"}
    channel.credentials = {**channel.credentials, **kept}
    channel.save()
    assert change(engineer, channel).status_code == 302
    assert change(engineer, channel, **{f"credential_{first}": ENTERED}).status_code == 302
    channel.refresh_from_db()
    assert channel.credentials == {first: ENTERED, **dict.fromkeys(others, SECRET), **kept}


def test_new_secrets_do_not_keep_the_day_on_which_the_old_ones_end(engineer: Client) -> None:
    today = timezone.now().date()
    near, far = today + timedelta(days=3), today + timedelta(days=365)
    channel = woocommerce(credentials_expire_on=near)
    first = f"credential_{CONNECTORS['woocommerce'].credential_fields[0].name}"
    refused = change(engineer, channel, credentials_expire_on=near, **{first: ENTERED})
    assert "when the old credentials end" in str(errors_of(refused)["credentials_expire_on"])
    assert change(engineer, channel, credentials_expire_on=near).status_code == 302
    assert change(engineer, channel, credentials_expire_on=far, **{first: ENTERED}).status_code == 302
    channel.refresh_from_db()
    assert (channel.credentials_expire_on, channel.history.first().credentials_expire_on) == (far, far)


def test_no_secret_is_on_any_page_in_the_history_or_in_a_log(
    admin_client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    channel = woocommerce()
    name = CONNECTORS["woocommerce"].credential_fields[0].name
    change(admin_client, channel, **{f"credential_{name}": ENTERED})
    refused = change(admin_client, channel, buffer_percent=101, **{f"credential_{name}": ENTERED})
    pages = [refused.content.decode()]
    for page in ("change", "history"):
        pages.append(
            admin_client.get(reverse(f"admin:channels_channel_{page}", args=[channel.pk])).content.decode()
        )
    pages.append(admin_client.get(reverse("admin:channels_channel_changelist")).content.decode())
    written = [str(row) for row in channel.history.values()] + [str(row) for row in LogEntry.objects.values()]
    for text in [*pages, *written, caplog.text]:
        assert ENTERED not in text
        assert SECRET not in text
    assert len(written) >= 3


def test_an_error_report_holds_no_secret(
    admin_client: Client, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.DEBUG = True
    channel = woocommerce()
    name = CONNECTORS["woocommerce"].credential_fields[0].name

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("The disk is full.")

    monkeypatch.setattr(Channel, "save", fail)
    admin_client.raise_request_exception = False
    response = change(admin_client, channel, **{f"credential_{name}": ENTERED})
    assert response.status_code == 500
    assert "The disk is full." in response.content.decode()
    assert ENTERED not in response.content.decode()
    assert SECRET not in response.content.decode()


def test_credentials_that_no_key_opens_can_be_entered_anew(engineer: Client) -> None:
    channel = woocommerce()
    form = form_of(channel, **secrets_of(CONNECTORS["woocommerce"]))
    broken = Channel.objects.filter(pk=channel.pk)
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("UPDATE channels_channel SET credentials = 'nonsense' WHERE id = %s", [channel.pk])
    url = reverse("admin:channels_channel_change", args=[channel.pk])
    assert engineer.get(url).status_code == 200
    assert engineer.post(url, form).status_code == 302
    assert broken.get().credentials == {
        name.removeprefix("credential_"): value
        for name, value in secrets_of(CONNECTORS["woocommerce"]).items()
    }


@pytest.mark.parametrize(
    ("changes", "field", "message"),
    [
        ({"buffer_percent": 101}, "buffer_percent", "Not more than 100 percent"),
        ({"buffer_units": -1}, "buffer_units", "greater than or equal to 0"),
        ({"minimum_exposure": 9, "maximum_exposure": 3}, "maximum_exposure", "at least the minimum, 9"),
        ({"buffer_units": 2**40}, "buffer_units", "less than or equal to"),
        ({"name": ""}, "name", "required"),
        ({"poll_interval": "often"}, "poll_interval", "valid duration"),
    ],
)
def test_rules_that_make_no_sense_are_refused_by_name(
    admin_client: Client, changes: dict[str, Any], field: str, message: str
) -> None:
    channel = woocommerce()
    assert message in str(errors_of(change(admin_client, channel, **changes))[field])


def test_a_name_that_is_taken_is_refused(admin_client: Client) -> None:
    channel = woocommerce()
    ChannelFactory(merchant=channel.merchant, name="Taken")
    assert "already" in str(errors_of(change(admin_client, channel, name="Taken"))["name"])


def test_settings_with_which_the_platform_could_not_be_reached_are_refused(admin_client: Client) -> None:
    channel = woocommerce()
    assert errors_of(change(admin_client, channel, setting_base_url="ftp://shop.example"))["__all__"]


def test_commerce_sets_what_is_offered_and_nothing_else(client: Client) -> None:
    channel = woocommerce()
    client.force_login(person("commerce"))
    first = CONNECTORS["woocommerce"].credential_fields[0].name
    url = reverse("admin:channels_channel_change", args=[channel.pk])
    assert "credential_" not in client.get(url).content.decode()
    sent = form_of(channel, buffer_units=3, name="Renamed", **{f"credential_{first}": ENTERED})
    assert client.post(url, {**sent, "setting_base_url": "https://evil.example"}).status_code == 302
    saved = Channel.objects.get(pk=channel.pk)
    assert saved.buffer_units == 3
    assert (saved.name, saved.settings, saved.credentials) == (
        channel.name,
        channel.settings,
        channel.credentials,
    )


def test_engineering_connects_and_does_not_set_what_is_offered(engineer: Client) -> None:
    channel = woocommerce(buffer_units=2)
    change(engineer, channel, buffer_units=50, name="Renamed")
    channel.refresh_from_db()
    assert (channel.name, channel.buffer_units) == ("Renamed", 2)


def test_a_changed_buffer_has_every_number_told_anew(admin_client: Client) -> None:
    business = Business.grown(1)
    channel = woocommerce(merchant=business.merchant)
    level = business.list_on(channel, business.variants[0], business.locations[0])
    change(admin_client, channel, name="Renamed")
    level.refresh_from_db()
    assert not level.is_due
    channel.refresh_from_db()
    change(admin_client, channel, buffer_units=4)
    level.refresh_from_db()
    assert level.is_due


def test_the_webhook_address_is_shown_to_those_who_connect(client: Client) -> None:
    channel = woocommerce()
    url = reverse("admin:channels_channel_change", args=[channel.pk])
    for role, is_shown in (("engineering", True), ("read-only", False), ("commerce", False)):
        client.force_login(person(role))
        assert (channel.public_id in client.get(url).content.decode()) is is_shown


def test_what_is_posted_to_is_shown_where_something_is_posted(admin_client: Client) -> None:
    def shown(kind: str) -> tuple[bool, bool]:
        channel = ChannelFactory(kind=kind)
        page = admin_client.get(reverse("admin:channels_channel_change", args=[channel.pk])).content.decode()
        return f"/webhooks/{channel.public_id}/" in page, f"/wholesale/{channel.public_id}/" in page

    assert (shown("woocommerce"), shown("wholesale")) == ((True, False), (True, True))
    assert (shown("amazon_seller"), shown("api")) == ((False, False), (False, False))


@pytest.mark.parametrize("kind", CONNECTORS)
def test_a_new_channel_says_of_which_platform_it_is(engineer: Client, kind: str) -> None:
    page = engineer.get(f"{reverse('admin:channels_channel_add')}?kind={kind}").content.decode()
    assert escape(CONNECTORS[kind].label) in page
    assert "no connector speaks it" not in page


@pytest.mark.parametrize("kind", CONNECTORS)
def test_help_is_about_settings_that_there_are(kind: str) -> None:
    assert CONNECTORS[kind].settings_help.keys() <= CONNECTORS[kind].settings_schema.keys()


def test_a_channel_of_a_retired_kind_stays_readable(admin_client: Client) -> None:
    channel = ChannelFactory(kind="retired", settings={"a": 1})
    response = admin_client.get(reverse("admin:channels_channel_change", args=[channel.pk]))
    assert response.status_code == 200
    assert "no connector speaks it" in response.content.decode()


def test_an_old_version_cannot_be_restored_by_looking_at_it(client: Client) -> None:
    channel = woocommerce()
    version = channel.history.first()
    client.force_login(person("read-only"))
    url = f"{reverse('admin:channels_channel_history', args=[channel.pk])}{version.history_id}/"
    assert client.get(url).status_code in {302, 404}
    assert client.post(url, form_of(channel, name="Restored")).status_code in {302, 403, 404}
    channel.refresh_from_db()
    assert channel.name != "Restored"
