"""A rehearsal is asked for, run once by whoever gets it, shows its progress, and stays with the version."""

import io
import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_q.models import OrmQ

from channels import tasks
from channels.errors import InvalidPeriod
from channels.models import Rehearsal, Rule
from channels.models.rehearsals import RehearsalState
from channels.rehearsals import events, running
from config.jobs import task_of
from tests.back_office import person
from tests.channels.rehearsals.stage import Stage, now

pytestmark = pytest.mark.django_db


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A week in which a mug was sold twice although there was one; long enough ago to be settled."""
    stage = Stage(monkeypatch, 1)
    stage.sell(stage.channel)
    stage.sell(stage.other)
    return stage


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a period end now: nobody else writes here."""
    monkeypatch.setattr(running, "settled_until", now)


def _asked(stage: Stage, **settings: Any) -> Rehearsal:
    version = stage.version(**(settings or {"buffer_units": 1}))
    return running.ask(version, stage.since, now(), asked_by="anna")


def _fresh(rehearsal: Rehearsal) -> Rehearsal:
    return Rehearsal.objects.get(pk=rehearsal.pk)


def test_its_result_is_kept_with_the_version(stage: Stage) -> None:
    rehearsal = _asked(stage)
    seen: list[tuple[int, int]] = []
    assert running.run(rehearsal.pk, on_progress=lambda done, total: seen.append((done, total)))
    kept = Rehearsal.objects.get(version=rehearsal.version)
    assert (kept.state, kept.events_done, kept.events_total) == (RehearsalState.DONE, 2, 2)
    total = (kept.result or {})["total"]
    assert total["happened"]["oversold"] == 1
    assert (total["rehearsed"]["oversold"], total["rehearsed"]["refused"]) == (0, 2)
    assert seen[-1] == (2, 2)


def test_whoever_comes_second_leaves_it_alone(stage: Stage) -> None:
    rehearsal = _asked(stage)
    assert running.run(rehearsal.pk)
    assert not running.run(rehearsal.pk)


def test_one_that_a_dead_process_left_is_taken_up(stage: Stage) -> None:
    rehearsal = _asked(stage)
    recently, long_ago = timezone.now(), timezone.now() - timedelta(minutes=5)
    Rehearsal.objects.update(state=RehearsalState.RUNNING, progress_at=recently)
    assert not running.run(rehearsal.pk)
    Rehearsal.objects.update(progress_at=long_ago)
    assert running.wake_open() == 1
    assert running.run(rehearsal.pk)


def test_one_that_takes_too_long_stops_and_says_what_to_do(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "WINDOW", 1)
    monkeypatch.setattr(events, "STEP", timedelta(microseconds=1))
    rehearsal = _asked(stage)
    running.run(rehearsal.pk, seconds=0.0)
    stopped = _fresh(rehearsal)
    assert stopped.state == RehearsalState.FAILED
    assert f"manage.py rehearse --again {rehearsal.pk}" in stopped.error
    assert stopped.result is None


def test_what_fails_says_so_and_is_not_tried_for_ever(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    rehearsal = _asked(stage)

    def broken(*_: Any) -> str:
        raise RuntimeError

    monkeypatch.setattr(running, "digest_of", broken)
    with pytest.raises(RuntimeError):
        running.run(rehearsal.pk)
    assert _fresh(rehearsal).state == RehearsalState.FAILED
    assert running.wake_open() == 0


@pytest.mark.parametrize(("since", "until"), [(0, 0), (0, -1), (0, 60)])
def test_a_period_that_cannot_be_is_refused_with_the_field(stage: Stage, since: int, until: int) -> None:
    base = now()
    with pytest.raises(InvalidPeriod) as refused:
        running.ask(stage.version(), base + timedelta(minutes=since), base + timedelta(minutes=until))
    assert refused.value.field == "until"
    assert Rehearsal.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_the_job_runs_it(stage: Stage) -> None:
    rehearsal = _asked(stage)
    running.start(rehearsal)
    woken = [task for each in OrmQ.objects.all() if (task := task_of(each.payload)) is not None]
    (task,) = [task for task in woken if task["func"] == running.TASK]
    tasks.run_rehearsal(*task["args"])
    assert _fresh(rehearsal).state == RehearsalState.DONE


def _command(*arguments: str) -> tuple[int, str]:
    out, code = io.StringIO(), 0
    try:
        call_command("rehearse", *arguments, stdout=out)
    except SystemExit as end:
        code = int(end.code or 0)
    return code, out.getvalue()


def test_the_command_prints_one_object(stage: Stage) -> None:
    version = stage.version(buffer_units=1)
    code, printed = _command(
        "--rules", str(version.pk), "--since", stage.since.isoformat(), "--until", now().isoformat(), "--json"
    )
    answer = json.loads(printed)
    assert (code, answer["state"], answer["events"]) == (0, "done", 2)
    again = _command("--again", str(answer["rehearsal"]))
    assert again[0] == 0
    assert "oversold" in again[1]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((), "--rules"),
        (("--rules", "1"), "--since"),
        (
            ("--rules", "999999", "--since", "2026-01-01T00:00", "--until", "2026-01-02T00:00"),
            "no version 999999",
        ),
        (("--rules", "1", "--since", "yesterday", "--until", "2026-01-02T00:00"), "version"),
        (("--again", "999999"), "no rehearsal 999999"),
    ],
)
def test_the_command_names_what_is_wrong(arguments: tuple[str, ...], named: str) -> None:
    with pytest.raises(CommandError, match=named):
        _command(*arguments)


