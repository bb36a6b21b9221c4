"""Cancelling at a platform: told once whatever dies in between, and done when the platform's own order says so."""

import pytest
from django.db import connection

from channels.errors import OutcomeUnknown, Rejected, TransientError, Unauthorised
from channels.models import Channel, ChannelHealth
from inventory.models import Conflict, Reservation
from reconciliation import cancelling
from reconciliation.models import RemedyKind, Resolution
from reconciliation.remedies import undecided_units
from reconciliation.resolving import drop, try_again
from tests.inventory.cast import assert_ledger_holds
from tests.reconciliation.desk import CancellingConnector, Desk, apply

pytestmark = pytest.mark.django_db

CANCEL = RemedyKind.CANCEL


def cancel(desk: Desk, units: int = 2) -> tuple[Conflict, Resolution]:
    conflict = desk.oversell(units)
    return conflict, apply(conflict, CANCEL)


def state_of(resolution: Resolution) -> str:
    resolution.refresh_from_db()
    return resolution.state


def test_the_platform_cancels_and_the_ledger_follows_its_order(desk: Desk) -> None:
    conflict, resolution = cancel(desk)
    assert (state_of(resolution), desk.platform.told) == ("wanted", [])
    desk.tell()
    assert state_of(resolution) == "confirmed"
    assert (resolution.refunds, resolution.restocks) == (False, False)
    conflict.refresh_from_db()
    assert conflict.open_quantity == 2
    desk.fetch()
    conflict.refresh_from_db()
    assert (state_of(resolution), conflict.open_quantity) == ("done", 0)
    assert_ledger_holds()


