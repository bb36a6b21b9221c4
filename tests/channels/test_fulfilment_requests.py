"""Requests are told once under their key, and every answer is one of the steps that a request can take."""

import re
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

import pytest
from django.db import connection, transaction
from django.utils import timezone

from channels import fulfilment
from channels import fulfilment_requests as outbox
from channels.errors import ImpossibleMove
from channels.models import FulfilmentRequest
from channels.models.fulfilment import RequestState
from channels.request_states import MOVES
from inventory.errors import InvalidStockRequest
from inventory.models import Conflict, StockLevel
from tests.channels.shop import NOON, Shop, line
from tests.channels.test_sourcing import apply, request_of, reserved, shop_with
from tests.inventory.cast import assert_ledger_holds
from tests.inventory.racing import PATIENCE, meanwhile, race, wait_until_blocked

pytestmark = pytest.mark.django_db

ACCEPTED, PICKED, SHIPPED = RequestState.ACCEPTED, RequestState.PICKED, RequestState.SHIPPED
REFUSED, CANCELLED = RequestState.REFUSED, RequestState.CANCELLED


def places(shop: Shop) -> list[int]:
    return [location.pk for location in shop.locations.values()]


def sold(units: int = 3, **stock: tuple[int, int]) -> tuple[Shop, FulfilmentRequest]:
    """Opens a shop that sold mugs, all to be shipped from `main`."""
    shop = shop_with(stock or {"MUG": (9, 2)})
    apply(shop, line("MUG", units))
    return shop, request_of(shop, "main")


def test_a_request_is_leased_told_and_done() -> None:
    shop, request = sold()
    (leased,) = outbox.lease(places(shop))
    assert leased.idempotency_key == f"{request.key}:1"
    assert [(each.sku, each.quantity) for each in leased.lines] == [("MUG", 3)]
    assert outbox.lease(places(shop)) == []
    assert outbox.note_told(leased, external_id="WMS-7")
    request.refresh_from_db()
    assert (request.state, request.is_due, request.external_id) == ("sent", False, "WMS-7")
    assert request.lines.get().told == 3


def test_only_the_requests_of_the_locations_asked_for_are_leased() -> None:
    shop, _ = sold()
    assert outbox.lease([shop.locations["north"].pk]) == []


def test_a_change_while_a_message_is_on_its_way_is_another_message() -> None:
    shop, request = sold()
    (leased,) = outbox.lease(places(shop))
    apply(shop, line("MUG", 3, cancelled=1), at=1)
    outbox.note_told(leased)
    (again,) = outbox.lease(places(shop))
    assert again.idempotency_key == f"{request.key}:2"
    assert [each.quantity for each in again.lines] == [2]


def test_a_message_without_an_answer_is_sent_again_under_the_same_key() -> None:
    shop, _ = sold()
    (leased,) = outbox.lease(places(shop))
    FulfilmentRequest.objects.update(leased_until=NOON)
    (again,) = outbox.lease(places(shop))
    assert again.idempotency_key == leased.idempotency_key
    assert again.lines == leased.lines
    assert not outbox.note_told(leased)
    assert outbox.note_told(again)


def test_failures_wait_longer_each_time_and_end_where_a_person_replays_them() -> None:
    shop, request = sold()
    (leased,) = outbox.lease(places(shop))
    outbox.note_failed(leased, "The warehouse does not answer.")
    request.refresh_from_db()
    assert (request.attempts, request.is_due) == (1, True)
    assert request.next_attempt_at is not None
    assert request.next_attempt_at > timezone.now()
    assert outbox.lease(places(shop)) == []
    FulfilmentRequest.objects.update(next_attempt_at=NOON)
    (leased,) = outbox.lease(places(shop))
    outbox.note_failed(leased, "No such article.", may_retry=False)
    assert outbox.lease(places(shop)) == []
    assert outbox.replay([request.pk]) == 1
    assert len(outbox.lease(places(shop))) == 1


def test_a_cancellation_is_told_where_the_request_may_have_arrived() -> None:
    shop, _ = sold()
    (leased,) = outbox.lease(places(shop))
    apply(shop, line("MUG", 3, cancelled=3), at=1)
    outbox.note_told(leased)
    (again,) = outbox.lease(places(shop))
    assert again.is_cancelled
    assert [each.quantity for each in again.lines] == [0]


