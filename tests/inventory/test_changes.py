"""The feed of changes: each committed change once, in order, whatever commits late or dies."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from inventory import sequencer
from inventory.bundles import Component, define
from inventory.changes import FORGOTTEN, OPERATIONS, forget_old, head, marks_now, read_changes
from inventory.errors import ChangesForgotten
from inventory.models import (
    BundleKind,
    CatalogueNote,
    Change,
    ChangeKind,
    FeedMark,
    Reservation,
    StockLevel,
    StockMovement,
    StockOperation,
    Variant,
)
from inventory.reservations import Demand, ReservedUnits, confirm, expire, extend, fulfil, release, reserve
from inventory.sequencer import Sequencer, sequence
from inventory.stock import StockLine, receive
from tests.factories import LocationFactory, VariantFactory
from tests.inventory.cast import LONG_AGO, Cast, in_an_hour
from tests.inventory.racing import PATIENCE, meanwhile, wait_until_blocked

_EVERYTHING = 100_000


def told(after: int = 0, **conditions: Any) -> list[Change]:
    """Returns what is told after a position."""
    return read_changes(after, _EVERYTHING, **conditions)


def stock_told() -> list[tuple[int, int]]:
    """Returns level and version of the changes of stock, in order."""
    return [(c.payload["level_id"], c.version or 0) for c in told(kinds=[ChangeKind.STOCK])]


def movements() -> list[tuple[int, int]]:
    """Returns level and version of everything in the ledger."""
    return sorted(StockMovement.objects.values_list("level_id", "version"))


def assert_told_once_and_in_order() -> None:
    """Compares what is told with the ledger: nothing missing, nothing twice, each level in the order of its versions."""
    found = stock_told()
    assert sorted(found) == movements()
    for level_id in {level for level, _ in found}:
        versions = [version for level, version in found if level == level_id]
        assert versions == list(range(1, len(versions) + 1))
    positions = [change.position for change in told()]
    assert positions == list(range(1, len(positions) + 1))


def test_what_is_told_makes_a_mirror_of_the_stock(cast: Cast) -> None:
    cast.receive(10)
    cast.receive(4, variant=cast.shirt, place=cast.store)
    held = cast.hold("cart", 3)
    cast.make_unavailable(2)
    fulfil(cast.context(), [ReservedUnits(held, 2)])
    cast.count(5)
    assert sequence() > 0
    mirror: dict[int, dict[str, Any]] = {}
    for change in told(merchant=cast.merchant.pk, kinds=[ChangeKind.STOCK]):
        mirror[change.payload["level_id"]] = {**change.payload, "version": change.version}
    levels = StockLevel.objects.filter(merchant=cast.merchant)
    assert len(mirror) == len(levels) == 2
    for level in levels:
        for name in ("on_hand", "reserved", "unavailable", "available", "version"):
            assert mirror[level.pk][name] == getattr(level, name)
    assert_told_once_and_in_order()
    assert sequence() == 0


def test_a_change_names_what_caused_it(cast: Cast) -> None:
    outcome = receive(
        cast.context(actor="anna", source="dock", document="DN-1"),
        [StockLine(cast.mug.pk, cast.warehouse.pk, 7)],
    )
    sequence()
    (change,) = told(kinds=[ChangeKind.STOCK])
    assert (change.operation_id, change.variant, change.location) == (
        outcome.operation_id,
        cast.mug,
        cast.warehouse,
    )
    assert change.operation is not None
    assert (change.operation.verb, change.operation.document) == ("receive", "DN-1")
    assert change.happened_at == change.operation.recorded_at
    assert change.payload == {
        "level_id": StockLevel.objects.get().pk, "on_hand": 7, "reserved": 0, "unavailable": 0, "available": 7,
        "on_hand_delta": 7, "reserved_delta": 0, "unavailable_delta": 0, "movement_kind": "receipt", "reason": "purchase",
    }  # fmt: skip


def test_every_state_of_a_reservation_is_told(cast: Cast) -> None:
    cast.receive(20)
    cart = cast.hold("cart", 5, expires_at=in_an_hour())
    extend(cast.context(), [cart], in_an_hour() + timedelta(hours=1))
    confirm(cast.context(), [cart])
    confirm(cast.context(), [cart])
    fulfil(cast.context(), [ReservedUnits(cart, 2)])
    release(cast.context(), [ReservedUnits(cart)])
    late = cast.hold("late", 1, expires_at=in_an_hour())
    Reservation.objects.filter(pk=late).update(expires_at=LONG_AGO)
    expire()
    sequence()
    found = [
        (c.kind.removeprefix("reservation."), c.payload["reference"], c.payload["units"])
        for c in told()
        if c.kind.startswith("reservation.")
    ]
    # A second confirmation changes nothing. `units` of a confirmation are those held when the position was given.
    assert found == [
        ("created", "cart", 5), ("extended", "cart", 0), ("confirmed", "cart", 0), ("fulfilled", "cart", 2),
        ("released", "cart", 3), ("created", "late", 1), ("expired", "late", 1),
    ]  # fmt: skip
    state = told(kinds=[ChangeKind.RESERVATION_RELEASED])[0].payload
    assert (state["open"], state["fulfilled"], state["released"]) == (0, 2, 3)
    assert_told_once_and_in_order()


def test_goods_that_are_gone_release_what_was_held(cast: Cast) -> None:
    cast.receive(5)
    cast.hold("order", 4)
    cast.count(1)
    sequence()
    (change,) = told(kinds=[ChangeKind.RESERVATION_RELEASED])
    assert (change.payload["units"], change.payload["reason"]) == (3, "broken")


def test_the_catalogue_is_told_whoever_writes_it(cast: Cast) -> None:
    sequence()
    start = head()
    cast.mug.title = "Blue mug"
    cast.mug.save()
    cast.mug.save()
    Variant.objects.filter(pk=cast.shirt.pk).update(is_active=False)
    new = Variant.objects.bulk_create(
        Variant(merchant=cast.merchant, product=cast.mug.product, sku=f"NEW-{n}") for n in range(3)
    )
    cast.store.name = "Corner"
    cast.store.save()
    sequence()
    changes = told(start)
    assert [(c.kind, c.variant_id, c.location_id) for c in changes] == [
        ("variant.changed", cast.mug.pk, None),
        ("variant.changed", cast.shirt.pk, None),
        *[("variant.changed", variant.pk, None) for variant in new],
        ("location.changed", None, cast.store.pk),
    ]
    assert changes[0].payload["title"] == "Blue mug"
    assert changes[1].payload["is_active"] is False
    assert changes[-1].payload["name"] == "Corner"
    assert not CatalogueNote.objects.exists()


def test_a_merchant_is_told_of_its_own(cast: Cast, stranger: Cast) -> None:
    cast.receive(1)
    stranger.receive(2)
    sequence()
    for one in (cast, stranger):
        assert {c.merchant_id for c in told(merchant=one.merchant.pk)} == {one.merchant.pk}
    assert len(told()) == len(told(merchant=cast.merchant.pk)) + len(told(merchant=stranger.merchant.pk))


def test_reading_goes_on_from_any_position(cast: Cast) -> None:
    for _ in range(7):
        cast.receive(1)
    sequence()
    everything, found = told(), list[Change]()
    while piece := read_changes(found[-1].position if found else 0, 3):
        found += piece
    assert found == everything


def test_many_lines_and_operations_are_told_by_as_many_statements_as_one(cast: Cast) -> None:
    def cost(told_by: Sequencer) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert told_by.catch_up() > 0
        return len([q for q in captured if "SAVEPOINT" not in q["sql"]])

    one = Sequencer()
    cast.receive(1)
    few = cost(one)
    variants = VariantFactory.create_batch(20, merchant=cast.merchant, product=cast.mug.product)
    for _ in range(3):
        receive(cast.context(), [StockLine(v.pk, cast.warehouse.pk, 1) for v in variants])
    assert cost(one) <= few + 1  # the mark rises
    assert_told_once_and_in_order()


# -- the order of commits


@contextmanager
def uncommitted(action: Callable[[], Any]) -> Iterator[threading.Event]:
    """Runs an operation in a transaction of its own that stays open until the event is set, at the latest at the end."""
    done, go_on = threading.Event(), threading.Event()

    def run() -> None:
        with transaction.atomic():
            action()
            done.set()
            go_on.wait(PATIENCE)

    with meanwhile(run) as running:
        assert done.wait(PATIENCE)
        try:
            yield go_on
        finally:
            go_on.set()
            running.result(PATIENCE)


def commit(waiting: threading.Event, running: int) -> None:
    """Has the open transaction commit, and waits until it has."""
    waiting.set()
    for _ in range(1000):
        if StockOperation.objects.filter(pk=running).exists():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it did not commit")


@pytest.mark.django_db(transaction=True)
def test_a_late_commit_is_told_and_a_feed_by_serial_would_miss_it() -> None:
    cast = Cast()
    cast.receive(1)
    resident = Sequencer()
    resident.catch_up()
    by_serial = StockMovement.objects.latest("id").pk
    serial_told = [by_serial]
    with uncommitted(lambda: cast.receive(5, variant=cast.shirt)) as go_on:
        late_id = StockOperation.objects.latest("id").pk + 1
        for _ in range(5):
            cast.receive(1)
            resident.catch_up()
            # The control: whoever remembers the largest id he has seen, and goes on from there.
            fresh = StockMovement.objects.filter(pk__gt=by_serial).order_by("pk").values_list("pk", flat=True)
            serial_told += list(fresh)
            by_serial = serial_told[-1]
        assert len(stock_told()) == 6
        assert marks_now()[OPERATIONS] < late_id
        commit(go_on, late_id)
    resident.catch_up()
    serial_told += StockMovement.objects.filter(pk__gt=by_serial).values_list("pk", flat=True)
    assert len(serial_told) == 6 < StockMovement.objects.count()
    assert stock_told()[-1] == (StockLevel.objects.get(variant=cast.shirt).pk, 1)
    assert_told_once_and_in_order()


@pytest.mark.django_db(transaction=True)
def test_the_mark_rises_once_nobody_can_commit_below_it() -> None:
    cast = Cast()
    cast.receive(1)
    resident = Sequencer()
    with uncommitted(lambda: cast.receive(5, variant=cast.shirt)):
        late_id = StockOperation.objects.latest("id").pk + 1
        for _ in range(4):
            cast.receive(1)
            resident.catch_up()
        assert marks_now()[OPERATIONS] < late_id
    last = StockOperation.objects.latest("id").pk
    for _ in range(4):
        resident.catch_up()
    assert marks_now()[OPERATIONS] == last
    with CaptureQueriesContext(connection) as captured:
        assert resident.catch_up() == 0
    assert len(captured) == 1


@pytest.mark.django_db(transaction=True)
def test_without_looking_at_who_writes_a_late_commit_would_be_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    cast = Cast()
    resident = Sequencer()
    monkeypatch.setattr(
        resident, "_ended", lambda writers: resident._glance.highest if resident._glance else 0
    )
    with uncommitted(lambda: cast.receive(5, variant=cast.shirt)):
        for _ in range(4):
            cast.receive(1)
            resident.catch_up()
    resident.catch_up()
    assert sorted(stock_told()) != movements()


@pytest.mark.django_db(transaction=True)
def test_what_is_rolled_back_holds_nothing_up() -> None:
    cast = Cast()
    resident = Sequencer()
    with transaction.atomic():
        cast.receive(1)
        transaction.set_rollback(True)
    cast.receive(2)
    for _ in range(4):
        resident.catch_up()
    assert marks_now()[OPERATIONS] == StockOperation.objects.latest("id").pk
    assert_told_once_and_in_order()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("most", [1, 50])
def test_versions_stay_in_order_where_ids_are_not(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who drew the lower id may come to the level later; with one operation at a time that shows."""
    monkeypatch.setattr(sequencer, "_FEWEST", most)
    monkeypatch.setattr(sequencer, "_MOST", most)
    cast = Cast()
    cast.receive(100)
    first, between, second = threading.Event(), threading.Event(), threading.Event()

    def take_two() -> None:
        with transaction.atomic():
            cast.hold("one", 1)
            first.set()
            between.wait(PATIENCE)
            cast.hold("three", 1)
        second.set()

    with meanwhile(take_two) as taking:
        assert first.wait(PATIENCE)
        with meanwhile(partial(cast.hold, "two", 1)) as waiting:
            wait_until_blocked()
            between.set()
            taking.result(PATIENCE)
            waiting.result(PATIENCE)
    in_order_of_ids = StockMovement.objects.order_by("operation_id").values_list("version", flat=True)
    assert list(in_order_of_ids) == [1, 2, 4, 3]
    Sequencer().catch_up()
    assert_told_once_and_in_order()


