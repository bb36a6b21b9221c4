"""The README's section on the API does what it says, with curl, against a server."""

import os
import re
import subprocess

import pytest
from pytest_django.live_server_helper import LiveServer

from channels.models import ChannelOrder
from channels.own_systems import connect
from config.environment import BASE_DIR
from inventory.models import Reservation, StockLevel
from tests.api import make_key
from tests.factories import LocationFactory, MerchantFactory


def script() -> str:
    """Returns the commands of the section, as one script."""
    text = (BASE_DIR / "README.md").read_text()
    section = text.partition("## Your own systems: the API\n")[2].partition("\n## ")[0]
    return "\n".join(["set -euo pipefail", *re.findall(r"```sh\n(.*?)```", section, re.DOTALL)])


@pytest.mark.django_db(transaction=True)
def test_the_five_commonest_jobs_run_as_written(live_server: LiveServer) -> None:
    merchant = MerchantFactory()
    location = LocationFactory(merchant=merchant, code="main")
    channel = connect(merchant.pk, "Counter", {"main": location.pk})
    known = {
        "ONECOUNT": f"{live_server.url}/api/v1",
        "KEY": make_key(merchant)[1],
        "CHANNEL": str(channel.pk),
    }
    commands = script()
    assert commands.count("\ncall ") == 5
    for _ in range(2):  # sent again, nothing is done twice
        done = subprocess.run(
            ["bash", "-c", commands], env={**os.environ, **known}, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, (done.stdout, done.stderr)
    level = StockLevel.objects.get(variant__sku="MUG-BLUE")
    assert (level.on_hand, level.reserved) == (39, 4)
    assert Reservation.objects.get(reference="cart-81").expires_at is not None
    assert ChannelOrder.objects.get().external_id == "1001"