def test_a_request_that_was_refused_while_a_message_was_on_its_way_is_not_told_again() -> None:
    shop, request = sold()
    (leased,) = outbox.lease([shop.locations["main"].pk])
    apply(shop, line("MUG", 3, cancelled=1), at=1)
    outbox.answer(request.pk, REFUSED)
    outbox.note_told(leased)
    request.refresh_from_db()
    assert (request.state, request.is_due, request.due_since) == ("refused", False, None)


@pytest.mark.django_db(transaction=True)
def test_two_who_lease_at_once_do_not_get_the_same_request() -> None:
    shop = shop_with({"MUG": (9, 9)})
    for number in range(6):
        apply(shop, line("MUG", 1), id=str(number))
    found = race([partial(outbox.lease, places(shop), size=3)] * 2)
    ids = [each.request_id for leased in found for each in leased]
    assert len(ids) == len(set(ids)) == 6


@pytest.mark.django_db(transaction=True)
def test_an_answer_takes_the_locks_of_all_the_order_touches_in_order_of_id() -> None:
    shop = shop_with({"AAA": (5, 0), "MUG": (0, 5)})
    apply(shop, line("AAA", 1), line("MUG", 1))
    low = StockLevel.objects.get(variant=shop.variants["AAA"], location=shop.locations["main"])
    high = StockLevel.objects.get(variant=shop.variants["MUG"], location=shop.locations["north"])
    assert low.pk < high.pk
    request = request_of(shop, "north")
    with ExitStack() as stack, transaction.atomic():
        StockLevel.objects.select_for_update(no_key=True).get(pk=low.pk)
        refusal = stack.enter_context(meanwhile(partial(outbox.answer, request.pk, REFUSED)))
        wait_until_blocked()
        # A sale of both goods, which has the lower one: it would wait in a circle otherwise.
        StockLevel.objects.select_for_update(no_key=True, nowait=True).get(pk=high.pk)
    assert refusal.result(PATIENCE).state == "refused"


# -- answers


def test_a_warehouse_accepts_picks_and_ships() -> None:
    shop, request = sold()
    for to in (ACCEPTED, PICKED):
        assert outbox.answer(request.pk, to).state == to
    found = outbox.answer(request.pk, SHIPPED)
    assert (found.state, found.shipped_units, shop.level("MUG")) == ("shipped", 3, (6, 0))
    assert_ledger_holds()


def test_what_a_warehouse_shipped_is_not_shipped_again_when_the_platform_says_so() -> None:
    shop, request = sold()
    outbox.answer(request.pk, SHIPPED)
    apply(shop, line("MUG", 3), at=1)
    apply(shop, line("MUG", 3, fulfilled=3), at=2)
    assert shop.level("MUG") == (6, 0)


def test_what_the_platform_said_first_is_not_shipped_again_when_the_warehouse_says_so() -> None:
    shop, request = sold()
    apply(shop, line("MUG", 3, fulfilled=3), at=1)
    assert outbox.answer(request.pk, SHIPPED).state == "shipped"
    assert shop.level("MUG") == (6, 0)


def test_a_part_that_left_stays_with_its_location_and_the_rest_stays_open() -> None:
    shop, _ = sold(4, MUG=(2, 9))
    north = request_of(shop, "north")
    line_id = north.lines.get().order_line_id
    found = outbox.answer(north.pk, SHIPPED, shipped={line_id: 1})
    assert (found.state, found.shipped_units) == ("picked", 1)
    assert (shop.level("MUG", "main"), shop.level("MUG", "north")) == ((2, 2), (8, 1))
    assert outbox.answer(north.pk, SHIPPED).state == "shipped"
    assert shop.level("MUG", "north") == (7, 0)


def test_the_location_that_says_it_shipped_is_the_one_that_the_ledger_takes_from() -> None:
    """The platform's word of two units is put down to `main` first; each warehouse's own word then counts for itself."""
    shop, main = sold(4, MUG=(2, 9))
    outbox.answer(request_of(shop, "north").pk, SHIPPED)
    assert (shop.level("MUG", "main"), shop.level("MUG", "north")) == ((2, 2), (7, 0))
    outbox.answer(main.pk, SHIPPED)
    assert (shop.level("MUG", "main"), shop.level("MUG", "north")) == ((0, 0), (7, 0))


