"""Runs one simulated shop until it is told to end."""

import json
import os
import signal
import threading
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from channels.sandbox import PROFILES, SANDBOXES

_PARENT_CHECK_SECONDS = 1.0


class Command(BaseCommand):
    """Prints one line of JSON (base_url, credentials, settings) when the shop is open, then serves."""

    help = "Runs a simulated shop on 127.0.0.1 until SIGTERM or Ctrl-C. Needs no database."
    requires_system_checks: tuple[str, ...] = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--platform", required=True, choices=sorted(SANDBOXES))
        parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
        parser.add_argument(
            "--name", default="", help="name of the shop; its secrets depend on it and on the seed"
        )
        parser.add_argument("--profile", default="healthy", choices=sorted(PROFILES))
        parser.add_argument(
            "--limits", default="true", choices=("true", "generous"), help="true: as the platform has them"
        )
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument(
            "--first-order", type=int, default=1, metavar="N", help="number of the first order (default 1)"
        )
        parser.add_argument(
            "--with-parent", action="store_true", help="end when the process that started it ends"
        )

    def handle(self, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        shop = SANDBOXES[options["platform"]](
            name=options["name"],
            port=options["port"],
            profile=PROFILES[options["profile"]],
            seed=options["seed"],
            limits=options["limits"],
        )
        shop.records.first_order = options["first_order"]
        with shop:
            ready = {
                "platform": shop.kind,
                "base_url": shop.base_url,
                "credentials": shop.credentials(),
                "settings": shop.settings(),
            }
            self.stdout.write(json.dumps(ready))
            self.stdout.flush()
            _wait(stop, parent=os.getppid() if options["with_parent"] else None)


def _wait(stop: threading.Event, *, parent: int | None) -> None:
    """Waits for the signal, or for the end of the parent."""
    while not stop.wait(_PARENT_CHECK_SECONDS):
        if parent is not None and os.getppid() != parent:
            return
