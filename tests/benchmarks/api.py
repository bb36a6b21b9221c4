"""How fast the API answers, as `serve` runs it: the availability of 100 SKUs beside a view that does nothing, and reservations.

One client asks in turn for the availability and for nothing. Then eight clients at once, each on a connection of its own,
reserve one unit at a time, each under an idempotency key. The server is the one of `serve`, with as many worker processes;
the clients share its cores.
"""

import http.client
import itertools
import json
import random
import sys
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import Any, Final
from urllib.parse import urlencode

from django.db import connection
from django.test.utils import CaptureQueriesContext, override_settings

from inventory.access import KeyTerms, issue
from inventory.models import Merchant
from inventory.models.access import LARGEST_RATE
from tests.benchmarks.api_caller import Caller
from tests.benchmarks.report import Aim, Result, document, paired
from tests.benchmarks.scratch import scratch_database
from tests.benchmarks.seeding import lay_out
from tests.benchmarks.web import HOST, web_server

LOCATIONS: Final = 3
ASKED: Final = 100
CLIENTS: Final = 8
#: Seconds in which the server warms up before it is measured.
WARM: Final = 1.0

Ask = Callable[[], None]


def run(*, runs: int, seconds: float, variants: int) -> dict[str, Any]:
    """Measures in `runs` pairs of `seconds` each and returns the JSON document."""
    with scratch_database(), override_settings(ROOT_URLCONF="tests.benchmarks.web_urls"):
        merchant = lay_out(variants, locations=LOCATIONS)
        queries = _count_queries(Caller(merchant), variants)
        keys = [_key(merchant) for _ in range(CLIENTS)]
        with web_server() as port, ExitStack() as stack:
            clients = [stack.enter_context(closing(Client(port, key, variants))) for key in keys]
            shown = _availability(clients[0], runs, seconds, queries)
            reserved, p99 = _reservations(clients, runs, seconds)
        return document("api", runs, [shown, reserved], _aims(shown, queries, p99))


def _aims(shown: Result, queries: int, p99: float) -> list[Aim]:
    return [
        Aim("availability_queries", "<= 3", queries, queries <= 3),
        Aim("availability_ratio", ">= 0.15", shown.ratio, shown.ratio >= 0.15),
        Aim("reservation_p99_ms", "< 50", p99, p99 < 50),
    ]


def _availability(client: "Client", runs: int, seconds: float, queries: int) -> Result:
    for ask in (client.ask, client.ask_nothing):
        _rate(ask, WARM)
    pairs = []
    for number in range(runs):
        sides = {"ours": client.ask, "bare": client.ask_nothing}
        order = ("ours", "bare") if number % 2 == 0 else ("bare", "ours")
        rates = {side: _rate(sides[side], seconds) for side in order}
        pairs.append((rates["ours"], rates["bare"]))
        sys.stderr.write(f"availability {rates['ours']:.0f}/s, bare view {rates['bare']:.0f}/s\n")
    return paired(f"availability of {ASKED} SKUs", "calls/s", "bare view", pairs, queries=queries)


def _reservations(clients: Sequence["Client"], runs: int, seconds: float) -> tuple[Result, float]:
    """Returns what came of all clients reserving at once, and the median of the runs' 99th percentiles in milliseconds."""
    _together([client.reserve for client in clients], WARM)
    pairs, spread = [], []
    for _ in range(runs):
        bare = _together([client.ask_nothing for client in clients], seconds)
        own = _together([client.reserve for client in clients], seconds)
        pairs.append((len(own) / seconds, len(bare) / seconds))
        spread.append([own[int(len(own) * share)] * 1000 for share in (0.5, 0.95, 0.99)] + [own[-1] * 1000])
        sys.stderr.write(f"reservations {pairs[-1][0]:.0f}/s, p50, p95, p99, max {spread[-1]} ms\n")
    middle = [round(sorted(column)[runs // 2], 2) for column in zip(*spread, strict=True)]
    notes = dict(zip(("p50_ms", "p95_ms", "p99_ms", "max_ms"), middle, strict=True))
    return paired(f"reservations by {CLIENTS} clients", "calls/s", "bare view", pairs, **notes), middle[2]


class Client:
    """Calls the server over one connection that stays open."""

    def __init__(self, port: int, key: str, variants: int) -> None:
        self._connection = http.client.HTTPConnection(HOST, port, timeout=30)
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._variants = variants

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()

    def ask(self) -> None:
        """Asks for the availability of some SKUs."""
        self._call(
            "GET", f"/api/v1/availability?{urlencode([('sku', sku) for sku in _skus(self._variants)])}"
        )

    def ask_nothing(self) -> None:
        """Asks the view that does nothing."""
        self._call("GET", "/bare")

    def reserve(self) -> None:
        """Holds a unit of one SKU."""
        (sku,) = _skus(self._variants, 1)
        line = {"reference": "benchmark", "sku": sku, "quantity": 1}
        body = json.dumps({"lines": [line], "ttl_seconds": 900})
        self._call("POST", "/api/v1/reservations", body, {"Idempotency-Key": str(uuid.uuid4())})

    def _call(self, method: str, path: str, body: str | None = None, headers: Any = None) -> None:
        """Sends one request; anything but success ends the benchmark."""
        self._connection.request(method, path, body, {**self._headers, **(headers or {})})
        response = self._connection.getresponse()
        content = response.read()
        if response.status >= 300:
            raise RuntimeError(f"{path[:60]}: {response.status} {content[:300]!r}")


def _skus(variants: int, count: int = ASKED) -> list[str]:
    return [f"SKU-{number:06}" for number in random.sample(range(variants), min(count, variants))]


def _key(merchant: Merchant) -> str:
    return issue(
        merchant, KeyTerms("benchmark", ["owner"], requests_per_minute=LARGEST_RATE), by="benchmark"
    )[1]


def _count_queries(caller: Caller, variants: int) -> int:
    with CaptureQueriesContext(connection) as captured:
        caller.get("/api/v1/availability", {"sku": _skus(variants)})
    return len(captured)


def _rate(ask: Ask, seconds: float) -> float:
    """Returns calls a second."""
    return len(_durations(ask, seconds)) / seconds


def _together(asks: Sequence[Ask], seconds: float) -> list[float]:
    """Has all of them ask at the same time; returns the durations of all calls, the shortest first."""
    start = threading.Barrier(len(asks))

    def measure(ask: Ask) -> list[float]:
        start.wait(30)
        return _durations(ask, seconds)

    with ThreadPoolExecutor(len(asks)) as pool:
        return sorted(itertools.chain.from_iterable(pool.map(measure, asks)))


def _durations(ask: Ask, seconds: float) -> list[float]:
    found, until = [], time.perf_counter() + seconds
    while (started := time.perf_counter()) < until:
        ask()
        found.append(time.perf_counter() - started)
    return found
