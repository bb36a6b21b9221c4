"""The staging table holds what the platform named, and the diff finds exactly what differs."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from channels.connectors.base import ShelfNumber
from channels.models import Listing, ListingLevel
from reconciliation import staging
from reconciliation.models import ReconciliationRun
from tests.channels.shop import Shop, open_shop
from tests.properties import examples

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop() -> Shop:
    """Thirty listings that should show 7 each; the ids of some need care when they are copied."""
    shop = open_shop({f"SKU-{n}": 7 for n in range(30)})
    for n in range(30):
        shop.list_variant(f"SKU-{n}", external_id=f"id\\{n}\ttab\nline" if n % 3 == 0 else f"id-{n}")
    long_ago = timezone.now() - timedelta(hours=1)
    ListingLevel.objects.update(expected=7, confirmed_at=long_ago, wanted=1, done=1)
    return shop


def tables() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_tables WHERE tablename LIKE 'reconciliation_stage_%'")
        return int(cursor.fetchone()[0])


@pytest.mark.property
@settings(
    max_examples=examples(15), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    numbers=st.lists(st.one_of(st.none(), st.integers(-5, 12)), min_size=30, max_size=30),
    piece=st.integers(1, 40),
)
def test_the_diff_finds_exactly_the_shelves_that_differ(
    shop: Shop, numbers: list[int | None], piece: int
) -> None:
    listings = list(Listing.objects.filter(channel=shop.channel).order_by("id"))
    shelves = [ShelfNumber(each.external_id, "", n) for each, n in zip(listings, numbers, strict=True)]
    shelves.append(ShelfNumber("nobody knows this", "", 3))
    with pytest.MonkeyPatch.context() as patch, staging.staged(shop.channel.pk, 1) as stage:
        patch.setattr(staging, "PIECE", piece)
        assert list(stage.fill(iter(shelves)))[-1] == 31
        diff = stage.compare()
        missing = stage.count_missing()
    wrong = {
        (each.levels.get().pk, n, 7)
        for each, n in zip(listings, numbers, strict=True)
        if n is not None and n != 7
    }
    assert {(s.listing_level_id, s.shown, s.expected) for s in diff.suspects} == wrong
    assert diff.differing == len(wrong)
    assert diff.compared == sum(n is not None for n in numbers)
    assert missing == sum(n is None for n in numbers)


def test_the_largest_differences_are_looked_into_first(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "MOST_SUSPECTS", 2)
    shelves = [ShelfNumber("id-1", "", 8), ShelfNumber("id-2", "", 90), ShelfNumber("id-4", "", 0)]
    with staging.staged(shop.channel.pk, 1) as stage:
        list(stage.fill(shelves))
        diff = stage.compare()
    assert (diff.differing, [suspect.shown for suspect in diff.suspects]) == (3, [90, 0])


def test_the_table_is_dropped_whatever_happens(shop: Shop) -> None:
    def fail() -> None:
        with staging.staged(shop.channel.pk, 1) as stage:
            list(stage.fill([ShelfNumber("id-1", "", 8)]))
            assert tables() == 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert tables() == 0


def test_tables_that_a_process_left_behind_are_dropped(shop: Shop) -> None:
    now = timezone.now()
    for leased_until in (now - timedelta(minutes=1), now + timedelta(minutes=1)):
        run = ReconciliationRun.objects.create(
            channel=shop.channel, kind="on_demand", asked_at=now, state="done"
        )
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE TABLE reconciliation_stage_{run.pk} (n int)")
        ReconciliationRun.objects.filter(pk=run.pk).update(leased_until=leased_until)
    ReconciliationRun.objects.filter(leased_until__gt=now).update(state="running")
    assert staging.drop_abandoned() == 1
    assert tables() == 1


def test_a_channel_is_compared_with_its_own_listings_only(shop: Shop) -> None:
    other = shop.add_channel("Other")
    with staging.staged(other.pk, 1) as stage:
        list(stage.fill([ShelfNumber("id-1", "", 8)]))
        assert stage.compare() == staging.Diff(0, 0, 0, [])
