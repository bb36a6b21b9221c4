"""What a run came to: JSON for machines, a few lines for people."""

import subprocess
import tomllib
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from config.environment import BASE_DIR

#: Examples that one violation brings as evidence.
EVIDENCE: Final = 5


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that must never be, and was."""

    #: The name of the invariant that it breaks.
    invariant: str
    what: str
    evidence: list[Any] = field(default_factory=list)


def violated(invariant: str, what: str, cases: list[Any]) -> list[Violation]:
    """Returns one violation with the first of its cases; none where there are none."""
    return [Violation(invariant, what.format(count=len(cases)), cases[:EVIDENCE])] if cases else []


@dataclass(slots=True)
class Verdict:
    """The result of a run."""

    seed: int
    version: str
    events: int
    #: How often each fault was done.
    faults: dict[str, int]
    violations: list[Violation]
    #: From the end of the last fault to the moment from which every shop showed its number; None: never.
    convergence_seconds: float | None
    restarts: int
    kills: int
    wall_seconds: float
    #: Which safeguard was off; None: all were on.
    sabotage: str | None = None
    #: What else was counted: orders, calls, messages.
    counts: dict[str, int] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Returns plain data."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Returns what people read."""
        took = "never" if self.convergence_seconds is None else f"{self.convergence_seconds:.1f} s"
        done = sum(self.faults.values())
        found = [
            f"VIOLATED  {each.invariant}: {each.what}  {each.evidence}"[:1000] for each in self.violations
        ]
        return [
            f"seed {self.seed}, OneCount {self.version}: {self.events} events, {done} faults, "
            f"{self.kills} kills, {self.restarts} restarts in {self.wall_seconds:.0f} s; converged after {took}",
            *(found or ["No invariant was violated."]),
        ]


def version_of_checkout() -> str:
    """Returns the program's version, and the commit where there is one: what a seed needs to be played again."""
    project = tomllib.loads((BASE_DIR / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty"],
            cwd=BASE_DIR,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return str(project["version"])
    return f"{project['version']} ({found.stdout.strip()})"
