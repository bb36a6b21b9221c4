"""Where no job watches, the process that compares does: people hear that the jobs stand still."""

from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.utils import timezone

from channels import heartbeats
from channels.models import Heartbeat
from reconciliation import standing_in
from reconciliation.models import Alert, AlertRecipient, WatchGap
from reconciliation.standing_in import AFTER, EVERY, StandIn

pytestmark = pytest.mark.django_db


class Now:
    """The monotonic clock of these tests."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at

    def pass_by(self, seconds: float) -> None:
        """Makes so much time pass, for the heartbeats as well."""
        self.at += seconds
        for name, beat_at in Heartbeat.objects.values_list("name", "beat_at"):
            Heartbeat.objects.filter(name=name).update(beat_at=beat_at - timedelta(seconds=seconds))
        heartbeats.forget_beats()


class AtOnce:
    """Does a job in the caller's thread."""

    has_room = True

    def __init__(self, size: int) -> None:
        assert size == 1

    def submit(self, job: Any) -> None:
        job()


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Now:
    clock = Now()
    monkeypatch.setattr(standing_in, "monotonic", clock)
    monkeypatch.setattr(standing_in, "Crew", AtOnce)
    return clock


def watched(seconds_ago: float) -> None:
    at = timezone.now() - timedelta(seconds=seconds_ago)
    for name in ("watch", heartbeats.JOBS):
        Heartbeat.objects.update_or_create(name=name, defaults={"beat_at": at})
    heartbeats.forget_beats()


def test_nobody_stands_in_while_the_jobs_watch(now: Now) -> None:
    stand_in = StandIn()
    now.pass_by(10 * AFTER)
    watched(60)
    assert not stand_in.look_after()


def test_whoever_has_just_begun_leaves_the_jobs_time_to_begin_too(now: Now) -> None:
    stand_in = StandIn()
    watched(10_000)
    now.pass_by(AFTER - 10)
    assert not stand_in.look_after()
    now.pass_by(20)
    assert stand_in.look_after()


def test_jobs_that_never_watched_are_stood_in_for(now: Now) -> None:
    stand_in = StandIn()
    now.pass_by(AFTER + 5)
    assert stand_in.look_after()


def test_it_tells_by_mail_that_the_jobs_are_silent(now: Now, settings: Any) -> None:
    settings.EMAIL_HOST = "mail.example.com"
    AlertRecipient.objects.create(kind="email", address="ops@example.com")
    stand_in = StandIn()
    watched(0)
    now.pass_by(AFTER + 10)
    # Nothing has to begin anew: the watch went over to somebody else in time.
    assert stand_in.look_after()
    assert not WatchGap.objects.exists()
    assert not Alert.objects.filter(subject="jobs").exists()
    now.pass_by(EVERY - 10)
    assert not stand_in.look_after()
    now.pass_by(15)
    assert stand_in.look_after()
    assert Alert.objects.get(subject="jobs").kind == "process_silent"
    assert any("Process jobs" in each.subject for each in mail.outbox)


def test_it_leaves_off_when_the_jobs_watch_again(now: Now) -> None:
    stand_in = StandIn()
    watched(0)
    now.pass_by(AFTER + 5)
    assert stand_in.look_after()
    now.pass_by(EVERY + 10)
    watched(1)
    assert not stand_in.look_after()
    now.pass_by(EVERY)
    assert not stand_in.look_after()
    now.pass_by(AFTER)
    assert stand_in.look_after()
