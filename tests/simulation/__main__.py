"""Plays many seeds and says how many a minute that was: `python -m tests.simulation --seeds 100000`.

Ends at the first seed that breaks an invariant, with the line that plays it again and tells its story. Exit code 1 then.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Final

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

#: Seeds played between two looks at the clock.
AT_ONCE: Final = 100


@dataclass(frozen=True, slots=True)
class Failure:
    """A seed that broke an invariant."""

    seed: int
    violation: str


def play_all(seeds: Iterable[int]) -> Failure | None:
    """Plays seeds until one breaks an invariant."""
    from tests.simulation import stand
    from tests.simulation.scripts import play

    with stand.standing():
        for seed in seeds:
            try:
                play(seed)
            except Exception as error:  # noqa: BLE001  # whatever a seed brings about is what it found
                return Failure(seed, f"{type(error).__name__}: {error}")
    return None


def tell_story(seed: int) -> None:
    """Plays one seed and prints what happened, step by step."""
    from tests.simulation import stand
    from tests.simulation.scripts import play

    story: list[tuple[object, ...]] = []
    with stand.standing():
        try:
            play(seed, story=story)
        finally:
            for at, what, about in story:
                sys.stdout.write(f"{at:%d %H:%M:%S.%f} {what} {' '.join(map(str, about))}\n")


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_prepare)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _prepare() -> None:
    import django

    django.setup()
    import logging

    logging.disable(logging.CRITICAL)


def search(first: int, seeds: int, *, workers: int) -> tuple[int, Failure | None]:
    """Plays seeds on several processes; returns how many were played, and the first that broke an invariant."""
    pieces = [range(at, min(at + AT_ONCE, first + seeds)) for at in range(first, first + seeds, AT_ONCE)]
    started, played = time.monotonic(), 0
    with _pool(workers) as pool:
        for piece, failure in zip(pieces, pool.map(play_all, pieces), strict=True):
            played += len(piece) if failure is None else failure.seed - piece.start + 1
            if failure is not None:
                return played, failure
            rate = played / (time.monotonic() - started) * 60
            sys.stderr.write(f"\r{played} seeds, {rate:.0f} a minute")
    sys.stderr.write("\n")
    return played, None


def main() -> int:
    """Reads the arguments, plays, and prints one JSON object."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seeds", type=int, default=10_000, help="how many seeds are played")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes that play them")
    parser.add_argument("--story", action="store_true", help="tell what happens in the first seed, and end")
    asked = parser.parse_args()
    if asked.story:
        _prepare()
        tell_story(asked.first)
        return 0
    started = time.monotonic()
    played, failure = search(asked.first, asked.seeds, workers=asked.workers)
    seconds = time.monotonic() - started
    found = {
        "first": asked.first,
        "seeds": played,
        "seconds": round(seconds, 1),
        "seeds_a_minute": round(played / seconds * 60),
        "violation": failure and failure.violation,
        "replay": failure and f"python -m tests.simulation --first {failure.seed} --story",
    }
    sys.stdout.write(json.dumps(found) + "\n")
    return 0 if failure is None else 1


if __name__ == "__main__":
    sys.exit(main())
