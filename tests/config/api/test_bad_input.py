"""Nothing that can be sent brings the API down: every refusal is a problem that names what is wrong."""

import json
import socket
from typing import Any

import pytest
from django.test import Client
from pytest_django.live_server_helper import LiveServer

from tests.api import Api, problem_of
from tests.back_office import Business
from tests.config.api.endpoints import ROOT, Endpoint, endpoints, schema
from tests.config.api.test_isolation import row_of
from tests.inventory.cast import Cast

BODIES = [
    b"", b"{", b"[]", b"null", b"3", b'"x"', b"{}", b"\xff\xfe", b"\x00", b'{"lines": NaN}', b'{"lines": 1e400}',
    b'{"lines": -1e400}', b'{"lines": [{"quantity": ' + b"9" * 5000 + b"}]}", b"[" * 5000, b'{"a":' * 200 + b"1" + b"}" * 200,
    b'{"name": "\\u0000"}', b'{"name": "\\ud800"}', b'{"\\ud800": 1}', b'{"name": 1, "name": 2}', b'{"lines": [null]}',
    b'{"lines": {"0": {}}}', b'{"lines": "abc", "name": [], "title": {}, "sku": false}',
]  # fmt: skip

#: For every day: no JSON, a number that is none, a text that no database holds, and other shapes than expected.
SOME_BODIES = [b"{", b'{"lines": 1e400}', b'{"name": "\\ud800"}', BODIES[-1]]


@pytest.fixture
def api(db: None) -> Api:
    """A caller of a merchant with a row of everything."""
    business = Business.grown(1)
    caller = Api(business.merchant)
    caller.client.raise_request_exception = True
    return caller


def address(endpoint: Endpoint, api: Api) -> str:
    path = endpoint.path.removeprefix(ROOT)
    if not endpoint.is_on_row:
        return path
    business = Business(merchant=api.merchant)
    return path.replace("{id}", str(row_of(endpoint, business).pk))


@pytest.mark.parametrize(
    "bodies", [SOME_BODIES, pytest.param(BODIES, marks=pytest.mark.slow)], ids=["some", "all"]
)
def test_no_body_brings_an_endpoint_down(bodies: list[bytes], api: Api) -> None:
    writes = [each for each in endpoints() if each.method != "GET"]
    # What ends a row comes last, so that there is one until then.
    for endpoint in sorted(writes, key=lambda each: each.method == "DELETE" or each.path.endswith("/end")):
        path = address(endpoint, api)
        for body in bodies:
            response = api.send(endpoint.method, path, body)
            assert response.status_code < 500, (endpoint, body[:60], response.content[:300])
            if response.status_code >= 400:
                assert response["Content-Type"] == "application/problem+json", (endpoint, body[:60])
                assert response.json()["remedy"]


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "x", ""]
)
def test_another_media_type_is_refused(content_type: str, api: Api) -> None:
    response = api.send("POST", "/products", '{"title": "x"}', content_type)
    problem_of(response, 415, "unsupported-media-type")


def test_what_the_caller_accepts_does_not_matter(api: Api) -> None:
    assert api.get("/products", Accept="text/html").json()["data"]


def test_a_method_that_there_is_not_is_refused(api: Api) -> None:
    for method in ("DELETE", "PUT", "OPTIONS", "TRACE", "NONSENSE"):
        response = api.send(method, "/variants")
        assert (response.status_code, response["Content-Type"]) == (405, "application/problem+json"), method
        assert "GET" in response["Allow"]


@pytest.mark.parametrize("identity", ["0", "-1", "x", "1.5", "9" * 18, "9" * 40, "%00", "٣", "1e5", "null"])
def test_an_id_that_is_none_leads_nowhere(identity: str, api: Api) -> None:
    for path in (f"/variants/{identity}", f"/listings/{identity}/why"):
        problem_of(api.get(path), 404, "not-found")


