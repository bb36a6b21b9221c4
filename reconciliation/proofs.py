"""The ledger's proof as a job: nightly from the last proven checkpoint of each merchant on, weekly in full.

A run is a row with its steps. Each step is a few statements that each see one moment, so that a run needs no long
transaction, goes on where a process died, and never takes longer than a job may. What it proved of a merchant is kept as
the digest of the newest checkpoint: the next run first sees whether that checkpoint still is what was proven.

Nothing is healed. A run that does not hold is the highest alert there is, until a full run holds again.
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta
from typing import Any, Final

import structlog
from django.db import DatabaseError, transaction
from django.db.models import F, Q
from django.utils import timezone

from config.jobs import wake
from inventory.checkpoint_digest import digest_of
from inventory.checkpoint_proof import checkpoints_in_order
from inventory.divergences import Divergence
from inventory.incremental_proof import prove_live_levels, prove_since
from inventory.models import Merchant, StockCheckpoint
from inventory.proof import (
    Proof,
    level_ranges,
    note_divergences,
    prove_checkpoint,
    prove_documents,
    prove_levels,
)
from reconciliation.models import ProofRun, ProofScope, ProofState, ProvenCheckpoint

log = structlog.get_logger(__name__)

GO_ON: Final = "reconciliation.tasks.go_on_proving"
#: Divergences that a run keeps.
AT_MOST: Final = 20
#: Seconds that a job stays with a run; what is left is done by the next one.
JOB_SECONDS: Final = 45.0
#: Longer than a job may take; the step of a process that died is tried again then.
LEASE: Final = timedelta(minutes=3)
#: Failures of one step in a row after which a run is given up.
LARGEST_ATTEMPTS: Final = 5


class ProofBusy(Exception):
    """A proof of this scope is running already."""


def start(scope: ProofScope, *, asked_by: str = "") -> ProofRun:
    """Begins a proof; one of the same scope that runs already is returned instead."""
    with transaction.atomic():
        running = {"scope": scope, "state": ProofState.RUNNING}
        run, is_new = ProofRun.objects.get_or_create(
            **running, defaults={"started_at": timezone.now(), "asked_by": asked_by}
        )
        if is_new:
            run.steps = _STEPS[scope]()
            run.save(update_fields=["steps"])
    wake(GO_ON)
    return run


def go_on(*, seconds: float = JOB_SECONDS) -> int:
    """Takes the open runs further; returns how many steps were done. Wakes the next job where more is left."""
    until, done = time.monotonic() + seconds, 0
    for pk in ProofRun.objects.filter(state=ProofState.RUNNING).order_by("pk").values_list("pk", flat=True):
        done += _advance(pk, until)
    if ProofRun.objects.filter(_free()).exists() and time.monotonic() >= until:
        wake(GO_ON)
    return done


def wake_open() -> None:
    """Wakes a job where a run is in nobody's hands: a wake-up may have been lost, or its process died."""
    if ProofRun.objects.filter(_free()).exists():
        wake(GO_ON)


def finish(run: ProofRun) -> ProofRun:
    """Takes one run to its end, for whoever waits for it. Raises `ProofBusy` while another process has it."""
    while run.state == ProofState.RUNNING:
        if not _advance(run.pk, time.monotonic() + JOB_SECONDS):
            run.refresh_from_db()
            if run.state == ProofState.RUNNING:
                raise ProofBusy
        run.refresh_from_db()
    return run


def _free() -> Q:
    """Running and in nobody's hands."""
    is_free = Q(leased_until__isnull=True) | Q(leased_until__lt=timezone.now())
    return Q(state=ProofState.RUNNING) & is_free


def _advance(pk: int, until: float) -> int:
    """Does the next steps of a run; returns how many, 0 where another process has it."""
    if not ProofRun.objects.filter(_free(), pk=pk).update(leased_until=timezone.now() + LEASE):
        return 0
    run, done = ProofRun.objects.get(pk=pk), 0
    while run.position < len(run.steps) and (not done or time.monotonic() < until):
        try:
            _do_step(run)
        except DatabaseError as error:
            _note_failure(run, error)
            return done + 1
        done += 1
    if run.position >= len(run.steps):
        _conclude(run)
        return done + 1
    ProofRun.objects.filter(pk=pk).update(leased_until=None)
    return done


def _do_step(run: ProofRun) -> None:
    """Does one step, and commits what it found with the fact that it is done."""
    kind, key = run.steps[run.position]
    proof = Proof(divergences=[Divergence(**each) for each in run.divergences])
    with transaction.atomic():
        _DO[kind](run, proof, key)
        run.levels += proof.levels
        run.movements += proof.movements
        run.reservations += proof.reservations
        run.checkpoints += proof.checkpoints
        run.divergences = [asdict(each) for each in proof.divergences]
        run.position += 1
        run.attempts = 0
        run.error = ""
        run.leased_until = timezone.now() + LEASE
        run.save()


def _note_failure(run: ProofRun, error: DatabaseError) -> None:
    """Notes that a step could not be done; says nothing of the ledger."""
    log.warning("proof_step_failed", run=run.pk, step=run.steps[run.position], error=str(error))
    ProofRun.objects.filter(pk=run.pk).update(
        attempts=F("attempts") + 1, error=str(error)[:2000], leased_until=None
    )
    given_up = ProofRun.objects.filter(pk=run.pk, attempts__gte=LARGEST_ATTEMPTS)
    given_up.update(state=ProofState.BROKEN, finished_at=timezone.now())


