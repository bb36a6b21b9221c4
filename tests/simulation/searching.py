"""Plays many seeds on several processes, and tells the story of one."""

import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Final

import django

#: Seeds played between two looks at the clock.
AT_ONCE: Final = 100


@dataclass(frozen=True, slots=True)
class Failure:
    """A seed that broke an invariant."""

    seed: int
    violation: str


def prepare() -> None:
    """Makes a process ready to play, which logs nothing: what goes wrong in a story is meant to."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    logging.disable(logging.CRITICAL)


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
    """Plays one seed and writes down what happened, step by step; raises what it broke."""
    from tests.simulation import stand
    from tests.simulation.scripts import play
    from tests.simulation.world import Story

    story: Story = []
    with stand.standing():
        try:
            play(seed, story=story)
        finally:
            for at, what, about in story:
                sys.stdout.write(f"{at:%d %H:%M:%S.%f} {what} {' '.join(map(str, about))}\n")


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=prepare)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


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
