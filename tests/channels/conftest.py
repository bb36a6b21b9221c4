"""What every test of the channels app may count on."""

import pytest
from pytest_django import Settings

from channels import accounts, breaker, error_log, heartbeats, last_call, preorders, tokens


@pytest.fixture(autouse=True)
def platforms_on_this_machine(settings: Settings) -> None:
    """Lets connectors call simulated platforms on loopback, over http."""
    settings.ALLOW_LOOPBACK_PLATFORMS = True


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    """Has each test read channels and tokens anew: processes go by them for a moment, and ids come again."""
    accounts.forget_channels()
    tokens.forget_tokens()
    preorders.forget_preorders()
    breaker.forget_successes()
    error_log.forget_refusals()
    heartbeats.forget_beats()
    last_call.forget()
