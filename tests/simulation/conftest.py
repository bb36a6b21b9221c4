"""Puts the production code onto the simulation for the tests that ask for it."""

from collections.abc import Iterator

import pytest

from tests.simulation import stand


@pytest.fixture(scope="module")
def simulation() -> Iterator[None]:
    """Has the production code run on the simulation."""
    with stand.standing():
        yield
