"""A new connector is one package and one line: a toy of fewer than 80 lines, and a sale that it brings in and tells."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, cast

import pytest
from django.core.management import call_command
from django.test import Client

from channels import connecting
from channels.connectors import CONNECTORS
from channels.connectors.base import Connector
from channels.connectors.messages import sign
from channels.deliveries import process_due
from channels.models import ListingLevel, WebhookDelivery
from channels.sandbox.httpd import Answer, Request, Server, json_answer
from tests.channels.contract import toy
from tests.channels.shop import open_shop
from tests.channels.telling import tell_all

SECRETS: Final = {"key": "the toy's key", "webhook_secret": "the toy's secret"}
#: Everything that the toy consists of, its imports included.
MOST_LINES: Final = 80

pytestmark = pytest.mark.django_db


class ToyPlatform:
    """Items by id, and the orders that took them."""

    def __init__(self) -> None:
        self.items = {"1": {"id": "1", "sku": "MUG", "units": 4}}
        self.orders: list[dict[str, Any]] = []
        self.server = Server(0, self.answer)

    def answer(self, request: Request) -> Answer:
        if request.headers.get("authorization") != f"Bearer {SECRETS['key']}":
            return json_answer(401, {})
        kind, _, number = request.path.strip("/").partition("/")
        if request.method == "PUT":
            self.items[number]["units"] = request.json()["units"]
        found = {"name": {"name": "Toys"}, "items": list(self.items.values()), "orders": self.orders}[kind]
        return json_answer(200, found)

    def shown(self) -> Any:
        """Returns how many mugs it shows."""
        return self.items["1"]["units"]

    def sell(self, units: int) -> bytes:
        """Sells some; returns the message that says so."""
        self.items["1"]["units"] -= units  # type: ignore[operator]
        lines = [{"id": "1", "sku": "MUG", "units": units}]
        self.orders.append({"topic": "order", "id": 7, "at": "2026-11-21T12:00:00Z", "lines": lines})
        return json.dumps({**self.orders[-1], "buyer": "somebody"}).encode()


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> Iterator[ToyPlatform]:
    """The toy's platform; its connector is registered, which is the one line."""
    monkeypatch.setitem(cast(dict[str, type[Connector]], CONNECTORS), "toy", toy.ToyConnector)
    platform = ToyPlatform()
    platform.server.start()
    yield platform
    platform.server.close()


def test_the_toy_is_short() -> None:
    assert len(Path(toy.__file__).read_text().splitlines()) < MOST_LINES


def test_a_toy_that_is_registered_is_connected_told_and_sells(platform: ToyPlatform, client: Client) -> None:
    call_command("check")
    shop = open_shop({"MUG": 9})
    settings = {"base_url": f"http://127.0.0.1:{platform.server.port}"}
    channel = connecting.draft(shop.merchant, "toy", "Toys", settings, SECRETS)
    assert connecting.look(channel).shop == "Toys"
    connecting.put_behind(channel, "", ["main"])
    connecting.go_live(channel)
    shop.channel = channel
    tell_all(shop)
    assert platform.shown() == 9

    body = platform.sell(2)
    address = f"/webhooks/{channel.public_id}/"
    for signature, status in (("forged", 401), (sign(body, SECRETS["webhook_secret"]), 200)):
        headers = {"X-Toy-Signature": signature}
        answer = client.post(address, body, content_type="application/json", headers=headers)
        assert answer.status_code == status
    assert "somebody" not in json.dumps(WebhookDelivery.objects.get().payload)
    process_due()
    assert shop.level("MUG") == (9, 2)
    tell_all(shop)
    assert platform.shown() == 7
    assert not ListingLevel.objects.get(channel=channel).is_due
