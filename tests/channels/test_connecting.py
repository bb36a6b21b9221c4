"""An account is connected step by step, over real HTTP to a simulated shop: tested, read, mapped, and told once it is live."""

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from channels.connecting import put_behind
from channels.connectors.wholesale import WholesaleConnector
from channels.errors import Misconfigured
from channels.management.commands.connect import _typed
from channels.models import Channel, ChannelLocationSource, ListingLevel
from channels.sandbox import INSTANT, SANDBOXES, CatalogueItem, SandboxShop
from inventory.models import Location
from inventory.models.catalogue import LocationKind
from tests.channels.shop import Shop, open_shop

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(params=["woocommerce", "shopify"])
def sandbox(request: pytest.FixtureRequest) -> Iterator[SandboxShop]:
    with SANDBOXES[request.param](profile=INSTANT, limits="generous") as shop:
        shop.add_location("main", "Main")
        skus = ["MUG-1", "mug2", "STRANGE"]
        shop.load_catalogue([CatalogueItem(sku=sku, title=sku, quantities={"main": 9}) for sku in skus])
        yield shop


@pytest.fixture
def shop() -> Shop:
    return open_shop({"MUG-1": 9, "MUG-2": 4})


class Terminal:
    """Runs `connect` for one account."""

    def __init__(
        self,
        shop: Shop,
        sandbox: SandboxShop,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        self.shop, self.sandbox, self.capsys, self.monkeypatch = shop, sandbox, capsys, monkeypatch

    def connect(self, *options: str, credentials: Any = None) -> dict[str, Any]:
        if credentials is not None:
            self.monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(credentials)))
            options = ("--credentials", "-", *(f"--set={k}={v}" for k, v in self._settings()), *options)
        call_command(
            "connect",
            self.sandbox.kind,
            "New shop",
            "--merchant",
            self.shop.merchant.slug,
            "--json",
            *options,
        )
        answer: dict[str, Any] = json.loads(self.capsys.readouterr().out)
        return answer

    def _settings(self) -> list[tuple[str, Any]]:
        return list(self.sandbox.settings().items())


@pytest.fixture
def terminal(
    shop: Shop, sandbox: SandboxShop, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Terminal:
    return Terminal(shop, sandbox, capsys, monkeypatch)


def test_an_account_is_tested_read_mapped_and_told_only_once_it_is_live(
    terminal: Terminal, sandbox: SandboxShop
) -> None:
    found = terminal.connect(credentials=sandbox.credentials())
    channel = Channel.objects.get(name="New shop")
    assert channel.is_paused
    assert channel.onboarding.shop == found["shop"]
    assert (found["mapped"], found["unmapped"], found["suggested"]) == (1, 2, 1)
    assert found["shop"]
    assert found["limits"]
    (place,) = found["places"]
    with pytest.raises(CommandError, match="map one first"):
        terminal.connect("--go-live")
    found = terminal.connect("--place", f"{place}=main", "--go-live")
    assert found["places"] == {place: ["main"]}
    assert Channel.objects.get(name="New shop").is_paused is False
    levels = ListingLevel.objects.filter(channel=channel)
    assert levels.count() == 1
    assert sandbox.kind == "shopify" or levels.get().confirmed_at is not None


def test_an_account_that_does_not_answer_leaves_no_channel(terminal: Terminal, sandbox: SandboxShop) -> None:
    wrong = dict.fromkeys(sandbox.credentials(), "wrong")
    with pytest.raises(CommandError) as failed:
        terminal.connect(credentials=wrong)
    assert "wrong" not in str(failed.value)
    assert not Channel.objects.filter(name="New shop").exists()


def test_what_is_missing_or_unknown_is_named(terminal: Terminal, sandbox: SandboxShop, shop: Shop) -> None:
    with pytest.raises(CommandError, match="no credential named pin"):
        terminal.connect(credentials={**sandbox.credentials(), "pin": "1"})
    with pytest.raises(CommandError, match="one JSON object"):
        terminal.connect(credentials=["a"])
    with pytest.raises(CommandError, match="NAME=VALUE"):
        terminal.connect("--place", "main", credentials=sandbox.credentials())
    with pytest.raises(CommandError, match="no setting named colour"):
        terminal.connect("--set", "colour=red", credentials=sandbox.credentials())
    terminal.connect(credentials=sandbox.credentials())
    with pytest.raises(CommandError, match="no place 'nowhere'"):
        terminal.connect("--place", "nowhere=main")
    with pytest.raises(CommandError, match="on its page"):
        terminal.connect(credentials=sandbox.credentials())
    channel = Channel.objects.get(name="New shop")
    (place,) = channel.locations.values_list("external_id", flat=True)
    with pytest.raises(Misconfigured, match="There are: main"):
        put_behind(channel, place, ["mian"])
    Location.objects.filter(code="main").update(kind=LocationKind.CHANNEL_OWNED)
    with pytest.raises(Misconfigured, match="own warehouse"):
        put_behind(channel, place, ["main"])
    assert not ChannelLocationSource.objects.filter(channel_location__channel=channel).exists()


def test_a_switch_of_a_platform_is_set_as_what_it_is() -> None:
    assert _typed(WholesaleConnector, "shows_spans", "true") is True
    assert _typed(WholesaleConnector, "base_url", "true") == "true"
    with pytest.raises(CommandError, match="true or false"):
        _typed(WholesaleConnector, "shows_spans", "maybe")


def test_matches_are_looked_for_once(
    terminal: Terminal, sandbox: SandboxShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken: list[str] = []
    monkeypatch.setattr("channels.importing.wake", lambda name, *_: woken.append(name))
    found = terminal.connect(credentials=sandbox.credentials())
    assert found["suggested"] == 1
    assert "channels.tasks.find_matches" not in woken


def test_an_account_is_watched_before_it_goes_live(terminal: Terminal, sandbox: SandboxShop) -> None:
    found = terminal.connect(credentials=sandbox.credentials())
    (place,) = found["places"]
    found = terminal.connect("--place", f"{place}=main", "--shadow")
    channel = Channel.objects.get(pk=found["channel"])
    assert channel.in_shadow
    with pytest.raises(CommandError, match="is in shadow mode"):
        terminal.connect("--go-live")
