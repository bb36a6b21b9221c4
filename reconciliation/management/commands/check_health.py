"""Looks at everything that may be wrong and says in a line how each thing is."""

import json
import sys
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from reconciliation.alerts import muted_things
from reconciliation.checks.results import Result
from reconciliation.health import Report, look, sweep
from reconciliation.models import Severity


class Command(BaseCommand):
    """Prints one line a thing, with the remedy where it is wrong; exits with 1 then."""

    help = (
        "Check channels, queues, limits, processes, the ledger's proof, clock and disk. One line a thing: OK, or what is "
        "wrong and what to do. Exits with 1 when something is wrong that nobody has muted. Changes nothing, unless --raise."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")
        parser.add_argument(
            "--raise",
            action="store_true",
            dest="raises",
            help="open and end alerts by what is found, as the watch of each minute does",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["raises"]:
            sweep()
        reports, muted = look(), muted_things()
        is_ok = all(_is_ok(report, muted) for report in reports)
        if options["json"]:
            self.stdout.write(json.dumps(summary(reports, muted, is_ok=is_ok)))
        else:
            for report in reports:
                self._print(report, muted)
        if not is_ok:
            sys.exit(1)

    def _print(self, report: Report, muted: set[tuple[Any, ...]]) -> None:
        if report.error:
            self.stdout.write(
                self.style.ERROR(f"FAIL   The check of {report.name} could not look: {report.error}")
            )
        for result in report.results:
            if result.is_ok:
                self.stdout.write(f"OK     {result.thing}: {result.says}")
            elif result.identity in muted:
                self.stdout.write(f"MUTED  {result.thing}: {result.says}")
            else:
                word = Severity(result.severity).label.upper()
                self.stdout.write(self.style.ERROR(f"FAIL   {result.thing}: {result.says} [{word}]"))
                self.stdout.write(f"       → {result.remedy}")


def _is_ok(report: Report, muted: set[tuple[Any, ...]]) -> bool:
    return not report.error and all(result.identity in muted for result in report.wrong)


def summary(reports: list[Report], muted: set[tuple[Any, ...]], *, is_ok: bool) -> dict[str, Any]:
    """Returns what was found as one JSON object."""
    return {
        "ok": is_ok,
        "failed_checks": {report.name: report.error for report in reports if report.error},
        "things": [_thing(result, muted) for report in reports for result in report.results],
    }


def _thing(result: Result, muted: set[tuple[Any, ...]]) -> dict[str, Any]:
    is_muted = not result.is_ok and result.identity in muted
    severity = None if result.is_ok else Severity(result.severity).label.lower()
    return {**asdict(result), "severity": severity, "is_muted": is_muted}
