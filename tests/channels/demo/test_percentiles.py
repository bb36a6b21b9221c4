"""Percentiles by nearest rank; an order that never reached a shelf is infinitely late."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.demo.figures import percentiles


def test_no_sample_has_no_percentiles() -> None:
    assert percentiles([]) == {"p50": None, "p95": None, "p99": None, "max": None, "samples": 0}


def test_one_sample_is_all_of_them() -> None:
    assert percentiles([0.25]) == {"p50": 250.0, "p95": 250.0, "p99": 250.0, "max": 250.0, "samples": 1}


def test_nearest_ranks_of_a_hundred_samples() -> None:
    hundred = [number / 1000 for number in range(100, 0, -1)]

    assert percentiles(hundred) == {"p50": 50.0, "p95": 95.0, "p99": 99.0, "max": 100.0, "samples": 100}


def test_the_rank_is_rounded_up() -> None:
    assert percentiles([0.001, 0.002, 0.003])["p50"] == 2.0
    assert percentiles([n / 1000 for n in range(1, 21)])["p95"] == 19.0
    assert percentiles([n / 1000 for n in range(1, 22)])["p95"] == 20.0


@pytest.mark.parametrize(
    ("infinite", "known"),
    [
        (0, ["p50", "p95", "p99", "max"]),
        (1, ["p50", "p95", "p99"]),
        (2, ["p50", "p95"]),
        (6, ["p50"]),
        (51, []),
    ],
)
def test_what_never_ended_fills_the_upper_ranks_and_is_shown_as_nothing(
    infinite: int, known: list[str]
) -> None:
    shown = percentiles([math.inf] * infinite + [0.1] * (100 - infinite))

    assert [name for name in ("p50", "p95", "p99", "max") if shown[name] is not None] == known
    assert shown["samples"] == 100


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=300), st.sampled_from([50, 95, 99, 100]))
def test_at_least_so_many_samples_are_no_larger_and_no_smaller_sample_will_do(
    milliseconds: list[int], percent: int
) -> None:
    name = "max" if percent == 100 else f"p{percent}"

    shown = percentiles([value / 1000 for value in milliseconds])[name]

    assert shown in milliseconds
    assert sum(value <= shown for value in milliseconds) * 100 >= percent * len(milliseconds)
    assert sum(value < shown for value in milliseconds) * 100 < percent * len(milliseconds)
