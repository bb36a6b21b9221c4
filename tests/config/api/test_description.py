"""The description of the API: valid, without warnings, complete, and served without outside assets."""

import json
import re
from contextlib import closing
from typing import Any

import pytest
from django.test import Client
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.validation import validate_schema

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


def test_an_address_that_leads_nowhere_is_a_problem_too(client: Client) -> None:
    for path in ("/api", "/api/", "/api/v1/", "/api/v1/nothing", "/api/v2/variants", "/api/v1/variants/"):
        response = client.get(path)
        assert (response.status_code, response["Content-Type"]) == (404, "application/problem+json"), path
