"""How fast webhooks are taken in, as `serve` takes them: verified, stored, committed, answered; beside a bare view.

wrk posts signed orders of a simulated Shopify app over sixteen connections, each under an id of its own, so that every one is a
new row. Its partner is wrk reading a view that does nothing from the same server, over as many connections. Nobody processes
what is stored, and wrk shares the cores of the server. In the end the rows are counted: what was answered must be there.
"""

import base64
import hashlib
import hmac
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from channels.models import Channel, WebhookDelivery
from inventory.models import Merchant
from tests.benchmarks import wrk
from tests.benchmarks.report import Aim, Result, document, paired
from tests.benchmarks.scratch import scratch_database
from tests.benchmarks.web import HOST, web_server
from tests.benchmarks.wrk import Load

CONNECTIONS: Final = 16
#: Different bodies.
MESSAGES: Final = 500
#: Seconds in which the server warms up before it is measured.
WARM: Final = 1.0
#: What the issue asks for: the share of the bare view's rate, and the 99th percentile in milliseconds.
RATIO: Final = 0.12
SLOWEST: Final = 50.0

_SECRET: Final = "the secret of the benchmark"
_SHOP: Final = "benchmark.myshopify.com"
_CUSTOMER: Final = {
    "first_name": "Sample",
    "last_name": "Customer",
    "email": "customer@example.com",
    "phone": "+31 20 0000000",
    "address1": "Sample street 1",
    "city": "Amsterdam",
    "zip": "1000 AA",
    "country_code": "NL",
}


def run(*, runs: int, seconds: float) -> dict[str, Any]:
    """Measures in `runs` pairs of `seconds` each, and returns the JSON document."""
    wrk.find()
    with scratch_database(), tempfile.TemporaryDirectory() as directory:
        channel = _channel()
        messages = Path(directory, "messages")
        messages.write_text("".join(f"{_sign(body)}\t{body}\n" for body in map(_order, range(MESSAGES))))
        with web_server() as port:
            bench = _Bench(f"http://{HOST}:{port}", channel, messages, seconds)
            result, p99 = bench.measure(runs)
        lost = max(bench.answered - WebhookDelivery.objects.count(), 0)
        return document("ingest", runs, [result], _aims(result, p99, lost, bench.failed))


def _aims(result: Result, p99: float, lost: int, failed: int) -> list[Aim]:
    return [
        Aim("ratio to the bare view", f">= {RATIO}", result.ratio, result.ratio >= RATIO),
        Aim(f"p99 at {CONNECTIONS} connections, in ms", f"< {SLOWEST:g}", p99, p99 < SLOWEST),
        Aim("answered with 200 and not stored", "0", lost, lost == 0),
        Aim("refused or without an answer", "0", failed, failed == 0),
    ]


class _Bench:
    """Asks the server in turn, and counts what it answered."""

    def __init__(self, address: str, channel: Channel, messages: Path, seconds: float) -> None:
        self._webhook = f"{address}/webhooks/{channel.public_id}/"
        self._bare = f"{address}/bare"
        self._messages = messages
        self._seconds = seconds
        self.answered = 0
        self.failed = 0

    def measure(self, runs: int) -> tuple[Result, float]:
        """Returns the rates, and the median of the runs' 99th percentiles in milliseconds."""
        self._post("warm", WARM)
        self._read(WARM)
        pairs, loads = [], []
        for number in range(runs):
            sides = {"ours": lambda n=number: self._post(f"run{n}", self._seconds), "bare": self._read}
            order = ("ours", "bare") if number % 2 == 0 else ("bare", "ours")
            load = {side: sides[side]() for side in order}
            pairs.append((load["ours"].rate, load["bare"].rate))
            loads.append(load["ours"])
            sys.stderr.write(
                f"accepted {load['ours'].rate:.0f}/s (p99 {load['ours'].p99:.1f} ms), "
                f"bare view {load['bare'].rate:.0f}/s\n"
            )
        middle = {
            f"{name}_ms": round(statistics.median(getattr(load, name) for load in loads), 2)
            for name in ("p50", "p95", "p99", "longest")
        }
        case = f"orders accepted over {CONNECTIONS} connections"
        return paired(case, "posts/s", "bare view", pairs, **middle), middle["p99_ms"]

    def _post(self, prefix: str, seconds: float) -> Load:
        load = wrk.post(
            self._webhook, self._messages, prefix=f"{prefix}-", connections=CONNECTIONS, seconds=seconds
        )
        self.answered += load.answered
        self.failed += load.failed
        return load

    def _read(self, seconds: float | None = None) -> Load:
        return wrk.read(self._bare, connections=CONNECTIONS, seconds=seconds or self._seconds)


def _channel() -> Channel:
    merchant = Merchant.objects.create(name="Benchmark", slug="benchmark")
    channel = Channel(merchant=merchant, name="Web shop", kind="shopify", settings={"shop_domain": _SHOP})
    channel.credentials = {"client_secret": _SECRET}
    channel.save()
    return channel


def _sign(body: str) -> str:
    return base64.b64encode(hmac.new(_SECRET.encode(), body.encode(), hashlib.sha256).digest()).decode()


def _order(number: int) -> str:
    """Returns an order of two lines as Shopify tells it, customer and all."""
    identity = 5_000_000_000 + number
    lines = [
        {
            "id": identity * 10 + position,
            "variant_id": 41_000_000 + number + position,
            "product_id": 42_000_000 + number,
            "sku": f"SKU-{number:06d}-{position}",
            "title": "Harbour mug, navy",
            "quantity": 1 + position,
            "current_quantity": 1 + position,
            "fulfillable_quantity": 1 + position,
            "fulfillment_status": None,
            "requires_shipping": True,
            "price": "19.95",
            "properties": [],
            "tax_lines": [{"title": "VAT", "price": "3.46", "rate": 0.21}],
        }
        for position in (0, 1)
    ]
    order = {
        "id": identity,
        "admin_graphql_api_id": f"gid://shopify/Order/{identity}",
        "name": f"#{number}",
        "created_at": "2026-01-31T12:00:00Z",
        "updated_at": "2026-01-31T12:00:00Z",
        "processed_at": "2026-01-31T12:00:00Z",
        "cancelled_at": None,
        "currency": "EUR",
        "financial_status": "paid",
        "fulfillment_status": None,
        "source_name": "web",
        "test": False,
        "email": _CUSTOMER["email"],
        "customer": _CUSTOMER,
        "billing_address": _CUSTOMER,
        "shipping_address": _CUSTOMER,
        "line_items": lines,
        "refunds": [],
        "fulfillments": [],
    }
    return json.dumps(order)
