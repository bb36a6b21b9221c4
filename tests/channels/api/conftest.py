"""The cast of the tests of the channels' endpoints."""

import pytest

from tests.api import Api
from tests.channels.shop import Shop, open_shop


@pytest.fixture
def shop(db: None) -> Shop:
    """A merchant with a web shop, a warehouse and ten mugs."""
    return open_shop({"MUG": 10})


@pytest.fixture
def api(shop: Shop) -> Api:
    """A caller with a key of the merchant that may do everything."""
    return Api(shop.merchant)
