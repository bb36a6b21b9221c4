"""Every benchmark runs, at a size at which it measures nothing, so that none breaks unseen."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from psycopg import sql

from analytics.benchmarks import BENCHMARKS
from inventory.models import Reservation
from tests import database
from tests.benchmarks import pgbench, reserve, scratch


@dataclass(frozen=True)
class Tiny:
    """A benchmark at a size at which it only shows that it runs."""

    options: Mapping[str, Any]
    #: Constants of its module that make it large otherwise.
    constants: Mapping[str, Any] = field(default_factory=dict)


_ONE_PROCESS = tuple(replace(case, processes=1) for case in reserve.CASES)

TINY = {
    "reserve": Tiny(
        {"runs": 1, "seconds": 0.2},
        {"VARIANTS": 20, "CASES": _ONE_PROCESS, "LAST_UNITS": 3, "SELL_OUT": 0.2},
    ),
    "fanout": Tiny({"runs": 1}, {"SIZES": (1, 2, 3, 4), "AIMED": 3}),
    "exposure": Tiny({"runs": 1, "listings": 200}),
    "timetravel": Tiny({"runs": 1, "seconds": 0.01, "movements": 4_000}),
    "rehearsal": Tiny({"runs": 1, "events": 200}, {"VARIANTS": 20}),
    "api": Tiny({"runs": 1, "seconds": 0.2, "variants": 150}, {"WARM": 0.1}),
    "changes": Tiny(
        {"changes": 60}, {"WRITERS": 1, "OWN": 20, "SHARED": 5, "LINES": 5, "PACED_SECONDS": 0.4}
    ),
    "reconcile": Tiny({"runs": 1, "listings": 2_000}),
    "import": Tiny({"runs": 1, "listings": 600}),
    "ingest": Tiny({"runs": 1, "seconds": 1.0}, {"MESSAGES": 20}),
    "lease": Tiny({"runs": 1, "seconds": 0.2, "levels": 500}),
    "connectors": Tiny(
        {"runs": 1, "seconds": 0.5}, {"VARIANTS": 30, "WARM": 0.5, "PLATFORMS": ("wholesale", "bol")}
    ),
    "propagate": Tiny(
        {"runs": 1, "seconds": 2.0, "variants": 60, "rate": 6.0, "burst": 20},
        {"WARM": 0.5, "BURST_SECONDS": 1.0, "CHANGES": 1},
    ),
    "scale": Tiny({"runs": 1, "orders": 3, "sizes": [50, 100]}),
    "memory": Tiny({"seconds": 2.0, "variants": 60, "rate": 3.0}, {"QUIET": 0.5}),
    "soak": Tiny({"minutes": 0.1, "variants": 60, "rate": 3.0}, {"EVERY": 0.5}),
}


@pytest.fixture
def copied_databases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has scratch databases copied from one that is migrated: the migrations take longer than any of these benchmarks."""
    if settings.EMBEDDED_POSTGRES_HOME is None:
        return
    copy = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
    template = sql.Identifier(database.template())
    monkeypatch.setattr(
        scratch, "create", lambda name: scratch.execute(copy.format(sql.Identifier(name), template))
    )


@pytest.mark.slow
@pytest.mark.xdist_group("processes")
@pytest.mark.timeout(300)
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_runs_and_says_what_it_measured(
    name: str, copied_databases: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "ingest" and shutil.which("wrk") is None:
        pytest.skip("needs wrk, which .ci/run installs")
    module, tiny = import_module(f"tests.benchmarks.{name}"), TINY[name]
    for constant, value in tiny.constants.items():
        monkeypatch.setattr(module, constant, value)

    measured = module.run(**tiny.options)

    assert measured["name"] == name
    assert measured["machine"]["cores"] >= 1
    assert set(tiny.options) == set(BENCHMARKS[name].options)
    for result in measured["results"]:
        assert result["rate"] > 0, result
        assert result["reference"]
    # How fast it is says nothing at this size; what has to be right is right at any.
    wrong = [aim for aim in measured["aims"] if aim["target"] in ("0", "1") and not aim["met"]]
    assert not wrong, measured


@pytest.mark.django_db(transaction=True)
def test_pgbench_is_given_statements_that_a_reservation_sends(monkeypatch: pytest.MonkeyPatch) -> None:
    # Its script follows the statements by position: whoever changes them has to change it, too.
    monkeypatch.setattr(reserve, "VARIANTS", 20)
    seed = reserve.seed_stock()
    for case in (reserve.CASES[0], reserve.CASES[2], reserve.CASES[4]):
        script = pgbench.script(seed, case, variants=20)
        pgbench.run_once(script, database=connection.settings_dict["NAME"])
    assert Reservation.objects.count() == 2 * (1 + 10 + 1)