@pytest.mark.parametrize(
    "query",
    [
        "sku=%00", "sku=%ff%fe", "variant__sku=x", "product__merchant__name=x", "limit=1&limit=x", "cursor=%00",
        "product=" + "9" * 400, "product=1e400", "product=-1", "%00=1", "is_active=%00", "page=99999999999999999999",
        "ordering=-id", "sku[]=x", "recorded_since=99999-01-01",
    ],
)  # fmt: skip
def test_no_query_brings_a_list_down(query: str, api: Api) -> None:
    for path in ("/variants", "/stock-levels", "/movements", "/orders", "/availability"):
        response = api.client.get(f"{ROOT}{path}?{query}", headers={"Authorization": f"Bearer {api.key}"})
        assert response.status_code in {200, 400}, (path, response.content)


@pytest.mark.parametrize("text", ["2026-01-31T14:00:00", "2026-01-31", "٢٠٢٦-01-31T14:00:00Z", "yesterday"])
def test_a_list_since_no_instant_is_refused(text: str, api: Api) -> None:
    for path, name in (
        ("/movements", "recorded_since"),
        ("/orders", "ordered_since"),
        ("/alerts", "opened_since"),
    ):
        problem = problem_of(api.get(path, {name: text}), 400, "invalid-request")
        assert problem["field"] == name


@pytest.mark.parametrize("query", ["sku=", "sku=MUG&sku=TRAY", "limit=1&limit=2", "cursor="])
def test_a_parameter_that_would_be_ignored_is_refused(query: str, api: Api) -> None:
    response = api.client.get(f"{ROOT}/variants?{query}", headers={"Authorization": f"Bearer {api.key}"})
    assert problem_of(response, 400, "invalid-request")["field"] == query.partition("=")[0]


@pytest.mark.parametrize(("query", "field"), [("sku=a%00", "sku"), ("sku=a&%00=1", "query")])
def test_what_no_database_holds_is_refused_with_its_parameter(query: str, field: str, api: Api) -> None:
    response = api.client.get(f"{ROOT}/variants?{query}", headers={"Authorization": f"Bearer {api.key}"})
    assert problem_of(response, 400, "invalid-request")["field"] == field


@pytest.mark.parametrize("parameter", ["sku=x", "sku=%78"])
def test_a_query_with_too_many_parameters_is_refused(parameter: str, api: Api) -> None:
    query = "&".join([parameter] * 1_001)
    response = api.client.get(f"{ROOT}/variants?{query}", headers={"Authorization": f"Bearer {api.key}"})
    problem_of(response, 400, "invalid-request")


@pytest.mark.parametrize("path", ["/availability?sku=x&by_date", "/kpis?until"])
@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31", "٢٠٢٦-01-31"])
def test_a_question_about_another_era_is_refused(path: str, day: str, api: Api) -> None:
    response = api.client.get(f"{ROOT}{path}={day}", headers={"Authorization": f"Bearer {api.key}"})
    problem_of(response, 400, "invalid-request")


def test_a_step_that_takes_no_body_refuses_what_it_would_ignore(api: Api) -> None:
    steps = [
        each
        for each in endpoints()
        if each.method == "POST" and "requestBody" not in schema()["paths"][each.path]["post"]
    ]
    assert len(steps) > 20
    for endpoint in steps:
        path = address(endpoint, api)
        problem = problem_of(api.post(path, {"quantity": 3}), 400, "invalid-request")
        assert problem["field"] == "quantity", endpoint
    channel = address(Endpoint("POST", f"{ROOT}/channels/{{id}}/pause", ""), api)
    for body in (b"", b"{}"):
        assert api.send("POST", channel, body).status_code == 200


def test_instants_that_no_calendar_has_are_refused(api: Api) -> None:
    for text in (
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "2026-13-01T00:00:00Z",
        "now",
        "-1",
    ):
        response = api.get("/movements", {"recorded_since": text})
        assert response.status_code in {200, 400}, text
        body = {"channel_id": 1, "external_id": "1", "updated_at": text, "ordered_at": text, "lines": []}
        assert api.post("/orders", body).status_code < 500, text


