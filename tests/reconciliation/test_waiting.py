"""What waits for a person is told, for each merchant, and not before it had its time to end by itself."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from channels.models import Mutation, Retry
from inventory.models import Conflict
from reconciliation.checks.results import Result
from reconciliation.checks.waiting import waiting
from reconciliation.models import AlertDelivery, Discrepancy, RemedyKind, Resolution
from tests.back_office import Business
from tests.reconciliation.desk import Desk, apply

pytestmark = pytest.mark.django_db

LONG_AGO = timezone.now() - timedelta(hours=1)


def wrong() -> dict[str, Result]:
    return {each.kind: each for each in waiting() if not each.is_ok}


def test_where_nothing_waits_each_thing_says_so() -> None:
    found = list(waiting())
    assert [each.is_ok for each in found] == [True] * 6
    assert {each.says for each in found} >= {"no conflicts to decide", "no shelves that differ"}


def test_a_conflict_that_nobody_decides_is_told_until_somebody_does(desk: Desk) -> None:
    conflict = desk.oversell(2)
    assert wrong() == {}
    Conflict.objects.update(opened_at=LONG_AGO)
    told = wrong()["conflicts_waiting"]
    assert (told.merchant_id, told.evidence["count"]) == (desk.shop.merchant.pk, 1)
    assert "Conflicts to decide" in told.remedy
    resolution = apply(conflict, RemedyKind.CANCEL)
    assert wrong() == {}
    Resolution.objects.filter(pk=resolution.pk).update(state="checklist", requested_at=LONG_AGO)
    assert set(wrong()) == {"cancellations_by_hand"}


def test_differences_held_changes_and_retries_are_told() -> None:
    business = Business.grown(1)
    Discrepancy.objects.update(state="open", closed_at=None, first_seen_at=LONG_AGO)
    Mutation.objects.update(state="waiting")
    Retry.objects.update(state="exhausted")
    found = wrong()
    assert {"discrepancies_waiting", "mass_changes_held", "retries_exhausted"} <= set(found)
    assert {each.merchant_id for each in found.values()} == {business.merchant.pk}


def test_a_message_of_an_alert_that_nobody_got_is_told_in_the_back_office() -> None:
    Business.grown(1)
    assert "alerts_undelivered" not in wrong()
    AlertDelivery.objects.update(dead_at=timezone.now(), sent_at=None, next_attempt_at=None)
    assert wrong()["alerts_undelivered"].evidence["count"] == 1


def test_the_statements_do_not_grow_with_what_waits() -> None:
    counts = []
    for _ in range(2):
        Business.grown(3)
        Conflict.objects.update(opened_at=LONG_AGO)
        with CaptureQueriesContext(connection) as captured:
            list(waiting())
        counts.append(len(captured))
    assert counts == [7, 7]
