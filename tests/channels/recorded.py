"""Messages as the simulated shops send them: what the tests of the webhook door spoil."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from queue import Empty
from typing import Any

from channels.connectors import CONNECTORS
from channels.sandbox import INSTANT, SANDBOXES, CatalogueItem
from tests.channels.connectors.shops import Inbox, connect

#: Seconds without a message after which a shop has said what it had to say.
_SILENCE = 0.3


@dataclass(frozen=True, slots=True)
class Recorded:
    """One message."""

    #: As the platform's header names it; empty where the body does.
    topic: str
    body: Any

    def __repr__(self) -> str:
        return f"<Recorded {self.topic or 'message'}>"


@cache
def recorded(kind: str) -> tuple[Recorded, ...]:
    """Returns a message of each kind that the platform's simulated shop posts about an order; none where it posts none.

    Call it inside a transaction that is rolled back: it connects a channel.
    """
    connector = CONNECTORS[kind]
    if kind not in SANDBOXES or connector.capabilities.message_queue:
        return ()
    secret = {"webhook_secret": connector.new_webhook_secret()} if connector.chooses_webhook_secret else {}
    with SANDBOXES[kind](profile=INSTANT, limits="generous") as shop, Inbox.open() as inbox:
        shop.load_catalogue([CatalogueItem("MUG", "Mug", quantities={"main": 10})])
        connect(shop, **secret).register_webhooks(inbox.url)
        order = shop.place_order([("MUG", 3)])
        shop.edit_stock("MUG", 4)
        shop.cancel(order.id, "MUG", 1)
        shop.fulfil(order.id, "MUG", 1)
        shop.refund(order.id, "MUG", 1, restock=True)
        found: dict[str, Recorded] = {}
        while True:
            try:
                message = inbox.next(seconds=_SILENCE)
            except Empty:
                return tuple(found.values())
            topic = _topic(message.headers)
            if message.body.startswith(b"{"):
                found.setdefault(topic, Recorded(topic, json.loads(message.body)))


def _topic(headers: Mapping[str, str]) -> str:
    return next((value for name, value in headers.items() if name.endswith("-topic")), "")
