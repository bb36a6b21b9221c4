"""Counts the tickets of a help desk from a CSV file."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from analytics.errors import TicketRefused
from analytics.tickets import read_tickets, record_tickets
from inventory.models import Merchant


class Command(BaseCommand):
    """Counts tickets about goods that were not available; the whole file or nothing, each ticket once."""

    help = (
        "Count a help desk's tickets about goods that were not available, from a CSV file with the columns ticket and "
        "opened_at, and channel and sku where known: the whole file or nothing, each ticket once."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, help="the CSV file, in UTF-8")
        parser.add_argument("--merchant", required=True, metavar="SLUG", help="the merchant's slug")
        parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        merchant = Merchant.objects.filter(slug=options["merchant"]).first()
        if merchant is None:
            raise CommandError(f"No merchant has the slug {options['merchant']}.")
        try:
            lines = options["file"].read_text(encoding="utf-8-sig").splitlines()
            recorded = record_tickets(merchant.pk, read_tickets(lines))
        except (OSError, UnicodeDecodeError, TicketRefused) as error:
            raise CommandError(str(error)) from error
        text = f"{recorded.new} tickets are counted, {recorded.known} were counted before."
        self.stdout.write(json.dumps(asdict(recorded)) if options["json"] else text)
