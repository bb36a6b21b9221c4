"""The description of the API: valid, without warnings, complete, and served without outside assets."""

import re
from contextlib import closing
from typing import Any

import pytest
from django.test import Client
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.validation import validate_schema

from tests.config.api.endpoints import endpoints, schema

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
            is_write = method in {"post", "patch"} and operation["operationId"] not in PIECEMEAL
            assert ("Idempotency-Key" in names) == is_write, (method, path)
            is_of_a_row = method in {"post", "patch"} and "{id}" in path
            assert ("If-Match" in names, "412" in operation["responses"]) == (is_of_a_row,) * 2, (
                method,
                path,
            )


def test_names_of_operations_are_unique() -> None:
    names = [each.name for each in endpoints()]
    assert len(names) == len(set(names))


def test_what_is_written_most_has_an_example() -> None:
    paths = (
        "/stock/receive", "/reservations", "/orders", "/events", "/bundles", "/imports", "/count-sheets",
        "/conflicts/{id}/resolve", "/reconciliation-runs", "/alerts/{id}/mute", "/support-tickets", "/webhook-subscriptions",
    )  # fmt: skip
    for path in paths:
        body: Any = schema()["paths"][f"/api/v1{path}"]["post"]["requestBody"]["content"]["application/json"]
        assert body["examples"], path


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
