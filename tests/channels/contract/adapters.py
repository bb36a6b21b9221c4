"""What the contract cannot find out of a platform by itself: one small table for each registered connector."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pytest

from channels.connectors import CONNECTORS
from channels.connectors.base import InboundRequest
from channels.sandbox import SANDBOXES
from channels.sandbox.wholesale.messages import signature
from tests.channels.connectors import amazon
from tests.channels.contract.schemas import SCHEMAS, bol, shopify, square
from tests.channels.senders import KINDS as SENDING
from tests.channels.senders import SENDERS

__all__ = ["ADAPTERS", "KINDS", "OF_THEIR_OWN", "Adapter", "adapter_of"]

#: What is no shop that sends messages and is told numbers is held to what it does by tests of its own, which lie there.
OF_THEIR_OWN: Final = {
    "amazon_vendor": "tests/channels/test_vendor_market.py",
    "picqer": "tests/channels/warehouses",
}
#: Kinds that this contract is played with.
KINDS: Final = [
    kind for kind in SENDING if CONNECTORS[kind].capabilities.push_batch_size and kind not in OF_THEIR_OWN
]

#: A topic of which no connector has heard.
UNHEARD: Final = "moon.risen"

#: Signs a changed body as the platform does: its simulated shop, the message as it came, the new body → headers.
Sign = Callable[[Any, InboundRequest, bytes], Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Adapter:
    """One platform, as the contract has to know it."""

    #: Could be the id of a listing there, and is none.
    unknown_listing: str
    #: The header that names a message's topic, where one does; it is not signed anywhere.
    topic_header: str = ""
    #: Else where the topic stands in the body, and how the body is signed.
    topic_path: tuple[str, ...] = ()
    sign: Sign = lambda sandbox, message, body: {}
    #: Fails on a call that was made and does not fit the vendor's schema; None where the vendor publishes none.
    check: Callable[[Any], object] | None = None
    schema: Path | None = None
    #: Whether it sells goods from a warehouse of its own.
    ships_itself: bool = False
    #: Readies its simulated shop.
    prepare: Callable[[Any], None] = lambda sandbox: None

    def retitled(self, sandbox: Any, message: InboundRequest) -> InboundRequest:
        """Returns a message, authentic all the same, of a topic that nobody taught us."""
        if self.topic_header:
            return replace(message, headers={**message.headers, self.topic_header: UNHEARD})
        content = json.loads(message.body)
        *way, last = self.topic_path
        place = content
        for step in way:
            place = place[step]
        place[last] = UNHEARD
        body = json.dumps(content).encode()
        signed = {name.lower(): value for name, value in self.sign(sandbox, message, body).items()}
        return replace(message, body=body, headers={**message.headers, **signed})

    def check_requests(self, sandbox: Any) -> None:
        """Compares what a simulated shop was sent with the vendor's schema, where that is at hand."""
        if self.check is not None and self.schema is not None and self.schema.is_dir():
            self.check(sandbox)


def _signed_by_portal(sandbox: Any, message: InboundRequest, body: bytes) -> Mapping[str, str]:
    secret, headers = sandbox.messages.subscription.secret, message.headers
    signed = signature(secret, headers["webhook-id"], headers["webhook-timestamp"], body)
    return {"webhook-signature": signed}


def _sell_online(sandbox: Any) -> None:
    sandbox.sells_online = True


def _leave_pending(sandbox: Any) -> None:
    sandbox.pending_seconds = 3600.0


ADAPTERS: Final[Mapping[str, Adapter]] = {
    "shopify": Adapter(
        unknown_listing="999999999",
        topic_header="x-shopify-topic",
        check=shopify.check,
        schema=shopify.FOLDER,
    ),
    "woocommerce": Adapter(unknown_listing="999999999", topic_header="x-wc-webhook-topic"),
    "bol": Adapter(
        unknown_listing="00000000-0000-4000-8000-000000000000",
        topic_path=("event", "resource"),
        sign=lambda sandbox, message, body: sandbox.subscriptions.headers(body),
        check=bol.check,
        schema=bol.FOLDER,
        ships_itself=True,
    ),
    "square": Adapter(
        unknown_listing="NOSUCHVARIATION",
        topic_path=("type",),
        sign=lambda sandbox, message, body: sandbox.subscriptions.headers(
            next(iter(sandbox.subscriptions.by_id.values())), body
        ),
        check=square.check,
        schema=square.FOLDER,
        prepare=_sell_online,
    ),
    "wholesale": Adapter(unknown_listing="item-999999", topic_path=("type",), sign=_signed_by_portal),
    "amazon_seller": Adapter(
        unknown_listing="NO-SUCH-SKU",
        topic_path=("NotificationType",),
        check=amazon.check_requests,
        schema=SCHEMAS / "amazon",
        ships_itself=True,
        prepare=_leave_pending,
    ),
}


def adapter_of(kind: str) -> Adapter:
    """Returns the adapter of a platform; fails, saying what to write, where a registered connector has none."""
    lacks = []
    if kind not in ADAPTERS:
        lacks.append("an Adapter under its kind in ADAPTERS (tests/channels/contract/adapters.py)")
    if kind not in SANDBOXES:
        lacks.append("a simulated shop in SANDBOXES (channels/sandbox/__init__.py)")
    if kind not in SENDERS:
        lacks.append("a Sender in SENDERS (tests/channels/senders.py)")
    if lacks:
        pytest.fail(f"The connector {kind} is registered without {' and '.join(lacks)}.", pytrace=False)
    return ADAPTERS[kind]
