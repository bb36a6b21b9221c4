"""Reads ranks of listings from a CSV file."""

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from channels.errors import RuleRefused
from channels.rules.ranks import import_ranks
from inventory.models import Merchant


class Command(BaseCommand):
    """Ranks listings, the smallest number first; the whole file or nothing."""

    help = "Import ranks of listings from a CSV file with the columns channel, sku and rank: the whole file or nothing."

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
            count = import_ranks(merchant.pk, lines)
        except (OSError, UnicodeDecodeError, RuleRefused) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            json.dumps({"ranked": count}) if options["json"] else f"{count} listings are ranked."
        )
