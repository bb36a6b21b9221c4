"""Causes with their evidence, values, the fuse, foreign writers, and what people decide."""

from datetime import UTC, timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from channels import mutations
from channels.models import (
    ChannelOrder,
    ChannelOrderLine,
    Listing,
    ListingLevel,
    Mutation,
    MutationFuse,
    Push,
)
from channels.orders import apply_state
from reconciliation import discrepancies
from reconciliation.drift_figures import drift_on, handled_on
from reconciliation.errors import Refused
from reconciliation.findings import Facts, judge
from reconciliation.models import Discrepancy
from reconciliation.models.discrepancies import Cause, DiscrepancyState, Policy
from tests.channels.shop import NOON, line, order
from tests.reconciliation.market import Market, open_market

pytestmark = pytest.mark.django_db

NOW = timezone.now()
PLAIN = {"listing_level_id": 1, "merchant_id": 1, "channel_id": 1}


@pytest.fixture
def market(monkeypatch: pytest.MonkeyPatch) -> Market:
    return open_market(monkeypatch, {"MUG": 20, "CUP": 8, "HAT": 5})


@pytest.mark.parametrize(
    ("known", "shown", "cause"),
    [
        ({}, 15, Cause.FOREIGN_EDIT),
        ({"announced_at": NOW}, 25, Cause.FOREIGN_EDIT),
        ({"dead_at": NOW}, 15, Cause.UNCONFIRMED_PUSH),
        ({"unanswered_at": NOW}, 15, Cause.UNCONFIRMED_PUSH),
        ({"waiting_lines": 1}, 15, Cause.UNSEEN_ORDER),
        ({"unread_orders": 1}, 15, Cause.UNSEEN_ORDER),
        ({"waiting_lines": 1}, 25, Cause.FOREIGN_EDIT),
        ({"is_remapped": True}, 15, Cause.MAPPING),
        ({"has_twin": True}, 15, Cause.MAPPING),
        ({"corrected_at": [NOW] * 2, "corrected_from": [1, 2]}, 15, Cause.FOREIGN_EDIT),
        ({"corrected_at": [NOW] * 3, "corrected_from": [1, 2, 3]}, 15, Cause.FOREIGN_WRITER),
    ],
)
def test_what_is_known_of_a_shelf_makes_its_cause(known: dict[str, object], shown: int, cause: Cause) -> None:
    assert judge(Facts(**PLAIN, **known), shown, 20)[0] == cause  # type: ignore[arg-type]


def test_the_value_is_that_of_the_last_price_and_unknown_without_one(market: Market) -> None:
    shop = market.shop
    sold = ChannelOrder.objects.create(
        channel=shop.channel, external_id="9", currency="EUR", arrived_at=timezone.now()
    )
    ChannelOrderLine.objects.create(
        order=sold, external_id="1", variant=shop.variants["MUG"], unit_price=Decimal("4.50")
    )
    market.edit("MUG", 17)
    market.edit("CUP", 7)
    market.compare()
    assert (market.discrepancy("MUG").value, market.discrepancy("MUG").currency) == (Decimal("13.50"), "EUR")
    assert market.discrepancy("CUP").value is None


def test_a_line_that_waits_for_its_place_is_the_likely_cause_of_a_drop_and_is_not_written_over(
    market: Market,
) -> None:
    Listing.objects.filter(sku="HAT").update(variant=None)
    apply_state(market.shop.channel, order(line("HAT", 2)), arrived_at=NOON)
    Listing.objects.filter(sku="HAT").update(variant=market.shop.variants["HAT"])
    ListingLevel.objects.update(expected=5, wanted=1, done=1)
    ChannelOrderLine.objects.update(variant=None, applied_demand=0)
    market.edit("MUG", 5)
    market.edit("CUP", 5)
    market.edit("HAT", 3)
    market.compare()
    found = market.discrepancy("HAT")
    assert (found.cause, found.state) == (Cause.UNSEEN_ORDER, DiscrepancyState.OPEN)
    assert found.evidence["Order lines of the listing that wait"] == "1"


def test_a_number_that_was_given_up_is_measured_by_what_should_be_told_now(market: Market) -> None:
    level = market.level("MUG")
    ListingLevel.objects.filter(pk=level.pk).update(
        dead_at=timezone.now(), last_error="No such product.", wanted=level.wanted + 1, expected=18
    )
    market.edit("MUG", 18)
    market.compare()
    found = market.discrepancy("MUG")
    assert (found.shown, found.expected, found.cause) == (18, 20, Cause.UNCONFIRMED_PUSH)
    assert "No such product." in found.evidence["Given up"]
    assert found.state == DiscrepancyState.OPEN


def test_mass_corrections_wait_for_a_person_and_are_told_once_confirmed(market: Market) -> None:
    MutationFuse.objects.create(merchant=market.shop.merchant, floor=2, percent=0)
    for sku, number in {"MUG": 19, "CUP": 7, "HAT": 4}.items():
        market.edit(sku, number)
    run = market.compare()
    assert (run.drifted, run.corrected, run.flagged) == (3, 0, 3)
    assert set(Discrepancy.objects.values_list("state", flat=True)) == {DiscrepancyState.HELD}
    market.settle()
    assert market.number("MUG") == 19
    mutations.confirm(Mutation.objects.get(state="waiting").pk, actor="operator")
    market.settle()
    assert [market.number(sku) for sku in ("MUG", "CUP", "HAT")] == [20, 8, 5]
    assert set(Discrepancy.objects.values_list("state", flat=True)) == {DiscrepancyState.CORRECTED}
    today = timezone.now().astimezone(UTC).date()
    assert list(handled_on(market.shop.merchant.pk, today)) == [(market.shop.channel.pk, 3, 0)]


