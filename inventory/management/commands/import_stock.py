"""Imports a merchant's stock, its history and its safety stock from a CSV file."""

import json
import sys
from pathlib import Path
from time import monotonic
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.progress import Progress

from inventory.import_file import COLUMNS, Defaults, RowKind
from inventory.importing import Import, ImportReport, check_file, import_file
from inventory.models import Merchant


class Command(BaseCommand):
    """Checks the whole file, then writes it in batches; what an earlier run has written is passed over."""

    help = (
        "Import opening balances, movement history and safety stock from a CSV file (UTF-8, the first line names the "
        f"columns: {', '.join(COLUMNS)}). Every row is applied once, by its key: running it again, or after a crash, "
        "adds only what is missing. Nothing is written while a row of the file is wrong by itself. "
        "Exits with 1 where a row was refused."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE", help="the CSV file")
        parser.add_argument(
            "--merchant", metavar="SLUG", help="whose stock it is; needed where there are several"
        )
        parser.add_argument(
            "--kind",
            choices=[str(kind) for kind in RowKind],
            default=str(RowKind.OPENING),
            help="what rows without a kind are (default: opening)",
        )
        parser.add_argument("--location", default="", metavar="CODE", help="place of rows that name none")
        parser.add_argument(
            "--as-of",
            default="",
            metavar="TIME",
            help="when rows without occurred_at happened, such as 2026-01-31 or 2026-01-31T14:00:00+01:00",
        )
        parser.add_argument(
            "--source",
            default="import",
            metavar="NAME",
            help="where the rows come from; keys are unique within it (default: import)",
        )
        parser.add_argument("--dry-run", action="store_true", help="check the file and write nothing")
        parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        started = monotonic()
        given = _import(options)
        report = self._run("Checking", check_file, given, options["file"], None)
        if report.is_ok and not options["dry_run"]:
            report = self._run("Importing", import_file, given, options["file"], report.rows)
        seconds = round(monotonic() - started, 3)
        if options["json"]:
            self.stdout.write(json.dumps(summary(report, seconds, is_dry_run=options["dry_run"])))
        else:
            self._print(report, seconds, is_dry_run=options["dry_run"])
        if not report.is_ok:
            sys.exit(1)

    def _run(self, title: str, work: Any, given: Import, path: Path, total: int | None) -> ImportReport:
        try:
            with (
                path.open(encoding="utf-8-sig", newline="") as lines,
                Progress(console=Console(stderr=True), transient=True) as progress,
            ):
                task = progress.add_task(title, total=total)
                found: ImportReport = work(
                    given, lines, lambda report: progress.update(task, completed=report.rows)
                )
        except OSError as error:
            raise CommandError(f"{path} cannot be read: {error.strerror}.") from error
        return found

    def _print(self, report: ImportReport, seconds: float, *, is_dry_run: bool) -> None:
        verb = "would be imported" if is_dry_run else "imported"
        self.stdout.write(
            f"{report.rows} rows in {seconds} s: {report.imported} {verb}, {report.known} imported before, "
            f"{report.safety_stock_changed} levels with another safety stock."
        )
        if report.short:
            self.stdout.write(f"{report.short} reserved units are no longer covered; see the open conflicts.")
        for error in report.errors:
            self.stdout.write(self.style.ERROR(f"  {error}"))
        if more := report.error_count - len(report.errors):
            self.stdout.write(self.style.ERROR(f"  and {more} more"))


def _import(options: dict[str, Any]) -> Import:
    defaults = Defaults(options["kind"], options["location"], options["as_of"], options["source"])
    if not 0 < len(defaults.source) <= 30:
        raise CommandError("--source: 1 to 30 characters.")
    return Import(_merchant(options["merchant"]).pk, defaults, options["file"].name[:200], "import_stock")


def _merchant(slug: str | None) -> Merchant:
    merchants = Merchant.objects.filter(slug=slug) if slug else Merchant.objects.all()
    found = list(merchants[:2])
    if len(found) == 1:
        return found[0]
    known = ", ".join(Merchant.objects.values_list("slug", flat=True)[:20]) or "none yet"
    raise CommandError(f"--merchant: name one of them ({known}).")


def summary(report: ImportReport, seconds: float, *, is_dry_run: bool) -> dict[str, Any]:
    """Returns the report as one JSON object."""
    return {
        "ok": report.is_ok,
        "dry_run": is_dry_run,
        "rows": report.rows,
        "imported": report.imported,
        "known": report.known,
        "safety_stock_changed": report.safety_stock_changed,
        "short_units": report.short,
        "error_count": report.error_count,
        "errors": [
            {"line": error.line, "column": error.column, "message": error.message} for error in report.errors
        ],
        "seconds": seconds,
    }
