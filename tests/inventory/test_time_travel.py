"""Any instant of any history, with checkpoints anywhere: what is answered is what a replay from the start gives."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from inventory.checkpoints import write
from inventory.history import PastLevel, levels_as_of, reservations_as_of
from inventory.location_history import (
    location_levels_as_of,
    location_page_as_of,
    location_reservations_as_of,
)
from inventory.models import Location, SafetyStockChange, StockLevel, StockMovement, StockOperation, Variant
from tests.factories import VariantFactory
from tests.inventory.cast import Cast, assert_ledger_holds
from tests.properties import examples

pytestmark = pytest.mark.django_db

_MOMENT = timedelta(microseconds=1)

_BOUNDED = settings(
    deadline=None,
    max_examples=examples(25),
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)

_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["receive", "count", "want", "cancel", "ship"]),
        st.sampled_from(["mug", "shirt"]),
        st.sampled_from(["warehouse", "store"]),
        st.sampled_from(["a", "b", "c"]),
        st.integers(1, 5),
    ),
    min_size=1,
    max_size=25,
)


def _play(cast: Cast, steps: list[tuple[str, str, str, str, int]]) -> None:
    for verb, goods, place_name, reference, units in steps:
        variant: Variant = getattr(cast, goods)
        place: Location = getattr(cast, place_name)
        if verb == "receive":
            cast.receive(units, variant, place)
        elif verb == "count":
            cast.count(units, variant, place)
        else:
            counts: dict[str, Any] = {
                {"want": "wanted", "cancel": "cancelled", "ship": "fulfilled"}[verb]: units
            }
            cast.settle(reference, variant=variant, **counts)


def _replayed(cast: Cast, at: datetime) -> dict[tuple[int, int], tuple[int, int, int, int]]:
    """Adds up every movement up to an instant, level by level."""
    found: dict[tuple[int, int], tuple[int, int, int, int]] = {}
    moves = StockMovement.objects.filter(merchant=cast.merchant, recorded_at__lte=at)
    for m in moves.select_related("level").order_by("level_id", "version"):
        pair = m.level.variant_id, m.level.location_id
        on_hand, reserved, unavailable, version = found.get(pair, (0, 0, 0, 0))
        found[pair] = (
            on_hand + m.on_hand_delta,
            reserved + m.reserved_delta,
            unavailable + m.unavailable_delta,
            version + 1,
        )
    return found


def _held(cast: Cast, at: datetime) -> dict[int, int]:
    units: Counter[int] = Counter()
    moves = StockMovement.objects.filter(
        merchant=cast.merchant, recorded_at__lte=at, reservation__isnull=False
    )
    for reservation_id, delta in moves.values_list("reservation_id", "reserved_delta"):
        units[reservation_id] += delta
    return {pk: count for pk, count in units.items() if count}


def _figures(levels: list[PastLevel]) -> dict[tuple[int, int], tuple[int, int, int, int]]:
    return {
        (e.variant_id, e.location_id): (e.on_hand, e.reserved, e.unavailable, e.version)
        for e in levels
        if e.version
    }


@pytest.mark.property
@pytest.mark.timeout(600)
@given(steps=_STEPS, data=st.data())
@_BOUNDED
def test_every_instant_is_what_a_replay_gives(steps: list[tuple[str, str, str, str, int]], data: Any) -> None:
    with transaction.atomic():
        cast = Cast()
        _play(cast, steps)
        times = sorted(StockOperation.objects.values_list("recorded_at", flat=True))
        instants = sorted({times[0] - _MOMENT, *times, *(at - _MOMENT for at in times)})
        for at in data.draw(st.lists(st.sampled_from(instants), max_size=4, unique=True)):
            write(cast.merchant.pk, at)
        assert_ledger_holds()
        for at in instants:
            _assert_same(cast, at)
        transaction.set_rollback(True)


def _assert_same(cast: Cast, at: datetime) -> None:
    merchant, goods = cast.merchant.pk, [cast.mug.pk, cast.shirt.pk]
    expected, held = _replayed(cast, at), _held(cast, at)
    assert _figures(levels_as_of(merchant, goods, at)) == expected
    assert {e.reservation_id: e.quantity for e in reservations_as_of(merchant, goods, at)} == held
    places = [cast.warehouse.pk, cast.store.pk]
    everywhere = [level for place in places for level in location_levels_as_of(merchant, place, at)]
    assert _figures(everywhere) == expected
    held_there = [e for place in places for e in location_reservations_as_of(merchant, place, at)]
    assert {e.reservation_id: e.quantity for e in held_there} == held
    for place in places:
        page = location_page_as_of(merchant, place, at, with_empty=True)
        here = {pair: figures for pair, figures in expected.items() if pair[1] == place}
        assert _figures([level for _, level in page.levels]) == here
        assert (page.totals.levels, page.totals.on_hand) == (len(here), sum(f[0] for f in here.values()))


def test_the_movement_that_left_a_level_so_is_named(cast: Cast) -> None:
    cast.receive(5)
    first = StockMovement.objects.get()
    cast.count(3)
    (level,) = levels_as_of(cast.merchant.pk, [cast.mug.pk], first.recorded_at)
    assert (level.movement_id, level.on_hand) == (first.pk, 5)
    (before,) = levels_as_of(cast.merchant.pk, [cast.mug.pk], first.recorded_at - _MOMENT)
    assert (before.movement_id, before.version) == (None, 0)


def test_safety_stock_is_shown_as_it_was_set_then(cast: Cast) -> None:
    cast.receive(5)
    level = StockLevel.objects.get()
    seen = [_now()]
    for units in (2, 3):
        StockLevel.objects.filter(pk=level.pk).update(safety_stock=units)
        seen.append(_now())
    StockLevel.objects.update(on_hand=5, version=1)
    assert [_safety_stock(cast, at) for at in seen] == [0, 2, 3]
    assert SafetyStockChange.objects.count() == 2


def _now() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        at: datetime = cursor.fetchone()[0]
    return at


def _safety_stock(cast: Cast, at: datetime) -> int:
    (level,) = levels_as_of(cast.merchant.pk, [cast.mug.pk], at)
    (there,) = location_levels_as_of(cast.merchant.pk, cast.warehouse.pk, at)
    assert there.safety_stock == level.safety_stock
    return level.safety_stock


def test_a_location_is_shown_page_by_page_with_the_totals_of_all(cast: Cast) -> None:
    skus = ["B-2", "A_1", "A%1", "C-3"]
    for sku in skus:
        cast.receive(2, VariantFactory(merchant=cast.merchant, sku=sku))
    cast.receive(1)
    cast.count(0)
    now = _now()

    def page(**options: Any) -> list[str]:
        found = location_page_as_of(cast.merchant.pk, cast.warehouse.pk, now, **options)
        return [sku for sku, _ in found.levels]

    # PostgreSQL's order of the signs depends on the collation; the pages together are the whole either way.
    assert sorted(page(limit=2) + page(limit=2, offset=2)) == sorted(skus)
    assert page(search="a_1") == ["A_1"]
    assert page(search="%") == ["A%1"]
    assert cast.mug.sku in page(with_empty=True)
    totals = location_page_as_of(cast.merchant.pk, cast.warehouse.pk, now, limit=1).totals
    assert (totals.levels, totals.on_hand, totals.available) == (4, 8, 8)
    beyond = location_page_as_of(cast.merchant.pk, cast.warehouse.pk, now, offset=10)
    assert (beyond.levels, beyond.totals.levels) == ((), 4)


def test_the_statements_do_not_grow_with_the_goods(cast: Cast) -> None:
    for _ in range(5):
        cast.receive(1, VariantFactory(merchant=cast.merchant))
    now, goods = _now(), list(Variant.objects.values_list("pk", flat=True))
    with CaptureQueriesContext(connection) as seen:
        levels_as_of(cast.merchant.pk, goods, now)
        reservations_as_of(cast.merchant.pk, goods, now)
        location_levels_as_of(cast.merchant.pk, cast.warehouse.pk, now)
        location_page_as_of(cast.merchant.pk, cast.warehouse.pk, now)
        location_reservations_as_of(cast.merchant.pk, cast.warehouse.pk, now)
    assert len(seen) == 5


def test_a_long_history_is_halved_not_walked(cast: Cast) -> None:
    for _ in range(70):
        cast.receive(1)
    at = StockMovement.objects.order_by("version")[9].recorded_at
    with connection.cursor() as cursor:
        # So few rows lie on one page: as if they were many.
        cursor.execute("ANALYZE inventory_stockmovement")
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SELECT pg_stat_get_xact_tuples_fetched('inventory_stockmovement'::regclass)")
        (before,) = cursor.fetchone()
        (level,) = levels_as_of(cast.merchant.pk, [cast.mug.pk], at)
        cursor.execute("SELECT pg_stat_get_xact_tuples_fetched('inventory_stockmovement'::regclass)")
        (after,) = cursor.fetchone()
    assert level.version == 10
    # Seven halvings and the row itself.
    assert after - before <= 9


def test_each_merchant_sees_its_own_places(cast: Cast, stranger: Cast) -> None:
    stranger.receive(5)
    stranger.hold("order", 1)
    now, place = _now(), stranger.warehouse.pk
    write(stranger.merchant.pk, now)
    assert location_levels_as_of(cast.merchant.pk, place, now) == []
    assert location_reservations_as_of(cast.merchant.pk, place, now) == []
    assert len(location_levels_as_of(stranger.merchant.pk, place, now)) == 1
    assert len(location_reservations_as_of(stranger.merchant.pk, place, now)) == 1
