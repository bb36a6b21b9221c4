"""Reads channels' orders now."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from channels.feeds import ask_for_poll, ensure_feeds
from channels.models import Channel


class Command(BaseCommand):
    """Makes the order feeds of channels due; the pusher reads them at once."""

    help = "Make the order feeds due: of one channel or of all. They are read by the pusher of a running `serve`."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--channel", type=int, metavar="ID", help="only this channel (default: all active ones)"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        channels = Channel.objects.filter(is_active=True)
        if options["channel"] is not None:
            channels = channels.filter(pk=options["channel"])
        ids = list(channels.order_by("id").values_list("id", flat=True))
        if not ids:
            raise CommandError("There is no such active channel; see Channels in the back office.")
        ensure_feeds()
        for channel_id in ids:
            ask_for_poll(channel_id)
        text = (
            json.dumps({"asked": ids}) if options["json"] else f"{len(ids)} channels will be polled at once."
        )
        self.stdout.write(text)
