"""The commands `push`, `poll` and `run_pusher`."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from urllib.parse import urlencode

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from channels.models import Channel, Listing, ListingLevel, PollFeed
from tests.channels.shop import Shop, open_shop

pytestmark = pytest.mark.django_db


def run(*words: str) -> str:
    out = StringIO()
    call_command(*words, stdout=out)
    return out.getvalue()


def shop_with_listings() -> tuple[Shop, Channel, dict[str, Listing]]:
    shop = open_shop({"MUG": 5, "mug": 5})
    other = shop.add_channel("other")
    listings = {
        "MUG": shop.list_variant("MUG"),
        "mug": shop.list_variant("mug"),
        "theirs": shop.list_variant("MUG", channel=other, external_id="theirs"),
    }
    return shop, other, listings


def due(listings: dict[str, Listing]) -> set[str]:
    return {name for name, listing in listings.items() if listing.levels.get().is_due}


def test_push_marks_a_sku_as_it_is_written_on_every_channel() -> None:
    _, _, listings = shop_with_listings()
    assert json.loads(run("push", "--sku", "MUG", "--json")) == {"marked": 2}
    assert due(listings) == {"MUG", "theirs"}


def test_push_marks_one_channel_or_everything() -> None:
    _, other, listings = shop_with_listings()
    run("push", "--channel", str(other.pk))
    assert due(listings) == {"theirs"}
    assert "3 listing levels are due" in run("push", "--all")
    assert due(listings) == {"MUG", "mug", "theirs"}


def test_push_passes_over_what_cannot_be_told() -> None:
    _, _, listings = shop_with_listings()
    Listing.objects.filter(pk=listings["mug"].pk).update(variant=None)
    ListingLevel.objects.filter(listing=listings["theirs"]).update(dead_at=timezone.now())
    run("push", "--all")
    assert due(listings) == {"MUG"}


@pytest.mark.parametrize("words", [(), ("--sku", "CUP"), ("--channel", "0")])
def test_push_says_what_is_missing_when_nothing_fits(words: tuple[str, ...]) -> None:
    shop_with_listings()
    with pytest.raises(CommandError):
        run("push", *words)


def test_poll_makes_the_orders_of_active_channels_due_at_once() -> None:
    shop, other, _ = shop_with_listings()
    Channel.objects.filter(pk=other.pk).update(is_active=False)
    later = timezone.now() + timedelta(hours=1)
    feed = PollFeed.objects.create(channel=shop.channel, name="orders", next_poll_at=later)
    assert json.loads(run("poll", "--json")) == {"asked": [shop.channel.pk]}
    feed.refresh_from_db()
    assert feed.next_poll_at <= timezone.now()
    with pytest.raises(CommandError):
        run("poll", "--channel", str(other.pk))


@pytest.mark.slow
@pytest.mark.xdist_group("processes")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_pusher_works_until_a_signal_and_then_ends_by_itself(number: signal.Signals) -> None:
    shop = open_shop()
    process = subprocess.Popen(
        [sys.executable, str(settings.BASE_DIR / "manage.py"), "run_pusher"],
        env=os.environ | {"DATABASE_URL": _database_url()},
        stderr=subprocess.PIPE,
    )
    try:
        # Without credentials its first poll fails, which shows that it works.
        wait_for(
            lambda: PollFeed.objects.filter(channel=shop.channel).exclude(last_error="").exists(), process
        )
        process.send_signal(number)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.communicate()


def _database_url() -> str:
    given = connection.settings_dict
    query = urlencode({"host": given["HOST"], "port": given["PORT"], "password": given["PASSWORD"]})
    return f"postgresql://{given['USER']}@/{given['NAME']}?{query}"


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 30.0
    while not condition():
        assert process.poll() is None, "the process has ended"
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.1)