@pytest.mark.parametrize(
    "day",
    ["9999-12-31", "0001-01-01", "٢٠٢٦-01-31", "2026-02-30", "2026-01-31T00:00:00Z", 20260131, True, "\n"],
)
def test_days_that_no_calendar_has_are_refused(day: object, api: Api) -> None:
    line = {"sku": "x", "quantity": 1}
    bodies = {
        "/purchase-orders": {
            "number": "1",
            "supplier": "s",
            "location": "l",
            "ordered_on": day,
            "lines": [line],
        },
        "/transfers": {"source": "a", "destination": "b", "expected_on": day, "lines": [line]},
    }
    for path, body in bodies.items():
        problem_of(api.post(path, body), 400, "invalid-request")


@pytest.mark.parametrize(
    "instant",
    [
        "2026-01-31T14:00:00",
        "2026-01-31",
        "0001-01-01T00:00:00Z",
        "9999-12-31T00:00:00Z",
        "٢٠٢٦-01-31T14:00:00Z",
        1,
    ],
)
def test_instants_without_a_zone_or_beyond_our_era_are_refused(instant: object, api: Api) -> None:
    line = {"sku": "x", "location": "l", "quantity": 1}
    problem = problem_of(
        api.post("/stock/receive", {"occurred_at": instant, "lines": [line]}), 400, "invalid-request"
    )
    assert problem["field"] == "occurred_at"


@pytest.mark.parametrize(
    "price", [-1, "-0.01", "1e400", "NaN", "Infinity", "١٢", True, [], "1" * 2000, "1_000", "1e2", " 1"]
)
def test_prices_that_are_none_are_refused(price: object, api: Api) -> None:
    body = {
        "channel_id": 1,
        "external_id": "1",
        "updated_at": "2026-01-31T14:00:00Z",
        "ordered_at": "2026-01-31T14:00:00Z",
        "lines": [{"external_id": "1", "sku": "x", "quantity": 1, "unit_price": price}],
    }
    problem_of(api.post("/orders", body), 400, "invalid-request")


def test_a_body_without_a_length_is_refused(api: Api) -> None:
    response = api.send("POST", "/products", b"", Transfer_Encoding="chunked")
    assert "Content-Length" in problem_of(response, 400, "unreadable-body")["detail"]


def test_what_is_named_wrongly_is_named_by_its_place(api: Api) -> None:
    rule_set = api.post("/rule-sets", {"name": "Own"}).json()["id"]
    rules = [{"maximum": 1}, {"sku": "nothing", "maximum": 2}]
    problem = problem_of(api.post(f"/rule-sets/{rule_set}/draw-up", {"rules": rules}), 404, "not-found")
    assert problem["field"] == "rules[1].sku"


def test_a_body_that_is_too_large_is_refused(api: Api) -> None:
    body = json.dumps({"title": "x" * 3_000_000})
    problem_of(api.send("POST", "/products", body), 413, "body-too-large")
    problem_of(api.send("POST", "/products", body, Idempotency_Key="one"), 413, "body-too-large")


def test_what_nobody_expected_is_a_problem_too(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("inventory.api.catalogue.Products.create", fail)
    problem_of(api.post("/products", {"title": "x"}), 500, "internal-error")


def test_without_a_key_nothing_of_the_body_is_read(db: None) -> None:
    response = Client().generic("POST", f"{ROOT}/products", b"{", content_type="application/json")
    problem_of(response, 401, "no-key")


@pytest.mark.django_db(transaction=True)
def test_half_a_body_changes_nothing(live_server: LiveServer) -> None:
    cast = Cast()
    body = json.dumps({"lines": [{"sku": cast.mug.sku, "location": cast.warehouse.code, "quantity": 1}]})
    head = (
        f"POST {ROOT}/stock/receive HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {Api(cast.merchant).key}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((live_server.thread.host, live_server.thread.port), timeout=10) as line:
        line.sendall(head.encode() + body[:-10].encode())
        line.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := line.recv(65536):
            answer += piece
    assert b" 400 " in answer.split(b"\r\n")[0]
    assert not cast.mug.levels.exists()
