"""The shape of every benchmark's JSON, and the facts of the machine it ran on."""

import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from django.db import connection


@dataclass(frozen=True, slots=True)
class Result:
    """One case: the medians of its runs, and of its reference's runs beside them."""

    case: str
    unit: str
    rate: float
    reference: str
    reference_rate: float
    ratio: float
    #: Rate and reference of each paired run.
    runs: tuple[tuple[float, float], ...]
    notes: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Aim:
    """What an issue asks for, and what came out."""

    name: str
    target: str
    measured: float
    met: bool


def paired(case: str, unit: str, reference: str, runs: Sequence[tuple[float, float]], **notes: Any) -> Result:
    """Sums paired runs up: medians of both rates, and the median of the ratios run by run."""
    rate = statistics.median(ours for ours, _ in runs)
    beside = statistics.median(theirs for _, theirs in runs)
    ratio = statistics.median(ours / theirs for ours, theirs in runs)
    rounded = tuple((round(ours, 1), round(theirs, 1)) for ours, theirs in runs)
    return Result(case, unit, round(rate, 1), reference, round(beside, 1), round(ratio, 3), rounded, notes)


def document(name: str, runs: int, results: Sequence[Result], aims: Sequence[Aim]) -> dict[str, Any]:
    """Returns the benchmark as one JSON object."""
    return {
        "name": name,
        "machine": machine(),
        "runs": runs,
        "results": [asdict(result) for result in results],
        "aims": [asdict(aim) for aim in aims],
    }


def machine() -> dict[str, Any]:
    """Returns what the numbers were measured on."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('server_version'), current_setting('fsync'),"
            " current_setting('synchronous_commit')"
        )
        version, fsync, synchronous_commit = cursor.fetchone()
    return {
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "processor": _processor(),
        "python": platform.python_version(),
        "postgresql": version,
        "fsync": fsync,
        "synchronous_commit": synchronous_commit,
        "load_before": round(os.getloadavg()[0], 2),
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()