def test_a_refusal_has_another_location_serve_it_and_the_rest_is_owed() -> None:
    shop, request = sold(3, MUG=(9, 2))
    found = outbox.answer(request.pk, REFUSED, reason="The shelf is empty.")
    assert (found.state, found.reason, found.is_due) == ("refused", "The shelf is empty.", False)
    assert (reserved(shop, "MUG"), shop.owed("MUG")) == ((0, 2), 1)
    assert request_of(shop, "north").units == 2
    assert Conflict.objects.get().location_ids == [shop.locations["north"].pk]
    apply(shop, line("MUG", 4), at=1)
    assert reserved(shop, "MUG") == (0, 2)
    assert_ledger_holds()


def test_a_refusal_by_the_only_location_opens_a_conflict() -> None:
    shop, request = sold(3, MUG=(9, 0))
    outbox.answer(request.pk, REFUSED)
    assert (reserved(shop, "MUG"), shop.owed("MUG")) == ((0, 0), 3)
    outbox.answer(request.pk, REFUSED)
    assert shop.owed("MUG") == 3


def test_a_cancellation_that_comes_too_late_is_a_shipment() -> None:
    shop, request = sold()
    outbox.note_told(outbox.lease(places(shop))[0])
    apply(shop, line("MUG", 3, cancelled=3), at=1)
    found = outbox.answer(request.pk, SHIPPED)
    assert (found.state, found.shipped_units, shop.level("MUG")) == ("shipped", 3, (6, 0))
    assert_ledger_holds()


def test_units_of_lines_that_a_request_does_not_have_are_refused() -> None:
    _, request = sold()
    with pytest.raises(InvalidStockRequest):
        outbox.answer(request.pk, SHIPPED, shipped={0: 1})


@pytest.mark.parametrize("was", RequestState)
@pytest.mark.parametrize("to", [ACCEPTED, PICKED, REFUSED, CANCELLED, RequestState.SENT, RequestState.NEW])
def test_a_step_that_no_request_takes_is_refused(was: RequestState, to: RequestState) -> None:
    _, request = sold()
    FulfilmentRequest.objects.filter(pk=request.pk).update(state=was)
    may = to in MOVES[was] and to not in (CANCELLED, RequestState.SENT)
    if was is to or may:
        assert outbox.answer(request.pk, to).state == to
    else:
        with pytest.raises(ImpossibleMove):
            outbox.answer(request.pk, to)


@pytest.mark.django_db(transaction=True)
def test_a_refusal_and_a_shipment_at_once_are_one_of_them() -> None:
    shop, request = sold(2, MUG=(9, 2))
    answers: list[Callable[[], object]] = [
        partial(outbox.answer, request.pk, to) for to in (REFUSED, SHIPPED)
    ]
    results = race(answers)
    assert sorted(isinstance(result, ImpossibleMove) for result in results) == [False, True]
    assert reserved(shop, "MUG") in {(0, 2), (0, 0)}
    assert_ledger_holds()


@pytest.mark.parametrize("statement", [fulfilment._MAKE, fulfilment._CREATE, fulfilment._CHANGE])
def test_a_plan_that_was_made_before_the_first_order_walks_no_orders_later(statement: str) -> None:
    for number in range(1, 7):
        statement = statement.replace("%s", f"${number}", 1)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"PREPARE follow AS {statement}")
        cursor.execute("EXPLAIN EXECUTE follow ('{1}', '{1}', '{1}', '{1}', '{0}', 1)")
        plan = "\n".join(row for (row,) in cursor.fetchall())
        cursor.execute("DEALLOCATE follow")
    scans = set(re.findall(r"Scan using (\w+) on channels_(?!channel\b)", plan))
    scans |= set(re.findall(r"Bitmap Index Scan on (?!channels_channel_)(\w+)", plan))
    of_many = {name for name in scans if re.search("location_id|_by_day|_due|channel_id|arrival", name)}
    assert scans
    assert not of_many, plan
