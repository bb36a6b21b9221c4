"""The cast of the inventory's tests."""

import pytest

from tests.inventory.cast import Cast


@pytest.fixture
def cast(db: None) -> Cast:
    """One merchant with a mug and a shirt, a warehouse and a store, and nothing in stock."""
    return Cast()


@pytest.fixture
def stranger(db: None) -> Cast:
    """Another merchant with goods and places of its own."""
    return Cast()
