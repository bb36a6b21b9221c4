"""What every test of the reconciliation app may count on."""

from datetime import timedelta

import pytest

from channels import accounts, breaker, preorders, tokens


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    """Has each test read channels and tokens anew: processes go by them for a moment, and ids come again."""
    accounts.forget_channels()
    tokens.forget_tokens()
    preorders.forget_preorders()
    breaker.forget_successes()


@pytest.fixture(autouse=True)
def platforms_whose_lists_are_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    """The platforms of these tests list a sale at once: nobody waits for their lists."""
    monkeypatch.setattr("reconciliation.looks.LIST_LAG", timedelta(0))
    monkeypatch.setattr("reconciliation.catching_up._PAUSE", 0.01)
