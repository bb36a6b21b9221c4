"""Everything the simulated Admin API offers exists in the vendor's schema, under the same types."""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest
from graphql import build_schema

from channels.sandbox.shopify.schema import SCHEMA
from channels.sandbox.shopify.subscriptions import TOPICS

_ROOT = Path(__file__).resolve().parents[3]
SHARED = Path(os.environ.get("ONECOUNT_SHARED", _ROOT.parent / "shared"))
FOLDER = SHARED / "platforms" / "schemas" / "shopify"
VERSIONS = ("2026-07", "2026-10")

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"The vendor's schemas are not at {FOLDER}")


def _written(kind: Any) -> str:
    """A type of the introspection as SDL writes it."""
    if kind["kind"] == "NON_NULL":
        return f"{_written(kind['ofType'])}!"
    return f"[{_written(kind['ofType'])}]" if kind["kind"] == "LIST" else str(kind["name"])


@pytest.fixture(scope="module", params=VERSIONS)
def vendor(request: pytest.FixtureRequest) -> dict[str, Any]:
    with gzip.open(FOLDER / f"admin_{request.param}.introspection.json.gz") as file:
        return {each["name"]: each for each in json.load(file)["data"]["__schema"]["types"]}


def test_the_fields_and_their_types_are_the_vendors(vendor: dict[str, Any]) -> None:
    for type_name, fields in SCHEMA.objects.items():
        known = {each["name"]: each for each in vendor[type_name]["fields"]}
        for name, offered in fields.items():
            assert name in known, f"{type_name}.{name}"
            if offered.resolve.__name__ != "<lambda>" or not type_name.endswith("Connection"):
                assert _written(known[name]["type"]).rstrip("!") == offered.type.rstrip("!"), (
                    f"{type_name}.{name}"
                )


def test_the_arguments_are_the_vendors(vendor: dict[str, Any]) -> None:
    for type_name, fields in SCHEMA.objects.items():
        known = {
            each["name"]: {arg["name"]: arg for arg in each["args"]} for each in vendor[type_name]["fields"]
        }
        for name, offered in fields.items():
            for argument, kind in offered.arguments.items():
                assert _written(known[name][argument]["type"]) == kind, f"{type_name}.{name}({argument})"


def test_the_inputs_and_topics_are_the_vendors(vendor: dict[str, Any]) -> None:
    for type_name, fields in SCHEMA.inputs.items():
        known = {each["name"]: _written(each["type"]) for each in vendor[type_name]["inputFields"]}
        assert fields.items() <= known.items(), type_name
    for name, values in SCHEMA.enums.items():
        assert (values or frozenset()) <= {each["name"] for each in vendor[name]["enumValues"]}, name
    assert set(TOPICS) <= {each["name"] for each in vendor["WebhookSubscriptionTopic"]["enumValues"]}


def test_the_reduced_schema_holds_the_roots_and_the_things_that_are_read() -> None:
    reduced = build_schema((FOLDER / "admin_2026-10.reduced.graphql").read_text())
    left_out = {"shippingAddress"}  # with `MailingAddress`, which the reduced schema does not hold
    for name in ("QueryRoot", "Mutation", "Order", "InventoryItem", "InventoryLevel", "WebhookSubscription"):
        known: Any = reduced.type_map[name]
        assert set(SCHEMA.objects[name]) - left_out <= set(known.fields), name
