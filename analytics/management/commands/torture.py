"""Lets everything go wrong at once, and tells what did not hold."""

import json
import secrets
import sys
from argparse import ArgumentTypeError
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser

from channels.demo.arguments import above_zero, at_least_one
from channels.sandbox import SANDBOXES

_CHANNELS: Final = "shopify,woocommerce,bol,shopify,woocommerce"


class Command(BaseCommand):
    """Runs the harness under `tests/torture/` and prints its verdict; the exit code is 1 where something was violated."""

    help = (
        "Run the whole program (web, jobs, pusher, reconciler, a PostgreSQL of its own) against simulated shops while "
        "everything goes wrong: messages doubled, lost, forged and late, processes killed, the database stopped, shops that "
        "err. Then compare ledger, shelves and the shops' own order books. One seed decides what happens and when; the timing "
        "of processes it does not decide, so that a failing seed may need a few runs. Needs a checkout with the development "
        "requirements, and leaves nothing behind."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--seed", type=int, help="decides everything (default: a random one, which is printed)"
        )
        parser.add_argument(
            "--events",
            type=at_least_one,
            help="orders, cancellations, shipments, calls of the API (default: 500)",
        )
        parser.add_argument(
            "--faults",
            help="all, none, or names separated by commas; --list-faults tells them (default: all)",
        )
        parser.add_argument(
            "--list-faults", action="store_true", help="print every fault and what it is, and end"
        )
        parser.add_argument(
            "--channels",
            type=_kinds,
            default=_CHANNELS,
            metavar="KINDS",
            help="one shop for each kind that is named (default: %(default)s)",
        )
        parser.add_argument(
            "--workers", type=at_least_one, default=2, help="web worker processes (default: %(default)s)"
        )
        parser.add_argument(
            "--duration",
            type=above_zero,
            metavar="SECONDS",
            help="in which the events happen (default: 25 a second)",
        )
        parser.add_argument(
            "--sabotage", metavar="NAME", help="switch one safeguard off; the verdict has to notice"
        )
        parser.add_argument(
            "--keep", action="store_true", help="leave the database behind, stopped, until the next torture"
        )
        parser.add_argument(
            "--within",
            type=above_zero,
            default=30.0,
            metavar="SECONDS",
            help="after the last fault every shop has to show the ledger (default: %(default)s)",
        )
        parser.add_argument("--json", action="store_true", help="print the verdict as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            from tests.torture import faults, sabotage
            from tests.torture.run import Options, torture
        except ImportError as error:
            raise CommandError(
                f"The torture lives in a checkout of the source, under tests/ ({error}). Run this from one."
            ) from error
        if options["list_faults"]:
            for name, what in faults.described().items():
                self.stdout.write(f"{name:22} {what}")
            return
        off = _sabotage(options["sabotage"], sabotage.SABOTAGES)
        try:
            names = (
                faults.chosen(options["faults"]) if options["faults"] else off.faults if off else faults.NAMES
            )
        except ValueError as error:
            raise CommandError(str(error)) from None
        seed = secrets.randbelow(1_000_000) if options["seed"] is None else options["seed"]
        verdict = torture(
            Options(
                seed=seed,
                events=options["events"] or (off.events if off else 500),
                faults=names,
                kinds=options["channels"],
                workers=options["workers"],
                seconds=options["duration"] or (off.seconds if off else None),
                sabotage=options["sabotage"],
                within=options["within"],
                is_kept=options["keep"],
            ),
            report=self.stderr.write,
        )
        self.stdout.write(
            json.dumps(verdict.as_json(), default=str) if options["json"] else "\n".join(verdict.lines())
        )
        if verdict.violations:
            sys.exit(1)


def _sabotage(name: str | None, known: dict[str, Any]) -> Any:
    if name is not None and name not in known:
        raise CommandError(f"There is no sabotage {name}; there are {', '.join(known)}.")
    return known.get(name or "")


def _kinds(text: str) -> list[str]:
    kinds = [kind.strip() for kind in text.split(",") if kind.strip()]
    unknown = sorted(set(kinds) - SANDBOXES.keys())
    if unknown or not kinds:
        named = (
            f"{', '.join(unknown)} is no simulated platform; there"
            if unknown
            else "At least one is needed; there"
        )
        raise ArgumentTypeError(f"{named} are {', '.join(sorted(SANDBOXES))}.")
    return kinds
