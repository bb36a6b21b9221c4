"""Sends what the merchants' own systems are to be told now."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from reconciliation.outgoing.messenger import send_all


class Command(BaseCommand):
    """Sends what is due once and ends; `serve` does so all the time."""

    help = (
        "Make what happened into webhook messages and send all that are due, once. `serve` does this all the time; use it "
        "where `serve` does not run, or to see a failure at once. Safe beside `serve`."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Adds --threads and --json."""
        parser.add_argument(
            "--threads", type=int, default=8, help="messages on their way at the same time (8)"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, threads: int, json: bool, **options: Any) -> None:
        """Sends, and says how many messages that were."""
        count = send_all(threads=max(1, threads))
        self.stdout.write(_as_json(count) if json else f"{count} messages sent or tried.")


def _as_json(count: int) -> str:
    return json.dumps({"messages": count})
