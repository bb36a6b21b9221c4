"""Whether the ledger was proven lately, and held."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import Q
from django.utils import timezone

from config.admin_panels import address_of, duration, list_of
from inventory.models import StockOperation
from reconciliation.checks.results import Result
from reconciliation.models import ProofRun, ProofScope, ProofState, Severity

#: A proof that is older than this was missed: a day, or a week, and some hours.
OVERDUE: Final = {ProofScope.INCREMENTAL: timedelta(hours=30), ProofScope.FULL: timedelta(days=8)}
_ENDED: Final = Q(state__in=[ProofState.HELD, ProofState.FAILED])


def proof() -> Iterator[Result]:
    """Judges the verdict of the last proofs, then how long ago they were."""
    yield verdict()
    for scope in ProofScope:
        yield freshness(scope)


def verdict() -> Result:
    """Says whether the ledger holds. What did not hold once counts until a full proof holds after it."""
    failed = ProofRun.objects.filter(state=ProofState.FAILED).order_by("-pk").first()
    if failed is not None and not _held_in_full_after(failed):
        return _broken_ledger(failed)
    held = ProofRun.objects.filter(state=ProofState.HELD).order_by("-pk").first()
    says = f"holds, digest {held.digest[:12]}" if held else "not proven yet"
    return Result("ledger_diverges", "Ledger", says)


def _held_in_full_after(failed: ProofRun) -> bool:
    held = ProofRun.objects.filter(pk__gt=failed.pk, state=ProofState.HELD, scope=ProofScope.FULL)
    return held.exists()


def _broken_ledger(run: ProofRun) -> Result:
    first = run.divergences[0] if run.divergences else {}
    where = f"{first.get('sku', '')} at {first.get('location', '')}: " if first.get("sku") else ""
    return Result(
        "ledger_diverges",
        "Ledger",
        f"does NOT hold: {where}{first.get('problem', '')}",
        is_ok=False,
        remedy=(
            "Change nothing. Keep the run's page and the output of `verify_ledger --json` as evidence, dump the database, "
            "and report it. When it is put right, press Prove all on Ledger proofs."
        ),
        severity=Severity.EMERGENCY,
        link=address_of("reconciliation.proofrun", run.pk),
        evidence={"run": run.pk, "scope": run.scope, "divergences": run.divergences[:5]},
    )


def freshness(scope: ProofScope) -> Result:
    """Says whether a proof of this scope was finished lately."""
    named: dict[str, Any] = {
        "kind": "proof_overdue",
        "thing": f"Proof, {scope.value}",
        "subject": scope.value,
    }
    # A full proof is an incremental one as well.
    scopes = [scope, ProofScope.FULL]
    ended = ProofRun.objects.filter(_ENDED, scope__in=scopes).order_by("-finished_at").first()
    since = ended.finished_at if ended else _first_operation_at()
    if since is None:
        return Result(says="nothing to prove yet", **named)
    age = timezone.now() - since
    if age <= OVERDUE[scope]:
        says = f"finished {duration(age)} ago" if ended else "its first night is still to come"
        return Result(says=says, **named)
    broken = ProofRun.objects.filter(scope=scope, state=ProofState.BROKEN).order_by("-pk").first()
    return Result(
        says=f"not finished for {duration(age)}" + (f": {broken.error[:200]}" if broken else ""),
        is_ok=False,
        remedy="See that the process jobs of `serve` runs, then press Prove recent or Prove all on Ledger proofs.",
        link=list_of("reconciliation.proofrun"),
        **named,
    )


def _first_operation_at() -> datetime | None:
    return StockOperation.objects.order_by("pk").values_list("recorded_at", flat=True).first()
