"""Encrypts stored secrets anew under the newest key."""

import json
import sys
from time import monotonic
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from rich.console import Console
from rich.progress import Progress

from channels.key_rotation import Rotation, count_values, rotate


class Command(BaseCommand):
    """Rotates the keys that encrypt, not the platforms' own: those are swapped by `swap_keys`."""

    help = (
        "Encrypt every stored secret anew under the first of ONECOUNT_CREDENTIAL_KEYS, and tell which of the others may be "
        "removed. First let every process know the new key: restart `serve` with it, on every machine. May be ended and run "
        "again at any time. The exit code is 0 when every secret is under the newest key; with --dry-run, when every one "
        "can be opened."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="count what would be encrypted anew")
        parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        started = monotonic()
        rotation = self._rotate(is_dry_run=options["dry_run"])
        seconds = round(monotonic() - started, 3)
        if options["json"]:
            self.stdout.write(json.dumps(summary(rotation, seconds)))
        else:
            self._print(rotation)
        is_well = not rotation.unreadable if rotation.is_dry_run else rotation.is_complete
        if not is_well:
            sys.exit(1)

    def _rotate(self, *, is_dry_run: bool) -> Rotation:
        with Progress(console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("Encrypting secrets anew", total=count_values())
            return rotate(
                is_dry_run=is_dry_run, on_progress=lambda done: progress.update(task, completed=done)
            )

    def _print(self, rotation: Rotation) -> None:
        did = "would be encrypted anew" if rotation.is_dry_run else "encrypted anew"
        self.stdout.write(f"{rotation.rotated} {did}, {rotation.current} were under the newest key.")
        for key in rotation.keys:
            self.stdout.write(
                f"  key {key.position} ({key.fingerprint}): {key.values} values{_advice(rotation, key)}"
            )
        if rotation.unreadable:
            named = "; ".join(rotation.unreadable_named)
            self.stdout.write(
                self.style.ERROR(
                    f"{rotation.unreadable} are opened by no key: {named}. Add the key they need."
                )
            )


def _advice(rotation: Rotation, key: Any) -> str:
    if key.position == 1:
        return ", the newest"
    if key.may_be_removed and not rotation.unreadable:
        return ", may be removed; keep it with backups made before"
    return ", is still needed" if key.values else ""


def summary(rotation: Rotation, seconds: float) -> dict[str, Any]:
    """Returns the run as one JSON object."""
    return {
        "is_complete": rotation.is_complete,
        "is_dry_run": rotation.is_dry_run,
        "rotated": rotation.rotated,
        "current": rotation.current,
        "overtaken": rotation.overtaken,
        "unreadable": rotation.unreadable,
        "unreadable_named": rotation.unreadable_named,
        "keys": [
            {
                "position": key.position,
                "fingerprint": key.fingerprint,
                "values": key.values,
                "may_be_removed": key.may_be_removed and not rotation.unreadable,
            }
            for key in rotation.keys
        ],
        "seconds": seconds,
    }
