"""Promises on many connections at once. Each race is first shown with its safeguard off."""

import threading
from collections import Counter
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import pytest
from django.db import IntegrityError

from inventory import inbound, inbound_statements, posting
from inventory.backorders import BackorderUnits, backorder_conflict, cancel_backorders
from inventory.demands import settle
from inventory.errors import InsufficientInbound, InvalidStockRequest, LineRefused, StockBusy
from inventory.inbound import Inbound
from inventory.ledger import Outcome
from inventory.locking import LockedLevel
from inventory.models import Backorder, Conflict, StockLevel
from inventory.posting import Posting
from tests.inventory.buying import Buying, assert_promises_hold, terms, waiting
from tests.inventory.cast import Cast, assert_ledger_holds, held, owed
from tests.inventory.racing import PATIENCE, race

pytestmark = pytest.mark.django_db(transaction=True)

_COLUMNS = ("id", "variant_id", "location_id", "on_hand", "reserved", "unavailable", "version", "recorded_at")


def _read_levels(
    merchant_id: int, variant_ids: Collection[int], location_ids: Collection[int]
) -> list[LockedLevel]:
    """Reads as `lock_levels` does, and locks nothing."""
    rows = StockLevel.objects.filter(
        merchant_id=merchant_id, variant_id__in=variant_ids, location_id__in=location_ids
    ).order_by("id")
    return [LockedLevel(*row) for row in rows.values_list(*_COLUMNS)]


def _lock_no_lines(monkeypatch: pytest.MonkeyPatch, readers: int) -> None:
    """Has that many operations read the lines together, and lock none."""
    together = threading.Barrier(readers)
    read = inbound._locked
    unlocked = inbound_statements.LOCK_LINES.replace("FOR NO KEY UPDATE", "")

    def read_together(posting: Posting, line_ids: Collection[int]) -> Inbound:
        found = read(posting, line_ids)
        together.wait(PATIENCE)
        return found

    monkeypatch.setattr(inbound, "LOCK_LINES", unlocked)
    monkeypatch.setattr(inbound, "_locked", read_together)


def _kinds(results: list[Any]) -> Counter[type]:
    return Counter(type(result) for result in results)


def test_sixteen_customers_share_the_last_five_units_that_are_coming() -> None:
    buying = Buying(Cast())
    buying.order(5, days=5)
    results = race([partial(buying.promise, f"customer {n}", 1) for n in range(16)])
    assert _kinds(results) == {Outcome: 5, InsufficientInbound: 11}
    assert sum(waiting().values()) == 5
    assert_promises_hold()


def test_without_the_locks_two_read_the_same_units_and_only_the_databases_rule_stops_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    buying = Buying(Cast())
    buying.order(6, days=5)
    buying.promise("first", 1)
    monkeypatch.setattr(posting, "lock_levels", _read_levels)
    _lock_no_lines(monkeypatch, readers=2)
    results = race([partial(buying.promise, f"customer {n}", 4) for n in range(2)])
    assert _kinds(results) == {Outcome: 1, IntegrityError: 1}
    assert "no_more_is_promised_than_confirmed" in str(results)
    assert sum(waiting().values()) == 1 + 4


def test_the_lock_of_the_line_alone_suffices(monkeypatch: pytest.MonkeyPatch) -> None:
    buying = Buying(Cast())
    buying.order(5, days=5)
    buying.promise("first", 1)
    monkeypatch.setattr(posting, "lock_levels", _read_levels)
    results = race([partial(buying.promise, f"customer {n}", 3) for n in range(4)])
    assert _kinds(results) == {Outcome: 1, InsufficientInbound: 3}
    assert_promises_hold()


def test_goods_that_arrive_at_two_places_at_once_fill_a_promise_once() -> None:
    cast = Cast()
    buying = Buying(cast)
    buying.order(9, days=5)
    buying.promise("a", 3)
    results = race([partial(cast.receive, 2, None, place) for place in (cast.warehouse, cast.store)])
    assert _kinds(results) == {Outcome: 2}
    assert held() == {"a": 3}
    assert waiting() == {}
    assert_promises_hold()
    assert_ledger_holds()


