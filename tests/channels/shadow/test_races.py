"""Pusher, readers and people meet at one run: its lock has them take turns."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from channels.errors import ChannelError
from channels.models import Channel, ShadowRun, ShadowSpan
from channels.models.shadow import ShadowOutcome
from channels.shadow import going_live, runs, spans
from channels.shadow.going_live import Key
from channels.shadow.spans import Number, note_shown
from tests.channels.shadow.watching import Watch, watch
from tests.inventory.racing import PATIENCE, meanwhile, race, wait_until_blocked

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watch:
    return watch(monkeypatch, {"MUG": 5}, {"MUG": 7})


def show(watched: Watch, number: int) -> None:
    """Notes a number of the one shelf."""
    with spans.open_run(watched.run.pk) as run:
        assert run is not None
        note_shown(run, {watched.level("MUG").pk: Number(number, timezone.now())})


@contextmanager
def unlocked(run_id: int) -> Iterator[ShadowRun]:
    """The control: a run that nobody holds."""
    with transaction.atomic():
        yield ShadowRun.objects.get(pk=run_id)


def hold_and_show(watched: Watch, number: int, written: threading.Event) -> None:
    """Notes a number, says so, and commits only once somebody else waits for that."""
    with spans.open_run(watched.run.pk) as run:
        assert run is not None
        note_shown(run, {watched.level("MUG").pk: Number(number, timezone.now())})
        written.set()
        wait_until_blocked()


def test_two_that_note_the_same_shelf_take_turns(watched: Watch) -> None:
    written = threading.Event()
    with meanwhile(partial(hold_and_show, watched, 6, written)) as first:
        assert written.wait(PATIENCE)
        show(watched, 4)
    assert first.exception() is None
    assert watched.numbers("MUG") == [(6, None), (4, None)]


def test_without_the_lock_of_the_run_they_collide(watched: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans, "open_run", unlocked)
    written = threading.Event()
    with meanwhile(partial(hold_and_show, watched, 6, written)) as first:
        assert written.wait(PATIENCE)
        with pytest.raises(IntegrityError):
            show(watched, 4)
    assert first.exception() is None


def test_of_two_that_go_live_at_once_one_does(watched: Watch) -> None:
    watched.look()
    going_live.note_seen(watched.run, going_live.first_push(watched.run), by="test")

    def go() -> int:
        run = ShadowRun.objects.select_related("channel").get(pk=watched.run.pk)
        return going_live.go_live(run, by="test", answered=[Key.DIFFERENCES])

    ends = race([go, go])
    assert sorted(isinstance(each, ChannelError) for each in ends) == [False, True]
    channel = Channel.objects.get(pk=watched.channel.pk)
    assert (channel.in_shadow, channel.is_paused) == (False, False)


def test_begun_by_two_at_once_there_is_one_run(watched: Watch) -> None:
    runs.end(watched.channel, ShadowOutcome.STOPPED, by="test")

    def begin() -> int:
        return runs.begin(Channel.objects.get(pk=watched.channel.pk), by="test").pk

    first, second = race([begin, begin])
    assert first == second
    assert ShadowRun.objects.filter(ended_at__isnull=True).count() == 1
    assert not ShadowSpan.objects.exclude(run=watched.run).exists()
