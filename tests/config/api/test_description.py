"""The description of the API: valid, without warnings, complete, and served without outside assets."""

import json
import re
from contextlib import closing
from typing import Any

import pytest
from django.test import Client
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.validation import validate_schema
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from inventory.scopes import RESOURCES
from reconciliation.outgoing.event_types import EVENTS, TEST
from tests.api import Api
from tests.back_office import Business
from tests.config.api.endpoints import endpoints, schema
from tests.config.api.test_bad_input import address

pytestmark = pytest.mark.django_db

#: Writes that commit piece by piece, and may be sent again as they are.
PIECEMEAL = {"events_create", "channels_push"}


@pytest.mark.slow
def test_the_description_is_valid_and_gives_no_warning() -> None:
    """As `spectacular --validate --fail-on-warn` has it, which `make check` runs."""
    validate_schema(schema())  # type: ignore[no-untyped-call]
    assert schema()["openapi"] == "3.1.0"
    assert not GENERATOR_STATS


def test_every_operation_says_what_it_does_and_how_it_refuses() -> None:
    for path, operations in schema()["paths"].items():
        for method, operation in operations.items():
            assert operation["description"], (method, path)
            for status in ("400", "401", "403", "404", "429", "503"):
                content = operation["responses"][status]["content"]
                assert list(content) == ["application/problem+json"], (method, path, status)
            names = {parameter["name"] for parameter in operation.get("parameters", ())}
            is_write = method != "get" and operation["operationId"] not in PIECEMEAL
            assert ("Idempotency-Key" in names) == is_write, (method, path)
            is_of_a_row = method != "get" and "{id}" in path
            assert ("If-Match" in names, "412" in operation["responses"]) == (is_of_a_row,) * 2, (
                method,
                path,
            )


def test_names_of_operations_are_unique() -> None:
    names = [each.name for each in endpoints()]
    assert len(names) == len(set(names))


def test_every_refusal_has_an_example_of_each_kind() -> None:
    described = schema()
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            for status, response in operation["responses"].items():
                content = response.get("content", {}).get("application/problem+json")
                if content is not None:
                    assert content["examples"], (method, path, status)
                    for name, reference in content["examples"].items():
                        assert reference == {"$ref": f"#/components/examples/{name}"}
                        assert described["components"]["examples"][name]["value"]["status"] == int(status)


def test_every_example_of_an_answer_is_one() -> None:
    described, shown = schema(), 0
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            for status, response in operation["responses"].items():
                content = response.get("content", {}).get("application/json", {})
                for example in content.get("examples", {}).values():
                    shape = {**content["schema"], "components": described["components"]}
                    wrong = [
                        error.message for error in Draft202012Validator(shape).iter_errors(example["value"])
                    ]
                    assert not wrong, (method, path, status, wrong)
                    shown += 1
    assert shown > 50


def test_every_body_has_an_example_that_is_understood() -> None:
    business = Business.grown(1)
    api = Api(business.merchant)
    asked = 0
    for endpoint in endpoints():
        operation = schema()["paths"][endpoint.path][endpoint.method.lower()]
        if "requestBody" not in operation:
            continue
        shown: Any = operation["requestBody"]["content"]["application/json"]
        assert shown["examples"], endpoint
        for example in shown["examples"].values():
            response = api.send(endpoint.method, address(endpoint, api), json.dumps(example["value"]))
            assert response.status_code not in {400, 500}, (endpoint, response.content)
            asked += 1
    assert asked > 60


def test_the_page_for_people_needs_nothing_from_elsewhere(client: Client) -> None:
    page = client.get("/api/v1/docs")
    assert page.status_code == 200
    assets = re.findall(r'(?:src|href)="([^"]+)"', page.content.decode())
    assert assets
    # Its script comes apart: no page runs what stands in it.
    own = [asset for asset in assets if not asset.startswith("/static/")]
    assert own == ["/api/v1/docs?script="]
    assert '"validatorUrl": null' in client.get(own[0]).content.decode()
    for asset in assets:
        with closing(client.get(asset)) as response:
            assert response.status_code == 200, asset


def test_the_description_is_served_to_machines(client: Client) -> None:
    assert client.get("/api/v1/openapi.json").json()["openapi"] == "3.1.0"


def test_the_description_is_made_once_and_not_sent_to_who_has_it(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = client.get("/api/v1/openapi.json")
    monkeypatch.delattr("config.api.docs.SchemaGenerator.get_schema")
    assert client.get("/api/v1/openapi.json")["ETag"] == first["ETag"]
    again = client.get("/api/v1/openapi.json", headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert client.post("/api/v1/openapi.json").status_code == 405


def test_every_operation_has_a_title_and_says_which_scope_it_needs() -> None:
    for path, operations in schema()["paths"].items():
        for method, operation in operations.items():
            assert 0 < len(operation["summary"]) < 120, (method, path)
            (resource,) = operation["tags"]
            verb = "read" if method == "get" else "write"
            scope = "owner" if resource == "keys" else f"{resource}:{verb}"
            assert f"`{scope}`" in operation["description"], (method, path)


def test_every_id_and_every_quantity_has_64_bits() -> None:
    """A client that is generated from the description takes other numbers for those of 32 bits."""
    described = schema()
    wide = {"type": "integer", "format": "int64"}
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            for parameter in operation.get("parameters", ()):
                if parameter["name"] in {"id", "variant", "channel", "operation"}:
                    assert wide.items() <= parameter["schema"].items(), (method, path, parameter)
    for name, component in described["components"]["schemas"].items():
        for member, each in component.get("properties", {}).items():
            if each.get("type") == "integer" and "maximum" not in each:
                assert wide.items() <= each.items(), (name, member)


def test_every_parameter_says_what_it_means() -> None:
    for path, operations in schema()["paths"].items():
        for method, operation in operations.items():
            for parameter in operation.get("parameters", ()):
                assert parameter.get("description"), (method, path, parameter["name"])


def test_resources_are_those_that_scopes_name() -> None:
    described = schema()
    assert {each["name"] for each in described["tags"]} == set(RESOURCES)
    operations = [each for path in described["paths"].values() for each in path.values()]
    assert {tag for operation in operations for tag in operation["tags"]} == set(RESOURCES)


def test_every_event_is_described_as_a_webhook() -> None:
    assert set(schema()["webhooks"]) == {*EVENTS, TEST}


def test_an_address_that_leads_nowhere_is_a_problem_too(client: Client) -> None:
    for path in ("/api", "/api/", "/api/v1/", "/api/v1/nothing", "/api/v2/variants", "/api/v1/variants/"):
        response = client.get(path)
        assert (response.status_code, response["Content-Type"]) == (404, "application/problem+json"), path
