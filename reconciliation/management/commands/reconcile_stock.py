"""Compares the ledger with whoever has the say over the stock of a location."""

import csv
import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from reconciliation import authority
from reconciliation.errors import Refused
from reconciliation.models import StockAuthority


class Command(BaseCommand):
    """Reads a file of what an ERP or warehouse has on hand, and counts differences in where its policy allows."""

    help = (
        "Compare what an authority (Reconciliation > Stock authorities) says lies at its location with the ledger, from a "
        "CSV file with the columns sku and on_hand. --seen-until says up to when it knows our orders and receipts; what "
        "moved since is none of the difference. The exit code is 0 when nothing is left for a person."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="CSV with the columns sku and on_hand")
        parser.add_argument("--location", required=True, help="code of the location")
        parser.add_argument("--merchant", required=True, help="slug of the merchant")
        parser.add_argument(
            "--seen-until", required=True, metavar="TIME", help="ISO 8601; without a zone it is UTC"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        has_say = StockAuthority.objects.select_related("merchant").filter(
            merchant__slug=options["merchant"], location__code=options["location"]
        )
        found = has_say.first()
        if found is None:
            raise CommandError("Nobody has the say over this location. Add one under Stock authorities.")
        try:
            numbers, until = read_numbers(options["file"]), read_instant(options["seen_until"])
            compared = authority.compare(found, numbers, seen_until=until)
        except Refused as error:
            raise CommandError(f"{error.field}: {error}") from error
        if options["json"]:
            self.stdout.write(json.dumps(asdict(compared)))
        else:
            self.stdout.write(
                f"{compared.compared:,} compared, {compared.drifted:,} differ; {compared.corrected:,} counted in, "
                f"{compared.flagged:,} wait for a person, {len(compared.unknown):,} SKUs are not known."
            )
        if compared.flagged:
            sys.exit(1)


def read_numbers(path: Path) -> dict[str, int]:
    """Reads units by SKU. Raises `Refused`, naming the row."""
    numbers: dict[str, int] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            if not {"sku", "on_hand"} <= set(rows.fieldnames or ()):
                raise Refused("file", "needs the columns sku and on_hand.")
            for number, row in enumerate(rows, start=2):
                sku, text = (row["sku"] or "").strip(), (row["on_hand"] or "").strip()
                if not sku or not text.isdecimal() or sku in numbers:
                    raise Refused("file", f"row {number}: wants a SKU, once, and whole units of 0 or more.")
                numbers[sku] = int(text)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Refused("file", f"cannot be read: {error}") from error
    return numbers


def read_instant(text: str) -> datetime:
    """Reads an instant. Raises `Refused`."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise Refused("seen_until", f"{text!r} is no time; write it like 2026-01-31T18:00.") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
