"""The server side of a simulated platform: its temper, its faults, and when its webhooks leave."""

import random
import threading
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import ClassVar, Final, Literal, Self

from channels.sandbox.httpd import DROPPED, Answer, Request, Server
from channels.sandbox.profiles import HEALTHY, Faults, Profile
from channels.sandbox.timetable import Courier, Timetable

Limits = Literal["true", "generous"]

_REMEMBERED_REQUESTS: Final = 5000
#: Leaves the header out.
_NO_RETRY_AFTER: Final = "-"


def _too_many(retry_after: str) -> Answer:
    """A refusal as proxies and edges give it, before the platform is asked."""
    headers = {} if retry_after == _NO_RETRY_AFTER else {"Retry-After": retry_after}
    return Answer(429, b"Too many requests", {"Content-Type": "text/plain", **headers})


class ServedPlatform(ABC):
    """A platform's API on the loopback: answers after a while, goes wrong when told to, sends webhooks late."""

    kind: ClassVar[str]
    #: Webhooks sent at the same time.
    webhook_threads: ClassVar[int] = 8
    keeps_webhook_connections: ClassVar[bool] = True
    #: Seconds a receiver has to answer a webhook.
    webhook_timeout: ClassVar[float] = 5.0

    def __init__(
        self,
        *,
        name: str = "",
        port: int = 0,
        profile: Profile = HEALTHY,
        seed: int = 0,
        limits: Limits = "true",
    ) -> None:
        self.name = name or f"Sample {self.kind} shop"
        self.profile = profile
        self.faults = profile.faults
        self.seed = seed
        self.limits = limits
        self.requests_log: deque[tuple[str, str, str, int]] = deque(maxlen=_REMEMBERED_REQUESTS)
        self.requests: Counter[str] = Counter()
        self.throttled = 0
        self.webhooks_sent = 0
        self._counting = threading.Lock()
        self._chances = random.Random(f"{seed} {self.kind} {self.name}")
        #: Secrets are the same for the same name and seed, so that a restarted shop knows its callers.
        self._secrets = random.Random(f"secrets {seed} {self.kind} {self.name}")
        self._stopping = threading.Event()
        self._timetable = Timetable(self.kind, self._webhook_threads())
        self._courier = Courier(
            keeps_connections=self.keeps_webhook_connections, timeout=self.webhook_timeout
        )
        self._server = Server(port, self._receive)
        self.base_url = f"http://127.0.0.1:{self._server.port}"

    def _webhook_threads(self) -> int:
        return self.webhook_threads

    # -- life
    def start(self) -> None:
        """Begins to answer and to send webhooks."""
        self._timetable.start()
        self._server.start()

    def stop(self) -> None:
        """Ends webhooks and connections."""
        self._stopping.set()
        self._courier.close()
        self._timetable.close()
        self._server.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def secret(self, prefix: str, length: int = 32) -> str:
        """Returns a secret that depends on the name and the seed."""
        return prefix + "".join(self._secrets.choices("0123456789abcdef", k=length))

    # -- the API
    @abstractmethod
    def answer_control(self, request: Request) -> Answer:
        """Answers a call of the control surface, which knows neither faults nor waiting."""

    @abstractmethod
    def endpoint_of(self, request: Request) -> str:
        """A name for the kind of call, for the counts."""

    @abstractmethod
    def answer(self, request: Request) -> Answer:
        """Answers a call as the platform does, without faults."""

    @abstractmethod
    def error_answer(self, status: int) -> Answer:
        """The platform's form of a server error."""

    @abstractmethod
    def throttled_answer(self) -> Answer:
        """The platform's way to say that it is called too often."""

    @abstractmethod
    def error_in_200(self) -> Answer:
        """An error document with status 200."""

    def _receive(self, request: Request) -> Answer:
        if request.path.startswith("/_sandbox"):
            return self.answer_control(request)
        with self._counting:
            self.requests[self.endpoint_of(request)] += 1
        answer = self._answer_with_faults(request)
        self.requests_log.append(
            (request.method, request.target, request.body.decode("utf-8", "replace"), answer.status)
        )
        return answer

    def _answer_with_faults(self, request: Request) -> Answer:
        pause = self._chances.uniform(*self.profile.answer_seconds) + self.faults.extra_seconds
        self.wait(pause / 2)
        answer = self._fault() or self._answer_write(request) or self.answer(request)
        self.wait(pause / 2)
        if self.happens(self.faults.timeout_rate):
            self.wait(self.faults.timeout_seconds)
        return answer

    def _fault(self) -> Answer | None:
        faults = self.faults
        if faults.is_down:
            return self.error_answer(503)
        if self.happens(faults.drop_rate):
            return DROPPED
        if self.happens(faults.throttle_rate):
            self.count_throttled()
            return _too_many(faults.retry_after) if faults.retry_after else self.throttled_answer()
        if self.happens(faults.error_rate):
            return self.error_answer(502 if self.happens(0.5) else 500)
        if self.happens(faults.html_rate):
            return Answer(200, b"<!DOCTYPE html><title>Maintenance</title>", {"Content-Type": "text/html"})
        return self.error_in_200() if self.happens(faults.error_in_200_rate) else None

    def _answer_write(self, request: Request) -> Answer | None:
        """What happens around the writing of a number: a sale just before it, or that it arrives only later."""
        faults = self.faults
        if not faults.sale_before_write_rate and not faults.late_write_rate:
            return None
        if not self.writes_numbers(request):
            return None
        if self.happens(faults.late_write_rate):
            self.later(faults.late_write_seconds, partial(self._arrive, request))
            return DROPPED
        if self.happens(faults.sale_before_write_rate):
            self.sell_before(request)
        return None

    def _arrive(self, request: Request) -> None:
        self.answer(request)

    @abstractmethod
    def writes_numbers(self, request: Request) -> bool:
        """Tells whether a call writes what is on the shelves."""

    @abstractmethod
    def sell_before(self, request: Request) -> None:
        """Sells one of what a call is about to write, if there is any."""

    def happens(self, rate: float) -> bool:
        """Throws the dice."""
        return rate > 0 and self._chances.random() < rate

    def wait(self, seconds: float) -> None:
        """Lets time pass, but not beyond the end of the shop."""
        if seconds > 0:
            self._stopping.wait(seconds)

    def count_throttled(self) -> None:
        """Notes that a caller was told to slow down."""
        with self._counting:
            self.throttled += 1

    # -- webhooks
    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Does something after a while."""
        self._timetable.after(seconds, call)

    def send_webhook(self, deliver: Callable[[], None]) -> bool:
        """Has a webhook delivered after the profile's delay, with its faults: doubled, late, or lost (False)."""
        faults = self.faults
        if faults.webhooks_are_lost or self.happens(faults.webhook_loss_rate):
            return False
        for _ in range(2 if self.happens(faults.webhook_duplicate_rate) else 1):
            seconds = self._chances.uniform(*self.profile.webhook_seconds)
            if self.happens(faults.webhook_delay_rate):
                seconds += self._chances.uniform(0, faults.webhook_delay_seconds)
            self.later(seconds, deliver)
        return True

    def post(self, url: str, headers: dict[str, str], body: bytes) -> int:
        """Posts a webhook; returns the status of the answer, 0 when there was none."""
        status = self._courier.post(url, headers, body)
        if status:
            with self._counting:
                self.webhooks_sent += 1
        return status

    def is_idle(self) -> bool:
        """Tells whether all webhooks that are due soon have been sent."""
        return self._timetable.is_idle()

    # -- temper
    def set_faults(self, **faults: object) -> None:
        """Switches faults by name (see `Faults`); raises `ValueError` for an unknown one."""
        self.faults = self.faults.with_changes(faults)

    def clear_faults(self) -> None:
        """Switches all faults off."""
        self.faults = Faults()

    def set_profile(self, profile: Profile) -> None:
        """Changes the temper, faults included."""
        self.profile, self.faults = profile, replace(profile.faults)
