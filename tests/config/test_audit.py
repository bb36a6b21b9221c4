"""The audit of dependencies never takes "could not ask" for "none known"."""

import runpy
import subprocess
from typing import Any

import pytest

from config.environment import BASE_DIR

AUDIT = runpy.run_path(str(BASE_DIR / ".ci" / "audit.py"))
SOUND = {"name": "django", "version": "5.2", "vulns": []}
BUG = {"id": "PYSEC-1", "fix_versions": ["2.1"], "aliases": [], "description": ""}
BROKEN = {"name": "left", "version": "2.0", "vulns": [BUG]}
UNKNOWN = {"name": "right", "skip_reason": "not found on PyPI"}


@pytest.mark.parametrize(
    ("dependencies", "code", "said"),
    [
        ([SOUND], 0, "none of 1 dependencies"),
        ([SOUND, BROKEN], 1, "left 2.0: PYSEC-1, mended in 2.1"),
        ([BROKEN, UNKNOWN], 1, "right: not found on PyPI"),
        ([SOUND, UNKNOWN], 75, "NOT AUDITED: 1 of 2"),
        ([], 75, "NOT AUDITED"),
    ],
)
def test_what_was_found_decides(dependencies: list[dict[str, Any]], code: int, said: str) -> None:
    found, lines = AUDIT["verdict"]({"dependencies": dependencies}, "")
    assert found == code
    assert said in "\n".join(lines)


def test_where_nobody_could_be_asked_nothing_is_known() -> None:
    code, lines = AUDIT["verdict"](None, "Connection refused")
    assert (code, lines) == (75, ["NOT AUDITED: the advisories could not be asked (Connection refused)."])


@pytest.mark.parametrize(
    ("ended", "trouble"),
    [
        (
            subprocess.CompletedProcess([], 1, "", "WARNING: x\nERROR: Connection refused\n"),
            "Connection refused",
        ),
        (subprocess.CompletedProcess([], 3, "", ""), "ended with 3"),
        (subprocess.TimeoutExpired([], 150), "no answer within 150 s"),
    ],
)
def test_a_report_that_never_came_is_none(monkeypatch: pytest.MonkeyPatch, ended: Any, trouble: str) -> None:
    def run(*args: Any, **options: Any) -> Any:
        if isinstance(ended, Exception):
            raise ended
        return ended

    monkeypatch.setattr(subprocess, "run", run)
    report, why = AUDIT["ask"]("requirements-dev.txt")
    assert report is None
    assert trouble in why
