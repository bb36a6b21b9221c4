"""The benchmarks there are, and what each of them can be told. They live under `tests/benchmarks/` of a checkout."""

from argparse import ArgumentTypeError
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from channels.demo.arguments import above_zero, at_least_one


def sizes(text: str) -> list[int]:
    """Reads whole numbers, 1 or more, separated by commas."""
    read = [at_least_one(part.strip()) for part in text.split(",") if part.strip()]
    if not read:
        raise ArgumentTypeError(f"{text!r} names no size.")
    return read


@dataclass(frozen=True, slots=True)
class Option:
    """Something that benchmarks can be told."""

    read: Callable[[str], Any]
    text: str


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A module under `tests/benchmarks/` whose `run` takes these options."""

    text: str
    #: Option → what it is unless said otherwise.
    options: Mapping[str, Any] = field(default_factory=dict)

    def chosen(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Returns its options, as given or as they usually are."""
        return {
            name: usual if given.get(name) is None else given[name] for name, usual in self.options.items()
        }


OPTIONS: Final[Mapping[str, Option]] = {
    "runs": Option(at_least_one, "paired runs of each case"),
    "seconds": Option(above_zero, "seconds of each run"),
    "minutes": Option(above_zero, "minutes of trade"),
    "movements": Option(at_least_one, "movements of the ledger"),
    "events": Option(at_least_one, "operations"),
    "listings": Option(at_least_one, "listings"),
    "levels": Option(at_least_one, "listing levels of the larger channel; the smaller one has a tenth"),
    "changes": Option(at_least_one, "movements"),
    "variants": Option(at_least_one, "variants of the catalogue"),
    "sizes": Option(sizes, "variants of each catalogue, separated by commas"),
    "orders": Option(at_least_one, "orders of each run"),
    "rate": Option(above_zero, "orders a second in all shops"),
    "burst": Option(at_least_one, "orders of the burst"),
}

_PAIRED: Final = {"runs": 5, "seconds": 3.0}

#: In the sequence in which `all` runs them.
BENCHMARKS: Final[Mapping[str, Benchmark]] = {
    "reserve": Benchmark("orders reserved, beside pgbench", _PAIRED),
    "fanout": Benchmark(
        "listings of bundles marked for one change of a part, beside the plain update of the same rows",
        {"runs": 5},
    ),
    "exposure": Benchmark("numbers computed, beside bare SQL", {"runs": 5, "listings": 100_000}),
    "timetravel": Benchmark(
        "stock as of an instant, beside the indexed SQL that it needs", {**_PAIRED, "movements": 20_000_000}
    ),
    "rehearsal": Benchmark(
        "recorded events replayed under other rules, beside the reading of them",
        {"runs": 5, "events": 100_000},
    ),
    "api": Benchmark(
        "availability of 100 SKUs through the API beside a bare view, and single reservations",
        {**_PAIRED, "variants": 100_000},
    ),
    "changes": Benchmark(
        "changes consumed in order while several processes write, beside the plain insertion of them",
        {"changes": 1_000_000},
    ),
    "reconcile": Benchmark(
        "shelves of one channel staged and compared, beside the bare COPY and join",
        {"runs": 5, "listings": 1_000_000},
    ),
    "import": Benchmark(
        "a Shopify catalogue imported in bulk, its memory, beside the bare file and COPY of its rows",
        {"runs": 3, "listings": 100_000},
    ),
    "ingest": Benchmark(
        "webhooks accepted durably, beside a bare view on the same server; needs wrk", _PAIRED
    ),
    "lease": Benchmark(
        "due listing levels leased in a large channel and a small one, beside the plain update of as many rows",
        {**_PAIRED, "levels": 1_000_000},
    ),
    "connectors": Benchmark(
        "calls that write numbers on each platform, beside what the platform allows",
        {"runs": 3, "seconds": 10.0},
    ),
    "propagate": Benchmark(
        "sale to shelf on six simulated shops with all processes, and a burst; one change told in parallel beside in "
        "sequence",
        {"runs": 5, "seconds": 20.0, "variants": 1_200, "rate": 50.0, "burst": 2_000},
    ),
    "scale": Benchmark(
        "what an order costs as the catalogue grows, beside the plain update of as many rows",
        {"runs": 5, "orders": 200, "sizes": [10_000, 100_000, 1_000_000]},
    ),
    "memory": Benchmark(
        "the memory of all processes at work on six simulated shops, beside what they take before",
        {"seconds": 60.0, "variants": 100_000, "rate": 10.0},
    ),
    "soak": Benchmark(
        "whether memory or queues grow over an hour of trade, its second half beside the first",
        {"minutes": 60.0, "variants": 1_200, "rate": 5.0},
    ),
}


def usual_of(option: str) -> str:
    """Returns what an option is unless said otherwise, for each benchmark that takes it."""
    by_value: dict[str, list[str]] = {}
    for name, benchmark in BENCHMARKS.items():
        if option in benchmark.options:
            by_value.setdefault(_written(benchmark.options[option]), []).append(name)
    return "; ".join(f"{', '.join(names)}: {value}" for value, names in by_value.items())


def _written(value: Any) -> str:
    return (
        ",".join(map(str, value))
        if isinstance(value, list)
        else f"{value:g}"
        if isinstance(value, float)
        else f"{value:,}"
    )
