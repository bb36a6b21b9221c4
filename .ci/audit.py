"""Asks whether any locked dependency has a known vulnerability.

Ends with 0 where none is known, with 1 where there are some, each listed, and with 75 where the advisories could not be
asked for all of them: then nothing is known, and that is said.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

#: "Temporary failure" of sysexits.h.
NOT_ASKED: Final = 75
_SECONDS: Final = 150
_LONGEST_REASON: Final = 300
#: Dependencies that could not be looked up and are named.
_NAMED: Final = 5


def main(requirements: str) -> int:
    """Audits a file of locked requirements, says what came of it, and returns the exit code."""
    report, trouble = ask(requirements)
    code, lines = verdict(report, trouble)
    sys.stderr.write("".join(f"{line}\n" for line in lines))
    return code


def ask(requirements: str) -> tuple[Mapping[str, Any] | None, str]:
    """Returns what pip-audit reports, None where it came to no report, and why."""
    with tempfile.TemporaryDirectory() as directory:
        target = Path(directory) / "report.json"
        command = [
            sys.executable, "-m", "pip_audit", "--requirement", requirements, "--require-hashes", "--disable-pip",
            "--progress-spinner", "off", "--timeout", "10", "--format", "json", "--output", str(target),
        ]  # fmt: skip
        try:
            ended = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            return None, f"no answer within {_SECONDS} s"
        said = [line for line in ended.stderr.splitlines() if line.strip()]
        try:
            return json.loads(target.read_text(encoding="utf-8")), ""
        except (OSError, ValueError):
            return None, said[-1][-_LONGEST_REASON:] if said else f"pip-audit ended with {ended.returncode}"


def verdict(report: Mapping[str, Any] | None, trouble: str) -> tuple[int, list[str]]:
    """Returns the exit code and what to say."""
    if report is None:
        return NOT_ASKED, [f"NOT AUDITED: the advisories could not be asked ({trouble})."]
    dependencies = report["dependencies"]
    found = [
        f"{each['name']} {each['version']}: {bug['id']}, mended in {', '.join(bug['fix_versions']) or 'no version yet'}"
        for each in dependencies
        for bug in each.get("vulns", ())
    ]
    skipped = [f"{each['name']}: {each['skip_reason']}" for each in dependencies if "skip_reason" in each]
    named = [*skipped[:_NAMED], *(["…"] if len(skipped) > _NAMED else [])]
    if found:
        return 1, ["VULNERABLE:", *found, *named]
    if skipped or not dependencies:
        return NOT_ASKED, [
            f"NOT AUDITED: {len(skipped)} of {len(dependencies)} could not be looked up.",
            *named,
        ]
    return 0, [f"Audited: none of {len(dependencies)} dependencies has a known vulnerability."]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
