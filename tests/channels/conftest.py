"""What every test of the channels app may count on."""

import pytest
from pytest_django import Settings


@pytest.fixture(autouse=True)
def platforms_on_this_machine(settings: Settings) -> None:
    """Lets connectors call simulated platforms on loopback, over http."""
    settings.ALLOW_LOOPBACK_PLATFORMS = True
