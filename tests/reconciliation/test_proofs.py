"""The ledger's proof as a job: from the last proven checkpoint on, in steps that survive a death, with a digest."""

import io
import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection
from django.utils import timezone

from inventory import proof
from inventory.checkpoint_digest import digest_of
from inventory.checkpoints import write
from inventory.models import CheckpointLevel, Reservation, StockCheckpoint, StockLevel, StockMovement
from reconciliation import proofs
from reconciliation.checks.ledger import freshness, verdict
from reconciliation.glance import glance
from reconciliation.health import sweep
from reconciliation.models import (
    Alert,
    ProofRun,
    ProofScope,
    ProofState,
    ProvenCheckpoint,
    Severity,
)
from reconciliation.proofs import finish, go_on, start
from tests.inventory.cast import Cast
from tests.inventory.racing import race

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast(db: None) -> Cast:
    return Cast()


@pytest.fixture
def stranger(db: None) -> Cast:
    return Cast()


@pytest.fixture
def history(cast: Cast) -> Cast:
    """Goods, holds and counts, with a checkpoint taken of them."""
    cast.receive(10)
    cast.receive(10, cast.shirt)
    cast.hold("a", 3)
    checkpoint(cast)
    return cast


def checkpoint(cast: Cast) -> StockCheckpoint:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (at,) = cursor.fetchone()
    written = write(cast.merchant.pk, at)
    assert written is not None
    return written


def go_on_selling(cast: Cast) -> None:
    cast.hold("b", 2)
    cast.settle("c", wanted=4)
    cast.settle("c", fulfilled=4)
    cast.count(5)


def prove(scope: ProofScope = ProofScope.INCREMENTAL) -> ProofRun:
    return finish(start(scope))


