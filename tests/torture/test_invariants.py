"""What must hold is missed where it does not: each violation is made by hand, and found."""

from collections import Counter
from dataclasses import fields
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from django_q.models import OrmQ

from channels.models import Push, WebhookDelivery
from channels.models.outbound import PushOutcome
from config.models import DeadTask
from tests.back_office import Business
from tests.channels.shop import Shop, open_shop
from tests.torture import server
from tests.torture.faults.outside import KILLER, POISON
from tests.torture.goods import POOLED
from tests.torture.invariants import AFTER, doors, logs, secrecy, shelves
from tests.torture.invariants.evidence import Evidence, unlike
from tests.torture.verdict import Violation


def evidence(**known: Any) -> Evidence:
    """Returns evidence of a world of which only this is known."""
    about = {each.name: known.pop(each.name) for each in fields(Evidence) if each.name in known}
    world: Any = SimpleNamespace(**known)
    return Evidence(world, about.pop("books", []), **about)


def names(found: list[Violation]) -> set[str]:
    return {violation.invariant for violation in found}


def test_everything_that_is_looked_at_has_a_name_and_says_what_must_hold() -> None:
    assert all(what.endswith(".") for what, _ in AFTER.values())


def test_two_mappings_are_compared_key_by_key() -> None:
    ours, theirs = {"a": 1, "b": 2}, Counter({"b": 2, "c": 3})
    assert unlike(ours, theirs, "{key}: {ours} and {theirs}") == ["a: 1 and 0", "c: 0 and 3"]
    assert unlike(ours, ours, "{key}") == []


@pytest.mark.parametrize(
    ("seconds", "violated"), [(None, {"shops-agree-in-time"}), (31.0, {"shops-agree-in-time"}), (29.0, set())]
)
def test_shops_that_agree_late_or_never_are_found(seconds: float | None, violated: set[str]) -> None:
    assert names(shelves.shops_agree_in_time(evidence(convergence_seconds=seconds))) == violated


@pytest.mark.django_db
def test_a_message_that_nobody_applies_is_found() -> None:
    business = Business()
    message = business.add_delivery(business.add_channel(), state="received")
    WebhookDelivery.objects.exclude(pk=message.pk).delete()
    assert names(doors.acknowledged_is_applied(evidence())) == {"acknowledged-is-applied"}
    WebhookDelivery.objects.update(state="processed", processed_at=None)
    assert names(doors.acknowledged_is_applied(evidence())) == {"acknowledged-is-applied"}
    WebhookDelivery.objects.update(processed_at=timezone.now())
    assert doors.acknowledged_is_applied(evidence()) == []
    WebhookDelivery.objects.update(state="received", dedupe_key=f"{POISON}1")
    assert doors.acknowledged_is_applied(evidence()) == []


@pytest.mark.django_db
def test_what_is_taken_without_end_is_found() -> None:
    business = Business()
    business.add_delivery(business.add_channel(), state="received")
    quiet = evidence(channels=[], events=1)
    assert logs.retries_are_bounded(quiet) == []
    WebhookDelivery.objects.update(takes=6)
    OrmQ.objects.create(key="onecount", payload="wake", lock=timezone.now())
    with connection.cursor() as cursor:
        cursor.execute("UPDATE django_q_ormq SET takes = 6")
    (violation,) = logs.retries_are_bounded(quiet)
    assert {str(each).partition(":")[0] for each in violation.evidence} >= {"a task was begun 6 times"}
    assert "message order.updated: taken 6 times" in violation.evidence


@pytest.mark.django_db
def test_a_task_that_is_given_up_is_found_unless_it_is_poison(monkeypatch: pytest.MonkeyPatch) -> None:
    now = timezone.now()
    DeadTask.objects.create(payload="one", takes=5, first_at=now, last_at=now)
    assert names(logs.nothing_is_given_up(evidence())) == {"nothing-is-given-up"}
    monkeypatch.setattr("config.models.name_of", lambda payload: f"{KILLER}()")
    assert logs.nothing_is_given_up(evidence()) == []


def test_a_page_that_fails_is_found() -> None:
    world = {
        "street": SimpleNamespace(record=SimpleNamespace(statuses=Counter({200: 5, 503: 1}))),
        "clerk": SimpleNamespace(account=SimpleNamespace(statuses=Counter({201: 1}))),
    }
    assert doors.nothing_answers_500(evidence(**world, pages=[("/admin/", 200, "")])) == []
    (violation,) = doors.nothing_answers_500(evidence(**world, pages=[("/admin/", 500, "")]))
    assert violation.evidence == ["/admin/: 500"]
    world["clerk"].account.statuses[500] += 1
    assert doors.nothing_answers_500(evidence(**world, pages=[("/admin/", 200, "")]))


def test_a_secret_or_a_foreign_mark_in_a_file_of_a_report_is_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setattr(secrecy, "files_of_reports", lambda merchant: [("sales file", "sku,MARK,SECRET")])
    nowhere: Any = tmp_path / "no log"
    monkeypatch.setattr(server, "log_of", lambda server: nowhere)
    world = evidence(
        secrets={"key": "SECRET"},
        marker="MARK",
        merchant=SimpleNamespace(pk=1),
        program=SimpleNamespace(log=nowhere),
        server=None,
        clerk=SimpleNamespace(get=lambda path: ""),
        dump=[("table a", "")],
        pages=[("/", 200, "")],
    )
    assert [each.evidence for each in secrecy.no_secret_leaks(world)] == [["key in sales file"]]
    assert [each.evidence for each in secrecy.no_foreign_merchant_shows(world)] == [["sales file"]]


@pytest.fixture
def pooled() -> Shop:
    """A shop of which a dozen units are kept for another one; thirty are there."""
    shop = open_shop({POOLED: 30})
    shop.add_channel("Other shop")
    return shop


def tell(shop: Shop, quantity: int, *, minutes_from_now: int) -> None:
    """Notes that the other shop was told a number of what is pooled."""
    other = shop.merchant.channels.get(name="Other shop")
    listing = other.listings.first() or shop.list_variant(POOLED, channel=other)
    at = timezone.now() + timedelta(minutes=minutes_from_now)
    Push.objects.create(
        channel=other, listing_level=shop.shelf(listing), wanted=1, target=quantity, quantity=quantity,
        outcome=PushOutcome.CONFIRMED, computed_at=at, finished_at=at,
    )  # fmt: skip


@pytest.mark.django_db
def test_a_number_that_took_from_the_pool_is_found_whenever_it_was_told(pooled: Shop) -> None:
    sold = {"orders": [{"lines": [{"sku": POOLED, "quantity": 2}]}]}
    seen = evidence(channels=[pooled.channel], merchant=pooled.merchant, books=[sold])
    tell(pooled, 20, minutes_from_now=1)
    assert shelves.pools_were_exclusive(seen) == []
    tell(pooled, 21, minutes_from_now=1)
    assert names(shelves.pools_were_exclusive(seen)) == {"pools-are-exclusive"}


@pytest.mark.django_db
def test_a_number_that_was_told_before_the_goods_came_is_found(pooled: Shop) -> None:
    tell(pooled, 5, minutes_from_now=-1)
    seen = evidence(channels=[pooled.channel], merchant=pooled.merchant, books=[{"orders": []}])
    assert names(shelves.pools_were_exclusive(seen)) == {"pools-are-exclusive"}
