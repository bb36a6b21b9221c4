"""Proves the ledger now, and keeps the result as the schedules do."""

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from reconciliation.models import ProofRun, ProofScope, ProofState
from reconciliation.proofs import ProofBusy, finish, start


class Command(BaseCommand):
    """Runs a recorded proof to its end; exits with 1 when the ledger does not hold."""

    help = (
        "Prove the ledger from the last proven checkpoints on, or in full, and keep the result with its digest under "
        "Ledger proofs. Changes no stock. Exits with 1 when the ledger does not hold. `verify_ledger` proves without keeping."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--full", action="store_true", help="replay the whole ledger")
        parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        scope = ProofScope.FULL if options["full"] else ProofScope.INCREMENTAL
        try:
            run = finish(start(scope, asked_by="prove_ledger"))
        except ProofBusy as error:
            raise CommandError(
                "A job is proving it already; see Ledger proofs in the back office."
            ) from error
        self.stdout.write(json.dumps(summary(run)) if options["json"] else _sentence(run))
        if run.state != ProofState.HELD:
            sys.exit(1)


def _sentence(run: ProofRun) -> str:
    counted = f"{run.movements} movements, {run.levels} levels, {run.checkpoints} checkpoints"
    if run.state == ProofState.HELD:
        return f"The ledger holds: {counted}; digest {run.digest}."
    first = run.divergences[0]["problem"] if run.divergences else run.error
    return f"The ledger does NOT hold ({counted}): {first}"


def summary(run: ProofRun) -> dict[str, Any]:
    """Returns a finished run as one JSON object."""
    names = (
        "scope",
        "state",
        "levels",
        "movements",
        "reservations",
        "checkpoints",
        "digest",
        "divergences",
        "error",
    )
    return {"id": run.pk, "ledger_ok": run.state == ProofState.HELD} | {n: getattr(run, n) for n in names}