def test_a_held_correction_that_is_rolled_back_is_open_again(market: Market) -> None:
    MutationFuse.objects.create(merchant=market.shop.merchant, floor=0, percent=0)
    market.edit("MUG", 19)
    market.compare()
    mutations.refuse(Mutation.objects.get(state="waiting").pk, actor="operator")
    discrepancies.follow()
    assert market.discrepancy("MUG").state == DiscrepancyState.OPEN


def test_a_writer_who_does_not_stop_is_named_and_not_fought(market: Market) -> None:
    for _ in range(3):
        market.edit("MUG", 17)
        market.compare()
        market.settle()
        ListingLevel.objects.update(confirmed_at=timezone.now() - timedelta(hours=1), sent_at=None)
        assert market.number("MUG") == 20
    market.edit("MUG", 17)
    market.compare()
    found = Discrepancy.objects.latest("id")
    assert (found.cause, found.state) == (Cause.FOREIGN_WRITER, DiscrepancyState.OPEN)
    assert found.evidence["Corrected within a day"].count("from 17") == 3


def test_a_later_push_that_wrote_over_it_closes_a_discrepancy(market: Market) -> None:
    market.policy(Policy.FLAG)
    market.edit("MUG", 13)
    market.compare()
    apply_state(market.shop.channel, order(line("MUG", 1)), arrived_at=NOON)
    market.settle()
    found = market.discrepancy("MUG")
    assert (found.state, found.because) == (DiscrepancyState.CORRECTED, "A later push wrote over it.")


def test_a_correction_that_the_platform_refuses_for_good_is_open_again(market: Market) -> None:
    market.edit("MUG", 19)
    market.compare()
    ListingLevel.objects.update(dead_at=timezone.now())
    discrepancies.follow()
    found = market.discrepancy("MUG")
    assert (found.state, found.cause) == (DiscrepancyState.OPEN, Cause.UNCONFIRMED_PUSH)


@pytest.mark.parametrize("compares", [False, True])
def test_a_person_has_a_large_difference_corrected(monkeypatch: pytest.MonkeyPatch, compares: bool) -> None:
    market = open_market(monkeypatch, {"MUG": 20}, compares=compares)
    market.edit("MUG", 55)
    market.compare()
    assert discrepancies.correct_chosen(Discrepancy.objects.all(), actor="operator") == 1
    market.settle()
    assert market.number("MUG") == 20
    assert market.discrepancy("MUG").state == DiscrepancyState.CORRECTED


def test_a_person_has_a_number_corrected_that_was_given_up(market: Market) -> None:
    level = market.level("MUG")
    ListingLevel.objects.filter(pk=level.pk).update(dead_at=timezone.now(), wanted=level.wanted + 1)
    market.edit("MUG", 18)
    market.compare()
    discrepancies.correct_chosen(Discrepancy.objects.all(), actor="operator")
    market.settle()
    assert (market.number("MUG"), market.discrepancy("MUG").state) == (20, DiscrepancyState.CORRECTED)


def test_a_dismissed_discrepancy_says_why_and_comes_back_when_it_is_seen_again(market: Market) -> None:
    market.policy(Policy.FLAG)
    market.edit("MUG", 13)
    market.compare()
    with pytest.raises(Refused):
        discrepancies.dismiss(Discrepancy.objects.all(), actor="operator", because=" ")
    assert discrepancies.dismiss(Discrepancy.objects.all(), actor="operator", because="A fair.") == 1
    market.compare()
    assert list(Discrepancy.objects.order_by("id").values_list("state", flat=True)) == ["dismissed", "open"]


def test_key_figures_tell_what_drifted_and_who_put_it_right(market: Market) -> None:
    market.edit("MUG", 17)
    market.edit("CUP", 60)
    market.compare()
    discrepancies.correct_chosen(Discrepancy.objects.filter(shown=60), actor="operator")
    market.settle()
    today = timezone.now().astimezone(UTC).date()
    merchant_id, channel_id = market.shop.merchant.pk, market.shop.channel.pk
    assert list(drift_on(merchant_id, today)) == [(channel_id, 3, 2)]
    assert list(handled_on(merchant_id, today)) == [(channel_id, 1, 1)]
    assert list(drift_on(merchant_id, today - timedelta(days=1))) == []


def test_an_unanswered_push_is_the_likely_cause(market: Market) -> None:
    now = timezone.now()
    Push.objects.create(
        channel=market.shop.channel,
        listing_level=market.level("MUG"),
        wanted=1,
        target=20,
        quantity=20,
        outcome="unknown",
        computed_at=now,
        finished_at=now - timedelta(minutes=5),
    )
    market.edit("MUG", 19)
    market.compare()
    assert market.discrepancy("MUG").cause == Cause.UNCONFIRMED_PUSH
