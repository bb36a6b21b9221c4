"""A writer that commits late is counted all the same; a mark by ids would pass it over, which the control shows."""

import threading

import pytest
from django.db import connection, transaction

from analytics.facts.updating import update
from analytics.models import OrderChange, SalesFact, StockFact
from channels.orders import apply_state
from inventory.ledger import Context
from inventory.models import StockMovement
from inventory.stock import StockLine, receive
from tests.analytics.counting import assert_rebuilt_is_the_same
from tests.channels.shop import NOON, Shop, line, open_shop, order
from tests.inventory.racing import PATIENCE, meanwhile, race

pytestmark = pytest.mark.django_db(transaction=True)


def put(shop: Shop, sku: str, key: str) -> None:
    """Receives one unit."""
    line_of = StockLine(shop.variants[sku].pk, shop.locations["main"].pk, 1)
    receive(Context(shop.merchant.pk, key), [line_of])


class Held:
    """Work that has been done in a transaction which does not commit until told."""

    def __init__(self) -> None:
        self.done, self.go_on = threading.Event(), threading.Event()

    def run(self, work: object) -> None:
        with transaction.atomic():
            work()  # type: ignore[operator]
            self.done.set()
            assert self.go_on.wait(PATIENCE)


def received(shop: Shop, sku: str) -> int:
    facts = StockFact.objects.filter(variant=shop.variants[sku])
    return sum(facts.values_list("received", flat=True))


def test_a_movement_that_commits_late_is_counted() -> None:
    shop = open_shop({"MUG": 1, "CUP": 1})
    update()
    held = Held()
    with meanwhile(lambda: held.run(lambda: put(shop, "MUG", "slow"))):
        assert held.done.wait(PATIENCE)
        put(shop, "CUP", "quick")
        update()
        # What a mark by ids would hold now: everything up to the newest movement that can be seen.
        highest = StockMovement.objects.latest("id").pk
        assert (received(shop, "MUG"), received(shop, "CUP")) == (1, 2)
        held.go_on.set()
    late = StockMovement.objects.get(operation__key="slow")
    assert late.pk < highest, "the control: its id lies below the mark, and it would never be counted"
    update()
    assert (received(shop, "MUG"), received(shop, "CUP")) == (2, 2)


def test_an_order_that_changes_while_another_is_counted_is_counted_next() -> None:
    shop = open_shop({"MUG": 10, "CUP": 10})
    held = Held()

    def sell_late() -> None:
        apply_state(shop.channel, order(line("MUG", 2), id="late"), arrived_at=NOON)

    with meanwhile(lambda: held.run(sell_late)):
        assert held.done.wait(PATIENCE)
        apply_state(shop.channel, order(line("CUP", 1), id="early"), arrived_at=NOON)
        update()
        assert SalesFact.objects.get().ordered == 1
        assert not OrderChange.objects.exists()
        held.go_on.set()
    update()
    assert sum(SalesFact.objects.values_list("ordered", flat=True)) == 3


def test_two_that_count_at_once_count_nothing_twice() -> None:
    shop = open_shop({"MUG": 50})
    for number in range(10):
        apply_state(shop.channel, order(line("MUG", 1), id=str(number)), arrived_at=NOON)
    race([update, update, update])
    assert_rebuilt_is_the_same(shop.merchant)


def test_sales_and_counting_do_not_wait_for_each_other() -> None:
    shop = open_shop({"MUG": 50})
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(4020517)")
        with meanwhile(lambda: apply_state(shop.channel, order(line("MUG", 1)), arrived_at=NOON)) as selling:
            assert selling.exception(PATIENCE) is None
        with meanwhile(update) as counting:
            assert counting.result(PATIENCE).is_complete is False
