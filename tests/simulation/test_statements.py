"""The statements mean the same to the simulation as to PostgreSQL: both run them on the same rows at the same instant."""

import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from channels import breaker, clock_steps, comparing, leases, limits, outcomes, pushes
from channels.models import ListingLevel, PollFeed, Push
from tests.channels.shop import open_shop
from tests.properties import examples
from tests.simulation.database import DEFAULTS
from tests.simulation.expressions import NotUnderstood
from tests.simulation.statements import Tables, compiled, run

pytestmark = pytest.mark.django_db

NOW: Final = datetime(2026, 10, 25, 1, 0, tzinfo=UTC)
TOKEN: Final = uuid.UUID(int=7)
TABLES: Final = (
    "channels_channel",
    "channels_channellocation",
    "channels_channellocationsource",
    "channels_listing",
    "channels_listinglevel",
    "channels_pollfeed",
    "channels_push",
    "channels_ratebucket",
    "channels_channelhealth",
    "channels_channelorder",
    "channels_shelfobservation",
    "channels_webhookdelivery",
)
#: Columns that a sequence or a token decides.
_BY_CHANCE: Final = frozenset({"id"})

MOST = 6
NUMBERS = st.integers(0, MOST)
INSTANTS = st.sampled_from([None, *(NOW + timedelta(seconds=s) for s in (-4000, -30, -1, 0, 1, 30, 4000))])


