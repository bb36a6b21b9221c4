"""Connects simulated shops: a channel with the shop's own credentials, and an inbox for what it sends."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from queue import Empty, Queue
from typing import Any

from channels.accounts import open_connector
from channels.connectors.base import Address, Connector, InboundRequest, PushItem
from channels.models import Channel
from channels.sandbox.httpd import Answer, Request, Server
from channels.sandbox.shop import SandboxShop
from inventory.models import Merchant


def make_channel(sandbox: SandboxShop, **credentials: str) -> Channel:
    """Creates a channel that is to talk to a simulated shop."""
    merchant, _ = Merchant.objects.get_or_create(name="Mugs", slug="mugs")
    return Channel.objects.create(
        merchant=merchant,
        name=f"Channel {Channel.objects.count()}",
        kind=sandbox.kind,
        settings=sandbox.settings(),
        credentials={**sandbox.credentials(), **credentials},  # type: ignore[misc]
    )


def connect(sandbox: SandboxShop, **credentials: str) -> Connector:
    """Opens a connector to a simulated shop; `credentials` are kept beside the shop's own."""
    return open_connector(make_channel(sandbox, **credentials))


def item(
    listing_id: str,
    quantity: int,
    *,
    level: int = 1,
    parent: str = "",
    data: Mapping[str, Any] | None = None,
) -> PushItem:
    """Makes a number to tell; `level` names it in the results."""
    return PushItem(Address(level, listing_id, parent, data=data or {}), quantity)


def message(body: bytes | Mapping[str, Any], headers: Mapping[str, str]) -> InboundRequest:
    """Makes a webhook call; header names in any case."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    names = {"content-type": "application/json"} | {name.lower(): value for name, value in headers.items()}
    return InboundRequest(headers=names, body=raw, received_at=datetime.now(UTC))


class Inbox:
    """Receives webhooks; `next` waits for the next one."""

    def __init__(self) -> None:
        self._received: Queue[InboundRequest] = Queue()
        #: What is answered from now on.
        self.status = 200
        self._server = Server(0, self._receive)
        self.root = f"http://127.0.0.1:{self._server.port}"
        self.url = f"{self.root}/webhooks/unguessable/"

    def _receive(self, request: Request) -> Answer:
        self._received.put(message(request.body, request.headers))
        return Answer(self.status)

    def next(self, *, seconds: float = 10.0) -> InboundRequest:
        """Returns the next message; raises `queue.Empty` when none comes."""
        return self._received.get(timeout=seconds)

    def next_with(self, text: bytes) -> InboundRequest:
        """Returns the next message whose body holds this text."""
        while True:
            found = self.next()
            if text in found.body:
                return found

    def take_all(self) -> list[InboundRequest]:
        """Returns what has come until now."""
        found = []
        while True:
            try:
                found.append(self._received.get_nowait())
            except Empty:
                return found

    @classmethod
    @contextmanager
    def open(cls) -> Iterator["Inbox"]:
        inbox = cls()
        inbox._server.start()
        try:
            yield inbox
        finally:
            inbox._server.close()
