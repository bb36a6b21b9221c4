"""Puts the production code onto the simulation for the tests that ask for it."""

from collections.abc import Iterator

import pytest

from tests.channels.conftest import nothing_remembered, platforms_on_this_machine
from tests.simulation import stand

__all__ = ["nothing_remembered", "platforms_on_this_machine", "simulation"]


@pytest.fixture(scope="module")
def simulation() -> Iterator[None]:
    """Has the production code run on the simulation."""
    with stand.standing():
        yield
