"""What every registered connector declares, and what is said of one that lacks something."""

import dataclasses
from datetime import timedelta
from pathlib import Path
from typing import ClassVar, cast

import pytest
from django.conf import settings

from channels.connectors import CONNECTORS, connector_class
from channels.connectors.base import Capabilities, Connector, RateLimit
from channels.connectors.checks import connectors_are_complete, problems_of
from channels.connectors.shopify import ShopifyConnector
from channels.errors import Misconfigured
from tests.channels.contract.adapters import KINDS, OF_THEIR_OWN, adapter_of


def test_every_registered_connector_declares_what_the_engine_relies_on() -> None:
    assert connectors_are_complete(None) == []
    for kind in CONNECTORS:
        assert connector_class(kind).kind == kind


def test_every_registered_connector_is_held_to_this_contract_or_to_one_of_its_own() -> None:
    assert set(KINDS) | OF_THEIR_OWN.keys() == set(CONNECTORS)
    for place in OF_THEIR_OWN.values():
        assert Path(settings.BASE_DIR, place).exists()


@pytest.mark.parametrize("kind", KINDS)
def test_every_registered_connector_has_an_adapter(kind: str) -> None:
    adapter, able = adapter_of(kind), CONNECTORS[kind].capabilities
    is_telling = able.order_webhooks or able.inventory_webhooks
    assert bool(adapter.topic_header or adapter.topic_path) is is_telling


def test_whoever_registers_a_connector_without_an_adapter_is_told_what_to_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(cast(dict[str, type[Connector]], CONNECTORS), "newcomer", ShopifyConnector)
    with pytest.raises(pytest.fail.Exception) as failure:
        adapter_of("newcomer")
    assert "ADAPTERS (tests/channels/contract/adapters.py)" in str(failure.value)
    assert "SANDBOXES (channels/sandbox/__init__.py)" in str(failure.value)


def test_a_kind_that_was_retired_or_never_existed_is_reported() -> None:
    with pytest.raises(Misconfigured, match="no connector"):
        connector_class("ebay")


class Broken(ShopifyConnector):
    """Spoilt by the cases below."""


CAPABLE = Capabilities(push_batch_size=1, poll_interval=timedelta(minutes=1))


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("kind", "other", "calls itself other"),
        ("rate_limits", {}, "no rate limit"),
        ("rate_limits", {"calls": RateLimit(0, 1)}, "never be spent"),
        ("capabilities", CAPABLE, "cancel_line and the capability cancels_lines contradict"),
        ("capabilities", dataclasses.replace(CAPABLE, push_batch_size=0), "neither push nor call"),
        ("capabilities", dataclasses.replace(CAPABLE, poll_interval=timedelta(0)), "more than once a second"),
        ("capabilities", dataclasses.replace(CAPABLE, asynchronous_push=True), "follow_push"),
    ],
)
def test_a_declaration_that_contradicts_itself_is_found(
    monkeypatch: pytest.MonkeyPatch, name: str, value: object, problem: str
) -> None:
    monkeypatch.setattr(Broken, name, value)
    assert any(problem in found for found in problems_of("shopify", Broken))


def test_a_connector_that_lacks_parts_is_found() -> None:
    class Bare(Connector):
        kind: ClassVar[str] = "bare"

    (problem,) = problems_of("bare", Bare)  # type: ignore[type-abstract]
    assert "label" in problem
    assert "push" in problem