def test_operations_that_change_nothing_stand_in_nobodys_way(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sequencer, "_FEWEST", 2)
    monkeypatch.setattr(sequencer, "_MOST", 2)
    for number in range(3):
        kit = VariantFactory(merchant=cast.merchant)
        define(cast.context(), kit.pk, BundleKind.KIT, [Component(cast.mug.pk, number + 1)])
    for _ in range(3):
        cast.receive(1)
    Sequencer().catch_up()
    assert_told_once_and_in_order()


# -- one process at a time, and what dies


@pytest.mark.django_db(transaction=True)
def test_only_one_process_tells() -> None:
    cast = Cast()
    cast.receive(1)
    has_turn, go_on = threading.Event(), threading.Event()

    def hold_the_turn() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [sequencer._LOCK])
            has_turn.set()
            go_on.wait(PATIENCE)

    with meanwhile(hold_the_turn):
        assert has_turn.wait(PATIENCE)
        assert sequence() == 0
        go_on.set()
    assert sequence() > 0
    assert_told_once_and_in_order()


@pytest.mark.django_db(transaction=True)
def test_whoever_is_killed_while_telling_has_told_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    cast = Cast()
    cast.receive(3)
    telling, go_on, pids = threading.Event(), threading.Event(), list[int]()
    usual = Sequencer._raise_mark

    def stop_here(self: Sequencer, cursor: Any, ended: int, told: Any) -> int:
        cursor.execute("SELECT pg_backend_pid()")
        pids.append(cursor.fetchone()[0])
        telling.set()
        go_on.wait(PATIENCE)
        return usual(self, cursor, ended, told)

    victim = Sequencer()
    monkeypatch.setattr(victim, "_raise_mark", partial(stop_here, victim))
    with meanwhile(victim.catch_up) as dying:
        assert telling.wait(PATIENCE)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pids[0]])
        go_on.set()
        assert isinstance(dying.exception(PATIENCE), DatabaseError)
    assert not Change.objects.exists()
    assert CatalogueNote.objects.exists()
    assert sequence() > 0
    assert_told_once_and_in_order()


