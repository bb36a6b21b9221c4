"""Looks for the variants that unmapped listings may be."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from channels.matching import accept, find_matches
from channels.models import Listing, ListingMatch
from inventory.models import Merchant


class Command(BaseCommand):
    """Finds, and where asked accepts, matches of one merchant's unmapped listings."""

    help = (
        "Look for the variants that a merchant's unmapped listings may be (same GTIN, a SKU written otherwise, a similar "
        "title), as the page Suggested matches shows them. With --accept the sure ones are mapped at once."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Adds the merchant, and how sure a match has to be."""
        parser.add_argument("merchant", help="the merchant's slug")
        parser.add_argument(
            "--accept", type=int, metavar="PERCENT", help="map what is at least this sure (1 to 100)"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Prints how many listings are unmapped, matched and mapped."""
        least: int | None = options["accept"]
        if least is not None and not 1 <= least <= 100:
            raise CommandError("--accept takes a percentage from 1 to 100.")
        merchant = Merchant.objects.filter(slug=options["merchant"]).first()
        if merchant is None:
            known = ", ".join(Merchant.objects.order_by("slug").values_list("slug", flat=True)[:20])
            raise CommandError(f"There is no merchant {options['merchant']}. Known: {known or 'none'}.")
        matched = find_matches(merchant.pk)
        mapped = 0
        if least is not None:
            sure = ListingMatch.objects.filter(listing__channel__merchant=merchant, confidence__gte=least)
            ids = list(sure.values_list("listing_id", flat=True))
            mapped = accept(merchant.pk, ids, actor="match_listings")
        left = Listing.objects.filter(channel__merchant=merchant, variant__isnull=True, is_active=True)
        found = {"matched": matched, "mapped": mapped, "unmapped": left.count()}
        if options["json"]:
            self.stdout.write(json.dumps(found))
        else:
            self.stdout.write(", ".join(f"{count} {what}" for what, count in found.items()))
