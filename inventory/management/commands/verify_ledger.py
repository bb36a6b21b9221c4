"""Proves that the stock levels are exactly what the ledger's movements say."""

import json
import sys
from dataclasses import asdict
from time import monotonic
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from rich.console import Console
from rich.progress import Progress

from inventory.divergences import Divergence
from inventory.proof import Proof, prove


class Command(BaseCommand):
    """Replays every movement, compares levels, reservations and checkpoints, and exits with 1 when one differs."""

    help = (
        "Replay every movement of the ledger and compare with the live levels, reservations and checkpoints. "
        "Changes nothing. Exits with 1 and names the first divergent movement when they differ."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--json",
            action="store_true",
            help="print one JSON object on standard output",
        )
        parser.add_argument(
            "--at-most",
            type=int,
            default=20,
            metavar="N",
            help="divergences to list (default 20)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        started = monotonic()
        proof = self._prove_with_progress(options["at_most"])
        seconds = round(monotonic() - started, 3)
        if options["json"]:
            self.stdout.write(json.dumps(summary(proof, seconds)))
        else:
            self._print(proof, seconds)
        if not proof.is_ok:
            sys.exit(1)

    def _prove_with_progress(self, at_most: int) -> Proof:
        proof = Proof()
        with Progress(console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("Replaying levels", total=None)
            for proof in prove(at_most=at_most):
                progress.update(task, total=proof.levels_total, completed=proof.levels)
        return proof

    def _print(self, proof: Proof, seconds: float) -> None:
        counted = (
            f"{proof.movements} movements, {proof.levels} levels, {proof.reservations} reservations, "
            f"{proof.checkpoints} checkpoints"
        )
        if proof.is_ok:
            self.stdout.write(self.style.SUCCESS(f"The ledger holds: {counted} in {seconds} s."))
            return
        self.stdout.write(self.style.ERROR(f"The ledger does NOT hold ({counted})."))
        for d in proof.divergences:
            self.stdout.write(f"  {d.sku} at {d.location}, {_place_of(d)}: {d.problem}")
            self.stdout.write(f"    expected {d.expected}, found {d.found}")
        self.stdout.write("Nothing was changed. Keep this output: it is the evidence for a bug report.")


def _place_of(divergence: Divergence) -> str:
    if divergence.movement_id:
        return f"movement {divergence.movement_id} (version {divergence.version})"
    return f"level {divergence.level_id}" if divergence.level_id else "inbound"


def summary(proof: Proof, seconds: float) -> dict[str, Any]:
    """Returns the proof as one JSON object."""
    divergences = [asdict(divergence) for divergence in proof.divergences]
    return {
        "ledger_ok": proof.is_ok,
        "levels": proof.levels,
        "movements": proof.movements,
        "reservations": proof.reservations,
        "checkpoints": proof.checkpoints,
        "seconds": seconds,
        "first_divergence": divergences[0] if divergences else None,
        "divergences": divergences,
    }
