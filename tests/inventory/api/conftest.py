"""The cast of the API's tests."""

import pytest

from tests.api import Api
from tests.inventory.cast import Cast


@pytest.fixture
def cast(db: None) -> Cast:
    """One merchant with a mug and a shirt, a warehouse and a store, and nothing in stock."""
    return Cast()


@pytest.fixture
def stranger(db: None) -> Cast:
    """Another merchant with goods and places of its own."""
    return Cast()


@pytest.fixture
def api(cast: Cast) -> Api:
    """A caller with a key of the merchant that may do everything."""
    return Api(cast.merchant)
