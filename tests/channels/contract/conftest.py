"""A stand for each registered connector: whoever registers one has it tried by these tests."""

from collections.abc import Iterator

import pytest

from tests.channels.contract.adapters import KINDS
from tests.channels.contract.stand import Stand, stand_of


@pytest.fixture(params=KINDS)
def stand(request: pytest.FixtureRequest, db: None) -> Iterator[Stand]:
    """A channel that is connected to its simulated shop, which sells ten mugs and ten cups, as the merchant has."""
    with stand_of(request.param) as stand:
        yield stand
