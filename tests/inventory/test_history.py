"""Law 10: stock as of any instant is a query."""

from datetime import UTC, datetime, timedelta

from inventory.history import levels_as_of, levels_effective_at, reservations_as_of
from inventory.ledger import Outcome
from inventory.models import StockOperation
from inventory.reservations import ReservedUnits, fulfil
from inventory.stock import AdjustmentLine, StockLine, adjust, receive
from tests.inventory.cast import LONG_AGO, Cast


def _recorded_at(outcome: Outcome) -> datetime:
    return StockOperation.objects.get(pk=outcome.operation_id).recorded_at


def _mugs_at(cast: Cast, at: datetime) -> tuple[int, int, int, int]:
    (level,) = levels_as_of(cast.merchant.pk, [cast.mug.pk], at)
    return level.on_hand, level.reserved, level.available, level.version


def test_a_level_is_shown_as_it_was_recorded_at_each_instant(cast: Cast) -> None:
    received = _recorded_at(cast.receive(5))
    sold = _recorded_at(cast.settle("order", wanted=2, places=[cast.warehouse.pk]))
    shipped = _recorded_at(cast.settle("order", fulfilled=2, places=[cast.warehouse.pk]))
    moment = timedelta(microseconds=1)
    assert _mugs_at(cast, received - moment) == (0, 0, 0, 0)
    assert _mugs_at(cast, received) == _mugs_at(cast, sold - moment) == (5, 0, 5, 1)
    assert _mugs_at(cast, sold) == _mugs_at(cast, shipped - moment) == (5, 2, 3, 2)
    assert _mugs_at(cast, shipped) == _mugs_at(cast, datetime.now(UTC)) == (3, 0, 3, 3)


def test_an_operation_with_several_movements_of_one_level_is_seen_whole_or_not_at_all(cast: Cast) -> None:
    cast.settle("order", wanted=2, places=[cast.warehouse.pk])
    received = _recorded_at(cast.receive(5))
    assert _mugs_at(cast, received) == (5, 2, 3, 2)
    assert _mugs_at(cast, received - timedelta(microseconds=1)) == (0, 0, 0, 0)


def test_what_was_held_for_whom_is_shown_as_it_was(cast: Cast) -> None:
    cast.receive(5)
    order = cast.hold("order", 3)
    before = datetime.now(UTC)
    fulfil(cast.context(), [ReservedUnits(order, 2)])
    (then,) = reservations_as_of(cast.merchant.pk, [cast.mug.pk], before)
    (now,) = reservations_as_of(cast.merchant.pk, [cast.mug.pk], datetime.now(UTC))
    assert (then.reference, then.quantity, now.quantity) == ("order", 3, 1)
    assert (then.reservation_id, then.location_id) == (order, cast.warehouse.pk)
    fulfil(cast.context(), [ReservedUnits(order)])
    assert reservations_as_of(cast.merchant.pk, [cast.mug.pk], datetime.now(UTC)) == []


def test_what_had_happened_counts_what_was_only_reported_later(cast: Cast) -> None:
    line = StockLine(cast.mug.pk, cast.warehouse.pk, 5)
    receive(cast.context(occurred_at=LONG_AGO), [line])
    a_day_later = LONG_AGO + timedelta(days=1)
    assert _mugs_at(cast, a_day_later) == (0, 0, 0, 0)
    (level,) = levels_effective_at(cast.merchant.pk, [cast.mug.pk], a_day_later)
    assert (level.on_hand, level.available) == (5, 5)


def test_what_had_happened_may_be_negative_and_is_not_hidden(cast: Cast) -> None:
    cast.receive(5)
    line = AdjustmentLine(cast.mug.pk, cast.warehouse.pk, -2)
    adjust(cast.context(occurred_at=LONG_AGO), [line])
    (level,) = levels_effective_at(cast.merchant.pk, [cast.mug.pk], LONG_AGO)
    assert level.on_hand == level.available == -2


def test_each_merchant_sees_its_own_history(cast: Cast, stranger: Cast) -> None:
    stranger.receive(5)
    stranger.hold("order", 1)
    now = datetime.now(UTC)
    for query in (levels_as_of, levels_effective_at, reservations_as_of):
        assert query(cast.merchant.pk, [stranger.mug.pk], now) == []
        assert len(query(stranger.merchant.pk, [stranger.mug.pk], now)) == 1
