"""Several processes at once: one run of a channel, one discrepancy of a shelf, one correction."""

import uuid
from collections import Counter

import pytest

from reconciliation import discrepancies, runs
from reconciliation.findings import Facts, Finding
from reconciliation.models import Discrepancy, ReconciliationRun
from reconciliation.models.discrepancies import Cause, DiscrepancyState
from tests.inventory.racing import race
from tests.reconciliation.market import Market, open_market

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def market(monkeypatch: pytest.MonkeyPatch) -> Market:
    return open_market(monkeypatch, {"MUG": 20, "CUP": 8})


def findings_of(market: Market, *skus: str) -> list[Finding]:
    """Each of these shelves was seen to show one unit too few."""
    return [
        Finding(
            Facts(level.pk, market.shop.merchant.pk, market.shop.channel.pk),
            level.expected - 1,
            level.expected,
            Cause.FOREIGN_EDIT,
        )
        for level in map(market.level, skus)
        if level.expected is not None
    ]


def test_of_several_processes_one_compares_a_channel(market: Market) -> None:
    asked = [runs.ask(market.shop.channel).pk, runs.ask(market.shop.channel, sku="MUG").pk]
    claims = [lambda pk=pk: runs._claim(pk, uuid.uuid4()) for pk in asked * 2]
    assert Counter(race(claims)) == {True: 1, False: 3}
    assert ReconciliationRun.objects.filter(state="running").count() == 1


def test_a_shelf_seen_by_several_at_once_has_one_open_discrepancy(market: Market) -> None:
    one_way, other_way = findings_of(market, "MUG", "CUP"), findings_of(market, "CUP", "MUG")
    results = race([lambda: discrepancies.record(one_way), lambda: discrepancies.record(other_way)] * 3)
    assert all(isinstance(ids, list) for ids in results), results
    assert list(Discrepancy.objects.values_list("sightings", flat=True)) == [6, 6]


def test_a_shelf_corrected_by_several_at_once_is_marked_once(market: Market) -> None:
    found = findings_of(market, "MUG", "CUP")
    before = {sku: market.level(sku).wanted for sku in ("MUG", "CUP")}
    race([lambda: discrepancies.take_up(found)] * 4)
    assert {sku: market.level(sku).wanted - was for sku, was in before.items()} == {"MUG": 1, "CUP": 1}
    market.edit("MUG", 19)
    market.edit("CUP", 7)
    market.settle()
    assert (market.number("MUG"), market.number("CUP")) == (20, 8)
    # Seen again by a slower process after the correction was marked: it closes with the push all the same.
    assert set(Discrepancy.objects.values_list("state", flat=True)) == {DiscrepancyState.CORRECTED}
