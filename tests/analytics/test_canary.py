"""A secret of its own is planted wherever one is kept, and must be found nowhere else.

Every registered connector and every model with an encrypted column takes part by being registered: neither is named here.
"""

import base64
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.contrib import admin
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection
from django.db.models import F
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import Settings

from analytics.reports.csv_files import sales_file, stock_file
from channels import accounts, key_swaps, polling, sending, subscriptions, tokens
from channels.accounts import open_connector
from channels.connectors import CONNECTORS
from channels.errors import ConnectorError
from channels.feeds import LISTINGS, ORDERS, ensure_feeds, lease_due_feed
from channels.key_rotation import columns
from channels.leases import Turns
from channels.mapping import add_levels
from channels.models import AccessToken, Channel, ChannelHealth, ErrorEntry, ListingLevel, RateBucket
from channels.models.listings import Lane
from channels.pushes import mark_listing_levels
from config.logs import StandardErrorHandler
from tests.api import Api
from tests.back_office import Business, person
from tests.canaries import MARK, canary, parrot, plant_everywhere, shapes, traces_in, traces_in_database
from tests.config.api.endpoints import endpoints
from tests.factories import ChannelFactory, ChannelLocationSourceFactory, ListingFactory

pytestmark = pytest.mark.django_db

MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)
#: Those that keep secrets.
HOLDERS = {column.model for column in columns()}
#: They tell of every row that a test makes, and of every variable that a page does without.
NOISY = ("factory", "faker", "django.template")


@pytest.fixture(autouse=True)
def _fresh(settings: Settings) -> None:
    settings.ALLOW_LOOPBACK_PLATFORMS = True
    accounts.forget_channels()
    tokens.forget_tokens()
    cache.clear()


@pytest.fixture
def log() -> Iterator[StringIO]:
    """Everything that is logged at any level, as it is written: through the formatter that is in force."""
    written = StringIO()
    root = logging.getLogger()
    handler, level = logging.StreamHandler(written), root.level
    handler.setFormatter(
        next(each.formatter for each in root.handlers if isinstance(each, StandardErrorHandler))
    )
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.INFO)
    yield written
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.NOTSET)
    root.setLevel(level)
    root.removeHandler(handler)


@pytest.fixture
def superuser(client: Client) -> Client:
    client.force_login(person("superuser"))
    client.raise_request_exception = False
    return client


def connect_all(business: Business, url: str) -> list[Channel]:
    """Connects a channel of every registered platform to an address, with a secret of its own in every credential."""
    return [_connect(business, kind, url) for kind in sorted(CONNECTORS)]


def _connect(business: Business, kind: str, url: str) -> Channel:
    connector = CONNECTORS[kind]
    settings = {
        name: url if name.endswith("_url") else "shop.example" if default is ... else default
        for name, default in connector.settings_schema.items()
    }
    credentials = {field.name: canary(field.name) for field in connector.credential_fields}
    channel: Channel = ChannelFactory(
        merchant=business.merchant, kind=kind, settings=settings, credentials=credentials
    )
    later = timezone.now() + timedelta(hours=1)
    token: Any = {"value": canary("token"), "renew_at": later.isoformat()}
    AccessToken.objects.create(channel=channel, token=token, expires_at=later)
    listing = ListingFactory(channel=channel, variant=business.variants[0], external_id="7")
    ChannelLocationSourceFactory(channel_location__channel=channel, location=business.locations[0])
    add_levels([listing.pk])
    return channel


def speak(channel: Channel) -> None:
    """Has the engine do with a channel what it does all day; the platform refuses everything in turn."""
    for _ in range(2):
        for name in (ORDERS, LISTINGS):
            _close_breaker(channel)
            feed = lease_due_feed(channel.pk, name)
            if feed is not None:
                polling.poll_feed(feed, open_connector(channel, deadline=5))
        _close_breaker(channel)
        mark_listing_levels(
            list(ListingLevel.objects.filter(channel=channel).values_list("pk", flat=True)),
            lane=Lane.DECREASE,
        )
        _try(lambda: sending.push_batch(channel.pk, Turns()))
        subscriptions.audit_soundly(channel)
        _try(lambda: open_connector(channel, deadline=5).cancel_line("1", "1", 1, call_id="call"))
        _try(lambda: open_connector(channel, deadline=5).fetch_order("1"))


