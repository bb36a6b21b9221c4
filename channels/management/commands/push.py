"""Tells channels their numbers now."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from channels.models import ListingLevel
from channels.models.listings import Lane
from channels.pushes import mark_listing_levels


class Command(BaseCommand):
    """Marks listing levels due, whatever was last sent; the pusher sends them in its order."""

    help = (
        "Make numbers due to be told, whatever was last sent: of a channel, of a SKU, or of everything. They are sent "
        "by the pusher of a running `serve`."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--channel", type=int, metavar="ID", help="only this channel")
        parser.add_argument("--sku", help="only this SKU (case-sensitive)")
        parser.add_argument(
            "--all", action="store_true", help="everything; needed when neither of the others is given"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        levels = ListingLevel.objects.filter(
            dead_at__isnull=True, listing__is_active=True, listing__variant__isnull=False
        )
        if options["channel"] is None and not options["sku"] and not options["all"]:
            raise CommandError("Say what to push: --channel ID, --sku SKU or --all.")
        if options["channel"] is not None:
            levels = levels.filter(channel_id=options["channel"])
        if options["sku"]:
            levels = levels.filter(listing__variant__sku=options["sku"])
        ids = list(levels.order_by("id").values_list("id", flat=True))
        if not ids:
            raise CommandError(
                "No listing level fits; check the channel id and the SKU, and whether it is mapped."
            )
        mark_listing_levels(ids, lane=Lane.DECREASE, read_first=True)
        text = json.dumps({"marked": len(ids)}) if options["json"] else f"{len(ids)} listing levels are due."
        self.stdout.write(text)
