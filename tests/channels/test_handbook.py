"""The handbook of the channels says what the code does."""

import dataclasses
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final

import pytest
from django.core.management import get_commands

from channels.connectors import CONNECTORS
from channels.connectors.base import Capabilities, Convention
from config.environment import BASE_DIR

HANDBOOK: Final = BASE_DIR / "channels" / "README.md"

#: How the table names each capability, in the order of its rows.
_NAMES: Final[Mapping[str, str]] = {
    "push_batch_size": "numbers in one push",
    "concurrency": "calls at the same time",
    "poll_interval": "orders are polled every",
    "convention": "the shop's own number",
    "compare_and_set": "compare-and-set",
    "parents_in_push": "parent products in one push",
    "own_locations": "knows places",
    "order_webhooks": "order webhooks",
    "inventory_webhooks": "inventory webhooks",
    "manages_subscriptions": "OneCount looks after its subscriptions",
    "cancels_lines": "can cancel a line",
    "asynchronous_push": "a push is accepted first, confirmed later",
    "bulk_increases": "increases that go together in bulk, at least",
    "message_queue": "its messages come through a queue",
    "own_warehouse": "says what its own warehouse holds",
    "acknowledges_orders": "its orders wait for our word",
    "keeps_stock": "can have the say over a location",
    "takes_requests": "ships what it is asked to",
    "largest_quantity": "largest number",
}


def _minutes(interval: timedelta) -> str:
    return f"{interval.total_seconds() / 60:g} min"


_WRITTEN: Final[Mapping[type, Callable[[Any], str]]] = {
    bool: lambda value: "yes" if value else "no",
    int: "{:,}".format,
    timedelta: _minutes,
    Convention: lambda value: value.value,
    type(None): lambda value: "none stated",
}


def capabilities_table() -> str:
    """Returns the handbook's table: a row a capability, a column a connector."""
    connectors = list(CONNECTORS.values())
    rows = [["", *(connector.label for connector in connectors)], ["---"] * (len(connectors) + 1)]
    for field, name in _NAMES.items():
        values = [getattr(connector.capabilities, field) for connector in connectors]
        rows.append([name, *(_WRITTEN[type(value)](value) for value in values)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def test_the_table_names_every_capability() -> None:
    assert set(_NAMES) == {field.name for field in dataclasses.fields(Capabilities)}


def test_the_capabilities_in_the_handbook_are_those_that_connectors_declare() -> None:
    table = capabilities_table()
    assert table in HANDBOOK.read_text(), f"Put this table into channels/README.md:\n{table}"


@pytest.mark.parametrize("app", ["", "config", "inventory", "channels", "reconciliation", "analytics"])
def test_every_link_in_a_handbook_leads_somewhere(app: str) -> None:
    page = BASE_DIR / app / "README.md"
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), f"{page} links to {target}"


@pytest.mark.parametrize("app", ["", "config", "inventory", "channels", "reconciliation", "analytics"])
def test_every_anchor_in_a_handbook_is_a_heading(app: str) -> None:
    page = BASE_DIR / app / "README.md"
    for target, anchor in re.findall(r"\]\(([^)#]*)#([^)]+)\)", page.read_text()):
        if not target.startswith("http"):
            other = page.parent / target if target else page
            assert anchor in _anchors(other.read_text()), f"{page} links to {target}#{anchor}"


def _anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("app", ["", "config", "inventory", "channels", "reconciliation", "analytics"])
def test_every_command_in_a_handbook_exists(app: str) -> None:
    named = re.findall(r"manage\.py ([a-z_]+)", (BASE_DIR / app / "README.md").read_text())
    assert not set(named) - set(get_commands())
