"""What a shadow run reports: where shelves differed and for how long, what was oversold, and how fast a change arrived."""

import io
import json
from dataclasses import replace
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from channels.events import OrderState
from channels.models import ShadowSpan
from channels.models.shadow import ShadowOutcome
from channels.orders import apply_state
from channels.shadow import runs
from channels.shadow.report import report
from tests.channels.shadow.watching import Watch, watch
from tests.channels.shop import line, open_shop, order

pytestmark = pytest.mark.django_db


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watch:
    return watch(monkeypatch, {"MUG": 5, "CUP": 2}, {"MUG": 5, "CUP": 2})


def span(
    watched: Watch,
    sku: str,
    shown: int,
    would: int,
    *,
    since: float,
    until: float | None,
    late: float | None = None,
) -> None:
    """Lays out a span from `since` to `until` seconds ago; `late` seconds after what it rests on."""
    now = timezone.now()
    began_at = now - timedelta(seconds=since)
    ShadowSpan.objects.create(
        run=watched.run,
        listing_level=watched.level(sku),
        shown=shown,
        would=would,
        began_at=began_at,
        ended_at=None if until is None else now - timedelta(seconds=until),
        caused_at=None if late is None else began_at - timedelta(seconds=late),
        said_at=now,
    )


def test_shelves_are_listed_by_how_long_they_differed(watched: Watch) -> None:
    span(watched, "MUG", 5, 5, since=100, until=60)
    span(watched, "MUG", 5, 3, since=60, until=20, late=1)
    span(watched, "MUG", 3, 3, since=20, until=None)
    span(watched, "CUP", 2, 2, since=100, until=10)
    span(watched, "CUP", 1, 2, since=10, until=None)
    found = report(watched.run)
    mug, cup = found.differences
    assert (mug.sku, mug.times, mug.most_above, mug.most_below, mug.shown, mug.would) == (
        "MUG",
        1,
        2,
        0,
        3,
        3,
    )
    assert mug.seconds == pytest.approx(40, abs=2)
    assert (cup.sku, cup.most_below, cup.shown, cup.would) == ("CUP", 1, 1, 2)
    assert (found.totals.shelves, found.totals.differ_now, found.totals.differed) == (2, 1, 2)
    assert found.totals.would_have_sent == 1
    assert found.totals.share == pytest.approx(50 / 200, abs=0.02)


def test_the_lead_tells_ours_from_theirs_and_what_the_shop_sold_itself(watched: Watch) -> None:
    span(watched, "MUG", 5, 5, since=100, until=80)
    span(watched, "MUG", 5, 4, since=80, until=50, late=1)
    span(watched, "MUG", 4, 4, since=50, until=40)
    span(watched, "MUG", 4, 3, since=40, until=30, late=1)  # never followed
    span(watched, "MUG", 4, 2, since=30, until=20, late=1)
    span(watched, "MUG", 2, 2, since=20, until=10)
    span(watched, "MUG", 1, 2, since=10, until=5)
    span(watched, "MUG", 1, 1, since=5, until=None, late=1)  # the shop sold it itself
    lead = report(watched.run).lead
    assert (lead.changes, lead.shown_already, lead.followed, lead.not_followed) == (4, 1, 2, 1)
    assert lead.ours_median == pytest.approx(1, abs=0.1)
    assert lead.theirs_median == pytest.approx((31 + 11) / 2, abs=0.5)


def test_units_that_were_not_there_name_their_order_and_what_our_number_had_prevented(watched: Watch) -> None:
    watched.show("MUG", 9)
    watched.look()
    ShadowSpan.objects.update(began_at=watched.run.began_at)
    bought = order(line("MUG", 7), id="1001")
    apply_state(watched.channel, _now(bought), arrived_at=timezone.now())
    found = report(watched.run)
    (sold,) = found.oversold
    assert (sold.order, sold.sku, sold.quantity, sold.units) == ("#1001", "MUG", 7, 2)
    assert (sold.would, sold.prevented) == (5, 2)
    assert (found.oversold_units, found.prevented_units, found.oversold_orders) == (2, 2, 1)


def test_what_our_number_allowed_is_not_called_prevented(watched: Watch) -> None:
    watched.look()
    ShadowSpan.objects.update(began_at=watched.run.began_at, would=9)
    apply_state(watched.channel, _now(order(line("MUG", 7))), arrived_at=timezone.now())
    (sold,) = report(watched.run).oversold
    assert (sold.units, sold.prevented) == (2, 0)


def test_what_other_channels_oversold_is_named_and_not_judged(watched: Watch) -> None:
    watched.look()
    other = watched.shop.add_channel("Other", kind="telling")
    watched.shop.list_variant("MUG", channel=other, external_id="listing-other")
    apply_state(other, _now(order(line("MUG", 6))), arrived_at=timezone.now())
    (sold,) = report(watched.run).oversold
    assert (sold.channel, sold.units, sold.would, sold.prevented) == ("Other", 1, None, 0)


def test_nothing_of_another_merchant_is_in_it(watched: Watch) -> None:
    stranger = open_shop({"MUG": 1}, kind="telling")
    stranger.list_variant("MUG")
    apply_state(stranger.channel, _now(order(line("MUG", 6))), arrived_at=timezone.now())
    assert report(watched.run).oversold == []


def test_a_run_that_is_over_is_summed_up_until_its_end(watched: Watch) -> None:
    span(watched, "MUG", 6, 5, since=20, until=None)
    runs.end(watched.channel, ShadowOutcome.STOPPED, by="test")
    watched.run.refresh_from_db()
    found = report(watched.run)
    assert (found.is_over, found.until, found.totals.differ_now) == (True, watched.run.ended_at, 1)


def test_the_command_prints_the_report_as_json_and_in_words(watched: Watch) -> None:
    span(watched, "MUG", 6, 5, since=20, until=None)
    pk = str(watched.channel.pk)
    found = json.loads(_said("report", pk, "--json"))
    assert found["differences"][0]["sku"] == "MUG"
    assert found["totals"]["share_differed"] == 1.0
    assert "MUG" in _said("report", pk)
    with pytest.raises(CommandError, match="There is no channel"):
        _said("report", "999999")
    with pytest.raises(CommandError, match="no such run"):
        _said("report", pk, "--run", "999999")


def _now(state: OrderState) -> OrderState:
    """Has the customer buy now, and not at noon."""
    now = timezone.now()
    return replace(state, ordered_at=now, updated_at=now)


def _said(*arguments: str) -> str:
    out = io.StringIO()
    call_command("shadow", *arguments, stdout=out)
    return out.getvalue()