@pytest.mark.django_db(transaction=True)
def test_the_resident_waits_out_what_the_database_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    cast = Cast()
    cast.receive(3)
    monkeypatch.setattr(sequencer, "_RETRY", 0.01)
    stopping, resident, failures = threading.Event(), Sequencer(), list[int]()
    usual = resident.catch_up

    def fail_once() -> int:
        if not failures:
            failures.append(1)
            raise DatabaseError
        count = usual()
        stopping.set()
        return count

    monkeypatch.setattr(resident, "catch_up", fail_once)
    resident.run(stopping)
    assert_told_once_and_in_order()


@pytest.mark.django_db(transaction=True)
def test_nothing_is_missed_or_told_twice_while_many_write() -> None:
    cast = Cast()
    cast.receive(1_000)
    cast.receive(1_000, variant=cast.shirt)
    writing, stopping = threading.Event(), threading.Event()

    def write(number: int) -> None:
        for turn in range(12):
            with transaction.atomic():
                variant = (cast.mug, cast.shirt)[(number + turn) % 2]
                reserve(
                    cast.context(f"{number}/{turn}"), [Demand(f"{number}/{turn}", variant.pk, 1, cast.places)]
                )
                threading.Event().wait(0.004 * ((number * 7 + turn) % 5))
                if turn % 6 == 5:
                    transaction.set_rollback(True)

    def tell() -> None:
        resident = Sequencer()
        while not stopping.wait(0.003):
            resident.catch_up()

    read: list[Change] = []

    def consume() -> None:
        while True:
            is_over = stopping.is_set()
            piece = read_changes(read[-1].position if read else 0, 7)
            read.extend(piece)
            if is_over and not piece:
                return

    with meanwhile(tell) as first, meanwhile(tell) as second, meanwhile(consume) as consuming:
        with meanwhile(partial(write, 0)), meanwhile(partial(write, 1)), meanwhile(partial(write, 2)):
            writing.set()
        sequence_until_told()
        stopping.set()
        for each in (first, second, consuming):
            each.result(PATIENCE)
    assert_told_once_and_in_order()
    assert [c.position for c in read] == [c.position for c in told()]