def tamper(sql: str, *parameters: int) -> None:
    """Does what only somebody with the keys to the database can: changes history behind its triggers."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE inventory_stockmovement DISABLE TRIGGER movement_is_never_changed")
        cursor.execute(sql, parameters)
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE inventory_stockmovement ENABLE TRIGGER movement_is_never_changed")


def kinds(run: ProofRun) -> set[str]:
    return {kind for kind, _ in run.steps}


def test_an_empty_ledger_holds() -> None:
    run = prove()
    assert (run.state, run.movements, run.divergences) == (ProofState.HELD, 0, [])


def test_the_first_proof_replays_everything_and_keeps_the_digest_of_the_newest_checkpoint(
    history: Cast,
) -> None:
    run = prove()
    kept = StockCheckpoint.objects.get()
    proven = ProvenCheckpoint.objects.get()
    assert kinds(run) == {"levels", "documents", "checkpoint", "digest"}
    assert (run.state, run.movements, run.checkpoints) == (
        ProofState.HELD,
        StockMovement.objects.count(),
        1,
    )
    assert (proven.at, proven.digest) == (kept.at, digest_of(kept))
    assert len(run.digest) == 64


def test_the_next_one_replays_only_what_was_recorded_since(history: Cast) -> None:
    prove()
    before = StockMovement.objects.count()
    go_on_selling(history)
    run = prove()
    assert kinds(run) == {"since", "live", "documents", "digest"}
    assert run.state == ProofState.HELD
    assert run.movements == StockMovement.objects.count() - before
    assert run.levels == StockLevel.objects.count()


def test_newer_checkpoints_are_proven_and_become_the_ground_of_the_next(history: Cast) -> None:
    first = prove()
    go_on_selling(history)
    newest = checkpoint(history)
    second = prove()
    assert second.checkpoints == 1
    assert second.digest != first.digest
    ground = proofs.ground_of(history.merchant.pk)
    assert ground is not None
    assert ground[0].pk == newest.pk


def test_the_same_past_has_the_same_digest_for_ever(history: Cast) -> None:
    first = prove()
    go_on_selling(history)
    second = prove()
    full = prove(ProofScope.FULL)
    assert first.digest == second.digest == full.digest


def test_a_full_proof_replays_all_and_every_checkpoint(history: Cast) -> None:
    prove()
    go_on_selling(history)
    checkpoint(history)
    run = prove(ProofScope.FULL)
    assert (run.state, run.movements, run.checkpoints) == (
        ProofState.HELD,
        StockMovement.objects.count(),
        2,
    )


def test_each_merchant_has_its_own_ground(history: Cast, stranger: Cast) -> None:
    prove()
    stranger.receive(4)
    run = prove()
    # The stranger has no proven checkpoint yet, so that all levels are replayed.
    assert {"since", "levels"} <= kinds(run)
    checkpoint(stranger)
    prove()
    assert kinds(prove()) == {"since", "live", "documents", "digest"}
    assert ProvenCheckpoint.objects.values("merchant").distinct().count() == 2


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE inventory_stockmovement SET on_hand_delta = on_hand_delta + 1 WHERE id = %s",
        "UPDATE inventory_stockmovement SET on_hand_after = on_hand_after + 1 WHERE id = %s",
        "UPDATE inventory_stockmovement SET reserved_delta = reserved_delta + 1 WHERE id = %s",
        "UPDATE inventory_stockmovement SET version = version + 1000 WHERE id = %s",
    ],
)
def test_a_movement_that_was_changed_since_is_found(history: Cast, sql: str) -> None:
    prove()
    go_on_selling(history)
    tamper(sql, StockMovement.objects.latest("id").pk)
    run = prove()
    assert run.state == ProofState.FAILED
    assert run.divergences[0]["sku"] == history.mug.sku
    assert run.digest == ""


def test_a_level_that_was_changed_is_found_although_nothing_moved_it(history: Cast) -> None:
    prove()
    tamper("UPDATE inventory_stocklevel SET on_hand = on_hand + 1 WHERE variant_id = %s", history.shirt.pk)
    run = prove()
    assert run.state == ProofState.FAILED
    assert "live level" in run.divergences[0]["problem"]


def test_a_reservation_that_was_changed_is_found(history: Cast) -> None:
    prove()
    go_on_selling(history)
    held = Reservation.objects.get(reference="a")
    tamper(
        "UPDATE inventory_reservation SET open_quantity = open_quantity - 1, released_quantity = released_quantity + 1"
        " WHERE id = %s",
        held.pk,
    )
    run = prove()
    assert f"reservation {held.pk} (a)" in run.divergences[0]["problem"]


def test_a_reservation_without_movements_is_found(history: Cast) -> None:
    cast = history
    cast.hold("b", 1)
    prove()
    gone = Reservation.objects.get(reference="b")
    tamper(
        "UPDATE inventory_reservation SET open_quantity = 0, released_quantity = quantity WHERE id = %s",
        gone.pk,
    )
    assert prove().state == ProofState.FAILED


def test_a_past_that_was_rewritten_with_its_checkpoint_no_longer_has_its_digest(history: Cast) -> None:
    """Even where movements, levels and checkpoint were all changed to fit each other."""
    prove()
    for table in ("stocklevel", "checkpointlevel"):
        key = "id" if table == "stocklevel" else "level_id"
        tamper(
            f"UPDATE inventory_{table} SET on_hand = on_hand + 1 WHERE {key} IN"
            " (SELECT id FROM inventory_stocklevel WHERE variant_id = %s)",
            history.shirt.pk,
        )
    tamper(
        "UPDATE inventory_stockmovement SET on_hand_delta = on_hand_delta + 1, on_hand_after = on_hand_after + 1"
        " WHERE level_id IN (SELECT id FROM inventory_stocklevel WHERE variant_id = %s)",
        history.shirt.pk,
    )
    assert list(proof.prove())[-1].is_ok
    run = prove()
    assert run.state == ProofState.FAILED
    assert "was changed since" in run.divergences[0]["problem"]


def test_a_checkpoint_that_is_gone_is_replaced_by_the_one_before_it(history: Cast) -> None:
    older = StockCheckpoint.objects.get()
    prove()
    go_on_selling(history)
    newer = checkpoint(history)
    prove()
    CheckpointLevel.objects.filter(checkpoint=newer).delete()
    StockCheckpoint.objects.filter(pk=newer.pk).delete()
    ground = proofs.ground_of(history.merchant.pk)
    assert ground is not None
    assert ground[0].pk == older.pk
    assert prove().state == ProofState.HELD


def test_what_did_not_hold_is_no_ground_for_the_next(history: Cast) -> None:
    go_on_selling(history)
    tamper("UPDATE inventory_stocklevel SET on_hand = on_hand + 1 WHERE variant_id = %s", history.mug.pk)
    assert prove().state == ProofState.FAILED
    assert not ProvenCheckpoint.objects.exists()


# -- as a job


def test_a_job_does_a_few_steps_and_the_next_one_goes_on(
    history: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proof, "BATCH", 1)
    run = start(ProofScope.FULL)
    steps = 0
    while run.state == ProofState.RUNNING:
        steps += go_on(seconds=0.0)
        run.refresh_from_db()
    assert (run.state, run.position) == (ProofState.HELD, len(run.steps))
    assert len(run.steps) > 4
    assert steps >= len(run.steps)


def test_a_process_that_dies_leaves_its_step_to_the_next(
    history: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start(ProofScope.FULL)
    ProofRun.objects.filter(pk=run.pk).update(leased_until=timezone.now() + timedelta(minutes=1))
    assert go_on() == 0
    with pytest.raises(proofs.ProofBusy):
        finish(run)
    ProofRun.objects.filter(pk=run.pk).update(leased_until=timezone.now() - timedelta(seconds=1))
    assert go_on() > 0
    run.refresh_from_db()
    assert run.state == ProofState.HELD


def test_one_proof_of_a_scope_runs_at_a_time(history: Cast) -> None:
    first = start(ProofScope.FULL)
    assert start(ProofScope.FULL).pk == first.pk
    assert start(ProofScope.INCREMENTAL).pk != first.pk


@pytest.mark.django_db(transaction=True)
def test_several_workers_share_no_step() -> None:
    cast = Cast()
    cast.receive(10)
    cast.hold("a", 3)
    run = start(ProofScope.FULL)
    race([go_on, go_on, go_on])
    run.refresh_from_db()
    if run.state == ProofState.RUNNING:
        finish(run)
        run.refresh_from_db()
    assert (run.state, run.movements) == (ProofState.HELD, StockMovement.objects.count())


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("scope", ProofScope)
def test_it_holds_while_the_shop_is_open(scope: ProofScope, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step sees another moment; what is sold in between is no divergence."""
    monkeypatch.setattr(proof, "BATCH", 1)
    cast = Cast()
    cast.receive(200)
    cast.receive(200, cast.shirt)
    checkpoint(cast)
    prove()

    def sell() -> None:
        for number in range(25):
            cast.hold(f"cart-{number}", 2)
            cast.settle(f"order-{number}", wanted=3)
            cast.settle(f"order-{number}", fulfilled=3)
            cast.receive(1, cast.shirt)

    def prove_often() -> list[str]:
        return [prove(scope).state for _ in range(5)]

    sold, states = race([sell, prove_often])
    assert sold is None
    assert states == [ProofState.HELD] * 5


