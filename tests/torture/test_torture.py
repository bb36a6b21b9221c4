"""The program survives a short torture, and a torture notices every safeguard that is switched off."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from config.environment import BASE_DIR
from tests.torture.faults import SHAPES, WEATHER
from tests.torture.sabotage import SABOTAGES

#: Nothing waits this long unless something is broken.
PATIENCE = 900
#: Blows from which the program comes back within a second or two.
BLOWS = ("kill-pusher", "cut-at-commit", "nonsense", "poison")


#: All runs here share a world, which is made once.
CHANNELS = "shopify,woocommerce,bol"


def torture(*options: str) -> tuple[int, dict[str, Any]]:
    """Runs the command as a person would; returns its exit code and the verdict."""
    done = subprocess.run(
        [sys.executable, "manage.py", "torture", "--json", *options],
        cwd=BASE_DIR,
        env={**os.environ, "DATABASE_URL": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.xdist_group("processes")
@pytest.mark.timeout(PATIENCE)
def test_nothing_is_violated_by_a_short_torture() -> None:
    names = ",".join((*SHAPES, *WEATHER, *BLOWS))
    # Other tests run beside it, so that it may take any time.
    code, verdict = torture(
        "--seed=1",
        "--events=80",
        "--duration=4",
        f"--faults={names}",
        f"--channels={CHANNELS}",
        "--workers=1",
        "--within=600",
    )
    assert verdict["violations"] == []
    assert code == 0
    assert verdict["convergence_seconds"] is not None
    assert sum(verdict["faults"].values()) > 5


@pytest.mark.torture
@pytest.mark.timeout(PATIENCE)
@pytest.mark.parametrize("name", SABOTAGES)
def test_a_safeguard_that_is_switched_off_is_missed(name: str) -> None:
    code, verdict = torture("--seed=1", f"--sabotage={name}", f"--channels={CHANNELS}", "--workers=1")
    violated = {each["invariant"] for each in verdict["violations"]}
    assert violated & set(SABOTAGES[name].breaks), verdict
    assert code == 1
    assert verdict["sabotage"] == name