def sequence_until_told() -> None:
    """Waits until everything in the ledger is told."""
    for _ in range(1000):
        sequence()
        if sorted(stock_told()) == movements():
            return
        threading.Event().wait(0.01)


# -- what is kept


def tell_all() -> None:
    """Tells everything, and raises the mark, which it would not do by itself while the test's own transaction is open."""
    sequence()
    FeedMark.objects.create(name=OPERATIONS, value=StockOperation.objects.latest("id").pk)


def test_what_is_old_is_forgotten_and_asking_for_it_is_refused(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inventory.changes._PIECE", 2)
    for _ in range(3):
        cast.receive(1)
    tell_all()
    old = head()
    Change.objects.update(happened_at=timezone.now() - timedelta(days=settings.KEEP_CHANGES_DAYS, hours=1))
    cast.receive(1)
    sequence()
    assert forget_old() == old
    assert forget_old() == 0
    assert marks_now()[FORGOTTEN] == old
    assert [c.position for c in told(old)] == list(range(old + 1, head() + 1))
    for gone in (0, old - 1, head() + 1):
        with pytest.raises(ChangesForgotten):
            told(gone)


def test_positions_go_on_where_everything_was_forgotten(cast: Cast) -> None:
    cast.receive(1)
    tell_all()
    last = head()
    Change.objects.update(happened_at=LONG_AGO)
    forget_old()
    assert not Change.objects.exists()
    LocationFactory(merchant=cast.merchant)
    assert sequence() == 1
    assert told(last)[0].position == last + 1


def test_what_shows_that_it_was_told_is_not_forgotten(cast: Cast) -> None:
    cast.receive(1)
    sequence()
    last = head()
    Change.objects.update(happened_at=LONG_AGO)
    forget_old()
    assert marks_now()[OPERATIONS] == 0
    assert stock_told_after(last - 1) == 1
    assert sequence() == 0


def stock_told_after(position: int) -> int:
    """Returns how many changes of stock are kept above a position."""
    return len(told(position, kinds=[ChangeKind.STOCK]))