def test_a_step_that_fails_is_tried_again_and_given_up_without_a_verdict(
    history: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any) -> None:
        raise DatabaseError("canceling statement due to statement timeout")

    monkeypatch.setitem(proofs._DO, "levels", fail)
    run = start(ProofScope.FULL)
    for _ in range(proofs.LARGEST_ATTEMPTS):
        go_on()
    run.refresh_from_db()
    assert (run.state, run.position) == (ProofState.BROKEN, 0)
    assert "canceling statement" in run.error
    assert verdict().is_ok


# -- what people hear of it


def test_a_ledger_that_does_not_hold_is_the_highest_alert_until_a_full_proof_holds(history: Cast) -> None:
    prove()
    tamper("UPDATE inventory_stocklevel SET on_hand = on_hand + 1 WHERE variant_id = %s", history.shirt.pk)
    prove()
    sweep()
    alert = Alert.objects.get(kind="ledger_diverges")
    assert alert.severity == Severity.EMERGENCY == max(Severity)
    assert history.shirt.sku in alert.title
    assert glance().ledger_holds is False
    tamper("UPDATE inventory_stocklevel SET on_hand = on_hand - 1 WHERE variant_id = %s", history.shirt.pk)
    prove()
    assert not verdict().is_ok
    prove(ProofScope.FULL)
    sweep()
    alert.refresh_from_db()
    assert alert.resolved_at is not None
    assert glance().ledger_holds is True


def test_a_proof_that_was_missed_is_noticed(history: Cast) -> None:
    assert freshness(ProofScope.INCREMENTAL).says == "its first night is still to come"
    prove()
    assert freshness(ProofScope.INCREMENTAL).is_ok
    ProofRun.objects.update(finished_at=timezone.now() - timedelta(hours=31))
    late = freshness(ProofScope.INCREMENTAL)
    assert not late.is_ok
    assert late.remedy
    prove(ProofScope.FULL)
    assert freshness(ProofScope.INCREMENTAL).is_ok
    assert freshness(ProofScope.FULL).is_ok


def test_the_command_proves_and_keeps_the_result(history: Cast) -> None:
    out = io.StringIO()
    call_command("prove_ledger", "--json", stdout=out)
    told = json.loads(out.getvalue())
    assert told["ledger_ok"] is True
    assert told["digest"] == ProofRun.objects.get().digest
    tamper("UPDATE inventory_stocklevel SET on_hand = on_hand + 1 WHERE variant_id = %s", history.shirt.pk)
    out = io.StringIO()
    with pytest.raises(SystemExit):
        call_command("prove_ledger", "--full", stdout=out)
    assert "does NOT hold" in out.getvalue()