def _try(call: Callable[[], object]) -> None:
    found: list[str] = []
    try:
        call()
    except ConnectorError as error:
        found = traces_in(str(error))
    assert found == []


def _close_breaker(channel: Channel) -> None:
    ChannelHealth.objects.filter(channel=channel).update(breaker_open_until=None)
    RateBucket.objects.filter(channel=channel).update(blocked_until=None, tokens=F("capacity"))
    channel.feeds.update(next_poll_at=timezone.now())


def press(client: Client, channel: Channel) -> list[str]:
    """Presses every button of a channel's page and sends its forms, wrong and right; returns what was shown."""
    options = type(admin.site._registry[Channel]).detail_actions  # type: ignore[attr-defined]
    shown = [
        client.post(
            reverse("admin:channels_channel_do", args=[channel.pk, action]), follow=True
        ).content.decode()
        for action in options
    ]
    change = reverse("admin:channels_channel_change", args=[channel.pk])
    swap = reverse("admin:channels_swap_keys", args=[channel.pk])
    fields = CONNECTORS[channel.kind].credential_fields
    typed = {f"credential_{field.name}": canary(field.name) for field in fields}
    settings = {f"setting_{name}": value for name, value in channel.settings.items() if value is not False}
    form = {
        "name": channel.name, "is_active": "on", "buffer_units": 0, "minimum_exposure": 0, "routing": "priority",
        **settings, **typed,
    }  # fmt: skip
    for percent in (101, 0):
        shown.append(client.post(change, {**form, "buffer_percent": percent}, follow=True).content.decode())
    new = {field.name: canary(field.name) for field in fields}
    shown.append(client.post(swap, {**new, "overlap_hours": 1}, follow=True).content.decode())
    shown.append(client.post(swap, {**new, "overlap_hours": 9999}, follow=True).content.decode())
    return shown


def error_pages(client: Client, channel: Channel, settings: Settings) -> list[str]:
    """Returns the error pages of forms that were sent secrets, as a developer sees them and as others do."""
    swap = reverse("admin:channels_swap_keys", args=[channel.pk])
    change = reverse("admin:channels_channel_change", args=[channel.pk])
    typed = {field.name: canary(field.name) for field in CONNECTORS[channel.kind].credential_fields}
    named = {f"credential_{name}": value for name, value in typed.items()}
    shown = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(key_swaps, "_store", _fail)
        patch.setattr(key_swaps, "try_keys", lambda channel, new: ("the shop", None))
        patch.setattr("channels.admin.channels.with_new", _fail)
        for shows_tracebacks in (True, False):
            settings.DEBUG = shows_tracebacks
            for url, data in ((swap, {**typed, "overlap_hours": 1}), (change, {**_form(channel), **named})):
                answer = client.post(url, data)
                assert answer.status_code == 500, url
                shown.append(answer.content.decode())
    return shown


def _form(channel: Channel) -> dict[str, Any]:
    settings = {f"setting_{name}": value for name, value in channel.settings.items() if value is not False}
    numbers = dict.fromkeys(("buffer_units", "buffer_percent", "minimum_exposure"), 0)
    return {"name": channel.name, "is_active": "on", "routing": "priority", **numbers, **settings}


def _fail(*args: object, **options: object) -> None:
    raise RuntimeError("something unforeseen")


def pages(client: Client) -> Iterator[tuple[str, str]]:
    """Yields the lists of all models, and the pages of their newest rows, with address."""
    for model in MODELS:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        yield from _opened(client, reverse(f"{name}_changelist"))
        yield from _opened(client, reverse(f"{name}_add"))
        rows = model._base_manager.order_by("-pk").values_list("pk", flat=True)
        for pk in rows if model in HOLDERS else rows[:1]:
            yield from _opened(client, reverse(f"{name}_change", args=[pk]))
            yield from _opened(client, reverse(f"{name}_history", args=[pk]))


def _opened(client: Client, url: str) -> Iterator[tuple[str, str]]:
    answer = client.get(url)
    assert answer.status_code in {200, 302, 403}, url
    yield url, answer.content.decode()


