"""How fast orders can be reserved: the public operation beside pgbench running the same statements on the same server.

Both sides work on the same finite stock, with durable commits. Ours goes through `inventory.reservations.reserve` with
its idempotency key, due mark and on-commit hook; pgbench is given the statements that one such call sent, with what the
call computed in between (the levels after it) computed by the locking query.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db import connection

from channels.models import Channel, ChannelLocation, ChannelLocationSource, Listing, ListingLevel
from inventory.ledger import Context
from inventory.models import Location, Merchant, Product, Reservation, StockLevel, Variant
from inventory.models.stock import Reason
from inventory.proof import prove
from inventory.stock import StockLine, receive
from tests.benchmarks import pgbench
from tests.benchmarks.report import Aim, Result, document, paired
from tests.benchmarks.scratch import scratch_database
from tests.benchmarks.workers import Worker, together, workers

VARIANTS: Final = 1_000
CHANNELS: Final = 3
#: Units of each variant: finite, and enough for the whole run.
STOCK: Final = 1_000_000
#: Units of the variant that the last case sells out, wanted by more buyers than there are units.
LAST_UNITS: Final = 500
#: Seconds, at least, in which they are gone.
SELL_OUT: Final = 3.0


@dataclass(frozen=True, slots=True)
class Case:
    """What each process reserves, again and again."""

    name: str
    lines: int
    processes: int
    is_hot: bool = False


CASES: Final = (
    Case("single-line, 1 process", lines=1, processes=1),
    Case("single-line, 4 processes", lines=1, processes=4),
    Case("ten-line, 1 process", lines=10, processes=1),
    Case("ten-line, 4 processes", lines=10, processes=4),
    Case("hot SKU, 4 processes", lines=1, processes=4, is_hot=True),
)


@dataclass(frozen=True, slots=True)
class Seed:
    """What the benchmark's merchant has."""

    merchant_id: int
    location_id: int
    first_variant_id: int


def run(*, runs: int, seconds: float) -> dict[str, Any]:
    """Measures every case in `runs` pairs of `seconds` each, and returns the JSON document."""
    with scratch_database() as database:
        seed = seed_stock()
        with workers(max(case.processes for case in CASES), "tests.benchmarks.reserve_loop:work") as started:
            bench = Bench(seed, database, started, runs, seconds)
            results = [*(bench.measure(case) for case in CASES), bench.sell_out()]
        ledger_ok = all(proof.is_ok for proof in prove())
        return document("reserve", runs, results, _aims(results, ledger_ok=ledger_ok))


