"""What a run finds, what it leaves alone, and what becomes of it."""

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F
from django.utils import timezone

from channels.errors import TransientError
from channels.models import ChannelOrder, ListingLevel, PollFeed, WebhookDelivery
from channels.orders import apply_state, hint
from channels.retry_queue import Work, postpone
from inventory.models import Tag, VariantTag
from reconciliation import runs, staging
from reconciliation.errors import Refused
from reconciliation.models import Discrepancy, ReconciliationRun
from reconciliation.models.discrepancies import Cause, DiscrepancyState, Policy, RunKind, RunState
from tests.channels.shop import NOON, line, order
from tests.reconciliation.market import Market, open_market

pytestmark = pytest.mark.django_db

STOCK = {"MUG": 20, "CUP": 8, "HAT": 5}


@pytest.fixture(params=[False, True], ids=["overwrites", "compares"])
def market(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Market:
    return open_market(monkeypatch, STOCK, compares=request.param)


def test_a_shop_that_shows_what_it_was_told_differs_in_nothing(market: Market) -> None:
    run = market.compare()
    assert (run.state, run.read, run.compared, run.moving, run.drifted) == (RunState.DONE, 3, 3, 0, 0)
    assert run.drift_rate == 0
    assert not Discrepancy.objects.exists()


@pytest.mark.parametrize("number", [13, 22])
def test_a_number_written_by_hand_is_told_and_put_right(market: Market, number: int) -> None:
    market.edit("MUG", number)
    run = market.compare()
    assert (run.drifted, run.corrected, run.flagged) == (1, 1, 0)
    found = market.discrepancy("MUG")
    assert (found.shown, found.expected, found.difference) == (number, 20, number - 20)
    assert (found.cause, found.state) == (Cause.FOREIGN_EDIT, DiscrepancyState.CORRECTING)
    market.settle()
    assert market.number("MUG") == 20
    found.refresh_from_db()
    assert (found.state, found.closed_at is not None) == (DiscrepancyState.CORRECTED, True)
    assert market.compare().drifted == 0
    assert Discrepancy.objects.count() == 1


def test_a_large_difference_waits_for_a_person(market: Market) -> None:
    market.edit("MUG", 31)
    run = market.compare()
    assert (run.drifted, run.corrected, run.flagged) == (1, 0, 1)
    market.settle()
    assert market.number("MUG") == 31
    assert market.discrepancy("MUG").state == DiscrepancyState.OPEN


@pytest.mark.parametrize(
    ("policy", "number", "is_corrected"),
    [
        (Policy.FLAG, 19, False),
        (Policy.CORRECT_SMALL, 18, True),
        (Policy.CORRECT_SMALL, 17, False),
        (Policy.CORRECT, 400, True),
    ],
)
def test_the_channels_policy_decides_what_is_corrected(
    market: Market, policy: Policy, number: int, is_corrected: bool
) -> None:
    market.policy(policy, threshold=2)
    market.edit("MUG", number)
    market.compare()
    assert (market.discrepancy("MUG").state == DiscrepancyState.CORRECTING) is is_corrected
    market.settle()
    assert market.number("MUG") == (20 if is_corrected else number)


def test_the_same_difference_again_is_the_same_discrepancy(market: Market) -> None:
    market.policy(Policy.FLAG)
    market.edit("MUG", 13)
    market.compare()
    market.edit("MUG", 12)
    market.compare()
    found = market.discrepancy("MUG")
    assert (found.shown, found.sightings, found.is_open) == (12, 2, True)


def test_a_discrepancy_that_is_over_is_closed_by_the_next_run(market: Market) -> None:
    market.policy(Policy.FLAG)
    market.edit("MUG", 13)
    market.compare()
    market.edit("MUG", 20)
    assert market.compare().closed == 1
    assert market.discrepancy("MUG").state == DiscrepancyState.GONE


# -- healthy traffic


def test_a_sale_that_no_message_told_is_imported_first_and_is_no_difference(market: Market) -> None:
    market.shelves.sell(market.listings["MUG"], 2)
    market.orders.append(order(line("MUG", 2)))
    assert market.compare().drifted == 0
    assert market.level("MUG").expected == 18
    assert not Discrepancy.objects.exists()


def test_a_sale_between_the_orders_and_the_levels_is_explained_at_the_second_look(market: Market) -> None:
    def sold_now() -> None:
        market.shelves.sell(market.listings["MUG"], 3)
        market.orders.append(order(line("MUG", 3)))

    # The first poll misses it, the levels show it, the poll before the second look brings it.
    market.on_poll = [lambda: None]
    fetch = staging.staged

    def staged_after_a_sale(channel_id: int, run_id: int) -> Any:
        sold_now()
        return fetch(channel_id, run_id)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "staged", staged_after_a_sale)
        run = market.compare()
    assert (run.drifted, market.level("MUG").expected) == (0, 17)


