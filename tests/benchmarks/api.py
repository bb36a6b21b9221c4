"""How fast the API answers: the availability of 100 SKUs beside a view that does nothing, and single reservations.

Both views are called through Django's handler with all middleware, in this process and one after the other, so that
what carries requests to it counts for neither. Reservations are made by eight threads with connections of their own.
"""

import io
import itertools
import json
import random
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final
from urllib.parse import urlencode

from django.core.handlers.wsgi import WSGIHandler
from django.db import connection
from django.test.utils import CaptureQueriesContext, override_settings

from inventory.access import KeyTerms, issue
from inventory.ledger import Context
from inventory.models import Location, Merchant, Product, Variant
from inventory.models.access import LARGEST_RATE
from inventory.stock import StockLine, receive
from tests.benchmarks.report import Aim, Result, document, paired
from tests.benchmarks.scratch import scratch_database

LOCATIONS: Final = 3
ASKED: Final = 100
CLIENTS: Final = 8
#: Lines of one receipt while the stock is laid out.
_BATCH: Final = 3_000

Ask = Callable[[], None]


def run(*, runs: int, seconds: float, variants: int = 100_000) -> dict[str, Any]:
    """Measures in `runs` pairs of `seconds` each and returns the JSON document."""
    with scratch_database(), override_settings(ROOT_URLCONF="tests.benchmarks.api_urls"):
        merchant = _seed(variants)
        caller = _Caller(merchant)
        queries = _count_queries(caller)
        pairs = [(_rate(caller.ask, seconds), _rate(caller.ask_nothing, seconds)) for _ in range(runs)]
        shown = paired(f"availability of {ASKED} SKUs", "calls/s", "bare view", pairs, queries=queries)
        reserved, p99 = _reserve(caller, seconds * runs)
        return document("api", runs, [shown, reserved], _aims(shown, queries, p99))


def _aims(shown: Result, queries: int, p99: float) -> list[Aim]:
    return [
        Aim("availability_queries", "<= 3", queries, queries <= 3),
        Aim("availability_ratio", ">= 0.15", shown.ratio, shown.ratio >= 0.15),
        Aim("reservation_p99_ms", "< 50", p99, p99 < 50),
    ]


class _Caller:
    """Calls the handler as a web server would."""

    def __init__(self, merchant: Merchant) -> None:
        terms = KeyTerms("benchmark", ["owner"], requests_per_minute=LARGEST_RATE)
        self._keys = itertools.cycle([issue(merchant, terms, by="benchmark")[1] for _ in range(CLIENTS)])
        self._handler = WSGIHandler()
        self._skus = list(Variant.objects.filter(merchant=merchant).values_list("sku", flat=True))

    def ask(self) -> None:
        """Asks for the availability of some SKUs."""
        chosen = random.sample(self._skus, min(ASKED, len(self._skus)))
        self.call("GET", "/api/v1/availability", urlencode([("sku", sku) for sku in chosen]))

    def ask_nothing(self) -> None:
        """Asks the view that does nothing."""
        self.call("GET", "/bare")

    def reserve(self) -> None:
        """Holds a unit of one SKU."""
        line = {"reference": "benchmark", "sku": random.choice(self._skus), "quantity": 1}
        self.call(
            "POST", "/api/v1/reservations", body=json.dumps({"lines": [line], "ttl_seconds": 900}).encode()
        )

    def call(self, method: str, path: str, query: str = "", body: bytes = b"") -> None:
        """Sends one request; anything but success ends the benchmark."""
        statuses: list[str] = []
        environ = {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "CONTENT_TYPE": "application/json",
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_AUTHORIZATION": f"Bearer {next(self._keys)}",
            "wsgi.input": io.BytesIO(body),
            "wsgi.url_scheme": "http",
            "wsgi.errors": sys.stderr,
        }

        def start(status: str, headers: Any, info: Any = None, /) -> Callable[[bytes], object]:
            statuses.append(status)
            return len

        response = self._handler(environ, start)
        content = b"".join(response)
        response.close()
        if not statuses[0].startswith("2"):
            raise RuntimeError(f"{path}: {statuses[0]} {content[:300]!r}")


def _count_queries(caller: _Caller) -> int:
    with CaptureQueriesContext(connection) as captured:
        caller.ask()
    return len(captured)


def _rate(ask: Ask, seconds: float) -> float:
    """Returns calls a second."""
    started, count = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        ask()
        count += 1
    return count / (time.perf_counter() - started)


def _reserve(caller: _Caller, seconds: float) -> tuple[Result, float]:
    """Returns what came of eight threads that reserve one unit at a time, and the 99th percentile in milliseconds."""
    with ThreadPoolExecutor(CLIENTS) as pool:
        bare = _percentiles(
            list(pool.map(lambda _: _durations(caller.ask_nothing, seconds), range(CLIENTS))), seconds
        )
        own = _percentiles(
            list(pool.map(lambda _: _durations(caller.reserve, seconds), range(CLIENTS))), seconds
        )
    pairs = [(own["rate"], bare["rate"])]
    case = f"reservations by {CLIENTS} clients"
    return paired(case, "calls/s", "bare view", pairs, p50_ms=own["p50"], p99_ms=own["p99"]), own["p99"]


def _durations(ask: Ask, seconds: float) -> list[float]:
    found = []
    until = time.perf_counter() + seconds
    try:
        while (started := time.perf_counter()) < until:
            ask()
            found.append(time.perf_counter() - started)
    finally:
        connection.close()
    return found


def _percentiles(durations: Sequence[Sequence[float]], seconds: float) -> dict[str, float]:
    every = sorted(itertools.chain.from_iterable(durations))
    return {
        "rate": len(every) / seconds,
        "p50": round(every[len(every) // 2] * 1000, 2),
        "p99": round(every[int(len(every) * 0.99)] * 1000, 2),
    }


def _seed(count: int) -> Merchant:
    """Lays out variants with a thousand units of each at each location."""
    merchant = Merchant.objects.create(name="Benchmark", slug="benchmark")
    product = Product.objects.create(merchant=merchant, title="Benchmark")
    places = [
        Location.objects.create(merchant=merchant, code=f"W{n}", name=f"Warehouse {n}")
        for n in range(LOCATIONS)
    ]
    rows = [Variant(merchant=merchant, product=product, sku=f"SKU-{n:06}") for n in range(count)]
    variants = Variant.objects.bulk_create(rows, batch_size=5_000)
    lines = [StockLine(variant.pk, place.pk, 1_000) for variant in variants for place in places]
    for start in range(0, len(lines), _BATCH):
        receive(Context(merchant.pk, f"seed:{start}"), lines[start : start + _BATCH])
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return merchant
