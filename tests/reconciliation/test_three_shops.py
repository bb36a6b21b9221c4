"""A hand in a shop's own stock is found and undone, over real HTTP and through the real connectors, while customers buy."""

import random
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta

import pytest
from django.db import connection

from channels.demo.platforms import DEFAULT
from channels.models import Channel, ListingLevel
from channels.sandbox import INSTANT, SANDBOXES, Refused
from inventory.proof import prove
from reconciliation import runs
from reconciliation.models import Discrepancy, ReconciliationRun
from reconciliation.models.discrepancies import DiscrepancyState
from reconciliation.reconciler import Reconciler
from tests.channels.shop import open_shop
from tests.channels.test_three_shops import SKUS, Market, pushing, wait_for

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def platforms_on_this_machine(settings: pytest.FixtureRequest) -> None:
    """Lets connectors call simulated platforms on loopback, over http."""
    settings.ALLOW_LOOPBACK_PLATFORMS = True  # type: ignore[attr-defined]


@pytest.fixture
def market(monkeypatch: pytest.MonkeyPatch) -> Iterator[Market]:
    # The lists of these shops are complete, but sales go on while they are read.
    monkeypatch.setattr("reconciliation.looks.LIST_LAG", timedelta(seconds=0.2))
    with ExitStack() as stack:
        sandboxes = {
            kind: stack.enter_context(SANDBOXES[kind](profile=INSTANT, limits="generous")) for kind in DEFAULT
        }
        shop = open_shop(dict.fromkeys(SKUS, 40))
        Channel.objects.update(is_active=False)
        yield Market(shop, sandboxes)
        connection.close()


@contextmanager
def reconciling() -> Iterator[None]:
    reconciler = Reconciler()
    thread = threading.Thread(target=reconciler.run)
    thread.start()
    try:
        yield
    finally:
        reconciler.stop()
        thread.join(20.0)


def compare_all(market: Market) -> None:
    """Compares every channel and waits until that has ended."""
    asked = [runs.ask(channel).pk for channel in market.channels.values()]
    wait_for(lambda: ReconciliationRun.objects.filter(pk__in=asked, state="done").count() == len(asked))


def told(market: Market) -> bool:
    return market.agrees() and not ListingLevel.objects.filter(seen_at__isnull=False).exists()


@pytest.mark.slow
def test_a_hand_in_each_shop_is_found_and_undone(market: Market) -> None:
    with pushing(), reconciling():
        wait_for(lambda: told(market))
        for number, sandbox in enumerate(market.sandboxes.values()):
            sandbox.edit_stock("SKU-1", 35 + number)
            sandbox.edit_stock("SKU-2", 43)
        compare_all(market)
        wait_for(lambda: not Discrepancy.objects.filter(closed_at__isnull=True).exists())
        wait_for(lambda: told(market))
    found = Discrepancy.objects.all()
    assert found.count() == 6
    assert set(found.values_list("state", flat=True)) == {DiscrepancyState.CORRECTED}
    assert market.shown("SKU-1") == dict.fromkeys(DEFAULT, 40)
    assert market.shown("SKU-2") == dict.fromkeys(DEFAULT, 40)


@pytest.mark.slow
def test_while_customers_buy_nothing_is_found_that_is_not_there(market: Market) -> None:
    chance = random.Random(7)
    is_over = threading.Event()

    def buy() -> None:
        while not is_over.wait(0.08):
            sandbox = chance.choice(list(market.sandboxes.values()))
            try:
                sandbox.place_order([(chance.choice(SKUS), 1)])
            except Refused:
                continue

    with pushing(), reconciling():
        wait_for(lambda: told(market))
        shoppers = threading.Thread(target=buy)
        shoppers.start()
        try:
            for _ in range(2):
                compare_all(market)
        finally:
            is_over.set()
            shoppers.join(10.0)
        wait_for(lambda: told(market))
        compare_all(market)
    assert list(Discrepancy.objects.values_list("shown", "expected", "cause")) == []
    assert all(proof.is_ok for proof in prove())