def _conclude(run: ProofRun) -> None:
    """Ends a run with its verdict. Only what was found without a flaw becomes the ground of the next."""
    holds = not run.divergences
    with transaction.atomic():
        if not holds:
            ProvenCheckpoint.objects.filter(run=run).delete()
        run.state = ProofState.HELD if holds else ProofState.FAILED
        run.digest = _digest_of(run) if holds else ""
        run.finished_at, run.leased_until = timezone.now(), None
        run.save()
    log.info("ledger_proven", run=run.pk, scope=run.scope, holds=holds, digest=run.digest)


def _digest_of(run: ProofRun) -> str:
    """Returns one digest for all that a run has proven: instants and digests of the checkpoints, by merchant."""
    proven = ProvenCheckpoint.objects.filter(run=run).order_by("merchant_id")
    lines = [f"{each.merchant_id} {each.at.isoformat()} {each.digest}\n" for each in proven]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


# -- the steps


def _steps_of_all() -> list[list[Any]]:
    """Returns the steps of a full proof: every range of levels, the documents, every checkpoint, every digest."""
    return [
        *(["levels", first] for first in level_ranges()),
        ["documents", 0],
        *(["checkpoint", checkpoint.pk] for checkpoint, _before in checkpoints_in_order()),
        *(["digest", merchant_id] for merchant_id in _merchant_ids()),
    ]


def _steps_since() -> list[list[Any]]:
    """Returns the steps of a proof from the last proven checkpoints on; a merchant without one is replayed whole."""
    merchants = _merchant_ids()
    fresh = [pk for pk in merchants if ground_of(pk) is None]
    whole = {"levels": level_ranges()} if fresh else {"live": level_ranges()}
    return [
        *(["since", pk] for pk in merchants if pk not in fresh),
        *([kind, first] for kind, ranges in whole.items() for first in ranges),
        ["documents", 0],
        *(["checkpoint", each.pk] for each, _before in checkpoints_in_order() if each.merchant_id in fresh),
        *(["digest", pk] for pk in merchants),
    ]


def _merchant_ids() -> list[int]:
    return list(Merchant.objects.order_by("pk").values_list("pk", flat=True))


def ground_of(merchant_id: int) -> tuple[StockCheckpoint, ProvenCheckpoint] | None:
    """Returns the newest proven checkpoint of a merchant that is still kept, with its proof; None where there is none."""
    for proven in ProvenCheckpoint.objects.filter(merchant=merchant_id, run__state=ProofState.HELD).order_by(
        "-at", "-pk"
    )[:10]:
        kept = StockCheckpoint.objects.filter(merchant=merchant_id, at=proven.at).first()
        if kept is not None:
            return kept, proven
    return None


def _prove_levels(run: ProofRun, proof: Proof, first: int) -> None:
    prove_levels(proof, first, at_most=AT_MOST)


def _prove_live(run: ProofRun, proof: Proof, first: int) -> None:
    prove_live_levels(proof, first, at_most=AT_MOST)


def _prove_documents(run: ProofRun, proof: Proof, _key: int) -> None:
    prove_documents(proof, at_most=AT_MOST)


def _prove_checkpoint(run: ProofRun, proof: Proof, checkpoint_id: int) -> None:
    """Proves one checkpoint, unless it was thinned out meanwhile."""
    checkpoint = StockCheckpoint.objects.filter(pk=checkpoint_id).first()
    if checkpoint is not None:
        earlier = StockCheckpoint.objects.filter(merchant=checkpoint.merchant_id, at__lt=checkpoint.at)
        prove_checkpoint(proof, checkpoint, earlier.order_by("-at").first(), at_most=AT_MOST)


def _prove_since(run: ProofRun, proof: Proof, merchant_id: int) -> None:
    """Sees whether the ground still is what was proven, replays what came since, and proves newer checkpoints."""
    ground = ground_of(merchant_id)
    if ground is None:
        return
    base, proven = ground
    found = digest_of(base)
    if found != proven.digest:
        note_divergences(proof, [_changed(base, proven.digest, found)], AT_MOST)
    prove_since(proof, base, at_most=AT_MOST)
    before = base
    newer = StockCheckpoint.objects.filter(merchant=merchant_id, at__gt=base.at).order_by("at")
    for checkpoint in newer:
        prove_checkpoint(proof, checkpoint, before, at_most=AT_MOST)
        before = checkpoint


def _changed(base: StockCheckpoint, expected: str, found: str) -> Divergence:
    problem = f"the checkpoint of {base} is not what was proven: it was changed since"
    return Divergence(0, "", "", None, None, problem, {"digest": expected}, {"digest": found})


def _keep_digest(run: ProofRun, proof: Proof, merchant_id: int) -> None:
    """Keeps the digest of a merchant's newest checkpoint that existed when the run began."""
    kept = StockCheckpoint.objects.filter(merchant=merchant_id, written_at__lte=run.started_at)
    newest = kept.order_by("-at").first()
    if newest is not None:
        proven = {"at": newest.at, "digest": digest_of(newest), "proven_at": timezone.now()}
        ProvenCheckpoint.objects.update_or_create(run=run, merchant_id=merchant_id, defaults=proven)


_DO: Final[dict[str, Callable[[ProofRun, Proof, int], None]]] = {
    "levels": _prove_levels,
    "live": _prove_live,
    "documents": _prove_documents,
    "checkpoint": _prove_checkpoint,
    "since": _prove_since,
    "digest": _keep_digest,
}

_STEPS: Final[dict[ProofScope, Callable[[], list[list[Any]]]]] = {
    ProofScope.INCREMENTAL: _steps_since,
    ProofScope.FULL: _steps_of_all,
}
