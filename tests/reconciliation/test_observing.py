"""What a shop announces, or a push comes upon, is told and put right without waiting for a run."""

from datetime import timedelta

import pytest
from django.utils import timezone

from channels.events import LevelObserved
from channels.models import ListingLevel, PollFeed, Push, ShelfObservation
from channels.models.listings import Lane
from channels.observations import judge_open, observe
from channels.pushes import mark_listing_levels
from reconciliation.models import Discrepancy
from reconciliation.models.discrepancies import Cause, DiscrepancyState, Policy
from reconciliation.observing import take_up_observations
from tests.channels.telling import tell, tell_all
from tests.reconciliation.market import Market, open_market

pytestmark = pytest.mark.django_db


@pytest.fixture(params=[False, True], ids=["overwrites", "compares"])
def market(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Market:
    market = open_market(monkeypatch, {"MUG": 20}, compares=request.param)
    PollFeed.objects.update_or_create(
        channel=market.shop.channel, name="orders", defaults={"next_poll_at": timezone.now()}
    )
    # The shop was told before anybody wrote into it.
    a_minute_ago = timezone.now() - timedelta(minutes=1)
    Push.objects.update(computed_at=a_minute_ago, finished_at=a_minute_ago)
    return market


def announce(market: Market, number: int, *, seconds_ago: int = 8) -> None:
    """Somebody writes a number into the shop, which says so; the orders are polled since."""
    market.edit("MUG", number)
    at = timezone.now() - timedelta(seconds=seconds_ago)
    observe(market.shop.channel, LevelObserved("listing-MUG", "", number, at), received_at=at)
    PollFeed.objects.update(covered_until=timezone.now())
    judge_open()


def test_a_number_that_the_shop_announces_is_told_and_put_right(market: Market) -> None:
    announce(market, 15)
    assert take_up_observations() == 1
    found = market.discrepancy("MUG")
    assert (found.shown, found.expected, found.run) == (15, 20, None)
    assert (found.cause, found.state) == (Cause.FOREIGN_EDIT, DiscrepancyState.CORRECTING)
    assert "The shop itself said so" in found.evidence
    market.settle()
    assert market.number("MUG") == 20
    assert market.discrepancy("MUG").state == DiscrepancyState.CORRECTED
    assert take_up_observations() == 0


def test_a_policy_to_flag_leaves_the_announced_number(market: Market) -> None:
    market.policy(Policy.FLAG)
    announce(market, 15)
    take_up_observations()
    market.settle()
    assert (market.number("MUG"), market.discrepancy("MUG").state) == (15, DiscrepancyState.OPEN)


def test_what_a_run_has_told_is_not_told_again_when_its_message_is_judged(market: Market) -> None:
    market.policy(Policy.FLAG)
    market.edit("MUG", 15)
    at = timezone.now() - timedelta(seconds=8)
    observe(market.shop.channel, LevelObserved("listing-MUG", "", 15, at), received_at=at)
    market.compare()
    PollFeed.objects.update(covered_until=timezone.now())
    judge_open()
    assert ShelfObservation.objects.filter(awaits_reconciliation=True).exists()
    assert take_up_observations() == 0
    assert market.discrepancy("MUG").sightings == 1


def test_the_newest_of_several_numbers_is_told(market: Market) -> None:
    announce(market, 15, seconds_ago=12)
    announce(market, 14)
    take_up_observations()
    assert Discrepancy.objects.get().shown == 14


def test_what_a_push_settles_after_two_looks_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    market = open_market(monkeypatch, {"MUG": 20}, compares=True)
    PollFeed.objects.update_or_create(
        channel=market.shop.channel, name="orders", defaults={"next_poll_at": timezone.now()}
    )
    market.edit("MUG", 15)
    level = market.level("MUG")
    mark_listing_levels([level.pk], lane=Lane.DECREASE, read_first=True)
    tell(market.shop)
    assert take_up_observations() == 0, "a sale may explain it yet"
    # A while later the orders are polled, and the shelf is looked at again.
    now = timezone.now()
    PollFeed.objects.update(covered_until=now, last_polled_at=now)
    ListingLevel.objects.update(next_attempt_at=None, seen_at=now - timedelta(seconds=10))
    tell_all(market.shop)
    assert market.number("MUG") == 20
    assert take_up_observations() == 1
    found = market.discrepancy("MUG")
    assert (found.shown, found.expected, found.sightings) == (15, 20, 1)
    market.settle()
    assert market.discrepancy("MUG").state == DiscrepancyState.CORRECTED
    assert take_up_observations() == 0


def test_a_doubt_that_an_order_explains_is_told_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    from channels.orders import apply_state
    from tests.channels.shop import NOON, line, order

    market = open_market(monkeypatch, {"MUG": 20}, compares=True)
    market.edit("MUG", 18)
    mark_listing_levels([market.level("MUG").pk], lane=Lane.DECREASE, read_first=True)
    tell(market.shop)
    apply_state(market.shop.channel, order(line("MUG", 2)), arrived_at=NOON)
    ListingLevel.objects.update(next_attempt_at=None)
    tell_all(market.shop)
    assert take_up_observations() == 0
    assert not Discrepancy.objects.exists()