def answers(business: Business) -> Iterator[tuple[str, str]]:
    """Yields what the API answers at every address that is read."""
    api = Api(business.merchant)
    for endpoint in endpoints():
        if endpoint.method != "GET" or endpoint.is_on_row:
            continue
        path = endpoint.path.removeprefix("/api/v1")
        listed = api.get(path)
        yield path, listed.content.decode()
        found = listed.json()
        rows = found.get("results", ()) if isinstance(found, dict) else ()
        for row in [each for each in rows if isinstance(each, dict) and "id" in each][:2]:
            one = f"{path}/{row['id']}"
            yield one, api.get(one).content.decode()


def exports(business: Business) -> Iterator[tuple[str, str]]:
    """Yields what leaves as files and figures."""
    dumped = StringIO()
    call_command("dumpdata", stdout=dumped)
    yield "dumpdata", dumped.getvalue()
    today = timezone.now().date()
    yield "sales", sales_file(business.merchant.pk, today)
    yield "stock", stock_file(business.merchant.pk, today)
    for command in ("check_health", "rotate_credentials"):
        said = StringIO()
        with suppress(SystemExit):
            call_command(command, "--json", stdout=said)
        yield command, said.getvalue()


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_no_planted_secret_is_found_anywhere(
    superuser: Client,
    settings: Settings,
    log: StringIO,
) -> None:
    business = Business.grown(1)
    found: list[str] = []

    def look(where: str, text: str) -> None:
        found.extend(f"{where}: {trace}" for trace in traces_in(text))

    with parrot() as url:
        channels = connect_all(business, url)
        plant_everywhere()
        ensure_feeds()
        for channel in channels:
            channel.refresh_from_db()
            speak(channel)
            for text in press(superuser, channel):
                look(f"the forms of {channel.kind}", text)
            for text in error_pages(superuser, channel, settings):
                look(f"an error page of {channel.kind}", text)
    assert ErrorEntry.objects.filter(channel__in=channels, message__contains="[redacted]").exists()
    for address, text in [*pages(superuser), *answers(business), *exports(business)]:
        look(address, text)
    for address in ("admin:index", "analytics:live", "admin:channels_stock_grid", "admin:channels_unmapped"):
        look(address, superuser.get(reverse(address)).content.decode())
    look("/metrics", superuser.get("/metrics").content.decode())
    look("the log", log.getvalue())
    assert "platform_call" in log.getvalue()
    assert found == []
    assert traces_in_database() == []


# -- whether it would be found


def test_a_secret_is_found_in_whichever_shape_and_table_it_stands() -> None:
    for before in ("", "a", "ab"):
        encoded = base64.b64encode(f"{before}{canary('x')} and more".encode()).decode()
        assert traces_in(encoded), before
    assert traces_in(f"key={MARK}".encode().hex()) == ["hex"]
    assert traces_in("nothing of the kind") == []
    assert len(set(shapes().values())) == 5
    channel = ChannelFactory(name=f"Shop {canary('name')}")
    assert traces_in_database() == [
        f"public.{table}: plain" for table in ("channels_channel", "channels_historicalchannel")
    ]
    Channel.objects.filter(pk=channel.pk).update(name="Shop")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE channels_historicalchannel SET name = 'Shop'")
    client = Client()
    client.force_login(person("superuser"))
    session = client.session
    session["last_seen"] = canary("session")
    session.save()
    assert [trace.partition(":")[0] for trace in traces_in_database()] == ["packed"]


def test_a_platform_that_quotes_a_secret_would_be_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: without redaction the same walk finds it in the error log."""
    business = Business.grown(1)
    for module in ("channels.errors", "channels.error_log", "channels.polling", "channels.sending"):
        monkeypatch.setattr(f"{module}.redact_text", lambda text: text)
    with parrot() as url:
        channels = connect_all(business, url)
        ensure_feeds()
        for channel in channels:
            channel.refresh_from_db()
            subscriptions.audit_soundly(channel)
            subscriptions.audit_soundly(channel)
    assert "public.channels_errorentry: plain" in traces_in_database()
