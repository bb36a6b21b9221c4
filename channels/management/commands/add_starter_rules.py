"""Adds the starter set of rules to a merchant."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from channels.rules.starter import add_starter_set
from inventory.models import Merchant


class Command(BaseCommand):
    """Draws up a first version of rules; nothing changes until somebody approves it and puts it in force."""

    help = (
        "Add the starter set of rules to a merchant, as a draft: fast sellers keep 1 to 3 pieces back, marketplaces "
        "show 5 at most. Repeating it changes nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--merchant", required=True, metavar="SLUG", help="the merchant's slug")
        parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        merchant = Merchant.objects.filter(slug=options["merchant"]).first()
        if merchant is None:
            raise CommandError(f"No merchant has the slug {options['merchant']}.")
        version = add_starter_set(merchant, actor="add_starter_rules")
        facts = {"version": version.pk, "name": str(version), "state": version.state}
        text = json.dumps(facts) if options["json"] else f"{version} is a {version.state}."
        self.stdout.write(text)
