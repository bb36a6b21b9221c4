"""What every test of the reconciliation app may count on."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.core.cache import cache

from channels import accounts, breaker, error_log, heartbeats, last_call, preorders, tokens
from tests.reconciliation.desk import Desk, open_desk


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    """Has each test read everything anew: processes go by it for a moment, and ids come again."""
    accounts.forget_channels()
    tokens.forget_tokens()
    preorders.forget_preorders()
    breaker.forget_successes()
    error_log.forget_refusals()
    heartbeats.forget_beats()
    last_call.forget()
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def desk(db: None, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A shop with two locations that lists mugs and has none."""
    return open_desk(monkeypatch)


@pytest.fixture(autouse=True)
def platforms_whose_lists_are_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    """The platforms of these tests list a sale at once: nobody waits for their lists."""
    monkeypatch.setattr("reconciliation.looks.LIST_LAG", timedelta(0))
    monkeypatch.setattr("reconciliation.catching_up._PAUSE", 0.01)
