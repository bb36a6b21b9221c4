"""The command `reconcile`: scopes, figures for machines, and an exit code that says whether somebody is needed."""

import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from channels.models import Channel
from inventory.models import Tag, VariantTag
from reconciliation import runs
from reconciliation.models import ReconciliationRun
from tests.reconciliation.market import Market, open_market

pytestmark = pytest.mark.django_db


@pytest.fixture
def market(monkeypatch: pytest.MonkeyPatch) -> Market:
    market = open_market(monkeypatch, {"MUG": 20, "CUP": 8})
    Channel.objects.exclude(pk=market.shop.channel.pk).update(is_active=False)
    return market


def reconcile(capsys: pytest.CaptureFixture[str], **options: Any) -> dict[str, Any]:
    call_command("reconcile", json=True, **options)
    shown: dict[str, Any] = json.loads(capsys.readouterr().out)
    return shown


def test_it_compares_every_active_channel_and_prints_one_object(
    market: Market, capsys: pytest.CaptureFixture[str]
) -> None:
    market.edit("MUG", 19)
    shown = reconcile(capsys)
    (run,) = shown["runs"]
    assert (run["state"], run["compared"], run["drifted"], run["corrected"]) == ("done", 2, 1, 1)
    assert (run["drift_rate"], shown["for_people"]) == (0.5, 0)


def test_progress_goes_to_the_other_stream(market: Market, capsys: pytest.CaptureFixture[str]) -> None:
    market.edit("MUG", 19)
    call_command("reconcile")
    shown = capsys.readouterr()
    assert "1 differ; 1 are being corrected, 0 wait for a person." in shown.out
    assert "shelves read." in shown.err


def test_it_ends_with_1_when_somebody_is_needed(market: Market, capsys: pytest.CaptureFixture[str]) -> None:
    market.edit("MUG", 99)
    with pytest.raises(SystemExit) as ended:
        reconcile(capsys)
    assert ended.value.code == 1


def test_it_keeps_to_a_tag_or_a_sku(market: Market, capsys: pytest.CaptureFixture[str]) -> None:
    tag = Tag.objects.create(merchant=market.shop.merchant, name="fragile")
    VariantTag.objects.create(tag=tag, variant=market.shop.variants["CUP"])
    (by_tag,) = reconcile(capsys, tag="fragile")["runs"]
    (by_sku,) = reconcile(capsys, sku="MUG", channel=market.shop.channel.pk)["runs"]
    assert (by_tag["scope"], by_tag["read"]) == ("tag fragile", 1)
    assert (by_sku["scope"], by_sku["read"]) == ("SKU MUG", 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channel": 0}, "no such active channel"),
        ({"tag": "nobody knows"}, "has the tag"),
        ({"full": True, "sku": "MUG"}, "leave --tag and --sku out"),
        ({"tag": "x", "sku": "MUG"}, "has the tag"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(
    market: Market, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(CommandError, match=message):
        call_command("reconcile", **options)


def test_a_channel_that_is_being_compared_already_is_named(market: Market) -> None:
    run = runs.ask(market.shop.channel)
    ReconciliationRun.objects.filter(pk=run.pk).update(state="running", leased_until="2999-01-01T00:00Z")
    with pytest.raises(CommandError, match="is being compared already"):
        call_command("reconcile")
