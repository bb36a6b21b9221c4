"""What every test of the reconciliation app may count on."""

import pytest

from channels import accounts, breaker, preorders, tokens
from tests.reconciliation.desk import Desk, open_desk


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    """Has each test read channels and tokens anew: processes go by them for a moment, and ids come again."""
    accounts.forget_channels()
    tokens.forget_tokens()
    preorders.forget_preorders()
    breaker.forget_successes()


@pytest.fixture
def desk(db: None, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A shop with two locations that lists mugs and has none."""
    return open_desk(monkeypatch)
