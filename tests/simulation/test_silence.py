"""A shop that keeps its hours is never called silent, also in the weeks after its clocks were changed."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from unittest.mock import patch
from zoneinfo import ZoneInfo

import pytest

from channels.models.inbound import DeliveryPriority
from reconciliation.checks import silence
from reconciliation.checks.silence import Silence, compare, judge
from tests.simulation import stand
from tests.simulation.database import Clockwork

pytestmark = pytest.mark.usefixtures("simulation")

#: Zone → the Sundays on which its clocks are changed.
CHANGES = [
    ("Europe/Amsterdam", date(2026, 3, 29)),
    ("Europe/Amsterdam", date(2026, 10, 25)),
    ("America/New_York", date(2026, 11, 1)),
]
OPENS, CLOSES = time(9, 0), time(17, 0)
BETWEEN_MESSAGES = timedelta(minutes=8)


def messages(zone: str, first: date, until: datetime) -> Iterator[datetime]:
    """Gives the messages of a shop that is open on every day, by the clock on its wall."""
    day = first
    while day <= until.date():
        at = datetime.combine(day, OPENS, ZoneInfo(zone)).astimezone(UTC)
        end = datetime.combine(day, CLOSES, ZoneInfo(zone)).astimezone(UTC)
        while at < min(end, until):
            yield at
            at += BETWEEN_MESSAGES
        day += timedelta(days=1)


def silence_at(zone: str, first: date, now: datetime, *, broken_at: datetime | None = None) -> Silence:
    """Returns how long the shop is silent at an instant, compared with what was usual."""
    clock = Clockwork(now)
    stand.enter(clock)
    heard = list(messages(zone, first, min(now, broken_at or now)))
    for at in heard:
        row = {"channel_id": 1, "received_at": at, "priority": DeliveryPriority.ORDER.value}
        clock.database.tables.add("channels_webhookdelivery", **row)
    found = Silence(
        channel_id=1, merchant_id=1, name="Shop", kind="woocommerce", is_down=False, last_at=heard[-1],
        since=heard[-1], seconds=(now - heard[-1]).total_seconds(), days_known=29.0, hour_before=12,
        missed_orders=0, missed_lately=0,
    )  # fmt: skip
    compare([found])
    return found


def mornings(zone: str, change: date) -> list[datetime]:
    """Returns instants shortly before the shop opens, on days after the change."""
    opening = datetime.combine(change, OPENS, ZoneInfo(zone))
    return [(opening + timedelta(days=days)).astimezone(UTC) - timedelta(minutes=1) for days in (0, 1, 8)]


@pytest.mark.parametrize(("zone", "change"), CHANGES)
def test_who_opens_by_the_clock_is_not_called_silent_after_it_was_changed(zone: str, change: date) -> None:
    for now in mornings(zone, change):
        assert judge(silence_at(zone, change - timedelta(days=29), now)).is_ok, now


def test_compared_by_the_hours_of_our_clock_it_would_be() -> None:
    zone, change = CHANGES[1]
    with patch.object(silence, "_zones", lambda: ()):
        found = [judge(silence_at(zone, change - timedelta(days=29), now)) for now in mornings(zone, change)]
    assert not all(result.is_ok for result in found)


@pytest.mark.parametrize(("zone", "change"), CHANGES)
def test_webhooks_that_break_in_that_week_are_found_within_two_hours(zone: str, change: date) -> None:
    broken_at = datetime.combine(change + timedelta(days=1), time(11, 0), ZoneInfo(zone)).astimezone(UTC)
    now = broken_at + timedelta(hours=2)
    assert not judge(silence_at(zone, change - timedelta(days=29), now, broken_at=broken_at)).is_ok
