"""The street between the shops and us: every webhook passes here, and some of them suffer.

It repeats, holds back, loses and forges messages, and notes what was acknowledged. Which message is hit depends on the
sequence in which they come; how many are is decided by the seed.
"""

import base64
import heapq
import hmac
import http.client
import itertools
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from channels import standard_webhooks
from channels.connectors.base import Connector, InboundRequest
from channels.deliveries import is_ping
from channels.errors import BadMessage
from channels.sandbox.httpd import Answer, Request, Server

#: Headers by which platforms name a message: what is moved to another one to give it the same id.
_IDS: Final = ("x-shopify-webhook-id", "x-shopify-event-id", "x-wc-webhook-delivery-id", "webhook-id")
_SIGNATURES: Final = ("x-shopify-hmac-sha256", "x-wc-webhook-signature", "signature", "webhook-signature")
#: Signed what a shop sent before its secret was exchanged.
_OLD_SECRET: Final = b"a secret that is not in force any more"
#: For so long a signature that bears its time is good, and a little longer.
_TOO_OLD: Final = standard_webhooks.TOLERANCE + timedelta(minutes=1)
_REFUSALS: Final = frozenset({0, 400, 401, 503})
_HOPS: Final = frozenset({"connection", "content-length", "transfer-encoding"})


@dataclass(frozen=True, slots=True)
class Weather:
    """What messages suffer now; rates are probabilities of each message."""

    #: It comes again, up to `most_copies` times.
    repeated: float = 0.0
    most_copies: int = 50
    #: It is held back by up to so many seconds, so that later ones overtake it.
    held: float = 0.0
    held_seconds: float = 2.0
    #: It is acknowledged to the shop and thrown away.
    lost: float = 0.0
    #: It comes when all is over and has been compared.
    late: float = 0.0
    #: The id of an earlier message is put on it as well.
    renamed: float = 0.0
    #: A forged copy goes ahead of it.
    forged: float = 0.0


@dataclass(frozen=True, slots=True)
class Message:
    """One webhook as it left the shop."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    def under_id_of(self, other: "Message") -> "Message":
        """Returns this message with the other one's id."""
        ids = {name: other.headers[name] for name in _IDS if name in other.headers}
        return replace(self, headers={**self.headers, **ids})


@dataclass(slots=True)
class Record:
    """What has passed so far."""

    #: Keys of messages that were answered with 200, by the path of their channel.
    acknowledged: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    #: Keys of all that was sent on: what got no answer may be stored or not.
    sent: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    statuses: Counter[int] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)
    #: Forgeries that were not refused.
    taken_in: list[str] = field(default_factory=list)


