"""Reads purchase orders from a CSV file."""

import json
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from inventory.errors import StockError
from inventory.models import Merchant
from inventory.order_import import NEEDED, OPTIONAL, import_orders


class Command(BaseCommand):
    """Writes, places and confirms the orders of a file; all of it or nothing."""

    help = (
        f"Read purchase orders from a CSV file with the columns {', '.join(NEEDED)} and, where known, "
        f"{', '.join(OPTIONAL)} (days as 2026-01-31). One row a line; rows with the same number are one order. "
        "Orders whose number is known are left alone. All of the file is imported, or nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", help="the CSV file, in UTF-8; - reads standard input")
        parser.add_argument("--merchant", required=True, metavar="SLUG", help="whose orders they are")
        parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        merchant = Merchant.objects.filter(slug=options["merchant"]).first()
        if merchant is None:
            raise CommandError(f"There is no merchant {options['merchant']!r}.")
        try:
            imported = import_orders(merchant.pk, _lines(options["file"]))
        except StockError as error:
            raise CommandError(f"Nothing was imported.\n{error}") from error
        if options["json"]:
            told = {"orders": imported.orders, "lines": imported.lines, "known": imported.known}
            self.stdout.write(json.dumps(told))
            return
        self.stdout.write(f"{imported.orders} orders with {imported.lines} lines imported.")
        if imported.known:
            self.stdout.write(f"Known before, left alone: {', '.join(imported.known)}.")


def _lines(file: str) -> list[str]:
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{file} cannot be read: {error}") from error
    return text.splitlines()