def rows_of(table: str) -> list[dict[str, Any]]:
    """Reads a table as PostgreSQL has it."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {table} ORDER BY 1")
        names = [column.name for column in cursor.description]
        return [dict(zip(names, map(_plain, row), strict=True)) for row in cursor.fetchall()]


def _plain(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) and value[:1] in ("{", "[") else value


def both(sql: str, parameters: Any) -> tuple[list[str], list[str]]:
    """Runs a statement here and there, and compares all tables; returns the rows of both."""
    tables = Tables(defaults=DEFAULTS)
    for table in TABLES:
        for row in rows_of(table):
            tables.append(table, row)
    found = run(sql, parameters, tables, now=NOW)
    at = f"'{NOW.isoformat()}'::timestamptz"
    with connection.cursor() as cursor:
        cursor.execute(sql.replace("clock_timestamp()", at), parameters)
        rows = cursor.fetchall() if cursor.description else []
        assert found.count == cursor.rowcount
    for table in TABLES:
        assert _comparable(tables[table]) == _comparable(rows_of(table)), table
    here = sorted(repr(row) for row in found.rows)
    return here, sorted(repr(tuple(map(_plain, row))) for row in rows)


def _comparable(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return sorted(
        str(sorted((name, _rounded(value)) for name, value in row.items() if name not in _BY_CHANCE))
        for row in rows
    )


def _rounded(value: Any) -> Any:
    """PostgreSQL and Python differ in the last digits of floating numbers, which limits are counted in."""
    value = _plain(value)
    return round(value, 3) if isinstance(value, float) else value


@pytest.fixture
def level_ids(db: None) -> list[int]:
    """The listing levels of a shop with two listings, which every example changes and nobody keeps."""
    shop = open_shop({"MUG": 9, "CUP": 4})
    PollFeed.objects.create(channel=shop.channel, name="orders", next_poll_at=NOW, covered_until=NOW)
    return [shop.shelf(shop.list_variant(sku)).pk for sku in ("MUG", "CUP")]


@st.composite
def levels(draw: st.DrawFn) -> dict[str, Any]:
    """Any state of a listing level."""
    done = draw(NUMBERS)
    return {
        "done": done,
        "wanted": done + draw(NUMBERS),
        "lane": draw(st.integers(0, 2)),
        "due_since": draw(INSTANTS),
        "next_attempt_at": draw(INSTANTS),
        "lease_token": draw(st.sampled_from([None, TOKEN, uuid.UUID(int=8)])),
        "leased_until": draw(INSTANTS),
        "sent_quantity": draw(st.none() | NUMBERS),
        "sent_at": draw(INSTANTS),
        "published_quantity": draw(st.none() | NUMBERS),
        "confirmed_at": draw(INSTANTS),
        "expected": draw(st.none() | NUMBERS),
        "seen_quantity": draw(st.none() | NUMBERS),
        "seen_expected": draw(st.none() | NUMBERS),
        "seen_at": draw(INSTANTS),
        "raised_on": draw(st.sampled_from([None, NOW.date(), NOW.date() - timedelta(days=1)])),
        "raises": draw(NUMBERS),
        "is_outcome_unknown": draw(st.booleans()),
        "attempts": draw(NUMBERS),
        "dead_at": draw(st.sampled_from([None, None, NOW])),
    }


@st.composite
def outcomes_of(draw: st.DrawFn, ids: list[int]) -> str:
    """What may have become of pushes; none had leased more than is wanted."""
    return json.dumps(
        [
            {
                "id": level_id,
                "wanted": draw(NUMBERS),
                "outcome": draw(st.sampled_from(["confirmed", "unchanged", "accepted", "unknown", "failed"])),
                "target": draw(NUMBERS),
                "moved": draw(st.none() | st.integers(-3, 3)),
                "published": draw(st.none() | NUMBERS),
                "computed_at": NOW.isoformat(),
                "pause": draw(st.sampled_from([0.0, 1.5])),
                "is_doubtful": draw(st.booleans()),
                "is_failure": draw(st.booleans()),
                "attempt_limit": draw(st.none() | st.integers(1, 4)),
                "error": draw(st.sampled_from(["", "502"])),
            }
            for level_id in ids
        ]
    )


RULES = settings(
    max_examples=examples(60),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.mark.property
@RULES
@given(data=st.data())
def test_the_statements_of_pushes_mean_the_same(level_ids: list[int], data: st.DataObject) -> None:
    channel_id = ListingLevel.objects.get(pk=level_ids[0]).channel_id
    shown = data.draw(st.lists(NUMBERS, min_size=2, max_size=2))
    told = outcomes_of(level_ids)
    lease = {"channel": channel_id, "lane": data.draw(st.integers(0, 2)), "size": data.draw(st.integers(1, 3)),
             "window": 5, "parents": None, "oldest_first": data.draw(st.booleans()), "token": TOKEN,
             "seconds": 40.0}  # fmt: skip
    asked = {
        leases._LEASE_SQL: lease,
        leases._NOTE_SENT_SQL: [f"{{{level_ids[0]}}}", f"{{{shown[0]}}}", TOKEN],
        leases._GIVE_BACK: [TOKEN, level_ids, 2.0, 2.0],
        outcomes._SETTLE_SQL: [data.draw(told), TOKEN, 600.0],
        comparing._ADOPT: [level_ids, shown, TOKEN],
        comparing._ADOPT_FIRST: [level_ids, shown, TOKEN],
        comparing._LOOK: [2.0, level_ids, shown, TOKEN],
        pushes._MARK_LEVELS: [1, level_ids],
        pushes._READ_FIRST: [level_ids],
        pushes._REPLAY: [level_ids],
        clock_steps._PUSHES: {"lease": 660.0, "pause": 435.0},
    }
    sql = data.draw(st.sampled_from(sorted(asked)))
    with transaction.atomic():
        for level_id in level_ids:
            state = data.draw(levels())
            ListingLevel.objects.filter(pk=level_id).update(**state | {"wanted": max(state["wanted"], MOST)})
        PollFeed.objects.update(last_polled_at=data.draw(INSTANTS), covered_until=data.draw(INSTANTS))
        if data.draw(st.booleans()):
            Push.objects.create(
                channel_id=channel_id, listing_level_id=level_ids[0], wanted=1, target=2, quantity=data.draw(NUMBERS),
                compared_with=data.draw(NUMBERS), outcome="unknown", computed_at=NOW, finished_at=NOW,
            )  # fmt: skip
        here, there = both(sql, asked[sql])
        assert here == there
        transaction.set_rollback(True)


@pytest.mark.property
@RULES
@given(data=st.data())
def test_the_statements_of_limits_and_breakers_mean_the_same(
    level_ids: list[int], data: st.DataObject
) -> None:
    channel_id = ListingLevel.objects.get(pk=level_ids[0]).channel_id
    bucket = {"channel": channel_id, "name": "calls", "capacity": 10.0, "refill": 2.0}
    spent = {**bucket, "cost": data.draw(st.sampled_from([1.0, 4.0, 20.0])), "left": 0.1}
    learned = {
        **bucket,
        "capacity": data.draw(st.none() | st.sampled_from([10.0, 5.0])),
        "tokens": data.draw(st.none() | st.sampled_from([0.0, 3.0])),
        "refund": data.draw(st.sampled_from([0.0, 1.0])),
        "blocked_for": data.draw(st.none() | st.sampled_from([0.0, 30.0])),
    }
    failed = {"channel": channel_id, "error": "502", "threshold": data.draw(st.integers(1, 3)), "first": 2.0,
              "longest": 300.0, "jitter": 1.1, "retry_after": 0.5}  # fmt: skip
    steps: dict[str, tuple[str, Any]] = {
        "take": (limits._TAKE_SQL, spent),
        "wait": (limits._WAIT_SQL, spent),
        "learn": (limits._LEARN_SQL, learned),
        "forget buckets": (clock_steps._BUCKETS, {"block": 960.0, "ahead": 5.0}),
        "fails": (breaker._NOTE_FAILURE_SQL, failed),
        "works": (breaker._NOTE_SUCCESS, {"channel": channel_id, "is_push": data.draw(st.booleans())}),
        "forget breakers": (clock_steps._BREAKERS, {"pause": 435.0}),
    }
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO channels_ratebucket (channel_id, name, capacity, refill_per_second, tokens, updated_at,"
            " blocked_until) VALUES (%s, 'calls', 10, 2, %s, %s, %s)",
            [
                channel_id,
                data.draw(st.sampled_from([0.0, 2.5, 10.0])),
                data.draw(INSTANTS) or NOW,
                data.draw(INSTANTS),
            ],
        )
        for name in data.draw(st.lists(st.sampled_from(sorted(steps)), min_size=1, max_size=4)):
            both(*steps[name])
        transaction.set_rollback(True)


@pytest.mark.parametrize("sql", ["DELETE FROM channels_push", "SELECT 1 INTERSECT SELECT 2", "SELECT a ? b"])
def test_what_the_simulation_does_not_know_it_refuses(sql: str) -> None:
    with pytest.raises(NotUnderstood):
        compiled(sql)
