"""Drawn requests against every operation of the description, alone and in sequences, with a fixed seed.

No answer may be a 500, have a status that is not described, or break the schema of its body.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.core.exceptions import ObjectDoesNotExist
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, connection
from hypothesis import HealthCheck, given, settings, strategies
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.api import Api
from tests.back_office import Business
from tests.config.api.endpoints import Endpoint, endpoints
from tests.config.api.test_isolation import row_of

pytestmark = [pytest.mark.slow, pytest.mark.django_db, pytest.mark.timeout(1800)]

CHECKS: Any = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
DRAWN = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=15,
    stateful_step_count=8,
    suppress_health_check=list(HealthCheck),
    print_blob=False,
)


@pytest.fixture
def business(db: None) -> Business:
    """A merchant with rows of everything, in a transaction that may wait while requests are drawn."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
    return Business.grown(2)


@pytest.fixture
def headers(business: Business) -> dict[str, str]:
    """The key of the merchant."""
    key = Api(business.merchant).key
    # The client that the requests are sent with takes no compressed answers.
    return {"Authorization": f"Bearer {key}", "Accept-Encoding": "identity"}


@pytest.fixture(autouse=True)
def one_connection() -> Iterator[None]:
    """Keeps the handler from closing the test's connection after each request, as Django's own test client does."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture
def described(headers: dict[str, str]) -> Any:
    """The description, as the server gives it."""
    return schemathesis.openapi.from_wsgi("/api/v1/openapi.json", WSGIHandler())


def test_no_request_to_an_operation_is_answered_otherwise_than_described(
    described: Any, headers: dict[str, str], business: Business
) -> None:
    """Half of the requests about a row are about one that there is."""
    wrong: dict[str, str] = {}
    count = 0
    for found in described.get_all_operations():
        operation = found.ok()
        known_ids = ("", known_id(Endpoint(operation.method.upper(), operation.path, ""), business))

        @DRAWN
        @given(case=operation.as_strategy(), known=strategies.sampled_from(known_ids))
        def check(case: Any, known: str) -> None:
            if known:
                case.path_parameters = {**(case.path_parameters or {}), "id": known}
            response = case.call(headers=headers)
            case.validate_response(response, checks=CHECKS, headers=headers)

        try:
            check()
        except (FailureGroup, BaseExceptionGroup) as group:
            wrong[operation.label] = "\n".join(map(str, group.exceptions))[:1_500]
        count += 1
    assert wrong == {}
    assert count == len(endpoints())


def known_id(endpoint: Endpoint, business: Business) -> str:
    """Returns the id of a row that the address may be of; empty where it names none, or none is left."""
    try:
        return str(row_of(endpoint, business).pk) if endpoint.is_on_row else ""
    except ObjectDoesNotExist:
        return ""


def test_no_sequence_of_requests_is_answered_otherwise_than_described(
    described: Any, headers: dict[str, str]
) -> None:
    class Sequence(described.as_state_machine()):  # type: ignore[misc]
        def get_call_kwargs(self, case: Any) -> dict[str, Any]:
            return {"headers": headers}

        def validate_response(self, response: Any, case: Any, **more: Any) -> None:
            case.validate_response(response, checks=CHECKS, headers=headers)

    Sequence.run(settings=DRAWN)
