"""Measures the program beside its physical references."""

import json
from importlib import import_module
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser

from channels.demo.arguments import above_zero, at_least_one

#: Module under `tests/benchmarks/` → what it measures.
_BENCHMARKS: Final = {
    "reserve": "orders reserved, beside pgbench",
    "fanout": "listings of bundles marked for one change of a part, beside the plain update of the same rows",
    "exposure": "100,000 numbers computed, beside bare SQL",
    "timetravel": "stock as of an instant, beside the indexed SQL that it needs",
    "rehearsal": "recorded events replayed under other rules, beside the reading of them",
    "api": "availability of 100 SKUs through the API beside a bare view, and single reservations",
    "changes": "a million changes consumed in order while several processes write, beside the plain insertion of them",
    "reconcile": "shelves of one channel staged and compared, beside the bare COPY and join",
}

#: Module → the options that it takes; the others take `--runs` and `--seconds`.
_OPTIONS: Final = {
    "exposure": ("runs",),
    "timetravel": ("runs", "seconds", "movements"),
    "rehearsal": ("runs", "events"),
    "reconcile": ("runs", "listings"),
    "changes": ("changes",),
}


class Command(BaseCommand):
    """Runs one benchmark in a database of its own and prints what it measured, with the reference of the same run."""

    help = (
        "Measure one part of the program beside its physical reference, in the same run and in a scratch database on "
        "the same server. Needs a checkout with the development requirements. The exit code is 0 whether or not the "
        "aims are met."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        listed = "; ".join(f"{name}: {text}" for name, text in _BENCHMARKS.items())
        parser.add_argument("name", choices=list(_BENCHMARKS), help=listed)
        parser.add_argument(
            "--runs", type=at_least_one, default=5, help="paired runs of each case (default 5)"
        )
        parser.add_argument("--seconds", type=above_zero, default=3.0, help="seconds of each run (default 3)")
        parser.add_argument(
            "--movements",
            type=at_least_one,
            default=20_000_000,
            help="timetravel: movements of the ledger (default 20 million)",
        )
        parser.add_argument(
            "--events", type=at_least_one, default=100_000, help="rehearsal: operations (default 100,000)"
        )
        parser.add_argument(
            "--listings", type=at_least_one, default=1_000_000, help="reconcile: listings (default 1 million)"
        )
        parser.add_argument(
            "--changes", type=at_least_one, default=1_000_000, help="changes: movements (default 1 million)"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            from tests.benchmarks import pgbench

            benchmark = import_module(f"tests.benchmarks.{options['name']}")
        except ImportError as error:
            raise CommandError(
                f"The benchmarks live in a checkout of the source, under tests/ ({error}). Run this from one."
            ) from error
        try:
            taken = _OPTIONS.get(options["name"], ("runs", "seconds"))
            measured = benchmark.run(**{name: options[name] for name in taken})
        except pgbench.PgbenchFailed as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            self.stdout.write(json.dumps(measured))
        else:
            self._print(measured)

    def _print(self, measured: dict[str, Any]) -> None:
        for result in measured["results"]:
            self.stdout.write(
                f"{result['case']:42} {result['rate']:>9} {result['unit']:9} "
                f"{result['reference']} {result['reference_rate']}: ratio {result['ratio']:.3f}"
            )
        for aim in measured["aims"]:
            self.stdout.write(
                f"{'met' if aim['met'] else 'MISSED':7} {aim['name']} {aim['target']}: {aim['measured']}"
            )
