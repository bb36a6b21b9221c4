"""No address that a merchant types leads into a private network, whatever its name resolves to, then or now."""

import ipaddress
import socket
from typing import Any

import pytest
import urllib3.util.connection
from pytest_django import Settings

from channels.errors import Misconfigured
from channels.http_sessions import is_public
from channels.transport import check_receiver_url
from reconciliation.signed_posts import Letter, NotSent, post
from tests.channels.connectors.servers import answer
from tests.reconciliation.receiver import receiver

PUBLIC = "93.184.215.14"
SECRET = "whsec_" + "A" * 32


@pytest.fixture(autouse=True)
def _nothing_allowed(settings: Settings) -> None:
    settings.ALLOW_LOOPBACK_PLATFORMS = False
    settings.PRIVATE_WEBHOOK_HOSTS = []


def letter(url: str) -> Letter:
    return Letter(url, "evt_1", b"{}", [SECRET])


class Names:
    """A resolver that says what it is told, and remembers what it was asked; and who was connected to."""

    def __init__(self, *addresses: str) -> None:
        self.left = list(addresses)
        self.asked: list[str] = []
        self.connected: list[tuple[str, int]] = []

    def resolve(self, host: str, port: int, *rest: Any, **more: Any) -> list[Any]:
        self.asked.append(host)
        address = self.left.pop(0)
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [(family, socket.SOCK_STREAM, 6, "", (address, port))]

    def connect(self, address: tuple[str, int], *rest: Any, **more: Any) -> Any:
        self.connected.append(address)
        raise OSError("nobody is there")


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    found = Names()
    monkeypatch.setattr("requests_hardened.ip_filter.socket.getaddrinfo", found.resolve)
    monkeypatch.setattr(urllib3.util.connection, "create_connection", found.connect)
    return found


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.7", "172.16.0.1", "192.168.1.1", "127.0.0.1", "0.0.0.0", "100.64.0.1", "169.254.169.254", "192.0.0.192",
        "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "fec0::1", "fd00:ec2::254",
        "::ffff:10.0.0.7", "::ffff:169.254.169.254", "::10.0.0.7", "64:ff9b::a00:7", "64:ff9b:1::1", "2002:a00:7::1",
        "2001:0:a00:7::1", "2001:db8::1", "ff02::1",
    ],
)  # fmt: skip
def test_a_name_that_leads_to_a_private_address_is_not_called(address: str, names: Names) -> None:
    names.left = [address]
    with pytest.raises(NotSent, match="private network"):
        post(letter("https://erp.example/"))
    assert names.connected == []


@pytest.mark.parametrize("address", [PUBLIC, "2606:2800:220:1:248:1893:25c8:1946", f"::ffff:{PUBLIC}"])
def test_the_public_internet_is_called(address: str, names: Names) -> None:
    names.left = [address]
    with pytest.raises(NotSent, match="cannot be reached"):
        post(letter("https://erp.example/"))
    assert len(names.connected) == 1
    assert is_public(ipaddress.ip_address(address))


def test_a_name_is_resolved_once_and_connected_to_as_it_was_judged(names: Names) -> None:
    # Whoever asks a second time is told another address.
    names.left = [PUBLIC, "127.0.0.1"]
    with pytest.raises(NotSent):
        post(letter("https://erp.example/"))
    assert names.asked == ["erp.example"]
    assert names.connected == [(PUBLIC, 443)]


@pytest.mark.parametrize(
    "url",
    [
        "https://10.0.0.7/", "https://[::1]/", "https://169.254.169.254/latest/meta-data/", "https://[::ffff:10.0.0.7]/",
        "http://erp.example/", "ftp://erp.example/", "https://me:secret@erp.example/", "https:///x", "https://erp.example:x/",
        "https://erp.exam ple/", "https://erp.example\\@10.0.0.7/", "not a url",
    ],
)  # fmt: skip
def test_an_address_that_nobody_may_be_told_at_is_refused_as_it_is_entered(url: str) -> None:
    with pytest.raises(Misconfigured):
        check_receiver_url(url)


def test_a_redirect_is_not_followed(settings: Settings) -> None:
    settings.PRIVATE_WEBHOOK_HOSTS = ["127.0.0.1"]
    with receiver() as (target, followed):
        moved = answer("302 Found", b"", Location=target)
        with receiver(lambda: moved) as (address, _), pytest.raises(NotSent, match="302"):
            post(letter(address))
    assert followed == []


def test_a_private_host_is_called_where_whoever_runs_the_server_has_named_it(settings: Settings) -> None:
    with receiver() as (address, received):
        with pytest.raises(NotSent, match="https"):
            post(letter(address))
        port = address.rpartition(":")[2].rstrip("/")
        settings.PRIVATE_WEBHOOK_HOSTS = [f"127.0.0.1:{port}"]
        assert post(letter(address)) == 204
        with pytest.raises(NotSent):
            post(letter("https://127.0.0.1:1/"))
    assert len(received) == 1


def test_of_a_receiver_that_talks_without_end_only_the_status_counts(settings: Settings) -> None:
    settings.PRIVATE_WEBHOOK_HOSTS = ["127.0.0.1"]
    endless = answer("200 OK", b"x" * 200_000)
    with receiver(lambda: endless) as (address, _):
        assert post(letter(address)) == 200