def seed_stock() -> Seed:
    """Lays out a merchant whose goods are listed everywhere, with stock of all of them."""
    merchant = Merchant.objects.create(name="Benchmark", slug="benchmark")
    location = Location.objects.create(merchant=merchant, code="W1", name="Warehouse")
    product = Product.objects.create(merchant=merchant, title="Benchmark product")
    variants = Variant.objects.bulk_create(
        Variant(merchant=merchant, product=product, sku=f"SKU-{n:06d}") for n in range(VARIANTS + 1)
    )
    _list_everywhere(merchant, location, variants)
    lines = [StockLine(v.id, location.id, STOCK) for v in variants[:-1]]
    receive(Context(merchant.id, "opening"), lines, reason=Reason.OPENING)
    receive(
        Context(merchant.id, "last"),
        [StockLine(variants[-1].id, location.id, LAST_UNITS)],
        reason=Reason.OPENING,
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return Seed(merchant.id, location.id, variants[0].id)


def _list_everywhere(merchant: Merchant, location: Location, variants: Sequence[Variant]) -> None:
    """Lists every variant on every channel, so that each reservation has listing levels to mark due."""
    for number in range(CHANNELS):
        channel = Channel.objects.create(merchant=merchant, name=f"Channel {number}", kind="shopify")
        place = ChannelLocation.objects.create(channel=channel, external_id="1")
        ChannelLocationSource.objects.create(channel_location=place, location=location)
        listings = Listing.objects.bulk_create(
            Listing(channel=channel, variant=v, external_id=v.sku, sku=v.sku) for v in variants
        )
        ListingLevel.objects.bulk_create(
            ListingLevel(channel=channel, listing=listing, channel_location=place) for listing in listings
        )


@dataclass(frozen=True, slots=True)
class Bench:
    """What every measurement needs."""

    seed: Seed
    database: str
    workers: Sequence[Worker]
    runs: int
    seconds: float

    def job(self, case: Case) -> dict[str, Any]:
        """The work of one process."""
        return {
            "merchant_id": self.seed.merchant_id,
            "location_id": self.seed.location_id,
            "first_variant_id": self.seed.first_variant_id,
            "variants": 1 if case.is_hot else VARIANTS,
            "lines": case.lines,
            "seconds": self.seconds,
        }

    def measure(self, case: Case) -> Result:
        """Measures ours and pgbench in turn, changing who goes first."""
        script = pgbench.script(self.seed, case, variants=VARIANTS)
        together(self.workers[: case.processes], self.job(case) | {"seconds": 0.3})
        pairs = []
        for number in range(self.runs):
            sides = {"ours": lambda: self._ours(case), "theirs": lambda: self._theirs(case, script)}
            order = ("ours", "theirs") if number % 2 == 0 else ("theirs", "ours")
            rates = {side: sides[side]() for side in order}
            pairs.append((rates["ours"], rates["theirs"]))
            sys.stderr.write(f"{case.name}: ours {rates['ours']:.0f}/s, pgbench {rates['theirs']:.0f}/s\n")
        return paired(case.name, "orders/s", "pgbench, same statements", pairs, **_oversold(self.seed))

    def _ours(self, case: Case) -> float:
        done = together(self.workers[: case.processes], self.job(case))
        return float(sum(answer["reserved"] / answer["seconds"] for answer in done))

    def _theirs(self, case: Case, script: str) -> float:
        return pgbench.rate(script, database=self.database, clients=case.processes, seconds=self.seconds)

    def sell_out(self) -> Result:
        """Four processes want one variant until it is gone: exactly its units may be sold."""
        variant_id = self.seed.first_variant_id + VARIANTS
        job = self.job(CASES[-1]) | {"first_variant_id": variant_id, "seconds": max(self.seconds, SELL_OUT)}
        answers = together(self.workers[: CASES[-1].processes], job)
        level = StockLevel.objects.get(variant_id=variant_id)
        sold = Reservation.objects.filter(variant_id=variant_id).count()
        notes = {
            "refused": sum(answer["refused"] for answer in answers),
            "available_left": level.available,
            "oversold": max(sold - LAST_UNITS, 0),
        }
        name, units = "last units, 4 processes", "units in stock"
        return Result(name, "units", float(sold), units, float(LAST_UNITS), sold / LAST_UNITS, (), notes)


def _oversold(seed: Seed) -> dict[str, Any]:
    """What would show an oversell: reserved beyond on hand, or levels that differ from their reservations."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FILTER (WHERE reserved > on_hand) FROM inventory_stocklevel WHERE merchant_id = %s",
            [seed.merchant_id],
        )
        (beyond,) = cursor.fetchone()
    return {"levels_oversold": beyond}


def _aims(results: Sequence[Result], *, ledger_ok: bool) -> list[Aim]:
    by_case = {result.case: result for result in results}
    oversold = by_case["last units, 4 processes"].notes["oversold"] + sum(
        result.notes.get("levels_oversold", 0) for result in results
    )
    return [
        _ratio_aim(by_case["single-line, 4 processes"], 0.35),
        _ratio_aim(by_case["ten-line, 4 processes"], 0.35),
        _ratio_aim(by_case["hot SKU, 4 processes"], 0.5),
        Aim("nothing oversold", "0", oversold, oversold == 0),
        Aim("the ledger replays to the live levels", "1", float(ledger_ok), ledger_ok),
    ]


def _ratio_aim(result: Result, target: float) -> Aim:
    return Aim(f"{result.case}: ratio to pgbench", f">= {target}", result.ratio, result.ratio >= target)