def test_without_the_lock_of_the_line_two_places_fill_the_same_promise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cast = Cast()
    buying = Buying(cast)
    buying.order(9, days=5)
    buying.promise("a", 3)
    _lock_no_lines(monkeypatch, readers=2)
    results = race([partial(cast.receive, 2, None, place) for place in (cast.warehouse, cast.store)])
    assert _kinds(results) == {Outcome: 1, IntegrityError: 1}
    assert "not_negative" in str(results)


def test_a_line_that_is_cancelled_while_it_is_promised_leaves_nobody_waiting_for_it() -> None:
    buying = Buying(Cast())
    line_id = buying.order(8, days=5)
    buying.promise("before", 1)
    promises = [partial(buying.promise, f"customer {n}", 1) for n in range(7)]
    results = race([*promises, partial(buying.cancel, line_id)])
    assert _kinds(results).keys() <= {Outcome, InsufficientInbound, StockBusy}
    if not isinstance(results[-1], Outcome):
        buying.cancel(line_id)
    promised = sum(isinstance(result, Outcome) for result in results[:-1])
    assert waiting() == {}
    assert sum(owed().values()) == 1 + promised
    assert_promises_hold()
    assert_ledger_holds()


def test_goods_that_arrive_elsewhere_while_inbound_slips_are_never_left_lying() -> None:
    cast = Cast()
    buying = Buying(cast)
    line_id = buying.order(8, days=5)
    for number in range(4):
        buying.promise(f"customer {number}", 2)
    arrivals = [partial(cast.receive, 1, None, cast.store) for _ in range(4)]
    results = race([*arrivals, partial(buying.slip, line_id, 9), partial(buying.receive, line_id, 2)])
    assert _kinds(results).keys() <= {Outcome, StockBusy}
    assert sum(held().values()) + sum(waiting().values()) + sum(owed().values()) == 8
    assert_promises_hold()
    assert_ledger_holds()


def test_an_order_cancelled_while_its_goods_arrive_holds_nothing_afterwards() -> None:
    cast = Cast()
    buying = Buying(cast)
    line_id = buying.order(6, days=5)
    for number in range(3):
        buying.promise(f"customer {number}", 2)
    cancel = [partial(cast.settle, f"customer {number}", cancelled=2) for number in range(3)]
    results = race([*cancel, partial(buying.receive, line_id, 6), partial(cast.receive, 1, None, cast.store)])
    assert _kinds(results) == {Outcome: 5}
    assert held() == waiting() == {}
    assert owed() == {}
    assert_promises_hold()
    assert_ledger_holds()


def test_everything_at_once_leaves_promises_and_ledger_that_hold() -> None:
    cast = Cast()
    buying = Buying(cast)
    lines = [
        buying.order(6, days=day, place_at=place) for day in (3, 9) for place in (cast.warehouse, cast.store)
    ]
    for number in range(6):
        buying.promise(f"customer {number}", 2)
    cast.settle("short", wanted=3)
    first, last = Backorder.objects.order_by("id").first(), Backorder.objects.order_by("id").last()
    assert first is not None
    assert last is not None
    conflict = Conflict.objects.get()
    work: list[Callable[[], Any]] = [
        lambda: buying.receive(lines[0], 3),
        lambda: buying.receive(lines[1], 7),
        lambda: buying.slip(lines[2], 12),
        lambda: buying.cancel(lines[3], 4),
        lambda: buying.promise("new", 3),
        lambda: settle(cast.context(), [cast.change("sale", wanted=4)], pre_orders={"sale": terms()}),
        lambda: cast.settle("customer 1", cancelled=1),
        lambda: cancel_backorders(cast.context(), [BackorderUnits(last.pk, 1)]),
        lambda: backorder_conflict(cast.context(), conflict.pk, terms(), quantity=1),
        lambda: cast.receive(2, place=cast.store),
        lambda: cast.count(1),
    ]
    results = race(work * 2)
    refusals = {InsufficientInbound, InvalidStockRequest, LineRefused, StockBusy}
    assert _kinds(results).keys() <= {Outcome} | refusals, results
    assert_promises_hold()
    assert_ledger_holds()
