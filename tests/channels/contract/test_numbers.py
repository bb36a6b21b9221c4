"""How every platform is told numbers: within its limits, item by item, and right in the end whatever was lost."""

import time
from uuid import uuid4

import pytest

from channels.baseline import read_shelves
from channels.connectors import CONNECTORS
from channels.connectors.base import ItemOutcome
from channels.errors import Throttled
from channels.models import ListingLevel
from channels.models.listings import Lane
from channels.pushes import mark_listing_levels
from inventory.ledger import Context
from inventory.stock import StockLine, receive
from tests.channels.contract.adapters import KINDS
from tests.channels.contract.stand import Stand, stand_of
from tests.channels.telling import tell, tell_all

TAKEN = {ItemOutcome.CONFIRMED, ItemOutcome.ACCEPTED}


@pytest.fixture
def stand(stand: Stand) -> Stand:
    if not stand.able.push_batch_size:
        pytest.skip(f"{stand.kind} is told no numbers.")
    stand.subscribe()
    return stand


def push(stand: Stand, quantity: int, **options: float) -> set[ItemOutcome]:
    """Tells one number; returns what became of it, nothing where it had to wait."""
    try:
        results = stand.connector(**options).push([stand.item("MUG", quantity)], call_id=uuid4().hex)
    except Throttled:
        return set()
    return {result.outcome for result in results} - {ItemOutcome.NOT_SENT}


def test_a_platform_that_asks_for_patience_is_left_alone(stand: Stand) -> None:
    assert push(stand, 9) <= TAKEN
    stand.sandbox.set_faults(throttle_rate=1.0, retry_after="30")
    assert not push(stand, 8)
    stand.sandbox.clear_faults()
    calls = stand.calls
    assert not push(stand, 7, deadline=0.2)
    assert stand.calls == calls


@pytest.mark.django_db
@pytest.mark.parametrize("kind", [kind for kind in KINDS if CONNECTORS[kind].capabilities.push_batch_size])
def test_no_more_is_asked_than_the_platform_allows(kind: str) -> None:
    with stand_of(kind, limits="true") as stand:
        stand.subscribe()
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            push(stand, 9, deadline=0.5)
        assert stand.sandbox.throttled == 0


def test_an_item_that_is_refused_holds_up_no_other(stand: Stand) -> None:
    unknown = stand.item("CUP", 4, listing_external_id=stand.adapter.unknown_listing)
    items = [unknown, stand.item("MUG", 3)]
    results = stand.connector().push(items, call_id="1")
    outcomes = {result.listing_level_id: result for result in results}
    assert outcomes[items[1].address.listing_level_id].outcome in TAKEN
    refused = outcomes[unknown.address.listing_level_id]
    assert refused.outcome is ItemOutcome.REJECTED
    assert refused.reason
    stand.until_shown("MUG", 3)
    stand.until_shown("CUP", 10)


def test_a_number_whose_answer_never_came_is_right_in_the_end(stand: Stand) -> None:
    read_shelves(stand.channel, stand.connector())
    more = [StockLine(stand.shop.variants["MUG"].pk, stand.shop.locations["main"].pk, 5)]
    receive(Context(stand.shop.merchant.pk, "more"), more)
    mark_listing_levels([stand.level("MUG").pk], lane=Lane.INCREASE)
    stand.sandbox.set_faults(late_write_rate=1.0, late_write_seconds=0.0)
    tell(stand.shop)
    level = stand.level("MUG")
    assert level.is_due
    assert level.is_outcome_unknown
    stand.until_shown("MUG", 15)
    stand.sandbox.clear_faults()
    ListingLevel.objects.update(next_attempt_at=None)
    tell_all(stand.shop)
    stand.until_shown("MUG", 15)
    # What is only accepted is certain once it has been followed.
    assert stand.able.asynchronous_push or not stand.level("MUG").is_outcome_unknown