class Street:
    """Answers the shops, and passes on what they send to the web server."""

    def __init__(self, *, port: int, web_port: int, seed: int) -> None:
        self.record = Record()
        self.weather = Weather()
        self._web_port = web_port
        self._dice = random.Random(f"torture street {seed}")
        self._lock = threading.Lock()
        self._connectors: dict[str, Connector] = {}
        self._late: list[Message] = []
        #: What came before its channel was known, with what it was answered.
        self._early: list[tuple[Message, int]] = []
        self._before: dict[str, Message] = {}
        self._pool = ThreadPoolExecutor(16, thread_name_prefix="street")
        self._waiting: list[tuple[float, int, Callable[[], object]]] = []
        self._ready = threading.Condition()
        self._count = itertools.count()
        self._is_open = True
        self._local = threading.local()
        self._server = Server(port, self._answer)
        self._clock = threading.Thread(target=self._tick, name="street-clock", daemon=True)

    def start(self) -> None:
        """Opens it."""
        self._clock.start()
        self._server.start()

    def close(self) -> None:
        """Closes it; what is on its way is lost."""
        self._is_open = False
        with self._ready:
            self._waiting.clear()
            self._ready.notify_all()
        self._server.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def know(self, path: str, connector: Connector) -> None:
        """Has the messages of a channel told apart by its connector, those that have come already too."""
        with self._lock:
            self._connectors[path] = connector
            known = [each for each in self._early if each[0].path == path]
            self._early = [each for each in self._early if each[0].path != path]
        for message, status in known:
            self._note(message, status)

    def is_idle(self) -> bool:
        """Whether nothing is held back, apart from what comes when all is over."""
        with self._ready:
            return not self._waiting

    def let_the_late_come(self) -> int:
        """Sends on what was kept until all is over; returns how many messages that were."""
        with self._lock:
            late, self._late = self._late, []
        for message in late:
            self._pass_on(message)
        return len(late)

    # -- what becomes of a message

    def _answer(self, request: Request) -> Answer:
        message = Message(request.target, request.headers, request.body)
        fate = self._fate()
        if fate == "forged" and any(name in message.headers for name in _SIGNATURES):
            self._forge(message)
        if fate == "renamed" and (known := self._before.get(message.path)) is not None:
            self._after(self._dice.uniform(0.0, 0.5), lambda: self._pass_on(message.under_id_of(known)))
        self._before[message.path] = message
        if fate in ("lost", "late", "held"):
            if fate == "late":
                with self._lock:
                    self._late.append(message)
            elif fate == "held":
                self._after(
                    self._dice.uniform(0.1, self.weather.held_seconds), lambda: self._pass_on(message)
                )
            return Answer(200, b"OK")
        if fate == "repeated":
            for _ in range(self._dice.randint(1, self.weather.most_copies)):
                self._after(self._dice.uniform(0.0, 1.0), lambda: self._pass_on(message))
        status = self._pass_on(message)
        return Answer(status or 503, b"")

    def _fate(self) -> str:
        """Throws the dice; at most one thing happens to a message."""
        weather = self.weather
        rates = {
            name: getattr(weather, name) for name in ("repeated", "held", "lost", "late", "renamed", "forged")
        }
        with self._lock:
            chance = self._dice.random()
            for name, rate in rates.items():
                if chance < rate:
                    self.record.done[name] += 1
                    return name
                chance -= rate
        return ""

    def _pass_on(self, message: Message) -> int:
        status = self._post(message)
        with self._lock:
            self.record.statuses[status] += 1
            if message.path not in self._connectors:
                self._early.append((message, status))
                return status
        self._note(message, status)
        return status

    def _note(self, message: Message, status: int) -> None:
        key = self._key(message)
        if key:
            with self._lock:
                self.record.sent[message.path].add(key)
                if status == 200:
                    self.record.acknowledged[message.path].add(key)

    def _key(self, message: Message) -> str:
        """Returns what tells a message from others, as its connector does; empty for one that is not stored."""
        connector = self._connectors[message.path]
        try:
            received = connector.receive(_inbound(message))
            events = connector.parse(received.topic, received.payload)
        except BadMessage:
            return ""
        return "" if is_ping(received, events) else received.dedupe_key

    def _forge(self, message: Message) -> None:
        """Sends what nobody may believe: another body, no signature, another one's signature, the wrong door."""
        bare = {name: value for name, value in message.headers.items() if name not in _SIGNATURES}
        forgeries = [replace(message, body=message.body + b" "), replace(message, headers=bare)]
        other = self._before.get(message.path)
        if other is not None and other.body != message.body:
            stolen = {name: value for name, value in other.headers.items() if name in _SIGNATURES}
            forgeries.append(replace(message, headers={**message.headers, **stolen}))
        forgeries.append(replace(message, headers={**message.headers, **self._old_signature(message)}))
        doors = [path for path in self._connectors if path != message.path]
        if doors:
            forgeries.append(replace(message, path=doors[next(self._count) % len(doors)]))
        for forgery in forgeries:
            status = self._post(forgery)
            if status not in _REFUSALS:
                self.record.taken_in.append(f"{forgery.path} answered {status}")

    def _old_signature(self, message: Message) -> dict[str, str]:
        """Signs a message with a secret that was exchanged, or, where signatures bear their time, so long ago."""
        digest = base64.b64encode(hmac.digest(_OLD_SECRET, message.body, "sha256")).decode()
        old = {name: digest for name in _SIGNATURES if name in message.headers}
        connector = self._connectors.get(message.path)
        if "webhook-signature" in message.headers and connector is not None:
            secrets, identity = connector.account.webhook_secrets, message.headers["webhook-id"]
            sent_at = datetime.now(UTC) - _TOO_OLD
            old |= standard_webhooks.signed_headers(secrets, identity, sent_at, message.body)
        return old

    # -- how

    def _post(self, message: Message) -> int:
        """Posts a message; returns the status, 0 where no answer came."""
        kept: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        for connection in (kept, None):
            fresh = connection or http.client.HTTPConnection("127.0.0.1", self._web_port, timeout=30.0)
            try:
                headers = {name: value for name, value in message.headers.items() if name not in _HOPS}
                fresh.request("POST", message.path, message.body, headers)
                response = fresh.getresponse()
                response.read()
            except (OSError, http.client.HTTPException):
                fresh.close()
                self._local.connection = None
                continue
            self._local.connection = fresh
            return response.status
        return 0

    def _after(self, seconds: float, call: Callable[[], object]) -> None:
        with self._ready:
            heapq.heappush(self._waiting, (time.monotonic() + seconds, next(self._count), call))
            self._ready.notify()

    def _tick(self) -> None:
        while self._is_open:
            with self._ready:
                wait = self._waiting[0][0] - time.monotonic() if self._waiting else 1.0
                if wait > 0:
                    self._ready.wait(wait)
                    continue
                _, _, call = heapq.heappop(self._waiting)
            self._pool.submit(call)


def _inbound(message: Message) -> InboundRequest:
    return InboundRequest(
        headers=dict(message.headers), body=message.body, received_at=datetime.now(UTC), url=message.path
    )