def test_an_instant_that_cannot_be_read_is_named(stage: Stage) -> None:
    rules = str(stage.version().pk)
    for given in ("yesterday", "2026-13-01T00:00"):
        with pytest.raises(CommandError, match=given):
            _command("--rules", rules, "--since", given, "--until", "2026-01-02T00:00")


def _form(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S.%f}"


def test_people_ask_for_it_in_the_back_office_and_see_what_came_of_it(client: Client, stage: Stage) -> None:
    client.force_login(person("commerce"))
    version = stage.version(buffer_units=1)
    form = {"version": version.pk, "since": _form(stage.since), "until": _form(now())}
    asked = client.post(reverse("admin:channels_rehearse"), form)
    rehearsal = Rehearsal.objects.get()
    address = reverse("admin:channels_rehearsal_change", args=[rehearsal.pk])
    assert (asked.status_code, asked["Location"]) == (302, address)
    assert client.get(address)["Refresh"]
    running.run(rehearsal.pk)
    shown = client.get(address)
    assert "Refresh" not in shown
    totals, by_channel, by_listing = shown.context["panels"]
    figures = {row[0]: row[1:3] for row in totals.rows}
    assert figures["Units oversold"] == (1, 0)
    assert figures["Units wanted, not offered"] == (0, 2)
    assert len(list(by_channel.rows)) == len(list(by_listing.rows)) == 2
    assert "edited since" not in totals.note
    Rule.objects.filter(version=version).update(buffer_units=2)
    assert "edited since" in client.get(address).context["panels"][0].note
    assert "1 → 0" in client.get(reverse("admin:channels_rehearsal_changelist")).content.decode()


def test_a_wrong_period_is_refused_at_its_field(client: Client, stage: Stage) -> None:
    client.force_login(person("operations"))
    form = {"version": stage.version().pk, "since": _form(now()), "until": _form(stage.since)}
    answer = client.post(reverse("admin:channels_rehearse"), form)
    assert "must come after the beginning" in str(answer.context["form"].errors["until"])


def test_whoever_may_only_read_sees_results_and_asks_for_none(client: Client, stage: Stage) -> None:
    rehearsal = _asked(stage)
    running.run(rehearsal.pk)
    client.force_login(person("read-only"))
    assert client.get(reverse("admin:channels_rehearse")).status_code == 403
    listed = client.get(reverse("admin:channels_rehearsal_changelist")).content.decode()
    assert reverse("admin:channels_rehearse") not in listed
    again = reverse("admin:channels_rehearsal_do", args=[rehearsal.pk, "run_again"])
    assert client.post(again).status_code == 403


def test_it_can_be_run_again(client: Client, stage: Stage) -> None:
    rehearsal = _asked(stage)
    running.run(rehearsal.pk)
    client.force_login(person("commerce"))
    client.post(reverse("admin:channels_rehearsal_do", args=[rehearsal.pk, "run_again"]))
    assert _fresh(rehearsal).state == RehearsalState.WAITING
