"""No setting of any platform leads into a private network, whether it is written there or a name that leads there."""

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import urllib3.util.connection
from pytest_django import Settings

from channels.accounts import checked_settings, open_connector
from channels.connectors import CONNECTORS
from channels.connectors.base import Connector
from channels.errors import ChannelError, Misconfigured
from channels.models import Channel
from tests.factories import ChannelFactory

PUBLIC = "93.184.215.14"
ADDRESSES = [
    (kind, name) for kind in CONNECTORS for name in CONNECTORS[kind].settings_schema if name.endswith("_url")
]


@pytest.fixture(autouse=True)
def no_shops_on_this_machine(settings: Settings) -> None:
    settings.ALLOW_LOOPBACK_PLATFORMS = False


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Who was connected to; nobody is there."""
    found: list[tuple[str, int]] = []

    def connect(address: tuple[str, int], *rest: Any, **more: Any) -> Any:
        found.append(address)
        raise OSError("nobody is there")

    monkeypatch.setattr(urllib3.util.connection, "create_connection", connect)
    return found


def lead_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Has every name lead to these addresses in turn, the last one from then on."""
    left = list(addresses)

    def resolve(host: str, port: int, *rest: Any, **more: Any) -> list[Any]:
        address = left.pop(0) if len(left) > 1 else left[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr("requests_hardened.ip_filter.socket.getaddrinfo", resolve)


def filled(kind: str, host: str) -> dict[str, Any]:
    """Returns settings that name one host wherever a text can."""
    schema = CONNECTORS[kind].settings_schema
    return {
        name: f"https://{host}" if name.endswith("_url") else host if default is ... else default
        for name, default in schema.items()
    }


def channel_at(kind: str, host: str) -> Channel:
    credentials = {field.name: f"some-{field.name}" for field in CONNECTORS[kind].credential_fields}
    channel: Channel = ChannelFactory(kind=kind, settings=filled(kind, host), credentials=credentials)
    return channel


def everything(connector: Connector) -> Iterator[Callable[[], Any]]:
    """Every call that a connector makes to its platform."""
    yield connector.check
    yield lambda: connector.fetch_orders("")
    yield lambda: connector.fetch_order("1")
    yield lambda: list(connector.fetch_listings())
    yield lambda: list(connector.fetch_levels())
    yield connector.fetch_locations
    yield lambda: connector.register_webhooks("https://stock.example.com/webhooks/x/")
    yield lambda: connector.audit_webhooks("https://stock.example.com/webhooks/x/")


def call_all(kind: str, host: str) -> None:
    for number in range(8):
        try:
            list(everything(open_connector(channel_at(kind, host), deadline=5)))[number]()
        except ChannelError:
            continue


@pytest.mark.parametrize(("kind", "name"), ADDRESSES)
@pytest.mark.parametrize(
    "address",
    [
        "http://shop.example", "https://10.0.0.7", "https://[::1]", "https://[::ffff:10.0.0.7]", "https://169.254.169.254/",
        "https://127.0.0.1:8443", "http://127.0.0.1", "https://me:secret@shop.example", "https://shop.example/?to=x",
        "file:///etc/passwd", "gopher://shop.example", "https://shop.example\\@10.0.0.7", "//shop.example",
    ],
)  # fmt: skip
def test_an_address_that_may_not_be_called_is_refused_as_it_is_entered(
    kind: str, name: str, address: str
) -> None:
    with pytest.raises(Misconfigured):
        checked_settings(CONNECTORS[kind], {**filled(kind, "shop.example"), name: address})


@pytest.mark.django_db
@pytest.mark.parametrize("kind", CONNECTORS)
@pytest.mark.parametrize("host", ["10.0.0.7", "127.0.0.1", "169.254.169.254"])
def test_nothing_connects_where_a_name_leads_into_a_private_network(
    kind: str, host: str, connected: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    lead_to(monkeypatch, host)
    call_all(kind, "shop.example")
    # And where it is written as the name of the shop.
    call_all(kind, host)
    assert connected == []


@pytest.mark.django_db
@pytest.mark.parametrize("kind", CONNECTORS)
def test_a_name_that_leads_elsewhere_at_the_second_look_gains_nothing(
    kind: str, connected: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    lead_to(monkeypatch, PUBLIC, "127.0.0.1")
    call_all(kind, "shop.example")
    assert connected == [(PUBLIC, 443)]
