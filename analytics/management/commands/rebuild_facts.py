"""Computes the daily facts anew from ledger and orders."""

import json
import sys
from dataclasses import asdict
from time import monotonic
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.progress import Progress

from analytics.facts.rebuilding import Rebuild, rebuild
from inventory.models import Merchant


class Command(BaseCommand):
    """Counts all movements and orders anew, and exits with 1 when the facts had been others."""

    help = (
        "Compute the daily facts anew from the first movement and order, piece by piece while all goes on, and compare "
        "them with those that were kept. Exits with 1 when any differed: that is a bug to be reported."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--merchant", metavar="SLUG", help="only this merchant's")
        parser.add_argument("--check", action="store_true", help="only compare, and leave all as it is")
        parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        merchants = Merchant.objects.order_by("id")
        if options["merchant"]:
            merchants = merchants.filter(slug=options["merchant"])
            if not merchants:
                raise CommandError(f"No merchant has the slug {options['merchant']}.")
        started = monotonic()
        with Progress(console=Console(stderr=True), transient=True) as progress:
            found = {
                merchant.slug: _rebuild(progress, merchant, is_check=options["check"])
                for merchant in merchants
            }
        summary = _summary(found, round(monotonic() - started, 3))
        self.stdout.write(json.dumps(summary) if options["json"] else _text(summary))
        if not summary["facts_ok"]:
            sys.exit(1)


def _rebuild(progress: Progress, merchant: Merchant, *, is_check: bool) -> Rebuild:
    task = progress.add_task(merchant.name, total=None)
    return rebuild(
        merchant.pk,
        is_check=is_check,
        note=lambda done: progress.update(task, total=done.pieces_total, completed=done.pieces),
    )


def _summary(found: dict[str, Rebuild], seconds: float) -> dict[str, Any]:
    return {
        "facts_ok": all(each.is_ok for each in found.values()),
        "movements": sum(each.movements for each in found.values()),
        "orders": sum(each.orders for each in found.values()),
        "differing": sum(each.differing for each in found.values()),
        "seconds": seconds,
        "merchants": {slug: asdict(each) for slug, each in found.items()},
    }


def _text(summary: dict[str, Any]) -> str:
    counted = f"{summary['movements']} movements and {summary['orders']} orders in {summary['seconds']} s"
    if summary["facts_ok"]:
        return f"The facts are what ledger and orders say: {counted}."
    names = ", ".join(slug for slug, each in summary["merchants"].items() if each["differing"])
    return (
        f"The facts were NOT what ledger and orders say: {summary['differing']} rows differed, of {names} ({counted}). "
        "Keep this output: it is the evidence for a bug report."
    )