def test_without_the_second_look_that_sale_would_be_a_difference(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciliation.looks.confirm", lambda *given, **_: (given[2], 0))
    market.on_poll = []
    fetch = staging.staged

    def staged_after_a_sale(channel_id: int, run_id: int) -> Any:
        market.shelves.sell(market.listings["MUG"], 3)
        return fetch(channel_id, run_id)

    monkeypatch.setattr(runs, "staged", staged_after_a_sale)
    assert market.compare().drifted == 1


def _is_due(level: ListingLevel) -> None:
    ListingLevel.objects.filter(pk=level.pk).update(wanted=level.wanted + 1)


def _is_leased(level: ListingLevel) -> None:
    ListingLevel.objects.filter(pk=level.pk).update(lease_token=uuid.uuid4())


def _is_in_doubt(level: ListingLevel) -> None:
    now = timezone.now()
    ListingLevel.objects.filter(pk=level.pk).update(seen_at=now, seen_quantity=13, seen_expected=20)


def _is_unknown(level: ListingLevel) -> None:
    ListingLevel.objects.filter(pk=level.pk).update(is_outcome_unknown=True)


def _was_told_meanwhile(level: ListingLevel) -> None:
    ListingLevel.objects.filter(pk=level.pk).update(confirmed_at=timezone.now() + timedelta(minutes=1))


def _was_sent_meanwhile(level: ListingLevel) -> None:
    ListingLevel.objects.filter(pk=level.pk).update(sent_at=timezone.now() + timedelta(minutes=1))


def _was_never_told(level: ListingLevel) -> None:
    ListingLevel.objects.filter(pk=level.pk).update(expected=None)


@pytest.mark.parametrize(
    "move",
    [
        _is_due,
        _is_leased,
        _is_in_doubt,
        _is_unknown,
        _was_told_meanwhile,
        _was_sent_meanwhile,
        _was_never_told,
    ],
)
def test_a_shelf_on_its_way_to_another_number_is_left_out(
    market: Market, move: Callable[[ListingLevel], None]
) -> None:
    market.edit("MUG", 13)
    move(market.level("MUG"))
    run = market.compare()
    assert (run.compared, run.moving, run.drifted) == (2, 1, 0)


def test_a_message_that_is_not_processed_yet_is_processed_before_anything_is_judged(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    market.shelves.sell(market.listings["MUG"], 2)
    WebhookDelivery.objects.create(
        channel=market.shop.channel, dedupe_key="1", topic="order", received_at=timezone.now()
    )

    def process(limit: int) -> int:
        apply_state(market.shop.channel, order(line("MUG", 2)), arrived_at=NOON)
        return WebhookDelivery.objects.update(state="processed")

    monkeypatch.setattr("reconciliation.catching_up.deliveries.process_due", process)
    assert market.compare().drifted == 0


def test_an_order_that_others_were_in_the_way_of_is_applied_before_anything_is_judged(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = market.shop.channel
    market.shelves.sell(market.listings["MUG"], 2)
    hint(channel, "1001")
    ChannelOrder.objects.update(fetch_error="Others are changing this stock.")
    postpone(Work.of_order(channel, "1001"), "lock_timeout")

    def fetch(*_: Any, **__: Any) -> int:
        if not ChannelOrder.objects.filter(fetch_wanted__gt=F("fetched")).exists():
            return 0
        apply_state(channel, order(line("MUG", 2)), arrived_at=NOON)
        return ChannelOrder.objects.update(fetched=F("fetch_wanted"), fetch_error="")

    monkeypatch.setattr("reconciliation.catching_up.fetching.fetch_due", fetch)
    assert market.compare().drifted == 0


def test_what_changes_at_every_look_is_left_to_the_next_run(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    market.edit("MUG", 13)
    market.on_poll = [lambda n=n: market.edit("MUG", n) for n in (13, 12, 11, 10)]  # type: ignore[misc]

    def fetch_one(self: Any, cursor: str) -> Any:
        from channels.connectors.base import OrderPage

        if market.on_poll:
            market.on_poll.pop(0)()
        return OrderPage(())

    from channels.connectors import CONNECTORS

    monkeypatch.setattr(CONNECTORS["telling"], "fetch_orders", fetch_one)
    run = market.compare()
    assert (run.drifted, run.moving) == (0, 1)


# -- scope, failures, leases


def test_only_the_goods_asked_for_are_compared(market: Market) -> None:
    tag = Tag.objects.create(merchant=market.shop.merchant, name="fragile")
    VariantTag.objects.create(tag=tag, variant=market.shop.variants["CUP"])
    market.edit("MUG", 19)
    market.edit("CUP", 7)
    assert (market.compare(tag=tag).read, Discrepancy.objects.count()) == (1, 1)
    assert (market.compare(sku="MUG").read, Discrepancy.objects.count()) == (1, 2)


def test_a_full_run_counts_shelves_that_the_platform_no_longer_names(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "import_channel", lambda channel, connector: None)
    del market.shelves.numbers[market.listings["HAT"].external_id, ""]
    assert market.compare(RunKind.FULL).missing == 1
    assert market.compare().missing == 0


def test_a_platform_that_fails_is_noted_on_the_run(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Any) -> Any:
        raise TransientError("It is down.")

    from channels.connectors import CONNECTORS

    monkeypatch.setattr(CONNECTORS["telling"], "fetch_levels", fail)
    run = market.compare()
    assert (run.state, run.error) == (RunState.FAILED, "It is down.")
    assert run.finished_at is not None


def test_a_run_whose_orders_cannot_be_read_finds_nothing(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    from channels.connectors import CONNECTORS

    def fail(self: Any, cursor: str) -> Any:
        raise TransientError("No orders today.")

    monkeypatch.setattr(CONNECTORS["telling"], "fetch_orders", fail)
    market.edit("MUG", 13)
    run = market.compare()
    assert run.state == RunState.FAILED
    assert "No orders today." in run.error
    assert not Discrepancy.objects.exists()


def test_a_run_is_made_by_one_process_and_begun_anew_when_that_died(market: Market) -> None:
    run = runs.ask(market.shop.channel)
    other = runs.ask(market.shop.channel, sku="MUG")
    ReconciliationRun.objects.filter(pk=run.pk).update(
        state=RunState.RUNNING, lease_token=uuid.uuid4(), leased_until=timezone.now() + timedelta(minutes=1)
    )
    assert runs.perform(run.pk) is None
    assert runs.perform(other.pk) is None, "one run of a channel at a time"
    ReconciliationRun.objects.filter(pk=run.pk).update(leased_until=timezone.now() - timedelta(seconds=1))
    done = runs.perform(run.pk)
    assert done is not None
    assert done.state == RunState.DONE


def test_the_same_run_is_not_asked_for_twice(market: Market) -> None:
    assert runs.ask(market.shop.channel).pk == runs.ask(market.shop.channel).pk


def test_a_channel_that_is_off_is_not_compared(market: Market) -> None:
    market.shop.channel.is_active = False
    with pytest.raises(Refused) as refused:
        runs.ask(market.shop.channel)
    assert refused.value.field == "channel"


def test_a_run_takes_the_same_number_of_statements_whatever_differs(
    monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: Any
) -> None:
    market = open_market(monkeypatch, {f"SKU-{n}": 20 for n in range(40)}, push_batch_size=50)
    PollFeed.objects.update(covered_until=timezone.now() + timedelta(hours=1))
    market.edit("SKU-0", 19)
    with django_assert_max_num_queries(120) as few:
        market.compare()
    for n in range(1, 40):
        market.edit(f"SKU-{n}", 19)
    with django_assert_max_num_queries(120) as many:
        market.compare()
    assert len(many) <= len(few) + 3
