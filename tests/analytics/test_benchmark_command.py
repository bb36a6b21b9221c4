"""One command runs each benchmark or all of them, and prints one JSON object."""

import json
from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from analytics.benchmarks import BENCHMARKS, OPTIONS
from analytics.management.commands import benchmark
from tests.benchmarks import ingest, programs, scale
from tests.benchmarks.report import Aim, paired
from tests.benchmarks.soak import _document


def measured(name: str, met: bool = True) -> dict[str, Any]:
    """Returns what a benchmark might have measured."""
    result = {
        "case": "some",
        "unit": "ms",
        "rate": 2.0,
        "reference": "plain",
        "reference_rate": 1.0,
        "ratio": 2.0,
    }
    aim = {"name": "ratio", "target": "<= 3", "measured": 2.0, "met": met}
    return {"name": name, "machine": {"cores": 2}, "runs": 5, "results": [result], "aims": [aim]}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """Replaces the benchmarks; holds what each was called with."""
    calls: dict[str, dict[str, Any]] = {}

    def find(path: str) -> Any:
        name = path.rsplit(".", 1)[1]
        if name == "programs":
            return programs

        def run(**options: Any) -> dict[str, Any]:
            calls[name] = options
            if name == "ingest":
                raise programs.ProgramFailed("There is no wrk.")
            return measured(name)

        return SimpleNamespace(run=run)

    monkeypatch.setattr(benchmark, "import_module", find)
    return calls


def call(*arguments: str) -> str:
    out = StringIO()
    call_command("benchmark", *arguments, stdout=out, stderr=StringIO())
    return out.getvalue()


def test_every_benchmark_is_told_its_own_options_and_no_others(asked: dict[str, dict[str, Any]]) -> None:
    call("propagate", "--rate", "7", "--movements", "3")
    call("scale", "--sizes", "10, 100")
    usual = {**BENCHMARKS["propagate"].options}
    assert asked["propagate"] == {**usual, "rate": 7.0}
    assert asked["scale"]["sizes"] == [10, 100]
    assert all(set(each.options) <= set(OPTIONS) for each in BENCHMARKS.values())


def test_all_runs_each_in_turn_and_prints_one_object(asked: dict[str, dict[str, Any]]) -> None:
    found = json.loads(call("all", "--json", "--skip", "ingest", "--skip", "soak", "--runs", "6"))
    assert list(asked) == [name for name in BENCHMARKS if name not in ("ingest", "soak")]
    assert asked["reserve"]["runs"] == 6
    assert set(found) == {"name", "machine", "runs", "results", "aims", "benchmarks", "failed"}
    assert found["benchmarks"]["lease"] == measured("lease")
    assert found["results"][0]["benchmark"] == "reserve"
    assert {aim["benchmark"] for aim in found["aims"]} == set(asked)
    assert found["failed"] == {}


def test_one_that_cannot_be_run_keeps_no_other_from_it(asked: dict[str, dict[str, Any]]) -> None:
    out = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("benchmark", "all", "--json", stdout=out, stderr=StringIO())
    found = json.loads(out.getvalue())
    assert ended.value.code == 1
    assert list(found["failed"]) == ["ingest"]
    assert "There is no wrk." in found["failed"]["ingest"]
    assert set(found["benchmarks"]) == set(BENCHMARKS) - {"ingest"}


def test_people_are_shown_the_machine_and_what_was_missed(asked: dict[str, dict[str, Any]]) -> None:
    shown = call("lease")
    assert "lease, median of 5 on: cores 2" in shown
    assert "met     ratio <= 3: 2.0" in shown


def test_without_wrk_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(CommandError, match="apt-get install wrk"):
        call("ingest")


def test_growth_is_judged_from_what_is_measured_at_the_smallest_size() -> None:
    sizes = [SimpleNamespace(variants=10), SimpleNamespace(variants=100)]
    (flat,) = scale._growth(sizes, [[{"ours": 2.0}, {"ours": 2.2}]] * 3)  # type: ignore[arg-type]
    (grown,) = scale._growth(sizes, [[{"ours": 2.0}, {"ours": 2.6}]] * 3)  # type: ignore[arg-type]
    assert (flat.measured, flat.met) == (1.1, True)
    assert (grown.measured, grown.met) == (1.3, False)


@pytest.mark.parametrize(("leak", "is_flat"), [(0, True), (200_000, False)])
@pytest.mark.django_db
def test_a_soak_tells_a_leak_from_noise(leak: int, is_flat: bool) -> None:
    memory = [(float(at), 500e6 + leak * at + 1e6 * (at % 3)) for at in range(0, 3_600, 10)]
    ages = [(at, 0.2 * (at % 2)) for at, _ in memory]
    found = _document(memory, memory, ages, 3_600.0, 1_000, [])
    growth, age = found["aims"]
    assert growth["met"] is is_flat
    assert age["met"]
    assert found["results"][0]["notes"]["slope_per_hour"] == pytest.approx(leak * 3_600 / 1e6, abs=1)


def test_what_was_answered_and_is_not_there_is_a_missed_aim() -> None:
    result = paired("orders", "posts/s", "bare view", [(10.0, 100.0)])
    aims = {aim.name: aim for aim in ingest._aims(result, 60.0, lost=1, failed=0)}
    assert not any(aim.met for aim in list(aims.values())[:3])
    assert aims["refused or without an answer"] == Aim("refused or without an answer", "0", 0, True)