def test_no_call_is_made_within_a_transaction(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    depth = len(connection.savepoint_ids)
    seen: list[int] = []

    def opened(channel: Channel) -> CancellingConnector:
        seen.append(len(connection.savepoint_ids))
        return desk.connector

    cancel(desk)
    monkeypatch.setattr(cancelling, "open_connector", opened)
    desk.tell()
    assert seen == [depth]


def test_what_a_process_did_that_died_after_the_call_is_seen_in_the_order(desk: Desk) -> None:
    conflict, resolution = cancel(desk)
    desk.platform.losses = [KeyboardInterrupt()]  # type: ignore[list-item]
    with pytest.raises(KeyboardInterrupt):
        desk.tell()
    assert state_of(resolution) == "calling"
    assert undecided_units(conflict) == 0
    desk.tell()
    desk.fetch()
    assert state_of(resolution) == "done"
    assert len(desk.platform.told) == 1
    assert desk.line(desk.line_number(conflict)).cancelled == 2
    assert_ledger_holds()


def test_a_process_that_dies_before_the_call_leaves_it_to_be_repeated_under_the_same_id(desk: Desk) -> None:
    conflict, resolution = cancel(desk)
    desk.platform.refusals = [KeyboardInterrupt()]  # type: ignore[list-item]
    with pytest.raises(KeyboardInterrupt):
        desk.tell()
    assert state_of(resolution) == "calling"
    assert undecided_units(conflict) == 0
    desk.tell()
    desk.fetch()
    assert state_of(resolution) == "done"
    assert (len(desk.platform.told), len(set(desk.platform.told))) == (2, 1)
    assert desk.line(desk.line_number(conflict)).cancelled == 2
    assert_ledger_holds()


def test_what_the_customer_has_cancelled_meanwhile_is_not_cancelled_besides(desk: Desk) -> None:
    """Five ordered, three there; the customer cancels the two that are owed, and nobody has told us yet."""
    desk.receive(3)
    conflict = desk.oversell(2, stock=3)
    resolution = apply(conflict, CANCEL)
    desk.platform.cancel(desk.line_number(conflict), "line-MUG", 2)
    desk.tell()
    assert (state_of(resolution), desk.platform.told) == ("dropped", [])
    conflict.refresh_from_db()
    assert (conflict.open_quantity, desk.shop.level("MUG")) == (0, (3, 3))
    assert_ledger_holds()


def test_an_order_that_cannot_be_read_first_waits_however_long(desk: Desk) -> None:
    conflict, resolution = cancel(desk)
    number = desk.line_number(conflict)
    order, desk.platform.orders[number] = desk.platform.orders[number], TransientError("down")
    for _ in range(cancelling.ATTEMPTS + 2):
        ChannelHealth.objects.update(breaker_open_until=None)
        assert desk.tell() == 0
    assert (state_of(resolution), resolution.attempts, resolution.error) == ("calling", 0, "down")
    desk.platform.orders[number] = order
    ChannelHealth.objects.update(breaker_open_until=None)
    assert desk.tell() == 1
    assert state_of(resolution) == "confirmed"


def test_an_answer_that_was_lost_is_read_from_the_order(desk: Desk) -> None:
    conflict, resolution = cancel(desk)
    desk.platform.losses = [OutcomeUnknown()]
    desk.tell()
    assert state_of(resolution) == "calling"
    desk.tell()
    desk.fetch()
    conflict.refresh_from_db()
    assert (state_of(resolution), conflict.open_quantity) == ("done", 0)
    assert_ledger_holds()


def test_a_platform_that_fails_for_long_is_shown_and_its_units_are_free(desk: Desk) -> None:
    conflict, resolution = cancel(desk)
    desk.platform.refusals = [TransientError("down")] * cancelling.ATTEMPTS
    for _ in range(cancelling.ATTEMPTS):
        ChannelHealth.objects.update(breaker_open_until=None)
        assert desk.tell() == 1
    assert state_of(resolution) == "failed"
    assert "It may have been cancelled" in resolution.error
    assert undecided_units(conflict) == 2
    assert try_again(resolution)
    ChannelHealth.objects.update(breaker_open_until=None)
    desk.tell()
    assert state_of(resolution) == "confirmed"
    assert len(set(desk.platform.told)) == 1


def test_what_the_platform_refuses_is_a_persons_to_solve(desk: Desk) -> None:
    conflict, resolution = cancel(desk)
    desk.platform.refusals = [Rejected("The line has 0 open units.")]
    desk.tell()
    assert (state_of(resolution), resolution.error) == ("failed", "The line has 0 open units.")
    assert undecided_units(conflict) == 2


def test_credentials_that_are_refused_open_the_breaker_and_the_call_waits(desk: Desk) -> None:
    _, resolution = cancel(desk)
    desk.platform.refusals = [Unauthorised()]
    desk.tell()
    assert state_of(resolution) == "calling"
    assert desk.tell() == 0


def test_a_shortage_that_ended_meanwhile_is_not_cancelled(desk: Desk) -> None:
    _, resolution = cancel(desk)
    desk.receive(2)
    desk.tell()
    assert (state_of(resolution), desk.platform.told) == ("dropped", [])
    assert Reservation.objects.get(open_quantity__gt=0).open_quantity == 2


def test_a_shortage_that_ends_while_the_platform_cancels_loses_and_doubles_nothing(desk: Desk) -> None:
    conflict, resolution = cancel(desk)
    desk.tell()
    desk.receive(5)
    desk.fetch()
    conflict.refresh_from_db()
    assert (state_of(resolution), conflict.open_quantity) == ("done", 0)
    assert desk.shop.level("MUG") == (5, 0)
    assert_ledger_holds()


def test_an_undecided_cancellation_is_followed(desk: Desk) -> None:
    _, resolution = cancel(desk)
    desk.platform.is_slow = True
    desk.tell()
    assert (state_of(resolution), resolution.tracking_id) == ("accepted", "process-1")
    assert not drop(resolution)
    desk.tell()
    assert state_of(resolution) == "accepted"
    desk.platform.is_slow = False
    desk.tell()
    desk.fetch()
    assert state_of(resolution) == "done"
    assert len(desk.platform.told) == 1


def test_an_order_that_never_shows_the_cancellation_is_shown(desk: Desk) -> None:
    conflict, resolution = cancel(desk)
    desk.tell()
    desk.platform.orders.clear()
    desk.platform.orders[desk.line_number(conflict)] = Rejected("not now")
    for _ in range(cancelling.LOOKS):
        desk.fetch()
    assert state_of(resolution) == "failed"
    assert "does not show" in resolution.error
    assert undecided_units(conflict) == 2


def test_two_cancellations_of_one_line_each_wait_for_their_own_units(desk: Desk) -> None:
    conflict = desk.oversell(3)
    first, second = apply(conflict, CANCEL, 1), apply(conflict, CANCEL, 2)
    assert (first.cancelled_when_done, second.cancelled_when_done) == (1, 3)
    desk.tell()
    desk.fetch()
    assert (state_of(first), state_of(second)) == ("done", "wanted")
    desk.tell()
    desk.fetch()
    assert state_of(second) == "done"


def test_a_cancellation_that_is_dropped_is_not_waited_for_by_the_next_of_its_line(desk: Desk) -> None:
    conflict = desk.oversell(3)
    first, second = apply(conflict, CANCEL, 1), apply(conflict, CANCEL, 2)
    assert drop(first)
    desk.tell()
    desk.fetch()
    assert (state_of(second), second.cancelled_when_done) == ("done", 2)


def test_nothing_is_told_to_a_paused_channel(desk: Desk) -> None:
    cancel(desk)
    Channel.objects.update(is_paused=True)
    assert desk.tell() == 0
