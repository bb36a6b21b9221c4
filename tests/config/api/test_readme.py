"""The README's section on the API does what it says, with curl and with Python, against a server."""

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_django.live_server_helper import LiveServer

from channels.models import ChannelOrder
from channels.own_systems import connect
from config.environment import BASE_DIR
from inventory.changes import forget_old
from inventory.models import Change, Reservation, StockLevel
from inventory.sequencer import sequence
from tests.api import make_key
from tests.factories import LocationFactory, MerchantFactory
from tests.inventory.cast import LONG_AGO, Cast
from tests.inventory.test_changes import tell_all


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


@pytest.fixture
def mirror(live_server: LiveServer, tmp_path: Path) -> Callable[[Cast], dict[str, tuple[int, ...]]]:
    """Runs the README's mirror once, as it is written, and returns what it has."""
    text = (BASE_DIR / "README.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(program.splitlines()) < 60
    (tmp_path / "mirror.py").write_text(program)

    def run(cast: Cast) -> dict[str, tuple[int, ...]]:
        known = {"ONECOUNT": f"{live_server.url}/api/v1", "KEY": make_key(cast.merchant, "stock:read")[1]}
        command = [sys.executable, str(tmp_path / "mirror.py"), str(tmp_path / "stock.db")]
        done = subprocess.run(
            command, env={**os.environ, **known}, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, (done.stdout, done.stderr)
        rows = sqlite3.connect(tmp_path / "stock.db").execute(
            "SELECT sku || '@' || location, on_hand, reserved, unavailable, version FROM level"
        )
        return {name: tuple(numbers) for name, *numbers in rows}

    return run


def levels(cast: Cast) -> dict[str, tuple[int, ...]]:
    """Returns the stock in the mirror's terms."""
    rows = StockLevel.objects.filter(merchant=cast.merchant).select_related("variant", "location")
    return {
        f"{level.variant.sku}@{level.location.code}": (
            level.on_hand,
            level.reserved,
            level.unavailable,
            level.version,
        )
        for level in rows
    }


@pytest.mark.django_db(transaction=True)
def test_the_mirror_is_kept_in_step_by_the_feed(mirror: Callable[[Cast], dict[str, tuple[int, ...]]]) -> None:
    cast = Cast()
    cast.receive(10)
    cast.receive(3, variant=cast.shirt, place=cast.store)
    # Levels are read as they are, and the changes that led to them are told afterwards: nothing falls back.
    assert mirror(cast) == levels(cast)
    cast.hold("cart", 4)
    sequence()
    assert mirror(cast) == levels(cast)
    cast.receive(1, variant=cast.shirt)
    cast.count(7)
    assert mirror(cast) != levels(cast)
    sequence()
    assert mirror(cast) == levels(cast)
    cast.receive(5)
    tell_all()
    Change.objects.update(happened_at=LONG_AGO)
    forget_old()
    assert mirror(cast) == levels(cast)  # begun anew
